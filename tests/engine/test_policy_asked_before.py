"""No lock is held while the external policy thinks: an agreed skip, a child run, a request that is made again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from harness import ALICE, BOB, CAROL, DAVE, Harness, Target, gate, http, runbook
from opa import Opa
from test_external_policy import NUMBER, SMALL, answer, harness, opa, remember

from engine.access import asked_before, external_policy
from engine.access import secrets as stored
from engine.access.policy import About, Action, authorise
from engine.catalog import catalog
from engine.errors import InvalidParameters, NotAllowed, NotFound
from engine.orchestration.admission import Wanted
from engine.queries import visibility
from engine.runs import freezing, held_requests, skipping, voting
from storage import database
from storage.states import Decision

__all__ = ["harness", "opa"]

CALL = {"id": "c", "type": "runbook", "with": {"id": "demo", "params": {"n": "{{ params.n }}"}}, "needs": ["x"]}


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """For each question whether a transaction was open."""
    real, found = external_policy.ask, list[bool]()

    def watched(*arguments):
        found.append(database.in_transaction())
        return real(*arguments)

    monkeypatch.setattr(external_policy, "ask", watched)
    yield found
    assert found
    assert not any(found)


def parent(harness: Harness, target: Target, n: int = 1, first: str = "x") -> str:
    harness.publish(runbook("demo", http("a", target.url("/demo")), parameters=NUMBER))
    harness.publish(runbook("parent", http("x", target.url("/x")), CALL, parameters=NUMBER))
    remember(harness)
    return harness.start("parent", n=n)


def finish(harness: Harness, run: str) -> str:
    """Its status when it and its children have been run."""
    harness.run(run)
    for child in [each.child for each in harness.step_runs(run) if each.child]:
        harness.run(child)
    return str(harness.run(run))


def test_a_child_is_asked_about_before_its_transaction(
    harness: Harness, target: Target, inside: list[bool], opa: Opa
) -> None:
    """Where it follows a call, in the commit that records that; the call is made once."""
    run = parent(harness, target)
    asked = len(opa.asked)
    assert finish(harness, run) == "SUCCESS"
    assert target.paths() == ["/x", "/demo"]
    (told,) = opa.asked[asked:]
    assert (told["action"], told["thing"]["runbook"], told["parameters"]) == ("start", "demo", {"n": 1})
    harness.check_books(run)


def test_a_child_as_the_first_step_is_asked_about_before_its_transaction(
    harness: Harness, target: Target, inside: list[bool], opa: Opa
) -> None:
    """Then it is in the commit that claims; two of one run are two questions."""
    harness.publish(runbook("demo", http("a", target.url("/demo")), parameters=NUMBER))
    twice = [
        {**CALL, "id": each, "needs": [], "with": {"id": "demo", "params": {"n": n}}} for n, each in enumerate("cd")
    ]
    harness.publish(runbook("parent", *twice))
    remember(harness)
    run = harness.start("parent")
    assert finish(harness, run) == "SUCCESS"
    assert target.paths() == ["/demo", "/demo"]
    assert [each["parameters"] for each in opa.asked if each["thing"].get("runbook") == "demo"][-2:] == [
        {"n": 0}, {"n": 1},
    ]  # fmt: skip


@pytest.mark.parametrize("source", ["allow := false", 'allow := "yes"'], ids=["no", "unclear"])
def test_a_refused_child_is_asked_about_once_and_starts_nothing(
    harness: Harness, target: Target, inside: list[bool], opa: Opa, source: str
) -> None:
    """A no and what is no clear answer both fail the step, with the transaction's locks free meanwhile."""
    run = parent(harness, target)
    opa.source = f"package runbook\n\n{source}\n"
    asked = len(opa.asked)
    assert harness.run(run) == "FAILED"
    assert "external policy" in str(harness.step(run, "c").error)
    assert target.paths() == ["/x"]
    assert len(opa.asked) == asked + 1


def test_a_refusal_counts_for_one_deed(harness: Harness, target: Target, inside: list[bool], opa: Opa) -> None:
    """The next run's child is asked about anew, within the seconds that a yes would count."""
    run = parent(harness, target)
    before, opa.source = opa.source, "package runbook\n\nallow := false\n"
    assert harness.run(run) == "FAILED"
    opa.source = before
    again = harness.start("parent", n=1)
    assert finish(harness, again) == "SUCCESS"


