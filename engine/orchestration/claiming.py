"""Whether a step that is ready may begin, and what claiming it writes; all of it under the lock of its execution."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from engine.access import overrides, secret_use
from engine.catalog import approved_targets, catalog
from engine.definition.kinds import Awaits, kind_of
from engine.definition.model import Step
from engine.errors import NotApproved
from engine.orchestration import (
    children,
    containers,
    gate_checks,
    gate_content,
    holding,
    message_channels,
    received,
    run_ending,
    step_completion,
)
from engine.orchestration.transition import Transition
from engine.steps import approval, context
from engine.steps.perform import Claim
from engine.steps.received import ClaimSecrets
from storage import runbooks
from storage.records import ExecutionRecord, Json, StepRunRecord, changed
from storage.states import StepStatus, VersionStatus

log = logging.getLogger(__name__)


def calls_out(step: Step) -> bool:
    """Whether doing this step reaches outside of the database and needs a place among the calls."""
    return kind_of(step).calls_out or message_channels.asks_slack(step)


def is_quiet(step: Step) -> bool:
    """Whether a step is done in the commit that makes it ready: its whole effect is rows of this database."""
    return kind_of(step).is_quiet and not message_channels.asks_slack(step)


def advance_without_attempt(transition: Transition, step: StepRunRecord) -> bool:
    """Do at once what needs no attempt: a container begins, a delay that is over ends, a child is looked at."""
    kind = kind_of(step)
    if kind.is_container:
        transition.mark_started()
        containers.begin(transition, step)
        return True
    if kind.awaits is Awaits.TIME and step.outputs is not None:
        step_completion.succeed(transition, step, step.outputs)
        return True
    if kind.starts_run and step.child:
        children.settle_child(transition, step)
        return True
    return False


def bypasses(transition: Transition, step: StepRunRecord) -> bool:
    """The last line: a step behind a gate that has not released it ends the run instead of being attempted."""
    undecided = gate_checks.undecided(transition.rt, transition.execution, transition.runbook, step)
    if undecided:
        log.critical("%s of %s stands behind %s and was about to begin", step.path, step.execution_id, undecided)
        run_ending.end_gate_bypassed(transition, step, undecided)
    return bool(undecided)


def claim(transition: Transition, step: StepRunRecord, worker_id: str) -> Claim | None:
    """Claim a step for this worker, with what its attempt may read; None where something else moved it first."""
    definition = transition.runbook.by_id[step.step_id]
    kind = kind_of(definition)
    whole_step = kind.whole_timeout and step.deadline_at is None
    deadline = transition.at + (definition.timeout_ms or 0) if whole_step else step.deadline_at
    taken = changed(
        step, status=StepStatus.RUNNING, fence=step.fence + 1, attempts=step.attempts + 1, worker_id=worker_id,
        started_at=step.started_at or transition.at, deadline_at=deadline, due_at=None,
        revision=transition.execution.revision,
    )  # fmt: skip
    written = ("fence", "attempts", "worker_id", "started_at", "deadline_at", "due_at", "revision")
    if not transition.move(step, StepStatus.RUNNING, **{name: getattr(taken, name) for name in written}):
        return None
    transition.begin_attempt(taken)
    transition.mark_started()
    if taken.attempts == 1:
        transition.record_event("step_started", taken.path, attempt=1)
    runbook = transition.runbook
    execution = transition.execution
    chains = context.chains_in(definition.with_)
    behind = approval.Behind()
    for condition in _asked(definition):
        chains |= context.chains_in_condition(condition)
    if kind.is_gate:
        behind = gate_content.behind(execution, runbook, definition, step.scope)
        chains |= approval.chains_of(definition, behind)
    chains |= context.chains_in(dict(definition.outputs))
    began = None if kind.is_gate else taken.started_at  # what a gate shows stays what it is while people look
    visible = context.of(execution, runbook, chains, step.scope, began)
    time_left = _time_left(execution, transition.at)
    return Claim(execution, runbook, definition, taken, visible, time_left, behind, _secrets(transition, definition))


def _asked(step: Step) -> Iterator[Json]:
    """The conditions that an attempt at a step asks itself."""
    yield from (step.with_[key] for key in kind_of(step).conditions if key in step.with_)
    if step.retry is not None and step.retry.condition is not None:
        yield step.retry.condition


def _secrets(transition: Transition, step: Step) -> ClaimSecrets:
    """What the attempt is told of secrets; nothing is asked for a step and a run that have none."""
    rt, runbook = transition.rt, transition.runbook
    rules = secret_use.rules_for(rt, step)
    held = received.of_run(rt, runbook, transition.execution.id)
    return ClaimSecrets(rules, runbook.team, runbook.held, held, secret_use.received_rules(rt, runbook))


def still_approved(transition: Transition) -> bool:
    """Nothing runs that is not APPROVED: a run that has not begun fails, one under way is paused, as by a freeze.

    Nor does a child whose parent waits for it no more: it is cancelled, if nobody has done so yet.
    """
    if holding.pause(transition, transition.run.holding or ()):
        return False
    execution = transition.execution
    if execution.pending_result is not None:
        return True
    if execution.parent_step is not None and children.cancel_if_orphaned(transition):
        return False
    if execution.started_at is None:
        runbook = transition.run.runbook or runbooks.by_id(execution.runbook_id)
        assert runbook is not None
        try:
            catalog.must_run(transition.rt, runbook, execution.number)
            _must_have_its_targets(transition)
        except NotApproved as error:
            if overrides.lets_draft_run(execution):
                return True
            transition.fail_run("not_approved", str(error))
            return False
        return True
    version = transition.run.version or runbooks.version_state(execution.version_id)
    if version.status is not VersionStatus.APPROVED and not overrides.lets_draft_run(execution):
        transition.pause(f"{execution.slug}@{execution.number} was deprecated. {version.note}".strip())
        return False
    return True


def _must_have_its_targets(transition: Transition) -> None:
    """Raise `NotApproved` where a target has changed since the approval; a child goes on with what was agreed to."""
    version_id = transition.execution.version_id
    if transition.execution.parent_step is None and approved_targets.named_by(version_id):
        version = runbooks.version_by_id(version_id)
        assert version is not None
        approved_targets.must_hold(transition.rt, version)


def _time_left(execution: ExecutionRecord, at: int) -> int:
    """How much running time is left, at least a second: the sweeper ends a run that is over its time."""
    since = at - execution.running_since if execution.running_since is not None else 0
    return max(1_000, execution.timeout_ms - execution.running_ms - since)
