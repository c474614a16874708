"""The compliance report: what ran within a time, who let it, what was overridden, what failed, by team.

Every fact is one row of the same columns, so that a table program, a page and a program read the same. What other parts
of the policy did is taken from the audit alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from engine.access import auditing, channels
from engine.access.actions import Team
from engine.access.policy import SYSTEM, Action, Actor, acting
from engine.access.roles import policy_of
from engine.errors import InvalidParameters
from engine.expressions import secrets_read
from engine.runtime import Runtime
from engine.text.words import did_you_mean
from storage import approvals, database, executions, periods, runbooks
from storage.records import ApprovalRecord, AuditRecord, ExecutionRecord, Json
from storage.states import Decision, ExecutionStatus, Severity

SUMMARY, RUNS, APPROVALS, OVERRIDES, FAILURES, EXPIRED, SECRETS, FROZEN = SECTIONS = (
    "runs by result", "runs", "approvals", "overrides", "failures", "expired approvals", "secrets used",
    "frozen windows",
)  # fmt: skip
BREAK_GLASS, FREEZE = FAMILIES = ("break_glass", "freeze")
_BY_FORCE = ("execution.start", "execution.cancel")
_SECTION_OF = {
    **dict.fromkeys(
        (
            "approval.vote",
            "approval.withdraw",
            "runbook.vote",
            "runbook.withdraw",
            "runbook.approve",
            "runbook.deprecate",
            "runbook.rollback",
        ),
        APPROVALS,
    ),
    **dict.fromkeys(("step.skip", "step.skip_agree", "step.resolve", "gate.bypassed", *_BY_FORCE), OVERRIDES),
    **dict.fromkeys(("approval.expire", "runbook.approval_expired", "runbook.renew"), EXPIRED),
}
_OPTIONS = "options of the report"
_PAGE = 500


@dataclass(frozen=True, slots=True)
class Row:
    """One fact. What does not apply is None or ""; `detail` is for people."""

    section: str
    at: int | None = None
    team: str | None = None
    runbook: str = ""
    version: int | None = None
    run: str = ""
    who: str = ""
    what: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """The rows of all sections, in their order, each section's oldest first. `team` is None for all teams."""

    since: int
    until: int
    team: str | None
    made_at: int
    rows: tuple[Row, ...]


