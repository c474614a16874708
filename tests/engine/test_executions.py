"""A run from its start to its end: order, conditions, failure, time and what each step costs."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from harness import ALICE, CAROL, HOUR, MINUTE, OSCAR, SECOND, Harness, Target, gate, http, runbook
from local_server import answer

from engine.catalog import version_approval
from engine.errors import Conflict, InvalidParameters, NotAllowed, NotApproved, NotFound, ReasonRequired
from engine.orchestration import admission
from engine.runs import controls, executions, voting
from engine.steps.outcome import Failed, Succeeded, Unknown
from engine.worker import runner
from storage import audit, database, people
from storage.records import Filter
from storage.states import Decision

FAILED = Failed("http_status", "The server answered 500.")


def test_a_linear_run_goes_through_its_steps_in_order(harness: Harness, target: Target) -> None:
    """Each step follows the one above it, and every event is there."""
    run = harness.begin(*(http(name, target.url(f"/{name}")) for name in ("a", "b", "c")))
    harness.advance(run)
    assert harness.status(run) == "SUCCESS"
    assert target.paths() == ["/a", "/b", "/c"]
    assert harness.event_kinds(run) == ["started", *["step_started", "step_succeeded"] * 3, "ended"]
    harness.check_books(run)


def test_joins_wait_for_every_need(harness: Harness) -> None:
    """A join starts when the last of its needs has ended, whichever that is."""
    run = harness.begin(http("a"), http("b", needs=[]), http("join", needs=["a", "b"]))
    a, b = harness.claim(run), harness.claim(run)
    assert {a.step.id, b.step.id} == {"a", "b"}
    harness.finish(b)
    assert harness.all_steps(run)["join"] == "BLOCKED"
    harness.finish(a)
    assert harness.all_steps(run)["join"] == "READY"
    harness.check_books(run)


def test_a_claim_calls_others_for_the_roots_that_are_ready_beside_it(harness: Harness) -> None:
    """Parallel roots do not wait for each other's end or for a sweep: the claim of one hints for the next."""
    run = harness.begin(http("a"), http("b", needs=[]), http("c", needs=[]))
    harness.hinted.clear()
    harness.claim(run)
    assert harness.hinted
    harness.hinted.clear()
    harness.claim(run)
    assert harness.hinted
    harness.hinted.clear()
    harness.claim(run)
    assert harness.hinted == []


def test_at_most_max_concurrent_steps_run(harness: Harness) -> None:
    """A step too many stays READY until one has ended."""
    run = harness.begin(*(http(name, needs=[]) for name in "abcd"), max_concurrent_steps=2)
    first, _second = harness.claim(run), harness.claim(run)
    assert harness.try_claim(run) is None
    harness.finish(first)
    assert harness.claim(run).step.id == "c"
    assert harness.try_claim(run) is None


def test_own_condition_skips_only_the_step_itself(harness: Harness, target: Target) -> None:
    """A step skipped by its own `if` lets its followers run."""
    run = harness.begin(
        http("a", target.url("/a")), http("b", target.url("/b"), if_="steps.a.outputs.status == 500"),
        http("c", target.url("/c")),
    )  # fmt: skip
    harness.advance(run)
    assert harness.all_steps(run) == {"a": "SUCCESS", "b": "SKIPPED", "c": "SUCCESS"}
    assert target.paths() == ["/a", "/c"]
    assert harness.status(run) == "SUCCESS"


@pytest.mark.parametrize(
    ("undefined", "defined"),
    [
        ("steps.a.outputs is undefined", "steps.a.outputs is defined"),
        (
            {"field": "steps.a.outputs", "operator": "exists", "value": False},
            {"field": "steps.a.outputs", "operator": "exists"},
        ),
        ("steps.a.outputs | default(false) == false", "steps.a.outputs.status is defined"),
    ],
)
@pytest.mark.parametrize("ran", [True, False])
def test_what_did_not_run_has_no_outputs(
    harness: Harness, target: Target, undefined: str, defined: str, ran: bool
) -> None:
    """A fallback runs instead of a skipped step, and what was never taken is not given back, however that is asked."""
    run = harness.begin(
        http("a", target.url("/a"), if_="true" if ran else "false"),
        http("fallback", target.url("/fallback"), if_=undefined),
        http("more", target.url("/more"), if_=defined),
    )
    assert harness.run(run) == "SUCCESS"
    assert target.paths() == (["/a", "/more"] if ran else ["/fallback"])


