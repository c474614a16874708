"""Requests for runs that are kept until they may begin: what is checked when they come, and anew when they begin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from engine.access import channels, people
from engine.access.account_status import standing_of
from engine.access.policy import About, Action, Actor, authorise
from engine.catalog import catalog
from engine.definition.kinds import kind_of
from engine.definition.model import Runbook
from engine.errors import Conflict
from engine.orchestration import admission, incidents
from engine.orchestration.admission import Checked, Override, Wanted
from engine.runs import executions
from engine.runs.executions import Accepted
from engine.runtime import Runtime
from storage import database, runbooks
from storage.catalog_records import RunbookRecord, VersionRecord
from storage.freeze_records import BreakGlassRecord, HeldRecord

Kept = HeldRecord | BreakGlassRecord


def checked(rt: Runtime, actor: Actor, wanted: Wanted, override: Override) -> Checked:
    """A request as it would begin now but for what `override` leaves out.

    Raises as `admission.check`, and for a channel that the person may not run anything in.
    """
    about = dict(wanted.incident)
    if about.get("channel"):
        channels.must_be_in(rt, actor, str(about["channel"]))
        about = incidents.bound(rt, about)
    return admission.check(rt, actor, replace(wanted, incident=about, override=override))


def facts_of(found: Checked) -> dict[str, Any]:
    """What is kept of a request that was checked."""
    wanted = found.wanted
    return {
        "slug": found.version.slug, "number": found.version.number, "digest": found.version.digest,
        "parameters": wanted.parameters, "reason": wanted.reason, "incident": wanted.incident,
        "chosen_by": list(wanted.chosen_by),
    }  # fmt: skip


def begin(rt: Runtime, by: Actor, kept: Kept, override: Override | None, then: Callable[[Accepted], None]) -> Accepted:
    """Start it as its requester's, by their rights and standing now; `by` only says through which door it came.

    Raises `Conflict` where another version would run than the one that was asked for.
    """
    requester = _as_now(rt, kept.requester, by.door)
    number = must_be_the_same(rt, kept, override).number
    wanted = Wanted(
        kept.slug, kept.parameters, trigger=by.door, number=number, reason=kept.reason, incident=kept.incident or {},
        prefill=False, chosen_by=tuple(kept.chosen_by), override=override,
    )  # fmt: skip
    return executions.request(rt, requester, wanted, force=override is not None, then=then)


def _as_now(rt: Runtime, user_id: str, door: str) -> Actor:
    known = people.recall(rt, user_id)
    name, email = (known.name, known.email) if known else ("", None)
    return Actor(user_id, name, email, standing_of(rt, user_id), door)


def must_be_the_same(rt: Runtime, kept: Kept, override: Override | None) -> VersionRecord:
    """The version that was asked for, if it would run now. Raises `Conflict` saying what changed, and `NotApproved`."""
    runbook = catalog.get(rt, kept.slug)
    with database.reading():
        draft = override is not None and override.draft
        now = catalog.runnable(rt, runbook, kept.number if draft else None, draft=draft)
    if (now.number, now.digest) != (kept.number, kept.digest):
        raise Conflict(
            f"{kept.id} asks for {kept.slug}@{kept.number}, and {kept.slug}@{now.number} would run now. Ask anew."
        )
    return now


def may_start(rt: Runtime, actor: Actor, kept: Kept, *, heed_freezes: bool = False) -> RunbookRecord:
    """The runbook, if this person may start it as it was asked for. Raises `NotFound` and `NotAllowed`."""
    runbook = catalog.get(rt, kept.slug)
    authorise(rt, actor, Action.START, runbook, about_of(runbook, kept), heed_freezes=heed_freezes)
    return runbook


def about_of(runbook: RunbookRecord, kept: Kept) -> About:
    """What a kept request is to be started with."""
    with database.reading():
        version = runbooks.version(runbook.id, kept.number)
    return About(kept.parameters, kept.incident or {}, version)


def gates_of(runbook: Runbook) -> tuple[str, ...]:
    """The ids of the steps of a runbook that are gates."""
    return tuple(step.id for step in runbook.by_id.values() if kind_of(step).is_gate)
