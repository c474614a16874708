"""What storage promises whichever database it is: transactions, time, and coming back after a lost connection."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import replace

import psycopg
import pytest
from peewee import ProgrammingError

from engine.runtime import Runtime
from storage import (
    approvals,
    attempts,
    database,
    executions,
    idempotency,
    people,
    run_state,
    runbooks,
    sql,
    steps,
    waits,
    workers,
)
from storage.columns import proxy
from storage.people_records import PersonRecord
from storage.records import AttemptRecord, ExecutionRecord, Filter, StepRunRecord, VoteRecord
from storage.request_tables import RequestSeen
from storage.state_transitions import ForbiddenTransition
from storage.states import AttemptStatus, Decision, ExecutionStatus, StepStatus
from storage.tables import Approval, Lease, Runbook


def test_a_transaction_inside_a_transaction_is_refused(rt: Runtime) -> None:
    """It would silently be a part of somebody else's change."""
    with database.transaction(), pytest.raises(RuntimeError, match="already open"), database.transaction():
        pytest.fail("a nested transaction was opened")
    with database.transaction():
        workers.register(rt.workspace_id, "w1")


def test_a_failed_transaction_leaves_nothing(rt: Runtime) -> None:
    """All of it or nothing, and the next one works."""

    def fail() -> None:
        with database.transaction():
            workers.register(rt.workspace_id, "w1")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with database.transaction():
        workers.register(rt.workspace_id, "w1")


def test_reading_inside_a_transaction_sees_its_changes(rt: Runtime) -> None:
    """It is the same connection, and does not close it."""
    with database.transaction():
        workers.register(rt.workspace_id, "w1")
        with database.reading():
            assert workers.alive(database.now()) == 1
        assert workers.end("w1")


def test_without_a_connection_nothing_works_by_itself(rt: Runtime) -> None:
    """Forgetting `reading` fails loudly instead of leaking a connection."""
    with pytest.raises(Exception, match=r"(?i)not.*open|connect|closed"):
        workers.alive(0)