@pytest.mark.parametrize(
    "asked", ["steps.lock.outputs is defined", {"field": "steps.lock.outputs", "operator": "exists"}]
)
def test_a_lock_that_was_never_taken_is_not_given_back(harness: Harness, target: Target, asked: Any) -> None:
    """A step that the run did not come to has no outputs either, in `finally` too."""
    target.does["/before"] = [answer(b"no", "404 Not Found")]
    run = harness.begin(
        http("before", target.url("/before")), http("lock", target.url("/lock")),
        **{"finally": [http("unlock", target.url("/unlock"), if_=asked)]},
    )  # fmt: skip
    assert harness.run(run) == "FAILED"
    assert target.paths() == ["/before"]


@pytest.mark.parametrize("word", [b'"false"', b'"true"', b"0", b"null", b"[]"])
def test_what_is_no_boolean_is_no_condition(harness: Harness, target: Target, word: bytes) -> None:
    """A step behind the text "false" does not run, and neither does the run go on: it says what it was given."""
    target.does["/a"] = [answer(b'{"enabled": %s}' % word, "200 OK", "Content-Type: application/json")]
    run = harness.begin(
        http("a", target.url("/a")), http("b", target.url("/b"), if_="steps.a.outputs.json.enabled"),
    )  # fmt: skip
    assert harness.run(run) == "FAILED"
    assert target.paths() == ["/a"]
    error = executions.view(harness.rt, run).steps[1].error
    assert error is not None
    assert "must be true or false, not" in error["message"]


def test_a_run_whose_every_step_is_skipped_succeeds(harness: Harness) -> None:
    """Nothing to do is no error, and is known the moment the run starts."""
    harness.publish(runbook("demo", http("a", if_="false"), http("b", if_="false")))
    run = harness.start("demo")
    assert harness.status(run) == "SUCCESS"
    assert harness.event_kinds(run)[-1] == "ended"
    harness.check_books(run)


def test_a_condition_that_cannot_be_asked_fails_the_run_before_anything_starts(
    harness: Harness, target: Target
) -> None:
    """A root's broken condition fails the run, and its sibling roots are held back whichever came first."""
    bad = "params.size.deep > 3"
    for order in (["bad", "good"], ["good", "bad"]):
        roots = {"bad": http("bad", target.url(), if_=bad, needs=[]), "good": http("good", target.url(), needs=[])}
        run = harness.begin(
            *(roots[name] for name in order),
            slug="-".join(order),
            parameters={"type": "object", "properties": {"size": {"type": "integer", "default": 1}}},
        )
        assert harness.status(run) == "FAILED"
        assert harness.all_steps(run) == {"bad": "FAILED", "good": "BLOCKED"}
        harness.advance(run)
        harness.check_books(run)
    assert target.hits == []


def test_a_failure_holds_back_what_is_ready_and_lets_what_runs_finish(harness: Harness) -> None:
    """After a failure nothing starts; the run ends when its last running step has."""
    run = harness.begin(
        *(http(name, needs=[]) for name in ("a", "b", "c")), http("after", needs=["b"]), max_concurrent_steps=2
    )
    a, b = harness.claim(run), harness.claim(run)
    harness.finish(a, FAILED)
    assert harness.all_steps(run) == {"a": "FAILED", "b": "RUNNING", "c": "BLOCKED", "after": "BLOCKED"}
    assert (harness.status(run), harness.execution(run).pending_result) == ("RUNNING", "FAILED")
    assert harness.try_claim(run) is None
    harness.check_books(run)
    harness.finish(b)
    assert harness.status(run) == "FAILED"
    assert harness.all_steps(run)["after"] == "BLOCKED"
    assert harness.execution(run).error["step"] == "a"
    harness.check_books(run)


def test_a_failure_closes_open_gates(harness: Harness) -> None:
    """Nobody is asked about a run that has failed, and a gate that has not opened yet does not."""
    run = harness.begin(gate("ask"), http("bad", needs=[]), http("slow", needs=[]), gate("late", needs=["slow"]))
    bad, slow = harness.claim(run), harness.claim(run)
    assert harness.all_steps(run)["ask"] == "WAITING"
    harness.finish(bad, FAILED)
    assert harness.all_steps(run)["ask"] == "CANCELLED"
    harness.finish(slow)
    assert harness.all_steps(run)["late"] == "BLOCKED"
    assert harness.status(run) == "FAILED"
    assert [each.approval.status for each in executions.view(harness.rt, run).gates] == ["CANCELLED"]
    harness.check_books(run)


