"""The steps of a run: looking at them, repairing them, doing them by hand, deciding at gates."""

from __future__ import annotations

from fastapi import APIRouter

from bot.api import models
from bot.api.caller import AuthenticatedCaller
from bot.api.executions import STEERED, answer_of, seen
from bot.api.problems import documented
from bot.api.route import Operation, needs
from engine.access.policy import Action
from engine.runs import controls, executions, manual_tasks, skipping, time_spent, voting
from storage.states import Decision

router = APIRouter(prefix="/executions/{execution}/steps", tags=["steps"], route_class=Operation)


@router.get("", responses=documented(404))
def list_steps(caller: AuthenticatedCaller, execution: str) -> list[models.Step]:
    """Its steps, in order."""
    view = time_spent.with_spent(executions.view(caller.rt, seen(caller, execution).id))
    return [models.Step.of(each, view.spent) for each in view.steps]


@router.get("/{step}", responses=documented(404))
def get_step(caller: AuthenticatedCaller, execution: str, step: str) -> models.StepDetail:
    """One step with all its tries."""
    run = seen(caller, execution)
    found, tries = executions.step(caller.rt, run.id, step)
    took = time_spent.of_steps(run, [found])
    return models.StepDetail(**models.step_fields(found, took), tries=[models.Attempt.of(each) for each in tries])


@router.post("/{step}/retry", responses=STEERED, **needs(Action.RETRY))
def retry_step(caller: AuthenticatedCaller, execution: str, step: str, how: models.Retry) -> models.Execution:
    """Let a failed run go on from this failed step. With other parameters every gate is asked again first."""
    run = seen(caller, execution)
    done = controls.retry(caller.rt, caller.actor, run.id, step, how.parameters, how.reason, how.attempt)
    return answer_of(caller, done)


@router.post("/{step}/skip", responses=STEERED, **needs(Action.SKIP))
def skip_step(caller: AuthenticatedCaller, execution: str, step: str, why: models.LeaveOut) -> models.Execution:
    """Leave it out when its turn comes; what a gate has released, once an approver agrees. The reason is required."""
    run = seen(caller, execution)
    return answer_of(caller, skipping.skip(caller.rt, caller.actor, run.id, step, why.reason, why.attempt))


@router.post("/{step}/skip/agree", responses=STEERED, **needs(Action.VOTE))
def agree_to_skip(caller: AuthenticatedCaller, execution: str, step: str, word: models.Agree) -> models.Execution:
    """Agree that it is skipped, as an approver of the gate that has released it who chose nothing of the run."""
    run = seen(caller, execution)
    asked_at = models.ms(word.asked_at)
    return answer_of(caller, skipping.agree(caller.rt, caller.actor, run.id, step, asked_at))


@router.post("/{step}/resolve", responses=STEERED, **needs(Action.RESOLVE))
def resolve_step(caller: AuthenticatedCaller, execution: str, step: str, how: models.Resolve) -> models.Execution:
    """Settle a step whose outcome nobody saw. The note is required: it says what you know."""
    run = seen(caller, execution)
    return answer_of(caller, controls.resolve(caller.rt, caller.actor, run.id, step, how.choice, how.note, how.attempt))


@router.post("/{step}/done", responses=STEERED, **needs(Action.DO))
def finish_step(caller: AuthenticatedCaller, execution: str, step: str, said: models.Done) -> models.ManualTask:
    """Say that a manual step is done, with the answers that its form asks for."""
    run = seen(caller, execution)
    task = manual_tasks.done(caller.rt, caller.actor, run.id, step, said.note, said.answers, said.task)
    return models.ManualTask.of(task, run.team)


@router.post("/{step}/could-not", responses=STEERED, **needs(Action.DO))
def give_up_step(caller: AuthenticatedCaller, execution: str, step: str, said: models.CouldNot) -> models.ManualTask:
    """Say that a manual step could not be done, which fails it. The note is required."""
    run = seen(caller, execution)
    task = manual_tasks.could_not(caller.rt, caller.actor, run.id, step, said.note, said.task)
    return models.ManualTask.of(task, run.team)


@router.post("/{step}/approve", responses=STEERED, **needs(Action.VOTE))
def approve_step(caller: AuthenticatedCaller, execution: str, step: str, ballot: models.Ballot) -> models.Gate:
    """Approve what the run waits for at this gate."""
    return _vote(caller, execution, step, Decision.APPROVE, ballot)


@router.post("/{step}/reject", responses=STEERED, **needs(Action.VOTE))
def reject_step(caller: AuthenticatedCaller, execution: str, step: str, ballot: models.Ballot) -> models.Gate:
    """Reject it, which ends the run. The comment is required."""
    return _vote(caller, execution, step, Decision.REJECT, ballot)


@router.post("/{step}/withdraw", responses=STEERED, **needs(Action.VOTE))
def withdraw_vote(caller: AuthenticatedCaller, execution: str, step: str) -> models.Gate:
    """Take your vote back while the gate is not decided."""
    run = seen(caller, execution)
    return models.Gate.of(voting.withdraw(caller.rt, caller.actor, run.id, step), run.team)


def _vote(
    caller: AuthenticatedCaller, execution: str, step: str, decision: Decision, ballot: models.Ballot
) -> models.Gate:
    run = seen(caller, execution)
    gate = voting.vote(caller.rt, caller.actor, run.id, step, decision, ballot.comment, ballot.digest, ballot.answers)
    return models.Gate.of(gate, run.team)
