"""The audit as a page: searched and turned, where its chain ends, and on request whether it holds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from bot import audit_lines
from bot.api import paging
from bot.audit_text import action_words, why_of
from bot.moments import moment_ms
from bot.page.query_words import says_yes
from bot.page.states import Look
from bot.page.story import Moment, Names, moment
from engine.access.policy import Actor
from engine.errors import InvalidParameters
from engine.queries import audit
from engine.queries.audit_chain import Verified
from engine.queries.audit_export import Wanted
from engine.runtime import Runtime
from storage.records import AuditRecord, Json
from storage.states import Severity

PAGE = 50
"""Rows on one page."""
_LONGEST = 200
_WORDS = ("actor", "action", "thing", "severity", "since", "until")
_LOOKS = {
    Severity.INFO: Look.IDLE,
    Severity.NOTICE: Look.BUSY,
    Severity.WARNING: Look.WAIT,
    Severity.CRITICAL: Look.BAD,
}
_RUN = "execution:"


@dataclass(frozen=True, slots=True)
class Row:
    """One row. `run` is the id of the run that it is about, "" for anything else; `detail` all that it keeps."""

    seq: int | None
    at: Moment
    look: Look
    severity: str
    who: str
    did: str
    action: str
    thing: str
    run: str
    why: str
    detail: str


@dataclass(frozen=True, slots=True)
class Chain:
    """Where the chain ends and what was noted elsewhere; `verified` is None until somebody asks whether it holds."""

    seq: int
    proof: str
    sealed: Moment | None
    noted_at: Moment | None
    noted_seq: int
    verified: Verified | None


@dataclass(frozen=True, slots=True)
class Found:
    """The rows that fit; `more` is the address of those before them, "" where there are none.

    `exports` are the addresses of all that fit by their format, and `problem` what of the search cannot be read.
    """

    rows: tuple[Row, ...]
    asked: Mapping[str, str]
    severities: tuple[str, ...]
    chain: Chain
    exports: tuple[tuple[str, str], ...]
    check: str
    more: str
    problem: str


def found(rt: Runtime, actor: Actor, asked: Mapping[str, str]) -> Found:
    """The newest rows that fit. `asked` may have what `wanted` takes, `cursor`, and `verify`.

    Raises `NotAllowed`, and `InvalidParameters` for a cursor that is none and a `verify` that is neither yes nor no.
    """
    said, problem, narrowed = _said(asked), "", Wanted()
    try:
        narrowed = wanted(asked)
    except InvalidParameters as error:
        problem = str(error)
    before = paging.decode(asked["cursor"], int)[0] if asked.get("cursor") else None
    chain = _chain(rt, actor, verify=says_yes(asked, "verify"))
    rows = [] if problem else _rows(rt, actor, narrowed, before)
    more = _address("/audit", {**said, "cursor": paging.encode(rows[PAGE - 1].id)}) if len(rows) > PAGE else ""
    names, redact = Names(rt), rt.redactor().redact_json
    return Found(
        rows=tuple(_row(names, each, redact(each.detail)) for each in rows[:PAGE]),
        asked=said,
        severities=tuple(each.value.lower() for each in Severity),
        chain=chain,
        exports=tuple((each, _address("/audit/export", {**said, "format": each})) for each in audit_lines.MEDIA_TYPES),
        check=_address("/audit", {**said, "verify": "yes"}),
        more=more,
        problem=problem,
    )


def wanted(asked: Mapping[str, str]) -> Wanted:
    """What a search or an export is narrowed to: `actor`, `action`, `thing`, `severity`, `since` and `until`.

    Raises `InvalidParameters` for a time or severity that is none.
    """
    said, problems = _said(asked), dict[str, str]()
    times: dict[str, int | None] = {"since": None, "until": None}
    for name in times:
        try:
            times[name] = moment_ms(said[name]) if said[name] else None
        except ValueError as error:
            problems[name] = str(error)
    severity = said["severity"].upper()
    if severity and severity not in tuple(Severity):
        problems["severity"] = f"is one of {', '.join(each.value.lower() for each in Severity)}"
    if problems:
        raise InvalidParameters(problems)
    return Wanted(
        who=said["actor"].removeprefix("@") or None, action=said["action"] or None, thing=said["thing"] or None,
        severity=Severity(severity) if severity else None, since=times["since"], until=times["until"],
    )  # fmt: skip


def format_of(asked: Mapping[str, str]) -> audit_lines.Format:
    """The `format` of an export, JSON lines where it says none. Raises `InvalidParameters`."""
    said = asked.get("format") or "jsonl"
    known = next((each for each in audit_lines.MEDIA_TYPES if each == said), None)
    if known is None:
        raise InvalidParameters({"format": f"is one of {', '.join(audit_lines.MEDIA_TYPES)}"})
    return known


def _said(asked: Mapping[str, str]) -> dict[str, str]:
    return {name: asked.get(name, "").strip()[:_LONGEST] for name in _WORDS}


def _address(path: str, said: Mapping[str, str]) -> str:
    return f"{path}?{urlencode({name: value for name, value in said.items() if value})}"


def _rows(rt: Runtime, actor: Actor, narrowed: Wanted, before: int | None) -> list[AuditRecord]:
    return audit.search(
        rt, actor, who=narrowed.who, action=narrowed.action, thing=narrowed.thing, severity=narrowed.severity,
        since=narrowed.since, until=narrowed.until, before=before, limit=PAGE + 1,
    )  # fmt: skip


def _row(names: Names, row: AuditRecord, detail: Json) -> Row:
    return Row(
        seq=row.seq,
        at=moment(row.at),
        look=_LOOKS[row.severity],
        severity=row.severity.lower(),
        who="The bot" if row.actor == "system" else names(row.actor),
        did=action_words(row.action, detail),
        action=row.action,
        thing=row.thing,
        run=row.thing.removeprefix(_RUN) if row.thing.startswith(_RUN) else "",
        why=why_of(detail),
        detail=json.dumps(detail, indent=2, ensure_ascii=False) if detail else "",
    )


def _chain(rt: Runtime, actor: Actor, *, verify: bool) -> Chain:
    """The chain is recomputed before its head is read, as that gives the newest rows their place."""
    verified = audit.check(rt, actor) if verify else None
    now = audit.head(rt, actor)
    return Chain(
        seq=now.last.seq if now.last else 0,
        proof=(now.last.mac or now.last.hash) if now.last else "",
        sealed=moment(now.last.at) if now.last else None,
        noted_at=moment(now.noted[0]) if now.noted else None,
        noted_seq=now.noted[1] if now.noted else 0,
        verified=verified,
    )