def test_a_failed_run_waits_for_a_person_where_an_outcome_is_unknown(harness: Harness) -> None:
    """The result is fixed, but the run is not over while somebody has to say what happened."""
    run = harness.begin(http("a", method="POST"), http("b", needs=[]))
    a, b = harness.claim(run), harness.claim(run)
    harness.finish(a, Unknown("timeout", "No answer."))
    harness.finish(b, FAILED)
    assert (harness.status(run), harness.execution(run).pending_result) == ("WAITING", "FAILED")
    harness.check_books(run)
    controls.resolve(harness.rt, CAROL, run, None, "done", "I looked: it did.")
    assert harness.all_steps(run)["a"] == "SUCCESS"
    assert harness.status(run) == "FAILED"
    harness.check_books(run)


def test_an_unknown_outcome_parks_its_branch_and_lets_others_go_on(harness: Harness, target: Target) -> None:
    """The run is WAITING only once nothing else can be done."""
    run = harness.begin(
        http("a", method="POST"),
        http("after-a"),
        http("b", target.url("/b"), needs=[]),
        http("after-b", target.url("/c")),
    )
    a = harness.claim(run)
    harness.finish(a, Unknown("timeout", "No answer."))
    assert harness.status(run) == "RUNNING"
    harness.advance(run)
    assert harness.status(run) == "WAITING"
    assert harness.all_steps(run) == {"a": "UNKNOWN", "after-a": "BLOCKED", "b": "SUCCESS", "after-b": "SUCCESS"}
    harness.check_books(run)


@pytest.mark.parametrize(("choice", "step", "status"), [("done", "SUCCESS", "SUCCESS"), ("failed", "FAILED", "FAILED")])
def test_a_person_settles_an_unknown_outcome(harness: Harness, choice: str, step: str, status: str) -> None:
    """Said to be done the run goes on, said to have failed it fails; both are on record with the reason."""
    run = harness.begin(http("a", method="POST"))
    harness.finish(harness.claim(run), Unknown("timeout", "No answer."))
    controls.resolve(harness.rt, CAROL, run, "a", choice, "I looked.")
    assert harness.all_steps(run) == {"a": step}
    assert harness.status(run) == status
    with database.reading():
        rows = audit.of_thing(1, f"execution:{run}")
    assert [(each.action, each.actor) for each in rows][-1] == ("step.resolve", CAROL.user_id)
    harness.check_books(run)


def test_retrying_an_unknown_outcome_makes_another_attempt(harness: Harness, target: Target) -> None:
    """The same key is sent again, and the step's second attempt counts."""
    run = harness.begin(http("a", target.url(), method="POST"))
    claim = harness.claim(run)
    harness.finish(claim, Unknown("timeout", "No answer."))
    controls.resolve(harness.rt, CAROL, run, "a", "retry", "It never arrived.")
    assert harness.status(run) == "RUNNING"
    harness.advance(run)
    assert harness.status(run) == "SUCCESS"
    assert target.seen_keys() == {claim.idempotency_key: 1}
    assert [each.status for each in harness.attempts(run, "a")] == ["UNKNOWN", "SUCCESS"]


def test_a_failing_run_offers_no_retry_of_an_unknown_outcome(harness: Harness) -> None:
    """Asking for what can't be done is refused in words, and changes nothing."""
    run = harness.begin(http("a", method="POST"), http("b", needs=[]))
    a, b = harness.claim(run), harness.claim(run)
    harness.finish(a, Unknown("timeout", "No answer."))
    harness.finish(b, FAILED)
    with pytest.raises(Conflict, match="done or failed"):
        controls.resolve(harness.rt, CAROL, run, "a", "retry", "again")
    assert harness.all_steps(run)["a"] == "UNKNOWN"


def test_resolving_needs_a_note_a_right_and_an_unknown_step(harness: Harness) -> None:
    """Each refusal is its own error, and none changes the step."""
    run = harness.begin(http("a", method="POST"), http("b", needs=[], method="POST"))
    with pytest.raises(Conflict, match="no step"):
        controls.resolve(harness.rt, CAROL, run, None, "done", "x")
    for claim in (harness.claim(run), harness.claim(run)):
        harness.finish(claim, Unknown("timeout", "No answer."))
    with pytest.raises(ReasonRequired):
        controls.resolve(harness.rt, CAROL, run, "a", "done", "  ")
    with pytest.raises(NotAllowed):
        controls.resolve(harness.rt, OSCAR, run, "a", "done", "x")
    with pytest.raises(Conflict, match="a, b"):
        controls.resolve(harness.rt, CAROL, run, None, "done", "x")
    with pytest.raises(Conflict, match="Choose one"):
        controls.resolve(harness.rt, CAROL, run, "a", "maybe", "x")
    assert set(harness.all_steps(run).values()) == {"UNKNOWN"}


