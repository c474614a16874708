"""Playing one case: start the run, do what is ready, answer what is asked, and turn the clock to what is due next."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime

from engine.access.policy import Actor
from engine.definition.kinds import kind_of
from engine.definition.kinds.kind import Awaits
from engine.definition.rehearsals import Case
from engine.errors import EngineError, InvalidParameters
from engine.orchestration.admission import Wanted
from engine.rehearsal import observed
from engine.rehearsal.answers import Unanswerable, give
from engine.rehearsal.observed import Observed
from engine.rehearsal.stubs import Script
from engine.rehearsal.world import Published, World, full_path
from engine.runs import executions
from storage import database, steps
from storage.executions import by_id, family, heads
from storage.executions import due as executions_due
from storage.moments import next_moment
from storage.records import Json, StepRunRecord
from storage.states import StepStatus

CASE_LIMIT_S = 20.0
"""How long one case may take, however much time passes in it."""
MAX_MOVES = 20_000
"""How often a run may be moved on in one case."""
_MOST_RUNS = 200
_ASKING = (StepStatus.WAITING, StepStatus.UNKNOWN)


class Stopped(Exception):
    """The case cannot go on; the message says why."""


def play(world: World, subject: Published, others: Iterable[Published], case: Case) -> Observed:
    """Run a case to its end, or to where it cannot go on, which `trouble` then says. Raises nothing."""
    began = time.monotonic()
    script = world.egress.script = Script(case.stubs)
    world.begin([subject, *others], _cast(case), _epoch_ms(case.at))
    try:
        run_id = _start(world, subject, case)
    except InvalidParameters as error:
        return observed.not_started(f"the parameters are not right: {_named(error)}")
    except EngineError as error:
        return observed.not_started(f"the run was refused: {error}")
    trouble = ""
    try:
        _run(world, run_id, case, script, until=began + CASE_LIMIT_S)
    except InvalidParameters as error:
        trouble = f"the answers are not right: {_named(error)}"
    except (Stopped, Unanswerable, EngineError) as error:
        trouble = str(error)
    return observed.of(world, run_id, script, trouble)


def _named(wrong: InvalidParameters) -> str:
    return "; ".join(f"{name} {why}" for name, why in wrong.fields.items())


def _epoch_ms(at: str) -> int:
    return round(datetime.fromisoformat(at).timestamp() * 1000)


def _cast(case: Case) -> set[str]:
    """Everybody who does something in a case."""
    named = {case.started_by}
    for answer in (each for answers in case.answers.values() for each in answers):
        approving = answer.get("approve", [])
        named |= {approving} if isinstance(approving, str) else set(approving)
        named |= {answer[key] for key in ("reject", "cancel", "done", "could_not") if key in answer}
    return named


def _start(world: World, subject: Published, case: Case) -> str:
    wanted = Wanted(
        subject.runbook.id, dict(case.parameters), trigger="rehearsal", reason=case.reason, incident=dict(case.incident)
    )
    return executions.request(world.rt, Actor(case.started_by, standing="member"), wanted).execution.id


def _run(world: World, run_id: str, case: Case, script: Script, until: float) -> None:
    """Move the run and its children on until it has ended. Raises `Stopped`."""
    given: Counter[str] = Counter()
    world.stage.advance(run_id)
    for _ in range(MAX_MOVES):
        if script.unstubbed:
            raise Stopped(script.unstubbed[0])
        if executions.find(world.rt, run_id).status.ended:
            return
        if time.monotonic() > until:
            raise Stopped(f"the case took more than {CASE_LIMIT_S:g} s: does something in it go on for ever?")
        if not _answered(world, run_id, case.answers, given):
            _move(world, run_id)
    raise Stopped(f"the run was moved on {MAX_MOVES} times without coming to an end")


def _move(world: World, run_id: str) -> None:
    """Do what is due, else let time pass until something is. Raises `Stopped` where nothing ever will be."""
    world.beat()
    before = _heads(run_id)
    world.sweeper.sweep()
    with database.reading():
        due = executions_due(world.clock.time, world.clock.time, _MOST_RUNS)
    for execution_id in due:
        world.stage.advance(execution_id)
    if _heads(run_id) == before:
        with database.reading():
            following = next_moment(world.clock.time)
        if following is None:
            raise Stopped("the run waits, and nothing will ever wake it")
        world.clock.time = following


def _heads(run_id: str) -> dict[str, tuple[int, bool]]:
    with database.reading():
        return heads(family(run_id))


def _answered(world: World, run_id: str, answers: Mapping[str, list[Json]], given: Counter[str]) -> bool:
    """Give the next answer to something that is asked, if there is one to give; True then.

    Raises `Stopped` where something is asked that no answer is for.
    """
    for step, path in _asked(run_id):
        key = next((each for each in (path, step.path, step.step_id) if each in answers), None)
        if key is None:
            raise Stopped(_unanswered(step, path))
        # What was asked before is known by its attempt: the last answer of several stays for what is asked again.
        asked = f"{step.execution_id} {step.path} {step.status} {step.attempts}"
        if given[asked]:
            continue
        answer = answers[key][min(given[key], len(answers[key]) - 1)]
        given[key] += 1
        if "event" not in answer:  # which goes to whoever has waited longest for it, and that may be another step
            given[asked] += 1
        if give(world, step, answer):
            return True
    return False


def _asked(run_id: str) -> list[tuple[StepRunRecord, str]]:
    """The steps of a run and its children that wait for a person or an event, with their full paths."""
    with database.reading():
        runs = [each for each in (by_id(execution_id) for execution_id in family(run_id)) if each is not None]
        return [
            (step, full_path(run.parent_step, step.path))
            for run in runs
            for step in steps.of_execution(run.id)
            if step.status in _ASKING and not kind_of(step).is_container
        ]


def _unanswered(step: StepRunRecord, path: str) -> str:
    if step.status is StepStatus.UNKNOWN:
        return f"nobody saw how `{path}` ended: say in `answers` what it is taken for, such as {{resolve: done}}"
    if step.wait_key is not None:
        return f"`{path}` waits for the event {step.wait_key}: give it in `answers`, or say {{expire: true}}"
    if kind_of(step).awaits is Awaits.ASSIGNEE:
        return f"`{path}` is done by hand: give it in `answers`, as in {{done: U0ALICE01}}, or say {{expire: true}}"
    return f"`{path}` asks for approval: give it in `answers`, as in {{approve: U0ALICE01}}, or say {{expire: true}}"
