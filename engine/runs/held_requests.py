"""Requests that a freeze keeps from beginning and that wait for its end, to be released by choice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from engine.access import auditing, channels, choosers, overrides
from engine.access import freezes as rules
from engine.access.policy import Action, Actor, authorise, verdict
from engine.catalog import catalog
from engine.definition.durations import DAY_MS
from engine.errors import Conflict, EngineError, NotFound
from engine.failpoints import committing
from engine.orchestration.admission import Override, Wanted
from engine.runs.executions import Accepted
from engine.runs.executions import find as find_run
from engine.runs.kept_requests import about_of, begin, checked, facts_of, gates_of, may_start
from engine.runtime import Runtime
from engine.text.short_ids import short_id
from storage import database, held_requests, runbooks
from storage.freeze_records import FreezeRecord, HeldRecord

LONGEST_MS = 7 * DAY_MS
_AFTER_MS = DAY_MS
"""How long after the freeze a request may still be released."""
MOST = 200


@dataclass(frozen=True, slots=True)
class HeldView:
    """A request that waits, the gates that it will meet, and what still freezes it, "" for nothing."""

    held: HeldRecord
    gates: tuple[str, ...]
    frozen: str = ""


def hold(rt: Runtime, actor: Actor, wanted: Wanted) -> HeldView:
    """Keep a request until the freeze that it meets is over, and a day longer, at most seven days from now.

    It is checked as if it began now. The same of the same person for the same card is kept once: asked for again while
    it waits, it is the one that waits. Raises as `admission.check`, and `Conflict` where nothing freezes it.
    """
    found = checked(rt, actor, wanted, Override())
    runbook = catalog.get(rt, found.version.slug)
    covering = rules.covering(rt, runbook)
    if not covering:
        raise Conflict(f"Nothing freezes {runbook.slug}: run it without hold=yes.")
    now = database.now()
    expires = min(covering[0].until + _AFTER_MS, now + LONGEST_MS)
    held = HeldRecord(id=short_id("H"), **facts_of(found), requester=actor.user_id, created_at=now, expires_at=expires)
    with committing("hold"):
        authorise(rt, actor, Action.START, runbook, found.about, heed_freezes=False)
        if (same := held_requests.like(rt.workspace_id, held, MOST)) is not None:
            return _view(rt, same)
        if len(held_requests.waiting(rt.workspace_id, MOST)) >= MOST:
            raise Conflict(f"{MOST} requests are held already. `held` lists them.")
        held_requests.create(rt.workspace_id, held)
        _audit(
            rt, actor, "request.hold", held, {"parameters": held.parameters, "freezes": [each.id for each in covering]}
        )
    return _view(rt, held)


def hold_again(rt: Runtime, actor: Actor, execution_id: str) -> HeldView:
    """Keep a request for a new run like one that has ended, from its start, with its parameters, version and reason.

    Whoever chose what the old one did has chosen it for the new one. Raises as `hold`, and `Conflict` where it is open.
    """
    old = find_run(rt, execution_id)
    authorise(rt, actor, Action.REPLAY, old, heed_freezes=False)
    if not old.status.ended:
        raise Conflict(f"{old.id} has not ended: it is {old.status}.")
    channels.must_be_in_that_of(rt, actor, old)
    wanted = Wanted(
        old.slug, old.parameters, trigger=actor.door, number=old.number, reason=overrides.reason_of(old),
        incident=old.incident or {}, prefill=False, chosen_by=tuple(choosers.of_run(old)), were=old.parameters,
    )  # fmt: skip
    return hold(rt, actor, wanted)


def listing(rt: Runtime, actor: Actor) -> list[HeldView]:
    """The requests that wait, the oldest first, as far as this person may see what they are for."""
    authorise(rt, actor, Action.VIEW)
    with database.reading():
        found = held_requests.waiting(rt.workspace_id, MOST)
        known = {each.slug: each for each in runbooks.listing(rt.workspace_id)}
    seen = {slug for slug, runbook in known.items() if verdict(rt, actor, Action.VIEW, runbook).allowed}
    in_force = rules.in_force(rt) if found else []
    return [_view(rt, each, in_force) for each in found if each.slug in seen]


def find(rt: Runtime, actor: Actor, held_id: str) -> HeldView:
    """One request, also one that has ended. Raises `NotFound`."""
    authorise(rt, actor, Action.VIEW)
    with database.reading():
        found = held_requests.find(rt.workspace_id, held_id.strip().upper())
    runbook = catalog.find(rt, found.slug) if found else None
    if found is None or runbook is None or not verdict(rt, actor, Action.VIEW, runbook).allowed:
        raise NotFound(f"No request {held_id[:40]!r} is held. `held` lists those that are.")
    return _view(rt, found)


def release(rt: Runtime, actor: Actor, held_id: str) -> Accepted:
    """Start it as its requester's, once; all is checked anew, by the requester's rights, never by the actor's.

    Raises `NotFound`, `NotAllowed` and `Frozen`, and `Conflict` where another version runs or somebody was first.
    """
    held = find(rt, actor, held_id).held
    may_start(rt, actor, held)
    if held.ended_at is not None:
        raise Conflict(f"{held.id} was released or dropped before.")

    def settle(accepted: Accepted) -> None:
        may_start(rt, actor, held, heed_freezes=True)
        if not held_requests.end(held.id, actor.user_id, accepted.execution.id):
            raise Conflict(f"{held.id} was released or dropped meanwhile, or has expired.")
        _audit(rt, actor, "request.release", held, {"execution": accepted.execution.id})

    return begin(rt, actor, held, None, settle)


def release_each(rt: Runtime, actor: Actor, ids: Iterable[str]) -> dict[str, Accepted | str]:
    """Release these one after the other, or with `all` every one that waits: what each became, or why not."""
    wanted = list(ids)
    if [each.lower() for each in wanted] == ["all"]:
        wanted = [each.held.id for each in listing(rt, actor)]
    done: dict[str, Accepted | str] = {}
    for each in wanted:
        try:
            done[each.upper()] = release(rt, actor, each)
        except EngineError as error:
            done[each.upper()] = str(error)
    return done


def drop(rt: Runtime, actor: Actor, held_id: str) -> HeldRecord:
    """Let it wait no more, as whoever may start it. Raises `NotFound`, `NotAllowed` and `Conflict`."""
    held = find(rt, actor, held_id).held
    runbook = may_start(rt, actor, held)
    with committing("drop"):
        authorise(rt, actor, Action.START, runbook, about_of(runbook, held), heed_freezes=False)
        if not held_requests.end(held.id, actor.user_id):
            raise Conflict(f"{held.id} was released or dropped meanwhile, or has expired.")
        _audit(rt, actor, "request.drop", held, {})
    return held


def _view(rt: Runtime, held: HeldRecord, in_force: Sequence[FreezeRecord] | None = None) -> HeldView:
    with database.reading():
        runbook = runbooks.find(rt.workspace_id, held.slug)
        version = runbooks.version(runbook.id, held.number) if runbook else None
    found = rules.covering(rt, runbook, in_force) if runbook else []
    gates = gates_of(catalog.definition(version)) if version else ()
    return HeldView(held, gates, rules.sentence(rt, found[0]) if found else "")


def _audit(rt: Runtime, actor: Actor, action: str, held: HeldRecord, detail: dict[str, object]) -> None:
    about = {"runbook": f"{held.slug}@{held.number}", "requester": held.requester, "reason": held.reason}
    auditing.by_actor(rt, actor, action, auditing.of_held_request(held.id), {**about, **detail})
