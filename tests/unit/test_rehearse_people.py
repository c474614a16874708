"""Cases in which people do manual steps and answer forms, and what is wrong with such an answer before it is played."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_rehearse_cases import book, made, played  # noqa: F401 - `made` is a fixture

from engine.definition import rehearsals
from engine.definition.forms import answered
from engine.errors import InvalidParameters
from engine.rehearsal.world import World

FORM = {
    "type": "object",
    "required": ["slot"],
    "properties": {"slot": {"type": "integer", "maximum": 24}, "side": {"type": "string", "default": "left"}},
}
BY_HAND = {"id": "x", "type": "manual", "with": {"instructions": "Swap it.", "form": FORM}}
ASKS = {"id": "x", "type": "approval", "with": {"approvers": {"roles": ["responder"]}, "form": FORM}}
SAY = {"id": "say", "type": "message", "with": {"text": "{{ steps.x.outputs }}"}}


def problems(step: dict[str, Any], answer: Any, key: str = "x") -> list[str]:
    case = {"name": "a", "answers": {key: answer}, "expect": {"outcome": "SUCCESS"}}
    found = rehearsals.load(json.dumps({"cases": [case]}).encode(), "f", book(step).runbook)
    return [each.message.removeprefix("case “a”: ") for each in found.problems]


def test_what_is_done_by_hand_hands_on_its_answers(made: World) -> None:  # noqa: F811
    """As of a real one: who did it, when and what was said beside it, and what the form gives by itself."""
    subject = book(BY_HAND, outputs={"all": "{{ steps.x.outputs }}"})
    answer = {"done": "U0BOB0001", "answers": {"slot": 3}, "note": "new one is in"}
    told = {"slot": 3, "side": "left", "by": "U0BOB0001", "at": "2026-01-01T09:00:00Z", "note": "new one is in"}
    expect = {"outcome": "SUCCESS", "path": ["x"], "outputs": {"all": told}}
    assert played(made, subject, answers={"x": answer}, expect=expect).failures == ()


def test_what_could_not_be_done_fails_the_step(made: World) -> None:  # noqa: F811
    tell = {"id": "tell", "type": "message", "with": {"text": "{{ steps.x.error.code }}: {{ steps.x.error.message }}"}}
    expect = {"outcome": "FAILED", "messages": ["could_not: U0BOB0001 could not do it: no spare part"]}
    answer = {"could_not": "U0BOB0001", "note": "no spare part"}
    got = played(made, book(BY_HAND, on_failure=[tell]), answers={"x": answer},
                 expect=expect)  # fmt: skip
    assert got.failures == ()


def test_a_group_does_what_it_is_assigned(made: World) -> None:  # noqa: F811
    for group in ("sre", "S0SRE0001"):
        step = {**BY_HAND, "with": {"instructions": "Swap it.", "assignees": {"groups": [group]}}}
        assert played(made, book(step), answers={"x": {"done": "U0BOB0001"}}).failures == ()


@pytest.mark.parametrize(("said", "code"), [({"expire": True}, "FAILED"), ({"cancel": "U0BOB0001"}, "CANCELLED")])
def test_nobody_does_it(made: World, said: Any, code: str) -> None:  # noqa: F811
    assert played(made, book(BY_HAND), answers={"x": said}, expect={"outcome": code}).failures == ()


def test_one_answer_after_the_other_in_a_loop(made: World) -> None:  # noqa: F811
    loop = {"id": "each", "type": "loop", "with": {"items": [1, 2], "steps": [BY_HAND, SAY | {
        "with": {"text": "{{ steps.x.outputs.slot }}"}}]}}  # fmt: skip
    answers = {"x": [{"done": "U0BOB0001", "answers": {"slot": n}} for n in (5, 6)]}
    expect = {"outcome": "SUCCESS", "messages": ["5", "6"]}
    assert played(made, book(loop), answers=answers, expect=expect).failures == ()


def test_a_gate_takes_the_answers_to_its_form(made: World) -> None:  # noqa: F811
    """All who approve give the same, and `comments` has what was said beside it, and nothing where nobody spoke."""
    gate = {**ASKS, "with": {**ASKS["with"], "min_approvals": 2}}  # type: ignore[dict-item]
    subject = book(gate, outputs={"all": "{{ steps.x.outputs }}"})
    two = ["U0BOB0001", "U0DAVE001"]
    answer = {"approve": two, "answers": {"slot": 3}}
    told = {"slot": 3, "side": "left", "approved_by": two, "approvals": 2, "comments": []}
    expect = {"outcome": "SUCCESS", "outputs": {"all": told}}
    assert played(made, subject, answers={"x": answer}, expect=expect).failures == ()
    expect["outputs"] = {"all": {**told, "comments": [{"by": each, "comment": "fine"} for each in two]}}
    assert played(made, subject, answers={"x": {**answer, "comment": "fine"}}, expect=expect).failures == ()


def test_what_is_done_by_hand_has_to_be_answered(made: World) -> None:  # noqa: F811
    (said,) = played(made, book(BY_HAND)).failures
    assert said.startswith("`x` is done by hand: give it in `answers`, as in {done: U0ALICE01}")


def test_answers_in_another_run_are_judged_when_it_asks(made: World) -> None:  # noqa: F811
    """What cannot be known before: the other runbook may be any version."""
    parent, child = book({"id": "go", "type": "runbook", "with": {"id": "child"}}), book(BY_HAND, slug="child")
    wrong = played(made, parent, child, answers={"go/x": {"done": "U0BOB0001", "answers": {"slot": 99}}})
    assert wrong.failures[0].startswith("the answers are not right: slot ")
    right = played(made, parent, child, answers={"go/x": {"done": "U0BOB0001", "answers": {"slot": 9}}})
    assert right.failures == ()
    other = played(made, parent, child, answers={"go/x": {"approve": "U0BOB0001"}})
    assert other.failures == ("`x` is done by hand: done, could_not or {expire: true} answers that",)


@pytest.mark.parametrize(
    ("step", "answer", "said"),
    [
        (BY_HAND, {"approve": "U0BOB0001"}, "{done: U…}, {could_not: U…} or {expire: true} answers a manual step"),
        (ASKS, {"done": "U0BOB0001"}, "{approve: U…}, {reject: U…} or {expire: true} answers a gate"),
        (ASKS, [{"expire": True}, {"could_not": "U0BOB0001"}], "`could_not` is no answer to `x`"),
        (BY_HAND, {"done": "U0BOB0001"}, "the answer `slot` to `x` is required"),
        (ASKS, {"approve": "U0BOB0001", "answers": {"slot": 25}}, "the answer `slot` to `x` "),
        (BY_HAND, {"done": "U0BOB0001", "answers": {"slot": 1, "by": "me"}}, "the answer `by` to `x` "),
        (BY_HAND, {"could_not": "U0BOB0001", "answers": {"slot": 1}}, "must be one of"),
        (BY_HAND, {"done": "U0BOB0001", "comment": "x"}, "must be one of"),
        (ASKS, {"approve": "U0BOB0001", "note": "x"}, "must be one of"),
        (BY_HAND, {"done": ["U0BOB0001"]}, "must be one of"),
        (BY_HAND, {"done": "bob"}, "must be one of"),
    ],
)
def test_what_is_wrong_with_an_answer_is_said_before(step: dict[str, Any], answer: Any, said: str) -> None:
    found = problems(step, answer)
    assert len(found) == 1, found
    assert said in found[0]


@given(
    st.dictionaries(
        st.sampled_from(["slot", "side", "by"]),
        st.integers(-(2**53), 2**53) | st.sampled_from(["", "3", "left"]) | st.none(),
    )
)
def test_check_and_the_engine_agree_about_answers(answers: dict[str, Any]) -> None:
    """`runbook check` refuses exactly what the step would."""
    try:
        answered(FORM, answers)
        right = True
    except InvalidParameters:
        right = False
    for step, word in ((BY_HAND, "done"), (ASKS, "approve")):
        assert (problems(step, {word: "U0BOB0001", "answers": answers}) == []) == right
