"""Replay: an execution once more, from the start or from a step on, reusing what was done before that step.

No vote is ever reused: gates before the start are asked first (`engine.orchestration.replay_reuse`). What runs is
APPROVED, now.
"""

from __future__ import annotations

from engine.access import channels, choosers, overrides, reasons
from engine.access.policy import Action, Actor, authorise
from engine.definition import graph
from engine.definition.model import Runbook
from engine.errors import Conflict, ReasonRequired
from engine.failpoints import committing
from engine.orchestration import admission, received, replay_reuse
from engine.orchestration.admission import Checked, Wanted
from engine.runs.executions import answered_before, find
from engine.runtime import Runtime
from storage import database, idempotency, steps
from storage.records import ExecutionRecord
from storage.states import Phase, StepStatus


def replay(
    rt: Runtime,
    actor: Actor,
    execution_id: str,
    *,
    start_from: str | None = None,
    latest: bool = False,
    reason: str = "",
    key: str | None = None,
) -> ExecutionRecord:
    """Start a new execution with the old parameters, at the old version or with `latest` at the one that runs now.

    With `start_from`, a main step, everything that is not that step or behind it is taken over from the old execution,
    which must have done it; that needs a reason. The same `key` of the same person gives the same execution again.
    Its card is in the old one's channel. Raises as `executions.request`, and `Conflict`.
    """
    old = find(rt, execution_id)
    authorise(rt, actor, Action.REPLAY, old)
    if not old.status.ended:
        raise Conflict(f"{old.id} has not ended: it is {old.status}.")
    if start_from and not reason.strip():
        raise ReasonRequired('Starting in the middle needs a reason: reason="…".')
    reasons.must_be_stated(rt, actor, reason)
    channels.must_be_in_that_of(rt, actor, old)
    wanted = Wanted(
        old.slug, old.parameters, trigger=f"replay:{old.id}", number=None if latest else old.number,
        reason=reason or overrides.reason_of(old), incident=old.incident or {}, replay_of=old.id, prefill=False,
        chosen_by=tuple(choosers.of_run(old)), were=old.parameters,
    )  # fmt: skip
    checked = admission.check(rt, actor, wanted)
    kept = _kept(rt, old, checked, start_from) if start_from else []
    asked = f"replay {old.id} from {start_from or 'the start'} at {checked.version.id}"
    while True:
        try:
            with committing("replay"):
                authorise(rt, actor, Action.REPLAY, old)
                before = answered_before(rt, actor, key, asked) if key is not None else None
                if before is not None:
                    return before
                execution = admission.accept(rt, actor, checked)
                if kept:
                    execution = replay_reuse.reuse_steps(rt, execution, old, kept)
                if key is not None:
                    idempotency.remember(rt.workspace_id, actor.user_id, key, asked, execution.id)
            break
        except database.IntegrityError:
            continue
    rt.hint([execution.id])
    return execution


def _kept(rt: Runtime, old: ExecutionRecord, checked: Checked, start_from: str) -> list[str]:
    """The ids of the main steps to take over. Raises `Conflict` where one that is needed was not done."""
    runbook: Runbook = checked.runbook
    main = [step.id for step in runbook.steps]
    if start_from not in main:
        raise Conflict(f"{runbook.id} has no main step {start_from}.")
    behind = graph.ancestors(runbook)
    before = [each for each in main if each != start_from and start_from not in behind[each]]
    with database.reading():
        done = {step.path: step for step in steps.of_phase(old.id, Phase.MAIN) if step.scope == ""}
        settled = (StepStatus.SUCCESS, StepStatus.SKIPPED)
        missing = [each for each in before if each not in done or done[each].status not in settled]
        if missing:
            raise Conflict(f"{old.id} did not do {', '.join(missing)}, which come before {start_from}.")
        received.must_not_be_taken(old.id, runbook, before)
        for each in before:
            replay_reuse.must_be_reusable(rt, old, runbook.by_id[each])
    return before
