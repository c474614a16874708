"""A run under its lock: what was read is decided in memory, written together, and nothing is lost by it."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from harness import Harness, http
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.orchestration.run_phases import change
from engine.steps.outcome import Succeeded
from storage import connections, database, events, executions, run_state, step_changes, steps
from storage.columns import proxy
from storage.records import EventRecord, Filter, StepRunRecord
from storage.run_state import RunState
from storage.states import StepStatus
from storage.tables import Execution, StepRun
from storage.writes import Write

NUMBERS = itertools.count(100)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)


def locked(execution_id: str, *paths: str) -> tuple[RunState, list[StepRunRecord]]:
    """The run locked, with these of its step runs."""
    run = run_state.load(execution_id, paths)
    assert run is not None
    return run, run.at(paths)


def updates(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list of the step runs' UPDATEs that are sent from here on."""
    sent: list[str] = []
    writes = RunState.writes

    def noted(run: RunState) -> list[Write]:
        made = writes(run)
        sent.extend(write.text for write in made)
        return made

    monkeypatch.setattr(RunState, "writes", noted)
    return sent


def test_a_known_row_that_moves_twice_is_written_once(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is at the end, and whoever reads it meanwhile sees what has been done so far."""
    run = harness.begin(http("a"))
    sent = updates(monkeypatch)
    with database.transaction():
        state, (a,) = locked(run, "a")
        assert state.move(a, StepStatus.RUNNING, fence=1, attempts=1)
        assert not state.move(a, StepStatus.RUNNING, fence=2), "it is not what it was any more"
        running = replace(a, status=StepStatus.RUNNING, fence=1, attempts=1)
        assert state.move(running, StepStatus.SUCCESS, outputs={"x": 1})
    assert len(sent) == 1
    (after,) = harness.step_runs(run)
    assert (after.status, after.fence, after.attempts, after.outputs) == ("SUCCESS", 1, 1, {"x": 1})


def test_an_edit_of_what_is_not_there_is_a_bug_and_said(harness: Harness) -> None:
    """It is not taken for one that was made, and nothing of the change counts."""
    run = harness.begin(http("a"), http("b", needs=[]))

    def act() -> None:
        with database.transaction():
            state, (a, b) = locked(run, "a", "b")
            state.edit(b, note="kept?")
            state.edit(replace(a, path="gone"), note="lost")

    with pytest.raises(connections.LostRow, match="no step run gone"):
        act()
    assert [step.note for step in harness.step_runs(run)] == ["", ""]


def test_a_reader_in_between_sees_what_was_done(harness: Harness) -> None:
    """Whatever asks the table gets the changes first."""
    run = harness.begin(http("a"), http("b"))
    with database.transaction():
        state, (a, _) = locked(run, "a", "b")
        state.move(a, StepStatus.RUNNING, fence=1)
        assert [step.status for step in steps.of_execution(run)] == ["RUNNING", "BLOCKED"]
        (b,) = state.count_down(["b"])
        assert (b.blocked, [step.blocked for step in steps.of_execution(run)]) == (0, [0, 0])


def test_what_changes_rows_by_itself_ends_what_was_known(harness: Harness) -> None:
    """A move after that asks the table whether the row is still what it was."""
    run = harness.begin(http("a"))
    with database.transaction():
        state, (a,) = locked(run, "a")
        assert step_changes.block_ready(state, a.phase) == 1
        assert not state.move(a, StepStatus.RUNNING, fence=1)
    assert harness.all_steps(run) == {"a": "BLOCKED"}


def test_a_row_that_somebody_changed_without_the_lock_undoes_the_transaction(harness: Harness) -> None:
    """That is a bug; then nothing of the change counts."""
    run = harness.begin(http("a"), http("b", needs=[]))

    def act() -> None:
        with database.transaction():
            state, (a, b) = locked(run, "a", "b")
            StepRun.update(fence=7).where(StepRun.id == a.id).execute()
            state.move(b, StepStatus.RUNNING, fence=1)
            state.move(a, StepStatus.RUNNING, fence=1)

    with pytest.raises(connections.LostRow):
        act()
    assert harness.all_steps(run) == {"a": "READY", "b": "READY"}


@pytest.mark.parametrize("asked", [False, True])
def test_needs_that_somebody_counted_without_the_lock_undo_the_transaction(harness: Harness, asked: bool) -> None:
    """Written as a number that was read before, they would be lost; so also where something is asked after them."""
    run = harness.begin(http("a"), http("b"))

    def act() -> None:
        with database.transaction():
            state, (b,) = locked(run, "b")
            StepRun.update(blocked=5).where(StepRun.id == b.id).execute()
            state.count_down(["b"])
            if asked:
                executions.by_id(run)

    with pytest.raises(connections.LostRow):
        act()
    assert harness.step(run, "b").blocked == 1


@pytest.mark.parametrize("column", ["live", "running", "waiting_steps", "unfinished", "event_seq"])
def test_counters_that_somebody_changed_without_the_lock_undo_the_transaction(harness: Harness, column: str) -> None:
    """A run that counts wrong would never end."""
    run = harness.begin(http("a"))

    def act() -> None:
        with change(harness.rt, run, "test") as transition:
            Execution.update(**{column: 7}).where(Execution.id == run).execute()
            transition.pause("look at it")

    with pytest.raises(connections.LostRow):
        act()
    assert harness.status(run) == "PENDING"
    harness.check_books(run)


def test_a_lost_row_is_a_bug_and_said_at_once(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no trouble of the database, which a result would wait out."""
    run = harness.begin(http("a"))
    claim = harness.claim(run)
    load = run_state.load
    tried: list[str] = []

    def changed_meanwhile(execution_id: str, paths: Any = ()) -> Any:
        found = load(execution_id, paths)
        tried.append(execution_id)
        Execution.update(running=7).where(Execution.id == execution_id).execute()
        return found

    monkeypatch.setattr(run_state, "load", changed_meanwhile)
    with pytest.raises(connections.LostRow):
        harness.record(claim, Succeeded({}))
    assert tried == [run]
    harness.check_books(run)


def test_a_write_that_fails_undoes_the_transaction_at_the_latest_with_its_commit(harness: Harness) -> None:
    """An event's number is there once; what was changed beside it is undone, and the connection goes on working."""
    run = harness.begin(http("a"))
    taken = EventRecord(run, 1, 1, "started", None, None, {})

    def act() -> None:
        with database.transaction():
            state, (a,) = locked(run, "a")
            state.move(a, StepStatus.RUNNING, fence=1)
            events.append(harness.rt.workspace_id, [taken])

    with pytest.raises(database.IntegrityError):
        act()
    assert harness.all_steps(run) == {"a": "READY"}
    assert harness.event_kinds(run).count("started") == 1


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
def test_a_transaction_that_does_nothing_costs_nothing(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its BEGIN was never sent; whether it ends well or badly, the next one works."""
    sent: list[object] = []
    send = proxy.obj._send
    monkeypatch.setattr(proxy.obj, "_send", lambda statements: sent.extend(statements) or send(statements))
    with database.transaction():
        pass
    with pytest.raises(ZeroDivisionError), database.transaction():
        raise ZeroDivisionError
    assert sent == []
    run = harness.begin(http("a"))
    assert harness.all_steps(run) == {"a": "READY"}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(TEXT, st.none() | TEXT, st.none() | TEXT, st.dictionaries(TEXT, TEXT)), min_size=1))
def test_rows_that_are_written_together_are_those_that_were_given(harness: Harness, rows: list[Any]) -> None:
    """Whatever is in them: quotes, braces, backslashes, nothing."""
    with database.reading():
        found = executions.page(harness.rt.workspace_id, Filter(), limit=1)
    run = found[0].id if found else harness.begin(http("a"))
    told = [EventRecord(run, next(NUMBERS), 1, *row) for row in rows]
    with database.transaction():
        events.append(harness.rt.workspace_id, told)
    with database.reading():
        assert events.after(run, told[0].seq - 1, len(rows)) == told