def test_an_answer_does_not_count_for_what_changed_meanwhile(harness: Harness, target: Target, opa: Opa) -> None:
    """What comes up in the second try is another question: it is asked, and its no is heard."""
    opa.source = SMALL
    asked = iter([{"n": 1}, {"n": 1000}, {"n": 1000}])
    remember(harness)
    harness.publish(runbook("demo", http("a", target.url("/demo")), parameters=NUMBER))

    def act() -> None:
        with database.transaction():
            about = About(next(asked), {})
            authorise(harness.rt, BOB, Action.START, catalog.get(harness.rt, "demo"), about)

    with pytest.raises(NotAllowed, match="external policy"):
        external_policy.asking_before(harness.rt, act)


def test_questions_without_end_are_asked_inside(harness: Harness) -> None:
    """A deed that brings up another question each time ends all the same."""
    numbers = iter(range(1000))

    def act() -> object:
        number = next(numbers)
        return asked_before.answer(str(number), number)

    assert asked_before.do(act, lambda facts: facts) is None
    assert next(numbers) == asked_before.MOST + 1


def test_an_agreed_skip_is_asked_about_before_its_transaction(
    harness: Harness, target: Target, inside: list[bool], opa: Opa
) -> None:
    """Whether who asked may still skip, and whether who agrees may decide at the gate that released the step."""
    steps = gate("ask"), http("late", target.url("/late"), needs=["ask"]), http("end", target.url("/end"))
    target.does["/late"] = [answer("400 No")]
    harness.publish(runbook("gated", *steps))
    remember(harness)
    run = harness.start("gated")
    harness.run(run)
    voting.vote(harness.rt, DAVE, run, "ask", Decision.APPROVE)
    assert harness.run(run) == "FAILED"
    skipping.skip(harness.rt, CAROL, run, "late", "it is done by hand")
    opa.source = 'package runbook\n\nallow if input.action != "vote"\n'
    with pytest.raises(NotAllowed, match="external policy"):
        skipping.agree(harness.rt, DAVE, run, "late")
    opa.source = 'package runbook\n\nallow if input.actor.id != "U0CAROL01"\n'
    with pytest.raises(NotAllowed, match="external policy"):
        skipping.agree(harness.rt, DAVE, run, "late")
    assert harness.step(run, "late").status == "FAILED"
    opa.source = "package runbook\n\nallow := true\n"
    asked = len(opa.asked)
    skipping.agree(harness.rt, DAVE, run, "late")
    assert [(each["actor"]["id"], each["action"]) for each in opa.asked[asked:]] == [
        (CAROL.user_id, "skip"), (DAVE.user_id, "vote"),
    ]  # fmt: skip
    assert harness.run(run) == "SUCCESS"
    assert target.paths() == ["/late", "/end"]


def test_a_kept_request_that_is_made_again_is_asked_about_with_its_parameters(harness: Harness, opa: Opa) -> None:
    """Whoever may not start it with these is not told what came of it, nor of the run that it became."""
    harness.publish(runbook("demo", http("b"), parameters=NUMBER))
    remember(harness)
    frozen = freezing.freeze(harness.rt, ALICE, "demo", "no", lasting="6h").freeze
    opa.source = SMALL
    big = held_requests.hold(harness.rt, CAROL, Wanted("demo", {"n": 1000}, "test")).held.id
    small = held_requests.hold(harness.rt, BOB, Wanted("demo", {"n": 1}, "test")).held.id
    freezing.unfreeze(harness.rt, ALICE, frozen.id)
    run = held_requests.release(harness.rt, CAROL, big).execution.id
    for thing in (big, run):
        with pytest.raises(NotAllowed, match="external policy"):
            visibility.still(harness.rt, BOB, Action.START, slug="demo", asked_for=thing)
        visibility.still(harness.rt, CAROL, Action.START, slug="demo", asked_for=thing)
    visibility.still(harness.rt, BOB, Action.START, slug="demo", asked_for=small)


def test_the_policy_hears_which_secret_is_set_and_nothing_else_that_was_typed(harness: Harness, opa: Opa) -> None:
    """A name that is none may be a value that was pasted in its place: it is told to nobody."""
    opa.source = 'package runbook\n\nallow if input.thing.secret == "lb_token"\n'
    stored.set_value(harness.rt, ALICE, "lb_token", "st0red-canary-v1")
    told = [each["thing"] for each in opa.asked]
    assert told == [{"kind": "secret", "secret": "lb_token"}]
    for act in (lambda name: stored.set_value(harness.rt, ALICE, name, "st0red-canary-v2"),
                lambda name: stored.delete(harness.rt, ALICE, name)):  # fmt: skip
        with pytest.raises(NotAllowed, match="external policy"):
            act("another")
        with pytest.raises((InvalidParameters, NotFound)):
            act("P4sted-value!")
    assert "P4sted" not in str(opa.asked)
    assert "canary" not in str(opa.asked)
    stored.delete(harness.rt, ALICE, "lb_token")