def test_time_at_a_gate_does_not_count_against_the_runs_timeout(harness: Harness, target: Target) -> None:
    """Only RUNNING time is used up: an hour at a gate is free, a slow step after it is not."""
    run = harness.begin(http("a", target.url()), gate("ask", timeout="24h"), http("b", target.url()), timeout="10m")
    claim = harness.claim(run)
    harness.clock.tick(4 * MINUTE)
    harness.finish(claim)
    harness.advance(run)
    assert harness.status(run) == "WAITING"
    assert harness.execution(run).running_ms == 4 * MINUTE
    harness.clock.tick(5 * HOUR)
    harness.sweep()
    assert harness.status(run) == "WAITING"
    harness.know_groups()
    voting.vote(harness.rt, ALICE, run, None, Decision.APPROVE)
    claim = harness.claim(run)
    harness.clock.tick(6 * MINUTE - SECOND)
    harness.sweep()
    assert harness.execution(run).pending_result is None
    harness.clock.tick(SECOND)
    harness.sweep()
    assert (harness.execution(run).pending_result, harness.status(run)) == ("FAILED", "RUNNING")
    assert harness.execution(run).error["code"] == "timeout"
    harness.finish(claim)
    assert harness.status(run) == "FAILED"
    harness.check_books(run)


def test_a_run_that_times_out_while_a_step_waits_to_be_retried_ends_at_once(harness: Harness, target: Target) -> None:
    """Back-off counts as running time, and a run out of time makes no further attempt."""
    run = harness.begin(
        http("a", target.url(), retry={"max_attempts": 9, "delay": "10m", "max_delay": "10m"}), timeout="2m"
    )
    harness.finish(harness.claim(run), Failed("not_sent", "No route.", retryable=True))
    assert harness.status(run) == "RUNNING"
    harness.clock.tick(2 * MINUTE)
    harness.sweep()
    assert harness.status(run) == "FAILED"
    harness.clock.tick(HOUR)
    harness.sweep()
    assert target.hits == []
    harness.check_books(run)


def test_nothing_runs_that_is_a_draft(harness: Harness) -> None:
    """An unapproved runbook is refused with what to do about it."""
    harness.sync(demo=runbook("demo", http("a")))
    with pytest.raises(NotApproved, match="admin approve demo"):
        harness.start("demo")


@pytest.mark.parametrize("keep", [False, True])
def test_a_newer_draft_before_the_first_claim_stops_the_run(harness: Harness, target: Target, keep: bool) -> None:
    """What was approved when asked for is asked again before anything is sent; ON_EDIT=keep lets it go on."""
    run = harness.begin(http("a", target.url()))
    harness.settle_for(on_edit="keep" if keep else "stop")
    harness.sync(demo=runbook("demo", http("a", target.url("/other"))))
    harness.advance(run)
    assert harness.status(run) == ("SUCCESS" if keep else "FAILED")
    assert target.paths() == (["/"] if keep else [])
    if not keep:
        assert harness.execution(run).error["code"] == "not_approved"
    harness.check_books(run)


def test_deprecating_before_the_first_claim_fails_the_run_and_sends_nothing(harness: Harness, target: Target) -> None:
    """A withdrawn version that has not begun never does."""
    run = harness.begin(http("a", target.url()))
    version_approval.deprecate(harness.rt, ALICE, "demo", reason="It drops the wrong host.")
    harness.advance(run)
    assert harness.status(run) == "FAILED"
    assert harness.execution(run).error["code"] == "not_approved"
    assert "wrong host" in harness.execution(run).error["message"]
    assert target.hits == []


def test_deprecating_a_running_version_parks_it_at_its_next_claim(harness: Harness, target: Target) -> None:
    """What runs finishes, what follows does not start, and the run can still be cancelled."""
    run = harness.begin(http("a", target.url("/a")), http("b", target.url("/b")))
    claim = harness.claim(run)
    version_approval.deprecate(harness.rt, ALICE, "demo", reason="It drops the wrong host.")
    harness.finish(claim, harness.act(claim))
    harness.advance(run)
    assert harness.status(run) == "PAUSED"
    assert "wrong host" in (harness.execution(run).paused_reason or "")
    harness.clock.tick(2 * HOUR)
    harness.sweep()
    assert harness.status(run) == "PAUSED"
    assert target.paths() == ["/a"]
    harness.know_groups()
    controls.cancel(harness.rt, CAROL, run, "withdrawn")
    assert harness.status(run) == "CANCELLED"
    harness.check_books(run)


