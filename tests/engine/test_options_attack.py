"""Values that nobody offers, brought past the system that offers the others by making it fail or by taking its time."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
from harness import CAROL, Harness, Target, http, runbook
from local_server import answer

from engine.errors import InvalidParameters
from engine.orchestration import option_checks
from engine.orchestration.admission import Wanted
from engine.runs.executions import request
from storage.records import ExecutionRecord

KNOWN = ["api", "web", "shop"]
BAD = answer(b"no", "500 Internal Server Error")


def says(value: Any) -> Any:
    return answer(json.dumps(value).encode(), "200 OK", "Content-Type: application/json")


def publish(harness: Harness, target: Target, *, down: bool = False) -> None:
    """A runbook with a list of services that a system searches by itself, which a quote makes fail."""

    def search(conn: socket.socket, asked: bytes) -> None:
        wanted = asked.split(b" ")[1].partition(b"q=")[2].decode()
        fails = down or "%27" in wanted or len(wanted) > 50
        (BAD if fails else says([each for each in KNOWN if wanted in each]))(conn, asked)

    target.does["/services"] = [search]
    options = {"url": target.url("/services"), "search": "q"}
    rules = {"type": "array", "items": {"type": "string"}, "x-options": options}
    parameters = {"type": "object", "properties": {"services": rules}}
    harness.publish(runbook("demo", http("call", target.url("/call")), parameters=parameters))


def begun(harness: Harness, *values: str) -> ExecutionRecord:
    return request(harness.rt, CAROL, Wanted("demo", {"services": list(values)}, trigger="test")).execution


@pytest.mark.parametrize("value", ["' or 1=1", "x" * 60])
def test_a_value_that_makes_the_system_fail_is_not_unchecked_but_refused(
    harness: Harness, target: Target, value: str
) -> None:
    """Alone, behind others that are right, and before them."""
    publish(harness, target)
    for values in ([value], ["api", value], [value, "web"]):
        with pytest.raises(InvalidParameters, match="its system answers, and not when it is asked for"):
            begun(harness, *values)
    assert begun(harness, "api", "web").parameters == {"services": ["api", "web"]}


def test_a_system_that_is_down_is_asked_once_for_all_values(harness: Harness, target: Target) -> None:
    """They are taken unchecked, as ever; many of them neither wear it down nor hold the start up."""
    publish(harness, target, down=True)
    run = begun(harness, *(f"s{number}" for number in range(200)))
    assert harness.events(run.id)[0].data["unchecked"] == ["services"]
    assert len(target.paths()) <= 4


def test_values_beyond_the_time_are_refused_and_not_unchecked(
    harness: Harness, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long list does not use up the time in which the rest of it would be looked for."""
    publish(harness, target)
    monkeypatch.setattr(option_checks, "PATIENCE_S", 0.0)
    with pytest.raises(InvalidParameters, match="could not all be looked for within 0 s: give fewer"):
        begun(harness, "api", "web")
    assert target.paths() == []
