"""Freezing and unfreezing: what people set and lift, and what that does to runs under way."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from engine.access import auditing, freeze_times
from engine.access import freezes as rules
from engine.access.policy import Action, Actor, authorise, named
from engine.access.scopes import scope_of, spelled
from engine.errors import Conflict, EngineError, InvalidParameters, NotFound, ReasonRequired, Undecodable
from engine.failpoints import committing
from engine.orchestration import holding
from engine.orchestration.run_phases import change
from engine.runs import controls
from engine.runtime import Runtime
from engine.text.short_ids import short_id
from storage import database, executions, freezes, people
from storage.freeze_records import FreezeRecord
from storage.states import ExecutionStatus, Severity

_ID = re.compile(r"F-[0-9A-Z]{2,}", re.IGNORECASE)
_HELD_FOR = "4h"
_UPCOMING = 50
_ENDED = 20
"""Freezes that ended lately, of which it is told what they have left paused."""


@dataclass(frozen=True, slots=True)
class FreezeView:
    """A freeze with the runs that it has paused and that are paused still, as who looks may see them."""

    freeze: FreezeRecord
    paused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Lifted:
    """What came of an unfreeze. `paused` are runs that stay so, `resumed` those that go on, `refused` says why not."""

    freezes: tuple[FreezeRecord, ...]
    paused: tuple[str, ...] = ()
    resumed: tuple[str, ...] = ()
    refused: dict[str, str] = field(default_factory=dict)


def freeze(
    rt: Runtime, actor: Actor, scope: str, reason: str, *, until: str = "", lasting: str = "",
    hold_running: bool = False,
) -> FreezeView:  # fmt: skip
    """Let nothing of a scope begin until then; with `hold_running` pause what is under way, too.

    A freeze that holds what is under way needs neither reason nor end: without one it lasts four hours. `until` is a
    time as `freeze_times` takes it, in the time zone of who asks where it says none; `lasting` a duration.
    Raises `NotAllowed`, `NotFound`, `InvalidParameters` and `ReasonRequired`.
    """
    frozen = scope_of(rt, scope)
    authorise(rt, actor, Action.FREEZE, frozen)
    if hold_running:  # whoever stops everything has no time to think
        reason, lasting = reason.strip() or "stopped by hand", lasting or ("" if until else _HELD_FOR)
    if not reason.strip():
        raise ReasonRequired('A freeze needs a reason: reason="…".')
    if len(reason) > 500:
        raise InvalidParameters({"reason": "at most 500 characters"}, freeze_times.OPTIONS)
    with database.reading():
        person = people.recall(rt.workspace_id, actor.user_id)
    ends = freeze_times.end(until, lasting, person.tz if person else None, database.now())
    with committing("freeze"):
        database.one_at_a_time("sync")
        freezes.hold_runbooks(rt.workspace_id)
        frozen = scope_of(rt, scope)
        authorise(rt, actor, Action.FREEZE, frozen)
        made = FreezeRecord(
            short_id("F"), frozen.slug, reason.strip(), hold_running, ends, database.now(), actor.user_id
        )
        freezes.create(rt.workspace_id, made)
        detail = {"scope": made.scope, "reason": made.reason, "until": ends, "hold_running": hold_running}
        auditing.by_actor(rt, actor, "freeze.set", auditing.of_freeze(made.id), detail, Severity.WARNING)
    if hold_running:
        _hold(rt, made)
    return _view(rt, actor, made)


def _hold(rt: Runtime, made: FreezeRecord) -> None:
    """Pause every run under way that is covered; what is missed by a crash is paused at its next claim."""
    with database.reading():
        found = freezes.open_runs(rt.workspace_id)
    for run in found:
        with suppress(Undecodable), change(rt, run, "hold") as transition:  # one that cannot be read has ended by that
            holding.pause(transition, [made])


def unfreeze(rt: Runtime, actor: Actor, what: str, reason: str = "", *, resume: bool = False) -> Lifted:
    """Lift a freeze by its id, or all that people have set on a scope; with `resume` let go on what they have paused.

    Raises `NotFound` where nothing is frozen so, and `NotAllowed`; each run is resumed by the right to resume it.
    """
    found = _meant(rt, what)
    for each in found:
        authorise(rt, actor, Action.UNFREEZE, rules.parsed(rt, each.scope))
    with committing("unfreeze"):
        for each in found:
            authorise(rt, actor, Action.UNFREEZE, rules.parsed(rt, each.scope))
            if not freezes.lift(each.id, actor.user_id):
                raise Conflict(f"{each.id} has ended meanwhile. `freezes` shows what is in force.")
            detail = {"scope": each.scope, "reason": reason.strip(), "until": each.until}
            auditing.by_actor(rt, actor, "freeze.lift", auditing.of_freeze(each.id), detail, Severity.WARNING)
    paused = _still_paused(found)
    lifted = Lifted(tuple(found), tuple(named(rt, actor, paused)))
    return _resumed(rt, actor, lifted, paused, reason) if resume else lifted


def _meant(rt: Runtime, what: str) -> list[FreezeRecord]:
    by_people = [each for each in rules.in_force(rt) if each.created_by]
    if _ID.fullmatch(what.strip()):
        return [_by_id(rt, what)]
    wanted = spelled(what).slug
    found = [each for each in by_people if each.scope == wanted]
    if found:
        return found
    others = ", ".join(f"{each.id} ({each.scope})" for each in by_people[:10])
    raise NotFound(f"No freeze of {wanted} is in force." + (f" These are: {others}." if others else ""))


def _resumed(rt: Runtime, actor: Actor, lifted: Lifted, paused: Sequence[str], reason: str) -> Lifted:
    refused, resumed = {}, []
    for run in paused:
        try:
            resumed.append(controls.resume(rt, actor, run, reason.strip() or "the freeze was lifted").id)
        except EngineError as error:
            (shown,) = named(rt, actor, [run])
            refused[shown] = str(error)
    return replace(lifted, paused=tuple(refused), resumed=tuple(resumed), refused=refused)


def listing(rt: Runtime, actor: Actor) -> list[FreezeView]:
    """The freezes in force, and those that ended lately and have left runs paused."""
    authorise(rt, actor, Action.VIEW)
    with database.reading():
        ended = freezes.recent(rt.workspace_id, _ENDED)
    left = [_view(rt, actor, each) for each in ended]
    return [*(_view(rt, actor, each) for each in rules.in_force(rt)), *(each for each in left if each.paused)]


def upcoming(rt: Runtime, actor: Actor) -> list[FreezeView]:
    """The calendar's windows of the next 14 days, the soonest first."""
    authorise(rt, actor, Action.VIEW)
    return [FreezeView(each) for each in rules.upcoming(rt)[:_UPCOMING]]


def find(rt: Runtime, actor: Actor, freeze_id: str) -> FreezeView:
    """One freeze, also one that has ended. Raises `NotFound`."""
    authorise(rt, actor, Action.VIEW)
    return _view(rt, actor, _by_id(rt, freeze_id))


def _by_id(rt: Runtime, freeze_id: str) -> FreezeRecord:
    with database.reading():
        found = freezes.find(rt.workspace_id, freeze_id.strip().upper())
    if found is None:
        raise NotFound(f"There is no freeze {freeze_id[:40]!r}. `freezes` shows what is in force.")
    return found


def _view(rt: Runtime, actor: Actor, each: FreezeRecord) -> FreezeView:
    return FreezeView(each, tuple(named(rt, actor, _still_paused([each]))) if each.hold_running else ())


def _still_paused(found: Sequence[FreezeRecord]) -> list[str]:
    with database.reading():
        ids = list(dict.fromkeys(run for each in found for run in freezes.paused_by(each.id)))
        runs = executions.by_ids(ids)
    return [each for each in ids if each in runs and runs[each].status is ExecutionStatus.PAUSED]
