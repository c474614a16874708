"""The `timeout` of a whole branch, loop or runbook step. Needs the execution's lock."""

from __future__ import annotations

from engine.definition.kinds import kind_of
from engine.orchestration import children, containers
from engine.orchestration.transition import Transition
from storage import steps
from storage.states import StepStatus


def end(transition: Transition, step_run_id: int) -> None:
    """End a step whose time is up: a branch or loop once nothing in it runs any more, a child's step at once."""
    step = steps.by_id(step_run_id)
    if step is None or step.deadline_at is None or step.deadline_at > transition.at:
        return
    if step.status not in (StepStatus.READY, StepStatus.WAITING):
        return
    if not transition.may_start_steps or step.phase is not transition.execution.phase:
        transition.run.edit(step, deadline_at=None)  # the run is ending anyway, or cleans up already
    elif kind_of(step).is_container:
        limit = (transition.runbook.by_id[step.step_id].timeout_ms or 0) / 1000
        containers.stop(transition, step, "timeout", f"it was not done within {limit:g} s")
    else:
        children.time_out(transition, step)