def test_a_newer_draft_leaves_a_running_execution_alone(harness: Harness, target: Target) -> None:
    """An execution goes on with the version it began with."""
    run = harness.begin(http("a", target.url("/a")), http("b", target.url("/b")))
    claim = harness.claim(run)
    harness.sync(demo=runbook("demo", http("a", target.url("/new"))))
    harness.finish(claim, harness.act(claim))
    harness.advance(run)
    assert harness.status(run) == "SUCCESS"
    assert target.paths() == ["/a", "/b"]


def test_starting_checks_rights_parameters_and_the_reason(harness: Harness) -> None:
    """Each refusal is its own error, and none leaves anything behind."""
    schema = {"type": "object", "required": ["size"], "properties": {"size": {"type": "integer"}}}
    harness.publish(runbook("demo", http("a"), parameters=schema, risk="high"))
    with pytest.raises(NotAllowed, match="team payments"):
        harness.start("demo", OSCAR, size=1)
    with pytest.raises(InvalidParameters):
        executions.start(harness.rt, CAROL, "demo", {}, trigger="test", reason="why not")
    with pytest.raises(ReasonRequired):
        harness.start("demo", size=1)
    with pytest.raises(NotFound, match="Did you mean demo"):
        harness.start("demoo")
    with pytest.raises(NotApproved, match="Only version 1"):
        executions.prepare(harness.rt, CAROL, "demo", 2)
    assert executions.recent(harness.rt, Filter()) == []
    assert executions.start(harness.rt, CAROL, "demo", {"size": 1}, trigger="test", reason="now").reason == "now"


def test_a_version_withdrawn_while_it_is_being_asked_for_is_not_accepted(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it may run is asked again in the transaction that accepts it."""
    harness.publish(runbook("demo", http("a")))
    validate = admission.validate

    def withdrawn_meanwhile(*arguments: object) -> object:
        version_approval.deprecate(harness.rt, ALICE, "demo")
        return validate(*arguments)

    monkeypatch.setattr(admission, "validate", withdrawn_meanwhile)
    with pytest.raises(NotApproved):
        harness.start("demo")
    assert executions.recent(harness.rt, Filter()) == []


def test_who_may_is_read_anew_by_the_transaction_that_starts(harness: Harness) -> None:
    """Whatever the same thread has read before, around it."""
    harness.publish(runbook("demo", http("a")))
    with people.reads_cached():
        with database.reading():
            assert people.policy(harness.rt.workspace_id)["teams"]
        with database.transaction():
            assert people.save_policy(harness.rt.workspace_id, "nobody", {})
        with pytest.raises(NotAllowed):
            harness.start("demo", CAROL)
    assert executions.recent(harness.rt, Filter()) == []


def test_an_execution_is_found_in_whatever_case_it_was_typed(harness: Harness) -> None:
    """Ids are read aloud and typed by hand."""
    run = harness.begin(http("a"))
    assert executions.find(harness.rt, f" {run.lower()} ").id == run
    with pytest.raises(NotFound):
        executions.find(harness.rt, "R-000000")


class _Statements(logging.Handler):
    """Counts what peewee sends."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.sent: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.sent.append(record.getMessage())


@pytest.fixture
def statements():
    logger, handler = logging.getLogger("peewee"), _Statements()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield handler.sent
    logger.removeHandler(handler)
    logger.setLevel(level)


def test_a_step_costs_one_commit_and_the_same_in_a_small_and_a_large_run(
    harness: Harness, statements: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record of one step and the claim of the next share a transaction, and none costs more in a long run."""
    monkeypatch.setattr(runner, "perform", lambda *_: Succeeded({"status": 200}))
    commits = []
    original = database.transaction

    def counted():
        commits.append(1)
        return original()

    monkeypatch.setattr(database, "transaction", counted)
    cost = {}
    for size in (5, 60):
        run = harness.begin(*(http(f"s{n}") for n in range(size)), slug=f"size-{size}", max_concurrent_steps=1)
        statements.clear()
        commits.clear()
        harness.advance(run)
        assert harness.status(run) == "SUCCESS"
        assert len(commits) == size + 1
        cost[size] = len(statements) / size
    assert cost[60] <= cost[5]
    assert cost[60] <= 16


def test_a_new_step_is_taken_by_a_worker_whose_clock_is_behind(harness: Harness, target: Target) -> None:
    """Processes' clocks differ by milliseconds, and a hint can be faster than that."""
    run = harness.begin(http("a", target.url()))
    harness.clock.tick(-5)
    harness.advance(run)
    assert harness.status(run) == "SUCCESS"
    harness.check_books(run)
