"""What a gate shows is what is done: inside branches and loops, behind gates not asked, and what is skipped."""

from __future__ import annotations

from typing import Any

import pytest
from harness import ALICE, BOB, CAROL, DAVE, OSCAR, Harness, Target, gate, http, runbook
from local_server import answer
from test_containers_and_cleanup import branch, loop

from bot import preview
from engine.access.policy import Actor
from engine.errors import Conflict, NotAllowed
from engine.runs import controls, executions, skipping, voting
from storage.states import Decision

BROKEN = answer(b"no", "400 Bad Request", "Content-Type: text/plain")
FINE = answer(b"ok", "200 OK", "Content-Type: text/plain")
BIG_ONE = answer(b'{"big":true}', "200 OK", "Content-Type: application/json")
SMALL_ONE = answer(b'{"big":false}', "200 OK", "Content-Type: application/json")
WHAT = {"type": "object", "properties": {"what": {"type": "string", "default": "a"}}}
BIG = {"type": "object", "properties": {"big": {"type": "boolean", "default": False}}}


def opened(harness: Harness, run: str) -> Any:
    return next(each for each in executions.view(harness.rt, run).gates if each.approval.status == "PENDING")


def planned(harness: Harness, run: str) -> str:
    return "\n".join(preview.planned(opened(harness, run).approval.preview))


def settled(harness: Harness, run: str) -> dict[str, str]:
    return dict(preview.settled(opened(harness, run).approval.preview))


def approve(harness: Harness, run: str, who: Actor = ALICE, digest: str | None = None) -> None:
    voting.vote(harness.rt, who, run, None, Decision.APPROVE, digest=digest)


def held(kind: str, steps: list[dict[str, Any]]) -> dict[str, Any]:
    return branch("work", "true", steps) if kind == "branch" else loop("work", *steps, items=[1])


def inner(kind: str, name: str) -> str:
    return f"work.{name}" if kind == "branch" else f"work[0].{name}"


def asked_again(harness: Harness, target: Target, kind: str, *steps: dict[str, Any]) -> str:
    """A run whose wipe of a has failed inside, and whose gate is asked again about b; it needs two."""
    target.does["/wipe/a"] = [BROKEN]
    run = harness.begin(gate("ok", min_approvals=2), held(kind, list(steps)), parameters=WHAT)
    harness.run(run)
    approve(harness, run)
    approve(harness, run, DAVE)
    assert harness.run(run) == "FAILED"
    controls.retry(harness.rt, CAROL, run, inner(kind, "wipe"), {"what": "b"})
    harness.run(run)
    return run


@pytest.mark.parametrize("kind", ["branch", "loop"])
def test_what_is_done_inside_is_not_shown_as_to_be_done_again(harness: Harness, target: Target, kind: str) -> None:
    """The backup was made of a, and is not made of b."""
    steps = [
        http("backup", target.url("/backup/{{ params.what }}"), method="PUT"),
        http("wipe", target.url("/wipe/{{ params.what }}"), method="PUT"),
    ]
    run = asked_again(harness, target, kind, *steps)
    told = planned(harness, run)
    assert "/backup" not in told
    assert "/wipe/b" in told
    assert settled(harness, run) == {inner(kind, "backup"): "done already"}
    approve(harness, run)
    approve(harness, run, DAVE)
    assert harness.run(run) == "SUCCESS"
    assert target.paths() == ["/backup/a", "/wipe/a", "/wipe/b"]


@pytest.mark.parametrize("kind", ["branch", "loop"])
def test_a_skip_inside_voids_the_votes_and_is_shown(harness: Harness, target: Target, kind: str) -> None:
    """Whoever had it skipped does not decide either."""
    steps = [
        http("wipe", target.url("/wipe/{{ params.what }}"), method="PUT"),
        http("verify", target.url("/verify/{{ params.what }}")),
    ]
    run = asked_again(harness, target, kind, *steps)
    approve(harness, run)
    before = opened(harness, run).approval.digest
    skipping.skip(harness.rt, BOB, run, inner(kind, "verify"), "no time")
    assert settled(harness, run)[inner(kind, "verify")] == f"skipped by {BOB.user_id}: no time"
    assert "/verify" not in planned(harness, run)
    after = opened(harness, run)
    assert after.votes == ()
    assert after.approval.barred == [BOB.user_id]
    with pytest.raises(Conflict, match="not what you were shown"):
        approve(harness, run, DAVE, before)
    approve(harness, run)
    approve(harness, run, DAVE)
    assert harness.run(run) == "SUCCESS"
    assert "/verify/b" not in target.paths()


