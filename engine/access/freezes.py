"""Freezes: what may not begin for a while. Which ones cover a thing, and the sentence that says so.

A freeze keeps runs from being started, retried and replayed, and a failed run from going on by a skip; what calls a
frozen runbook is frozen with it. What is under way goes on, children and queued runs with it, unless the freeze holds
it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime

from engine.access import freeze_facts, overrides, windows
from engine.access.actions import Action, FreezeScope, ScopeKind, Thing, Verdict
from engine.access.freeze_facts import Facts
from engine.access.roles import named_in, with_role
from engine.runtime import Runtime
from storage import database, freezes, runbooks
from storage.catalog_records import RunbookRecord
from storage.freeze_records import FreezeRecord
from storage.records import ExecutionRecord

RULE = "A freeze lets nothing begin that it covers."
_BEGIN = frozenset({Action.START, Action.RETRY, Action.REPLAY})


def in_force(rt: Runtime) -> list[FreezeRecord]:
    """The freezes in force now, those set by people first, then the windows of the calendar."""
    at = database.now()
    with database.reading():
        found, calendar = freezes.in_force(rt.workspace_id, at)
    return [*found, *windows.in_force(calendar, at)]


def upcoming(rt: Runtime) -> list[FreezeRecord]:
    """The calendar's windows of the next 14 days, the soonest first."""
    at = database.now()
    with database.reading():
        _, calendar = freezes.in_force(rt.workspace_id, at)
    return windows.upcoming(calendar, at)


def covering(
    rt: Runtime, thing: RunbookRecord | ExecutionRecord, found: Sequence[FreezeRecord] | None = None
) -> list[FreezeRecord]:
    """The freezes that keep this runbook or run from beginning, the one that ends last first.

    They are looked for among `found`, or where that is None among all in force.
    """
    found = in_force(rt) if found is None else found
    return _among(found, freeze_facts.beginning(rt, thing)) if found else []


def holding(run: ExecutionRecord, found: Iterable[FreezeRecord]) -> list[FreezeRecord]:
    """Those of these freezes that keep this run from going on, the one that ends last first."""
    held = [each for each in found if each.hold_running]
    return _among(overrides.left(run, held), freeze_facts.under_way(run)) if held else []


def _among(found: Iterable[FreezeRecord], facts: Collection[Facts]) -> list[FreezeRecord]:
    covering = (each for each in found if any(_covers(each.scope, one) for one in facts))
    return sorted(covering, key=lambda each: -each.until)


def _covers(scope: str, facts: Facts) -> bool:
    kind, _, name = scope.partition(":")
    named = {ScopeKind.TEAM: facts.teams, ScopeKind.TAG: facts.tags, ScopeKind.RUNBOOK: {facts.slug}}
    return kind == ScopeKind.EVERYTHING or name in named[ScopeKind(kind)]


def refusal(rt: Runtime, action: Action, thing: Thing) -> Verdict | None:
    """What the freezes say against doing this; None for nothing."""
    if not isinstance(thing, RunbookRecord | ExecutionRecord):
        return None
    run = thing if isinstance(thing, ExecutionRecord) else None
    found: list[FreezeRecord] = []
    if action in _BEGIN or (action is Action.SKIP and run is not None and run.status.ended):
        found = covering(rt, thing)
    elif action is Action.RESUME and run is not None:
        found = holding(run, in_force(rt))
    return Verdict(False, sentence(rt, found[0]), RULE, "", who_lifts(rt, found[0])) if found else None


def sentence(rt: Runtime, freeze: FreezeRecord) -> str:
    """What a freeze says to somebody whom it keeps from something: who, why, until when and who may lift it."""
    by = f"set by @{freeze.created_by}" if freeze.created_by else "set by the calendar"
    how = f" (`unfreeze {freeze.id}`)" if freeze.created_by else ", in _calendar.yaml"
    what = f"{freeze.id} freezes {freeze.scope} until {at_words(freeze.until)}: {freeze.reason} ({by})."
    return f"{what} Only {lifters(rt, freeze)} may lift it{how}."


def lifters(rt: Runtime, freeze: FreezeRecord) -> str:
    """Who may lift a freeze, by their role."""
    team = parsed(rt, freeze.scope).team
    return f"admins of team {team} and platform admins" if team else "platform admins"


def at_words(at: int) -> str:
    """A moment, to the minute, for a reader whose time zone nobody knows."""
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def who_lifts(rt: Runtime, freeze: FreezeRecord) -> tuple[str, ...]:
    """The people and user groups, by id, who may lift a freeze."""
    scope = parsed(rt, freeze.scope)
    nearest = with_role(rt, "team_admin", scope.team) if scope.team else ()
    return tuple(dict.fromkeys([*nearest, *named_in(rt, "platform_admins")]))


def parsed(rt: Runtime, scope: str) -> FreezeScope:
    """A scope that is kept, with the team that it belongs to, by what is approved as by an edit that waits, or none."""
    kind, _, name = scope.partition(":")
    if kind == ScopeKind.TEAM:
        return FreezeScope(kind, name, name)
    if kind != ScopeKind.RUNBOOK:
        return FreezeScope(kind, name)
    with database.reading():
        found = runbooks.find(rt.workspace_id, name)
    teams = freeze_facts.of(found).teams if found else frozenset()
    return FreezeScope(kind, name, next(iter(teams)) if len(teams) == 1 else None)
