"""What a case answers where people or events are waited for, given through the same services that people use."""

from __future__ import annotations

from engine.access.policy import Actor
from engine.catalog import catalog
from engine.definition.kinds import kind_of
from engine.definition.kinds.kind import Awaits
from engine.rehearsal.world import SOMEBODY, World
from engine.runs import controls, executions, incoming_events, manual_tasks, voting
from storage.records import Json, StepRunRecord
from storage.states import Decision, StepStatus

_NOTE = "Answered in a rehearsal."


class Unanswerable(Exception):
    """What is asked takes no such answer; the message says what it takes."""


def give(world: World, step: StepRunRecord, answer: Json) -> bool:
    """Answer what a step asks; False where the answer is to let its time run out. Raises `Unanswerable`.

    Raises what the services raise where somebody may not answer so.
    """
    if "expire" in answer:
        return False
    if "cancel" in answer:
        controls.cancel(world.rt, _actor(answer["cancel"]), step.execution_id, _NOTE)
    elif step.status is StepStatus.UNKNOWN:
        _resolve(world, step, answer)
    elif step.wait_key is not None:
        _deliver(world, step, answer)
    elif kind_of(step).awaits is Awaits.ASSIGNEE:
        _by_hand(world, step, answer)
    else:
        _vote(world, step, answer)
    return True


def _actor(user_id: str) -> Actor:
    return Actor(user_id, standing="member")


def _resolve(world: World, step: StepRunRecord, answer: Json) -> None:
    if "resolve" not in answer:
        raise Unanswerable(f"nobody saw how `{step.path}` ended: {{resolve: done}}, failed or retry answers that")
    controls.resolve(world.rt, _actor(SOMEBODY), step.execution_id, step.path, answer["resolve"], _NOTE)


def _deliver(world: World, step: StepRunRecord, answer: Json) -> None:
    if "event" not in answer:
        raise Unanswerable(f"`{step.path}` waits for an event: {{event: …}} or {{expire: true}} answers that")
    execution = executions.find(world.rt, step.execution_id)
    heard = catalog.definition_of(execution.version_id).by_id[step.step_id].with_.get("from") or ("rehearsal",)
    event_id = f"{step.execution_id} {next(world.numbers)}"
    incoming_events.deliver(world.rt, str(step.wait_key), event_id, heard[0], answer["event"])


def _by_hand(world: World, step: StepRunRecord, answer: Json) -> None:
    if "could_not" in answer:
        why = answer.get("note", _NOTE)
        manual_tasks.could_not(world.rt, _actor(answer["could_not"]), step.execution_id, step.path, why)
    elif "done" in answer:
        who, note, answers = _actor(answer["done"]), answer.get("note", ""), answer.get("answers")
        manual_tasks.done(world.rt, who, step.execution_id, step.path, note, answers)
    else:
        raise Unanswerable(f"`{step.path}` is done by hand: done, could_not or {{expire: true}} answers that")


def _vote(world: World, step: StepRunRecord, answer: Json) -> None:
    if "reject" in answer:
        comment = answer.get("comment", _NOTE)
        voting.vote(world.rt, _actor(answer["reject"]), step.execution_id, step.path, Decision.REJECT, comment)
        return
    if "approve" not in answer:
        raise Unanswerable(f"`{step.path}` asks for approval: approve, reject or {{expire: true}} answers that")
    people, comment, said = answer["approve"], answer.get("comment", ""), answer.get("answers")
    for person in [people] if isinstance(people, str) else people:
        voting.vote(world.rt, _actor(person), step.execution_id, step.path, Decision.APPROVE, comment, answers=said)