def test_many_threads_write_without_one_being_refused(rt: Runtime) -> None:
    """Read, change, write, twenty threads at once: no change is lost and none fails as locked."""
    with database.transaction():
        Lease.insert(name="count", holder="", until=0).execute()
    failed: list[BaseException] = []

    def add() -> None:
        try:
            for _ in range(5):
                with database.transaction():
                    row = database.locked(Lease.select().where(Lease.name == "count")).get()
                    Lease.update(until=row.until + 1).where(Lease.name == "count").execute()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=add) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    with database.reading():
        assert Lease.get_by_id("count").until == 50


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
def test_reading_heals_after_every_connection_was_killed(rt: Runtime, database_url: str) -> None:
    """The server restarted, or somebody pulled the plug: the next unit of work has a new connection."""
    for _ in range(3):
        with database.reading():
            assert workers.alive(0) == 0
        with psycopg.connect(database_url, autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        with database.transaction():
            workers.acquire_lease("name", "me", 1000)


@pytest.mark.parametrize("at_commit", [False, True])
@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
def test_a_transaction_whose_connection_was_killed_raises_and_changes_nothing(
    rt: Runtime, database_url: str, at_commit: bool
) -> None:
    """The error is one that callers know as database trouble, and says why the server ended it."""

    def lose_the_connection() -> None:
        with database.transaction():
            workers.register(rt.workspace_id, "w1")
            pid = proxy.obj.execute_sql("SELECT pg_backend_pid()").fetchone()[0]
            with psycopg.connect(database_url, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s)", (pid,))
            if not at_commit:
                workers.register(rt.workspace_id, "w2")

    with pytest.raises(database.DatabaseTrouble, match="administrator command"):
        lose_the_connection()
    with database.reading():
        assert workers.alive(0) == 0


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
def test_a_commit_that_undoes_everything_is_no_success(rt: Runtime) -> None:
    """PostgreSQL has given the transaction up, and whoever had the error of that has gone on."""

    def lose_an_error() -> None:
        with database.transaction():
            workers.register(rt.workspace_id, "w1")
            with suppress(ProgrammingError):
                proxy.obj.execute_sql("SELECT nobody_has_this")

    with pytest.raises(database.OperationalError, match="rolled back"):
        lose_an_error()
    with database.transaction():
        assert workers.alive(0) == 0
        workers.register(rt.workspace_id, "w1")


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
def test_having_no_connection_left_is_database_trouble(rt: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever holds a result then waits and tries again, as for a database that is away."""
    monkeypatch.setattr(proxy.obj, "_max_connections", 1)
    monkeypatch.setattr(proxy.obj, "_wait_timeout", 0.1)
    raised: list[BaseException] = []

    def read() -> None:
        try:
            with database.reading():
                pass
        except BaseException as error:
            raised.append(error)

    with database.transaction():
        thread = threading.Thread(target=read)
        thread.start()
        thread.join(10)
    assert len(raised) == 1
    assert isinstance(raised[0], database.DatabaseTrouble)


def test_time_is_the_databases_and_never_stands_still(rt: Runtime) -> None:
    """Close to this host's in a test, in milliseconds."""
    before = int(time.time() * 1000)
    now = database.now()
    assert abs(now - before) < 5_000
    deadline = time.monotonic() + 5
    while database.now() <= now and time.monotonic() < deadline:
        pass
    assert database.now() > now
    database.refresh_clock()
    assert abs(database.now() - int(time.time() * 1000)) < 5_000


def test_a_clock_can_be_put_in_its_place(rt: Runtime) -> None:
    """And taken away again."""
    database.use_clock(lambda: 42)
    assert database.now() == 42
    database.use_clock(None)
    assert database.now() > 42


def test_a_lease_has_one_holder(rt: Runtime) -> None:
    """Its holder renews it, others wait until it has run out or was given back."""
    at = [1_000_000]
    database.use_clock(lambda: at[0])

    def hold(who: str) -> bool:
        with database.transaction():
            return workers.acquire_lease("projector", who, 1_000)

    assert (hold("a"), hold("b"), hold("a")) == (True, False, True)
    at[0] += 999
    assert not hold("b")
    at[0] += 1
    assert (hold("b"), hold("a")) == (True, False)
    with database.transaction():
        workers.release_lease("projector", "a")
    assert not hold("a")
    with database.transaction():
        workers.release_lease("projector", "b")
    assert hold("a")


def test_a_workers_lease(rt: Runtime) -> None:
    """It is renewed while it stands, and never after it was ended."""
    at = [1_000_000]
    database.use_clock(lambda: at[0])
    with database.transaction():
        workers.register(rt.workspace_id, "w1")
        assert workers.alive(at[0] + workers.LEASE_MS - 1) == 1
        assert workers.alive(at[0] + workers.LEASE_MS) == 0
        at[0] += 10_000
        assert workers.heartbeat("w1")
        assert workers.alive(at[0] + workers.LEASE_MS - 1) == 1
        assert (workers.end("w1"), workers.end("w1"), workers.heartbeat("w1")) == (True, False, False)
        assert not workers.heartbeat("nobody")


def test_a_request_is_new_once(rt: Runtime) -> None:
    """Until its memory is a day old."""
    at = [10 * idempotency.KEEP_MS]
    database.use_clock(lambda: at[0])
    with database.transaction():
        assert [idempotency.first_time(key) for key in ("a", "b", "a", "a")] == [True, True, False, False]
        at[0] += idempotency.KEEP_MS
        assert idempotency.forget_old() == 0
        assert not idempotency.first_time("a")
        at[0] += 1
        assert idempotency.forget_old() == 2
        assert idempotency.first_time("a")
        assert RequestSeen.select().count() == 1


def test_a_person_is_remembered_as_last_told(rt: Runtime) -> None:
    """Told again, what was known is replaced."""
    with database.transaction():
        people.remember(rt.workspace_id, PersonRecord("U0ALICE01", "Alice", "a@example.com", "guest", None, 0))
    later = PersonRecord("U0ALICE01", "Alice B", None, "member", "Europe/Berlin", 1)
    with database.transaction():
        people.remember(rt.workspace_id, later)
        assert people.recall(rt.workspace_id, "U0ALICE01") == later
        assert people.recall(rt.workspace_id, "U0NOBODY1") is None


def test_a_workspace_belongs_to_one_slack_team(rt: Runtime) -> None:
    """It is bound once, and never to another."""
    with database.transaction():
        assert people.bind_workspace(rt.workspace_id, "T1", "One")
        assert people.bind_workspace(rt.workspace_id, "T1", "One, renamed")
        assert not people.bind_workspace(rt.workspace_id, "T2", "Two")
        assert people.the_workspace().slack_team == "T1"


@pytest.fixture
def run(rt: Runtime) -> ExecutionRecord:
    """An execution with one ready step, straight into the tables."""
    about = {
        "slug": "demo", "name": "Demo", "description": "", "team": None, "tags": [], "risk": "low", "source_path": "x",
    }  # fmt: skip
    new = {
        "digest": "d", "definition": {"odd": "\ud800\x00ü"}, "source": "", "author": None, "author_email": None,
        "source_commit": None, "note": "",
    }  # fmt: skip
    with database.transaction():
        version = runbooks.add_version(rt.workspace_id, about, new)
        made = ExecutionRecord(
            id="R-AAAAAA", workspace_id=rt.workspace_id, runbook_id=version.runbook_id, version_id=version.id,
            slug="demo", number=1, digest="d", team=None, status=ExecutionStatus.PENDING, pending_result=None,
            parameters={"text": "\x00\ud800"}, trigger="test", requester="U0CAROL01", reason="", incident={},
            result=None, error=None, created_at=1, started_at=None, ended_at=None, timeout_ms=1, running_ms=0,
            running_since=None, deadline_at=None, max_concurrent=1, live=1, running=0, waiting_steps=0, unfinished=1,
            event_seq=0, paused_reason=None, chosen_by=[], owners=[],
        )  # fmt: skip
        executions.create(made)
        step = StepRunRecord(
            id=0, execution_id=made.id, path="a", step_id="a", position=0, kind="http", status=StepStatus.READY,
            fence=0, blocked=0, due_at=1, deadline_at=None, attempts=0, failures=0, recoveries=0,
            idempotent=True, worker_id=None, started_at=None, ended_at=None, outputs=None, error=None, note="",
        )  # fmt: skip
        steps.create(rt.workspace_id, [step])
    return made


def test_what_is_written_is_read_again(rt: Runtime, run: ExecutionRecord) -> None:
    """Also NUL and lone surrogates inside JSON, which PostgreSQL's own JSON refuses."""
    with database.reading():
        assert executions.find(rt.workspace_id, run.id) == run
        version = runbooks.version_by_id(run.version_id)
    assert version is not None
    assert version.definition == {"odd": "\ud800\x00ü"}


def test_another_workspaces_execution_is_not_found(rt: Runtime, run: ExecutionRecord) -> None:
    """Every row belongs to one tenant."""
    with database.reading():
        assert executions.find(rt.workspace_id + 1, run.id) is None
        assert executions.page(rt.workspace_id + 1, Filter(), limit=5) == []


def test_a_step_is_moved_only_from_what_it_was_read_as(rt: Runtime, run: ExecutionRecord) -> None:
    """Another state or another fence, and nothing happens; a move outside the table is a bug and raises."""
    with database.transaction():
        state = run_state.lock(run.id)
        assert state is not None
        (ready,) = steps.of_execution(run.id)
        assert state.move(ready, StepStatus.RUNNING, fence=1)
        assert not state.move(ready, StepStatus.RUNNING, fence=1)
        (running,) = steps.of_execution(run.id)
        with pytest.raises(ForbiddenTransition):
            state.move(running, StepStatus.SKIPPED)
        assert state.move(running, StepStatus.READY, fence=2)
        assert not state.move(running, StepStatus.SUCCESS)
        assert steps.of_execution(run.id)[0].status == "READY"


def test_an_attempts_number_is_used_once(rt: Runtime, run: ExecutionRecord) -> None:
    """Two attempts of one number would be one call on record for two."""
    with database.transaction():
        (step,) = steps.of_execution(run.id)
        first = AttemptRecord(0, step.id, 1, AttemptStatus.RUNNING, "w1", 1, None, None, None, None)
        attempts.add(rt.workspace_id, [first])
    with pytest.raises(database.IntegrityError), database.transaction():
        attempts.add(rt.workspace_id, [replace(first, worker_id="w2", started_at=2)])


def test_an_execution_is_saved_only_along_its_moves(rt: Runtime, run: ExecutionRecord) -> None:
    """A forbidden move raises and is not written."""
    ended = replace(run, status=ExecutionStatus.CANCELLED)
    with database.transaction():
        executions.save(run, ended)
    with pytest.raises(ForbiddenTransition), database.transaction():
        executions.save(ended, replace(ended, status=ExecutionStatus.RUNNING))


def test_an_executions_id_is_used_once(rt: Runtime, run: ExecutionRecord) -> None:
    """The second gets an error, and the first stays."""
    with pytest.raises(database.IntegrityError), database.transaction():
        executions.create(run)


def test_a_person_votes_once(rt: Runtime, run: ExecutionRecord) -> None:
    """The second time says so, and the first vote stays."""
    with database.transaction():
        (step,) = steps.of_execution(run.id)
        gate = Approval.insert(
            workspace_id=rt.workspace_id, execution_id=run.id, step_run_id=step.id, path="a", status="PENDING",
            min_approvals=1, approvers={}, allow_self=False, message="", preview=[], digest="", on_timeout="fail",
            opened_at=0, expires_at=1, decided_at=None,
        ).execute()  # fmt: skip
        first = VoteRecord(gate, "U0ALICE01", Decision.APPROVE, "", 1)
        second = VoteRecord(gate, "U0ALICE01", Decision.REJECT, "", 2)
        assert (approvals.record_vote(1, first), approvals.record_vote(1, second)) == (True, False)
        assert approvals.votes(gate) == [first]


def test_settings_say_which_database_it_is(rt: Runtime, database_kind: str) -> None:
    """The same services run on both."""
    assert database.is_postgresql() is (database_kind == "postgresql")
    with database.reading():
        assert Runbook.select().count() == 0


ODD = "a\x00b\ud800c"


def test_text_that_no_database_takes_is_kept_as_far_as_it_can_be(rt: Runtime, run: ExecutionRecord) -> None:
    """NUL and lone surrogates, typed or pasted by somebody, are shown as not readable and are no error."""
    with database.transaction():
        executions.save(run, replace(run, reason=ODD, requester="Zoë 🙂"))
        found = executions.find(rt.workspace_id, run.id)
    assert found is not None
    assert (found.reason, found.requester) == ("a\ufffdb\ufffdc", "Zoë 🙂")


def test_what_is_looked_for_may_be_any_text(rt: Runtime) -> None:
    """It is not found, rather than an error of the database."""
    with database.reading():
        assert executions.find(rt.workspace_id, ODD) is None
        assert runbooks.find(rt.workspace_id, ODD) is None
        assert people.recall(rt.workspace_id, ODD) is None


def test_a_lock_may_be_named_by_any_text(rt: Runtime, run: ExecutionRecord) -> None:
    """As the key of an event is, which is sent by somebody outside."""
    with database.transaction():
        waits.lock_key(rt.workspace_id, ODD)
        waits.lock_sender(rt.workspace_id, ODD)
        executions.save(run, replace(run, reason="held"))
    with database.reading():
        found = executions.find(rt.workspace_id, run.id)
    assert found is not None
    assert found.reason == "held"


def test_every_way_to_write_cleans_what_it_writes(rt: Runtime) -> None:
    """Before it is sent, where a text with a NUL would be refused: rows together, one by one, and what is sought."""
    clean = "a\ufffdb\ufffdc"
    with database.transaction():
        for name in ("x", ODD):
            sql.insert(Lease, [{"name": name, "holder": ODD, "until": 1}])
        assert sql.update(Lease, {"holder": ODD}, "name = ?", ODD) == 1
        sql.set_later(Lease, {"holder": ODD}, "holder = ?", ODD)
        sql.set_locked(Lease, {"until": 2}, "name = ?", ODD)
        proxy.obj.later(sql.update_one(Lease, {"holder": ODD}, "name = ? AND holder = ?", ODD, ODD))
        assert sorted(sql.select(Lease, ("name", "holder", "until"), "holder = ?", ODD)) == [
            [clean, clean, 2], ["x", clean, 1]
        ]  # fmt: skip
        if database.is_postgresql():
            given, still = [{"holder": ODD}, {"holder": "y"}], [{"name": ODD}, {"name": "x"}]
            proxy.obj.later(sql.update_together(Lease, ("holder",), given, still))
            assert sql.select(Lease, ("name", "holder"), "holder = ?", ODD) == [[clean, clean]]
        sql.delete_later(Lease, "name = ?", ODD)
        assert sql.select(Lease, ("name",), "until > 0") == [["x"]]
