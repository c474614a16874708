"""A wait takes the oldest event that it may have and no other of its team has. Needs the execution's lock."""

from __future__ import annotations

from engine.expressions import ExpressionError
from engine.orchestration import received, step_completion
from engine.orchestration.transition import Transition
from engine.text.storable import TooLarge
from storage import steps, waits
from storage.records import StepRunRecord
from storage.states import StepStatus


def take_kept(transition: Transition, step: StepRunRecord, key: str) -> bool:
    """Let a kept event end this wait, if there is one; False when it goes on waiting."""
    workspace, team = transition.rt.workspace_id, transition.execution.team
    waits.lock_key(workspace, key)
    event = waits.oldest_free(workspace, step.id, key, transition.at)
    (now,) = steps.at_paths(step.execution_id, [step.path])
    if event is None or now.status is not StepStatus.WAITING or not waits.take(workspace, event, now.id, team):
        return False
    transition.record_event("event_received", step.path, key=key, event_id=event.event_id, sender=event.sender)
    data = received.mask(transition, event.data)  # it may have come before the secret that it tells of
    if data != event.data:
        waits.replace_data(event, data)
    try:
        outputs = step_completion.mapped(transition, now, {"data": data, "event_id": event.event_id})
    except (ExpressionError, TooLarge) as error:
        return step_completion.fail(transition, now, "outputs", str(error))
    return step_completion.succeed(transition, now, outputs)


def expire(transition: Transition, step_run_id: int) -> None:
    """End a wait whose time is up."""
    step = steps.by_id(step_run_id)
    if step is None or step.status is not StepStatus.WAITING or step.deadline_at is None:
        return
    if step.deadline_at <= transition.at:
        step_completion.fail(transition, step, "wait_timeout", f"no event with the key {step.wait_key} came in time")