def last_month(at: int) -> tuple[int, int]:
    """The beginning and end of the whole month before this moment, in UTC."""
    first = datetime.fromtimestamp(at / 1000, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    before = first.replace(year=first.year - (first.month == 1), month=12 if first.month == 1 else first.month - 1)
    return int(before.timestamp() * 1000), int(first.timestamp() * 1000)


def report(rt: Runtime, actor: Actor, since: int | None, until: int | None, team: str | None = None) -> Report:
    """The report over [since, until), for platform admins, or for a team's admins of their team.

    The last whole month where neither is given; until now where only `since` is. That it was asked for is audited.
    Raises `NotAllowed`, and `InvalidParameters` for a team that is not there or a time that ends before it begins.
    """
    month, now = last_month(database.now()), database.now()
    since, until = month if since is None and until is None else (since or 0, now if until is None else until)
    if since >= until:
        raise InvalidParameters({"until": "the report has to end after it begins"}, _OPTIONS)
    with acting(rt, actor, Action.REPORT, Team(team)):
        _must_be_known(rt, team)
        detail = {"since": since, "until": until, "team": team}
        auditing.by_actor(rt, actor, "audit.report", auditing.AUDIT, detail, Severity.INFO)
    return compiled(rt, since, until, team, actor)


def _must_be_known(rt: Runtime, team: str | None) -> None:
    """A misspelt team would have an empty report, and nobody would notice."""
    known = {*policy_of(rt).get("teams", {}), *(each.team for each in runbooks.listing(rt.workspace_id) if each.team)}
    if team is not None and team not in known:
        raise InvalidParameters({"team": f"there is no such team{did_you_mean(team, known)}"}, _OPTIONS)


def compiled(rt: Runtime, since: int, until: int, team: str | None = None, actor: Actor = SYSTEM) -> Report:
    """The same for the bot's own use, without asking whether they may; of incidents it has what `actor` may know."""
    found = [*_of_runs(rt, since, until, team), *_of_audit(rt, actor, since, until, team)]
    redact = rt.redactor().redact_json
    masked = (replace(row, detail=str(redact(row.detail))) if row.detail else row for row in found)
    ordered = sorted(masked, key=lambda row: SECTIONS.index(row.section))
    return Report(since, until, team, database.now(), tuple(ordered))


def _of_runs(rt: Runtime, since: int, until: int, team: str | None) -> Iterator[Row]:
    """Counts, runs, failures and secrets."""
    counts: Counter[tuple[str | None, str]] = Counter()
    versions: dict[int, ExecutionRecord] = {}
    for run in _runs(rt, since, until, team):
        counts[run.team, run.status.value] += 1
        versions.setdefault(run.version_id, run)
        row = Row(RUNS, run.created_at, run.team, run.slug, run.number, run.id, run.requester, run.status, run.reason)
        yield row
        if run.status is ExecutionStatus.FAILED:
            error = run.error if isinstance(run.error, dict) else {}
            what, why = str(error.get("code", "")), str(error.get("message", ""))
            yield replace(row, section=FAILURES, at=run.ended_at, what=what, detail=why)
    for (of_team, status), count in sorted(counts.items(), key=lambda each: (each[0][0] or "", each[0][1])):
        yield Row(SUMMARY, team=of_team, what=status, detail=str(count))
    for run in sorted(versions.values(), key=lambda run: (run.slug, run.number)):
        yield from (
            Row(SECRETS, None, run.team, run.slug, run.number, what=name) for name in _secrets_of(run.version_id)
        )


def _runs(rt: Runtime, since: int, until: int, team: str | None) -> Iterator[ExecutionRecord]:
    after = (since - 1, "")
    while True:
        with database.reading():
            found = periods.runs(rt.workspace_id, since, until, team, after, _PAGE)
        yield from found
        if len(found) < _PAGE:
            return
        after = (found[-1].created_at, found[-1].id)


def _secrets_of(version_id: int) -> list[str]:
    with database.reading():
        version = runbooks.version_by_id(version_id)
    return sorted(secrets_read(version.definition)) if version is not None else []


def _of_audit(rt: Runtime, actor: Actor, since: int, until: int, team: str | None) -> Iterator[Row]:
    after = 0
    while True:
        with database.reading():
            found = periods.audit_rows(
                rt.workspace_id, since=since, until=until, actions=tuple(_SECTION_OF), families=FAMILIES, after=after,
                limit=_PAGE,
            )  # fmt: skip
        shown = [channels.shown_row(rt, actor, each) for each in found]
        with database.reading():
            told = [row for each in shown if (row := _of_deed(rt, each)) and team in (None, row.team)]
        yield from told
        if len(found) < _PAGE:
            return
        after = found[-1].id


def _of_deed(rt: Runtime, row: AuditRecord) -> Row | None:
    """What an audit row says. None for a start or cancel that was not forced: that overrides nothing."""
    facts = row.detail if isinstance(row.detail, dict) else {}
    if row.action in _BY_FORCE and not facts.get("force"):
        return None
    section = _SECTION_OF.get(row.action) or (OVERRIDES if row.action.startswith(f"{BREAK_GLASS}.") else FROZEN)
    name = auditing.kind_and_name(row.thing)[1]
    said = Row(section, row.at, facts.get("team"), who=row.actor, what=row.action, detail=_words(facts))
    if row.thing == auditing.of_execution(name) and (run := executions.find(rt.workspace_id, name)):
        said = replace(said, team=run.team, runbook=run.slug, version=run.number, run=run.id)
        return replace(said, detail=_of_gate(run, facts)) if row.action == "approval.vote" else said
    if row.thing == auditing.of_runbook(name):
        slug, _, number = name.partition("@")
        book = runbooks.find(rt.workspace_id, slug)
        of_team = book.team if book is not None else said.team
        return replace(said, team=of_team, runbook=slug, version=int(number) if number.isdigit() else None)
    return said


def _of_gate(run: ExecutionRecord, facts: dict[str, Json]) -> str:
    """A vote, and how many of those that its gate needs say yes to what it showed then."""
    gate = next((each for each in approvals.of_execution(run.id) if _is_of(each, facts)), None)
    words = f"{facts.get('decision')} at {facts.get('step')}"
    if gate is not None:
        agreed = sum(vote.decision is Decision.APPROVE for vote in approvals.votes(gate.id))
        words += f": {agreed} of {gate.min_approvals}, {gate.status.lower()}"
    return f"{words}; {facts['comment']}" if facts.get("comment") else words


def _is_of(gate: ApprovalRecord, facts: dict[str, Json]) -> bool:
    return gate.path == facts.get("step") and gate.digest == facts.get("digest")


def _words(facts: dict[str, Json]) -> str:
    left = {key: value for key, value in facts.items() if key not in ("door", "team") and value not in (None, "", [])}
    return ", ".join(f"{key}: {value}" for key, value in left.items())
