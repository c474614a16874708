"""Replay: an execution once more, from the start or from a step on, reusing what was done before that step.

No vote is ever reused: gates before the start are asked first. What runs is APPROVED, now.
"""

from __future__ import annotations

from engine import accepting, catalog, channels, flow, lifecycle
from engine.accepting import Checked, Wanted
from engine.access import Action, Actor, authorise
from engine.definition import graph
from engine.definition.model import Runbook
from engine.errors import Conflict, ReasonRequired
from engine.executions import answered_before, find
from engine.failpoints import committing
from engine.runtime import Runtime
from engine.transition import Transition
from storage import database, executions, requests, steps
from storage.records import ExecutionRecord, StepRunRecord
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
    if old.incident and old.incident.get("channel"):
        channels.must_be_in(rt, actor, str(old.incident["channel"]))
    wanted = Wanted(
        old.slug, old.parameters, trigger=f"replay:{old.id}", number=None if latest else old.number,
        reason=reason or old.reason, incident=old.incident or {}, replay_of=old.id, prefill=False,
    )  # fmt: skip
    checked = accepting.check(rt, actor, wanted)
    reused = _reused(old, checked, start_from) if start_from else {}
    asked = f"replay {old.id} from {start_from or 'the start'} at {checked.version.id}"
    while True:
        try:
            with committing("replay"):
                before = answered_before(rt, actor, key, asked) if key is not None else None
                if before is not None:
                    return before
                execution = accepting.accept(rt, actor, checked)
                if reused:
                    execution = _take_over(rt, execution, reused)
                if key is not None:
                    requests.remember(rt.workspace_id, actor.user_id, key, asked, execution.id)
            break
        except database.IntegrityError:
            continue
    rt.hint([execution.id])
    return execution


def _reused(old: ExecutionRecord, checked: Checked, start_from: str) -> dict[str, StepRunRecord]:
    """The old step runs to take over, by id. Raises `Conflict` where one that is needed was not done."""
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
    return {each: done[each] for each in before}


def _take_over(rt: Runtime, execution: ExecutionRecord, reused: dict[str, StepRunRecord]) -> ExecutionRecord:
    locked = executions.lock(execution.id)
    assert locked is not None
    transition = Transition(rt, locked)
    gates = 0
    for step in steps.of_phase(execution.id, Phase.MAIN):
        old = reused.get(step.path)
        if old is None or step.status not in (StepStatus.BLOCKED, StepStatus.READY):
            continue
        if step.kind == "approval":
            transition.move(step, StepStatus.READY, due_at=transition.at, reopened=True)
            gates += 1
            continue
        note = f"taken over from {old.execution_id}"
        fields = {"ended_at": transition.at, "due_at": None, "note": note, "outputs": old.outputs}
        transition.move(step, old.status, **fields)
        transition.tell("step_reused", step.path, execution=old.execution_id)
    transition.edit(asking=gates)
    _count_needs(transition, reused)
    if not gates:
        flow.let_on_held(transition)
    return lifecycle.save(transition)


def _count_needs(transition: Transition, reused: dict[str, StepRunRecord]) -> None:
    """Take off the needs that the reused steps have met."""
    successors = catalog.successors_of(transition.execution.version_id)
    for step_id, old in reused.items():
        poisoned = old.status is StepStatus.SKIPPED and old.note == flow.NEED_SKIPPED
        after = [each for each in successors[step_id] if each not in reused]
        steps.count_down(transition.execution.id, after, poisoned=poisoned)