def test_a_step_that_some_rounds_still_do_is_shown_with_those_that_do_not(harness: Harness, target: Target) -> None:
    """Rounds to come do what this one has done; of those of a loop in a loop as well."""
    deep = loop("each", http("mark", target.url("/mark"), method="PUT"), items=[1, 2, 3])
    work = loop("work", deep, http("wipe", target.url("/wipe/{{ params.what }}"), method="PUT"), items=[1, 2])
    target.does["/wipe/a"] = [FINE, BROKEN]
    run = harness.begin(gate("ok"), work, parameters=WHAT)
    harness.run(run)
    approve(harness, run)
    assert harness.run(run) == "FAILED"
    controls.retry(harness.rt, CAROL, run, "work[1].wipe", {"what": "b"})
    harness.run(run)
    assert settled(harness, run) == {"work[0].each and 1 more": "done already", "work[0].wipe": "done already"}
    assert "/wipe/b" in planned(harness, run)
    assert "/mark" not in planned(harness, run)


def test_what_has_failed_and_is_put_up_with_is_not_shown_as_to_be_done(harness: Harness, target: Target) -> None:
    """The warning of a was not heard, and nobody is warned of b."""
    target.does["/warn/a"] = target.does["/wipe/a"] = [BROKEN]
    warn = http("warn", target.url("/warn/{{ params.what }}"), method="PUT", continue_on_error=True)
    wipe = http("wipe", target.url("/wipe/{{ params.what }}"), method="PUT")
    run = harness.begin(gate("ok"), warn, wipe, parameters=WHAT)
    harness.run(run)
    approve(harness, run)
    assert harness.run(run) == "FAILED"
    controls.retry(harness.rt, CAROL, run, "wipe", {"what": "b"})
    harness.run(run)
    assert settled(harness, run) == {"warn": "it has failed, and is not tried again"}
    assert "/warn" not in planned(harness, run)
    approve(harness, run)
    assert harness.run(run) == "SUCCESS"
    assert "/warn/b" not in target.paths()


def at_first_gate(harness: Harness, target: Target, condition: str) -> str:
    run = harness.begin(
        gate("first"),
        http("drain", target.url("/drain")),
        gate("second", if_=condition),
        http("wipe", target.url("/wipe")),
        http("verify", target.url("/verify")),
        parameters=BIG,
    )
    harness.run(run)
    return run


def test_what_has_failed_and_may_be_retried_is_shown_as_to_be_done(harness: Harness, target: Target) -> None:
    """Two failed beside each other; whoever is asked about b for the one is asked for the other too."""
    for path in ("/wipe/a", "/drop/a", "/drop/b"):
        target.does[path] = [BROKEN]
    steps = [http(each, target.url(f"/{each}/{{{{ params.what }}}}"), needs=["ok"]) for each in ("wipe", "drop")]
    run = harness.begin(gate("ok"), *steps, parameters=WHAT)
    harness.run(run)
    approve(harness, run)
    assert harness.run(run) == "FAILED"
    controls.retry(harness.rt, CAROL, run, "wipe", {"what": "b"})
    harness.run(run)
    assert "/drop/b" in planned(harness, run)
    assert settled(harness, run) == {}


@pytest.mark.parametrize("big", [False, True])
def test_what_will_not_be_done_by_its_condition_is_not_shown_as_to_be_done(
    harness: Harness, target: Target, big: bool
) -> None:
    """What is not known yet is shown with its condition, also inside a branch."""
    target.does["/look"] = [SMALL_ONE]
    harness.publish(
        runbook(
            "demo",
            gate("ok"),
            http("look", target.url("/look")),
            http("wipe", target.url("/wipe"), method="PUT"),
            http("verify", target.url("/verify"), if_="params.big"),
            http("later", target.url("/later"), if_="steps.look.outputs.json.big"),
            branch("way", "true", [http("inner", target.url("/inner"), if_="params.big")]),
            parameters=BIG,
        )
    )
    run = harness.start("demo", big=big)
    harness.run(run)
    told = planned(harness, run)
    assert ("/verify" in told) is big
    assert settled(harness, run) == ({} if big else {"verify": "its condition is not met"})
    assert told.count("condition: params.big") == 1
    assert "condition: steps.look.outputs.json.big" in told
    approve(harness, run)
    assert harness.run(run) == "SUCCESS"
    assert ("/verify" in target.paths()) is big


