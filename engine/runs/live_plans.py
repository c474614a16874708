"""A plan whose calls are asked in their targets' own check mode: who may, and what is on record of it.

It calls out with the runbook's secrets, so only who may start the run now may have it, a freeze and what an approval is
for included. What was answered is shown to who asked, and no part of the plan's digest.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from engine.access import auditing
from engine.access.policy import Actor, as_of_now
from engine.errors import Conflict
from engine.orchestration import admission
from engine.orchestration.admission import Checked, Wanted
from engine.runs import live_calls, plans
from engine.runs.live_calls import LiveCall
from engine.runs.plan_records import Plan
from engine.runs.plans import Looked
from engine.runtime import Runtime
from storage import audit, database
from storage.states import Severity

ASKED, ANSWERED = "plan.live", "plan.answered"
MOST_AT_ONCE: Final = 4
"""Live plans that one process makes at once."""
MOST_A_PERSON, SPAN_MS = 6, 10 * 60_000
"""Live plans that one person may ask for within so many milliseconds, all doors together."""
_turns = threading.BoundedSemaphore(MOST_AT_ONCE)


def make(rt: Runtime, actor: Actor, wanted: Wanted, begun: Callable[[], None] = lambda: None) -> Plan:
    """`plans.make`, with each step that has a `dry_run` asked, and its answer beside it.

    `begun` is called when everything is decided and the calls, which take a while, are about to be made. Raises as
    `executions.request` where this person could not start that run now, and `Conflict` where too many are asked for.
    """
    actor = as_of_now(rt, actor)
    about = plans.where_asked(rt, actor, wanted.incident)
    checked = admission.check(rt, actor, replace(wanted, incident=about))
    looked = plans.looked_at(rt, actor, checked)
    calls = live_calls.chosen(rt, looked)
    if calls:
        with _turn():
            _begin(rt, actor, checked, looked, calls)
            begun()
            live_calls.make(rt, looked, calls)
            _note_answers(rt, actor, looked, calls)
    return replace(looked.plan, live=_counts(looked))


@contextmanager
def _turn() -> Iterator[None]:
    if not _turns.acquire(blocking=False):
        raise Conflict("Several live plans are being made already. Try again in half a minute.")
    try:
        yield
    finally:
        _turns.release()


def _begin(rt: Runtime, actor: Actor, checked: Checked, looked: Looked, calls: Sequence[LiveCall]) -> None:
    """Whether they still may, and on record before anything is sent."""
    with database.transaction():
        database.one_at_a_time(f"live:{actor.user_id}")
        admission.must_still(rt, actor, checked)
        _must_not_be_too_often(rt, actor)
        detail = {
            "plan": looked.plan.digest, "reason": checked.wanted.reason, "steps": [each.step.id for each in calls],
            "hosts": sorted({each.host for each in calls}),
        }  # fmt: skip
        auditing.by_actor(rt, actor, ASKED, _thing(looked), detail, Severity.NOTICE)


def _must_not_be_too_often(rt: Runtime, actor: Actor) -> None:
    found = audit.search(
        rt.workspace_id, who=actor.user_id, action=ASKED, thing=None, severity=None,
        since=database.now() - SPAN_MS, until=None, before=None, limit=MOST_A_PERSON,
    )  # fmt: skip
    if len(found) >= MOST_A_PERSON:
        minutes = SPAN_MS // 60_000
        raise Conflict(
            f"That were {MOST_A_PERSON} live plans in {minutes} minutes already. A plan without live=yes is free."
        )


def _note_answers(rt: Runtime, actor: Actor, looked: Looked, calls: Sequence[LiveCall]) -> None:
    outcomes = [{"step": each.step.id, "host": each.host, "outcome": each.shown["live"]["outcome"]} for each in calls]
    with database.transaction():
        auditing.by_actor(
            rt, actor, ANSWERED, _thing(looked), {"plan": looked.plan.digest, "outcomes": outcomes}, Severity.INFO
        )


def _thing(looked: Looked) -> str:
    return auditing.of_version(looked.plan.slug, looked.plan.number)


def _counts(looked: Looked) -> dict[str, int]:
    outcomes = [shown["live"]["outcome"] for _, shown, _ in looked.visited if "live" in shown]
    return {each: outcomes.count(each) for each in live_calls.OUTCOMES}
