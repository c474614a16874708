"""The list of runs as a page: narrowed by what they are, the newest first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from bot.api import paging
from bot.page.query_words import says_yes
from bot.page.states import Look, execution_look
from bot.page.story import Moment, Names, moment
from bot.run_filter import STATUSES, of_status
from bot.slack.views.words import execution_words
from engine.access.policy import Actor
from engine.runs import executions
from engine.runtime import Runtime
from storage.records import ExecutionRecord, Filter

PAGE = 50
"""Runs on one page."""
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Row:
    """One run. `who` is the name of whoever asked for it, where Slack told it."""

    id: str
    version: str
    look: Look
    words: str
    who: str
    at: Moment


@dataclass(frozen=True, slots=True)
class Found:
    """The runs that fit; `more` is the address of those before them, "" where there are none."""

    rows: tuple[Row, ...]
    asked: Mapping[str, str]
    statuses: tuple[str, ...]
    more: str


def runs(rt: Runtime, actor: Actor, asked: Mapping[str, str]) -> Found:
    """The runs that this person may see. `asked` may have `runbook`, `status` (or open), `mine` and `cursor`.

    Raises `InvalidParameters` for a cursor that is none and a `mine` that is neither yes nor no, and as `authorise`.
    """
    wanted = {name: asked.get(name, "").strip().lower()[:_LONGEST] for name in ("runbook", "status")}
    wanted["mine"] = "yes" if says_yes(asked, "mine") else ""
    statuses, is_open = of_status(wanted["status"] if wanted["status"] in STATUSES else "")
    mine = actor.user_id if wanted["mine"] else None
    narrowed = Filter(slug=wanted["runbook"] or None, statuses=statuses, requester=mine, open=is_open)
    before = paging.decode(asked["cursor"], int, str) if asked.get("cursor") else None
    found = executions.page(rt, actor, narrowed, before=before, limit=PAGE + 1)
    shown, more = found[:PAGE], ""
    if len(found) > PAGE:
        onwards = {**wanted, "cursor": paging.encode(shown[-1].created_at, shown[-1].id)}
        more = f"/executions?{urlencode({name: value for name, value in onwards.items() if value})}"
    names = Names(rt)
    return Found(tuple(_row(names, each) for each in shown), wanted, STATUSES, more)


def _row(names: Names, run: ExecutionRecord) -> Row:
    look, words = execution_look(run.status), execution_words(run)[1]
    return Row(run.id, f"{run.slug}@{run.number}", look, words, names(run.requester), moment(run.created_at))
