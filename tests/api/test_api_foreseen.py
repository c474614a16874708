"""A gate that nobody can pass, because of who asked for the run, is told of in the answer to asking for it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from api_client import Api
from harness import BOB, CAROL, Target, gate, http, runbook

from bot.cli.control_verbs import run
from bot.cli.invocation import Invocation
from bot.cli.options import Options
from bot.grammar import Command
from bot.slack.verbs.running import started
from engine.access.policy import Actor
from engine.runs.executions import Accepted, find


def publish(api: Api, target: Target, **asks: Any) -> None:
    """A runbook of team payments with a gate that asks this."""
    api.harness.publish(runbook("held", gate("sign-off", **asks), http("go", target.url("/go"), needs=["sign-off"])))


def warned(api: Api, who: Actor) -> list[str]:
    body = {"incident": {"case": who.user_id}}
    found: list[str] = api.post("/runbooks/held/execute", who, body).json()["warnings"]
    return found


ONLY_BOB = {"roles": ["platform_admin"], "minima": [{"user": BOB.user_id}]}


def test_a_minimum_that_only_who_asked_can_fill_is_told_at_once(api: Api, target: Target) -> None:
    """Of who asked it says that they do not count; for anybody else there is nothing to say."""
    publish(api, target, approvers=ONLY_BOB)
    (told,) = warned(api, BOB)
    assert told == (
        f"As things stand sign-off will not pass: nobody who can still decide makes up for 1 of @{BOB.user_id}, "
        "for who asked for a run does not decide about it."
    )
    assert warned(api, CAROL) == []


@pytest.mark.parametrize(
    ("asks", "words"),
    [
        ({"approvers": {"users": [BOB.user_id]}}, "1 more approval needed, and nobody can still decide, for who asked"),
        ({"approvers": {"roles": ["platform_admin"]}, "min_approvals": 3}, "3 more approvals needed, and only 2"),
        ({"approvers": {"users": [BOB.user_id]}, "allow_self": True}, ""),
        ({"approvers": {"roles": ["platform_admin"], "minima": [{"role": "team_admin"}]}}, "1 of admins of team"),
    ],
)  # fmt: skip
def test_gates_that_too_few_can_pass_are_told(api: Api, target: Target, asks: Any, words: str) -> None:
    """By the same rule as for a gate that is open."""
    publish(api, target, **asks)
    found = warned(api, BOB)
    assert (words in found[0]) if words else found == []


def test_nothing_is_said_while_slack_has_not_said_who_is_in_a_group(api: Api, target: Target) -> None:
    """It may be anybody."""
    publish(api, target, approvers={"minima": [{"group": "S0ONCALL"}]})
    api.harness.clock.tick(3_600_000)
    assert warned(api, BOB) == []


def test_the_command_line_and_slack_say_it_too(api: Api, target: Target) -> None:
    """Below the word that it was started; the run goes its way all the same."""
    publish(api, target, approvers=ONLY_BOB)

    class Asked:
        def get(self, path: str) -> Any:
            return api.get(f"/{path}", BOB)

        def post(self, path: str, body: Any) -> Any:
            return api.post(f"/{path}", BOB, body).json()

    answer = run(Invocation(Asked(), Command("run", ("held",), {}), Options()))  # type: ignore[arg-type]
    first, second = answer.lines
    assert first.startswith("Started ")
    assert second.startswith("  ! As things stand sign-off will not pass:")
    accepted = Accepted(find(api.harness.rt, answer.follow), "started")
    said = started(SimpleNamespace(rt=api.harness.rt), accepted, "C0INC0001")  # type: ignore[arg-type]
    assert "⚠️ As things stand sign-off will not pass:" in str(said.blocks)
    assert "will not pass" not in str(
        started(SimpleNamespace(rt=api.harness.rt), Accepted(accepted.execution, "open"), "").blocks  # type: ignore[arg-type]
    )
    assert api.harness.run(answer.follow) == "WAITING"


def test_asked_again_with_its_key_it_is_said_again(api: Api, target: Target) -> None:
    """What was answered before is told in the same shape."""
    publish(api, target, approvers=ONLY_BOB)
    key = {"Idempotency-Key": "k1"}
    first, again = (api.ask("POST", "/runbooks/held/execute", BOB, {}, headers=key) for _ in range(2))
    assert again.headers["Idempotency-Replayed"] == "true"
    assert len(first.json()["warnings"]) == 1
    assert again.json() == first.json()
