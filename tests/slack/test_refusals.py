"""Nothing broke where something is refused or misspelt: no door names an id of the log for that, only for accidents."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import Request

from bot.api import problems
from bot.cli.connect import Refused
from bot.cli.options import Options
from bot.cli.people import refused
from bot.grammar import GrammarError
from bot.slack.app_context import AppContext
from bot.slack.payload_values import BadValue
from engine import errors
from engine.expressions import ExpressionError
from engine.text.problem import Problem


def made(kind: type[Exception]) -> Exception:
    first: dict[type[Exception], Any] = {
        errors.InvalidDefinition: [Problem("x.yaml", 1, 1, "no")], errors.InvalidParameters: {"service": "no"},
    }  # fmt: skip
    return kind(first.get(kind, "no"))


REFUSALS = [made(kind) for kind in (*problems.STATUS, errors.EngineError, ExpressionError)]
MISTAKES = [*REFUSALS, GrammarError("no", "run ID"), BadValue("no")]


def named(error: Exception) -> str:
    return type(error).__name__


def in_slack(error: Exception) -> str:
    """What somebody reads whose click or command raised this."""
    said: list[Any] = []

    def work(_: Any) -> None:
        raise error

    ctx = SimpleNamespace(once=lambda _: True, _must_be_inside=lambda _: None, invoked_as=lambda _: "/runbook")
    reply = SimpleNamespace(reply_to=SimpleNamespace(channel=""), privately=said.append)
    AppContext._do(ctx, None, reply, work)  # type: ignore[arg-type]
    return str(said[0].blocks)


@pytest.mark.parametrize("error", MISTAKES, ids=named)
def test_slack_names_no_id_for_what_did_not_break(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """Nor does the log have one, or a traceback."""
    assert "In the log" not in in_slack(error)
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize("error", REFUSALS, ids=named)
def test_the_api_and_the_command_line_name_none_either(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    """The problem has no `error_id`, and what is printed of it is the sentence."""
    scope = {"type": "http", "method": "GET", "path": "/x", "headers": [], "query_string": b"", "root_path": ""}
    answer = asyncio.run(problems._refusal(Request(scope), error))
    assert answer.status_code < 500 or answer.status_code == 503
    problem = json.loads(bytes(answer.body))
    assert "error_id" not in problem
    refused(Refused(answer.status_code, problem), Options())
    assert "log" not in capsys.readouterr().err


def test_an_accident_has_an_id_that_the_log_has(caplog: pytest.LogCaptureFixture) -> None:
    """With it whoever runs the bot finds the traceback."""
    told = in_slack(RuntimeError("what it was"))
    (record,) = [record for record in caplog.records if record.exc_info]
    found = record.getMessage().rpartition("id ")[2].rstrip(")")
    assert f"In the log it is `{found}`" in told
    assert "what it was" not in told