KNOWN, UNKNOWN = "params.big", "steps.drain.outputs.json.big"


def test_a_gate_that_will_not_be_asked_does_not_end_what_is_shown(harness: Harness, target: Target) -> None:
    """`big` is known to be false when the first gate is asked."""
    run = at_first_gate(harness, target, KNOWN)
    assert "/wipe" in planned(harness, run)
    assert settled(harness, run) == {"second": "its condition is not met"}
    approve(harness, run)
    assert harness.run(run) == "SUCCESS"


def test_a_gate_that_may_be_asked_ends_what_is_shown(harness: Harness, target: Target) -> None:
    """It shows what stands behind it itself."""
    target.does["/drain"] = [BIG_ONE]
    run = at_first_gate(harness, target, UNKNOWN)
    assert "second: approval" in planned(harness, run)
    assert "/wipe" not in planned(harness, run)
    approve(harness, run)
    harness.run(run)
    assert "/wipe" in planned(harness, run)


@pytest.mark.parametrize("condition", [KNOWN, UNKNOWN])
def test_what_an_earlier_gate_has_let_on_is_not_skipped_on_ones_own_word(
    harness: Harness, target: Target, condition: str
) -> None:
    """The second gate is not reached, and is then gone past."""
    target.does["/drain"] = [SMALL_ONE]
    run = at_first_gate(harness, target, condition)
    approve(harness, run)
    controls.pause(harness.rt, CAROL, run)
    skipping.skip(harness.rt, CAROL, run, "verify", "no time")
    controls.resume(harness.rt, CAROL, run)
    assert harness.run(run) == "SUCCESS"
    assert "/verify" in target.paths()


def test_behind_a_gate_that_was_gone_past_the_one_before_has_a_word(harness: Harness, target: Target) -> None:
    """Also for what it did not show, because the second one might have been asked."""
    target.does["/drain"], target.does["/wipe"] = [SMALL_ONE], [BROKEN]
    run = at_first_gate(harness, target, UNKNOWN)
    approve(harness, run)
    assert harness.run(run) == "FAILED"
    skipping.skip(harness.rt, CAROL, run, "wipe", "not needed")
    assert executions.view(harness.rt, run).execution.status == "FAILED"
    with pytest.raises(NotAllowed):
        skipping.agree(harness.rt, CAROL, run, "wipe")
    skipping.agree(harness.rt, ALICE, run, "wipe")
    assert harness.run(run) == "SUCCESS"


def test_behind_a_gate_that_is_asked_the_one_before_has_no_word(harness: Harness, target: Target) -> None:
    """The second one shows from now on that the step is left out."""
    target.does["/drain"] = [BIG_ONE]
    run = at_first_gate(harness, target, UNKNOWN)
    approve(harness, run)
    harness.run(run)
    skipping.skip(harness.rt, BOB, run, "verify", "no time")
    assert settled(harness, run) == {"verify": f"skipped by {BOB.user_id}: no time"}


@pytest.mark.parametrize("who", [OSCAR, CAROL, ALICE], ids=["an outsider", "who asked", "an approver"])
def test_nobody_agrees_to_a_skip_while_its_gate_is_asked_again(harness: Harness, target: Target, who: Actor) -> None:
    """Once it is decided, its approvers do."""
    target.does["/wipe/a"] = [BROKEN]
    run = harness.begin(
        gate("ok"),
        http("wipe", target.url("/wipe/{{ params.what }}"), method="PUT"),
        http("verify", target.url("/verify")),
        parameters=WHAT,
    )
    harness.run(run)
    approve(harness, run)
    controls.pause(harness.rt, CAROL, run)
    skipping.skip(harness.rt, CAROL, run, "verify", "no time")
    controls.resume(harness.rt, CAROL, run)
    assert harness.run(run) == "FAILED"
    controls.retry(harness.rt, CAROL, run, "wipe", {"what": "b"})
    harness.run(run)
    view = executions.view(harness.rt, run)
    (request,) = skipping.requests(harness.rt, view)
    assert not skipping.may_agree(harness.rt, who, request).allowed
    with pytest.raises(Conflict, match="asked again"):
        skipping.agree(harness.rt, who, run, "verify")
    assert "/verify" in planned(harness, run)
    approve(harness, run)
    skipping.agree(harness.rt, ALICE, run, "verify")
    assert harness.run(run) == "SUCCESS"
    assert "/verify" not in target.paths()
