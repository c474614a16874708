"""Rehearsals that are asked for to burn what others need: turns that are kept, answers that fill a server's memory."""

from __future__ import annotations

import json
from typing import Any

import pytest
from harness import CAROL, Harness, http, runbook

from engine.catalog import rehearsing, walking
from engine.catalog.walking import Turns
from engine.definition.load import examine
from engine.errors import Conflict


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def test_whoever_keeps_others_from_their_turn_lets_them_go_first() -> None:
    """For as long as it took; who disturbs nobody goes on at once, and so does who comes next."""
    clock = Clock()
    turns = Turns(clock)
    for _ in range(2):
        with turns.turn("U0OSCAR01"):
            clock.time += 15
            with pytest.raises(Conflict, match="Another rehearsal is being played"), turns.turn("U0OSCAR01"):
                pass
    with turns.turn("U0OSCAR01"):
        clock.time += 15
        with pytest.raises(Conflict, match="Another rehearsal is being played"), turns.turn("U0CAROL01"):
            pass
    with pytest.raises(Conflict, match="Others wait for a rehearsal of theirs"):
        turns._begin("U0OSCAR01")
    for _ in range(3):
        with turns.turn("U0CAROL01"):
            clock.time += 1
    clock.time += 12
    with turns.turn("U0OSCAR01"):
        pass


def test_a_turn_ends_with_an_error_as_well() -> None:
    turns = Turns()
    with pytest.raises(ValueError, match="broken"), turns.turn("U0OSCAR01"):
        raise ValueError("broken")
    with turns.turn("U0CAROL01"):
        pass


def walked(harness: Harness, text: str, rehearsal: str) -> dict[str, Any]:
    found = examine(text.encode(), "demo.yaml").runbook
    assert found is not None
    return walking.walked(harness.rt, CAROL, found, rehearsal)


def test_what_a_rehearsal_tells_has_an_end(harness: Harness) -> None:
    """A few lines that come to many megabytes, in the server and in the browser, are told as too much."""
    step = http("call", "https://example.com/", outputs={"all": "{{ response.json.a }}"})
    loop = {"id": "each", "type": "loop", "with": {"items": [*range(40)], "steps": [step]}}
    stubs = {"call": {"json": {"a": "y" * 200_000}}}
    cases = [{"name": "One", "stubs": stubs, "expect": {"outcome": "SUCCESS"}}]
    told = walked(harness, runbook("demo", loop), json.dumps({"cases": cases}))
    assert "more than the 4 MiB that are shown" in told["problems"][0]["message"]
    assert told["cases"] == []
    assert len(json.dumps(told)) < 1_000


HOSTILE = {
    "a file": "{{ targets.x.url }}{{ steps.y.outputs }}",
    "environment": "{{ self.__init__.__globals__ }}",
    "python": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "huge": "{{ 'x' * 1000000000 }}",
    "include": "{% include '/etc/passwd' %}",
}


@pytest.mark.parametrize("said", HOSTILE.values(), ids=HOSTILE)
def test_no_expression_reaches_beyond_its_values(said: str) -> None:
    """It is a mistake of the text before anything is played."""
    text = runbook("demo", {"id": "say", "type": "message", "with": {"text": said}})
    found = examine(text.encode(), "demo.yaml")
    assert found.runbook is None
    assert found.problems


def test_a_rehearsal_has_no_secret_and_no_environment(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNBOOK_SECRET_CANARY", "from-the-environment-1")
    step = http("call", "https://example.com/", headers={"x-key": "{{ secrets.canary }}"})
    cases = [{"name": "One", "stubs": {"call": {"json": {}}}, "expect": {"outcome": "SUCCESS"}}]
    told = json.dumps(walked(harness, runbook("demo", step), json.dumps({"cases": cases})))
    assert '"failures": []' in told
    assert "from-the-environment-1" not in told
    assert "c4nary-b1rd-of-the-m1ne" not in told


def test_a_process_that_fails_is_not_called_slow(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsing, "COMMAND", ("/bin/sh", "-c", "cat >/dev/null; exit 3"))
    with pytest.raises(Conflict, match="its process has failed"):
        walked(harness, runbook("demo", http("call", "https://example.com/")), "cases: []")
