"""Plans whose answer gets lost on the way to the command line."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from bot.cli import connect, plans
from bot.cli.connect import Api, Unreachable
from bot.cli.invocation import Invocation
from bot.cli.options import Options
from bot.grammar import parse

Answers = Callable[[httpx.Request], httpx.Response]


def plan(line: str, answers: Answers) -> int:
    """How often the plan was asked for, of which nothing came."""
    asked: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json={"parameters": {"type": "object", "properties": {}}})
        asked.append(str(request.url))
        return answers(request)

    client = httpx.Client(transport=httpx.MockTransport(handle), base_url="http://bot/")
    with client, pytest.raises((Unreachable, connect.Refused)) as refusal:
        plans.plan(Invocation(Api(client, "http://bot"), parse(line), Options()))
    assert ("not known" in str(refusal.value)) == ("live" in line and isinstance(refusal.value, Unreachable))
    return len(asked)


def lost(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadTimeout("timed out", request=request)


def too_often(_: httpx.Request) -> httpx.Response:
    return httpx.Response(429, json={"detail": "too often"}, headers={"retry-after": "0"})


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect.time, "sleep", lambda _: None)


@pytest.mark.parametrize("answers", [lost, too_often])
def test_a_live_plan_is_asked_for_once(answers: Answers) -> None:
    """Its calls may have been made, and six are all that a person has in ten minutes."""
    assert plan("plan demo live=yes", answers) == 1


@pytest.mark.parametrize("answers", [lost, too_often])
def test_any_other_plan_is_asked_for_again(answers: Answers) -> None:
    assert plan("plan demo", answers) == connect.TRIES
