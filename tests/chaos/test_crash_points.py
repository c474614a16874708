"""A process that dies at any commit or effect, before it or after it; the next one brings everything to its end.

The promises are checked on what the database says and on what the server has really received (G1, G2, G3, G5, G6, G9
and G10 of docs/durability.md).
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import promises
import pytest
import scenarios
from counting import CountingServer
from harness import Clock, Harness

from engine import failpoints
from engine.runtime import Runtime

DRIVER = Path(__file__).with_name("driver.py")
COMMITS = (
    "accept", "claim", "record", "vote", "withdraw", "pause", "resume", "cancel", "skip", "retry", "deliver", "give",
    "cancel_child", "replay",
)  # fmt: skip
AFTER_A_CRASH = {"take_over": "effect.before:1", "resolve": "effect.after:2"}
"""What only happens after a crash elsewhere, and where."""

TIMERS = ("expire", "expire_wait", "time_out", "end_cleanup", "end_for_limit")
NAMES = (*COMMITS, "effect")
SHARES = 4
"""So that several of pytest's workers can die at once."""


class Stage:
    """A database with the runbooks in it, the server they call, and the process that runs them."""

    def __init__(self, rt: Runtime, server: CountingServer) -> None:
        self.rt = rt
        self.server = server
        Harness(rt, Clock()).publish(*scenarios.texts(server.url))
        self.process = subprocess.Popen([sys.executable, str(DRIVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def run(self, case: str, slugs: Sequence[str], *points: str, same_worker: bool = False) -> list[str]:
        """Run a case, dying at each of `points` in turn; where it died. A point that was never hit ends the case.

        `same_worker` has the next process go on as the worker that the dead one was.
        """
        died: list[str] = []
        for number, point in enumerate([*points, None]):
            workers = [f"{case}-w{0 if same_worker else each}" for each in range(number + 1)]
            answer = self._process_of(case, slugs, workers, point)
            if answer["code"] == 0:
                break
            assert answer["code"] == failpoints.EXIT_CODE, answer["said"]
            died.append(answer["said"].rpartition("died at ")[2].strip())
        else:
            raise AssertionError("the last process was told of no point to die at, and died")
        for slug in slugs:
            promises.check(self.rt, self.server, scenarios.ask(self.rt, slug, case).id)
        return died

    def _process_of(self, case: str, slugs: Sequence[str], workers: list[str], point: str | None) -> dict[str, Any]:
        spec = {
            "url": self.rt.settings.database_url.url or f"sqlite:///{self.rt.settings.database_url.path}",
            "folder": str(self.rt.settings.runbooks_dir), "port": self.server.server.port, "case": case,
            "slugs": list(slugs), "worker": workers[-1], "known": workers[:-1],
            "dead": [each for each in workers[:-1] if each != workers[-1]], "failpoint": point,
        }  # fmt: skip
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(spec).encode() + b"\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


@pytest.fixture
def stage(rt: Runtime) -> Iterator[Stage]:
    server = CountingServer()
    made = Stage(rt, server)
    yield made
    made.close()
    server.close()


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_a_crash_at_every_kind_of_commit(stage: Stage) -> None:
    """Once before each of them and then once after it, on SQLite; each comes up, so none of the names is a mistake."""
    assert stage.run("calm", scenarios.MAIN) == []
    for name in NAMES:
        died = stage.run(name, scenarios.MAIN, f"{name}.before:1", f"{name}.after:1")
        assert died == [f"{name}.before", f"{name}.after"]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("share", range(SHARES))
def test_a_crash_at_every_single_point(stage: Stage, share: int) -> None:
    """At the first commit or effect, at the second, and so on until there is none left to die at; on both databases."""
    for number in range(share + 1, 1_000, SHARES):
        if not stage.run(f"k{number}", scenarios.MAIN, f"*:{number}"):
            break
    assert len(NAMES) * 2 < number < 1_000


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_crash_while_cleaning_up_after_a_crash(stage: Stage) -> None:
    """Taking over, and a person's word on what nobody saw, are commits like any other."""
    for name, first in AFTER_A_CRASH.items():
        for side in ("before", "after"):
            died = stage.run(f"{name}.{side}", [scenarios.MIXED], first, f"{name}.{side}:1")
            assert died == [first.partition(":")[0], f"{name}.{side}"]


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_a_crash_while_taking_back(stage: Stage) -> None:
    """What no thread of a worker runs although the database says so is settled once, whoever dies over it."""
    for side in ("before", "after"):
        points = ("effect.before:1", f"take_back.{side}:1")
        died = stage.run(f"take_back.{side}", [scenarios.MIXED], *points, same_worker=True)
        assert died == ["effect.before", f"take_back.{side}"]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_crash_when_a_time_is_up(stage: Stage) -> None:
    """Gates, waits, runs and cleanups that are over their time end once, whoever ends them."""
    for name in TIMERS:
        for side in ("before", "after"):
            assert stage.run(f"{name}.{side}", scenarios.LATE, f"{name}.{side}:1") == [f"{name}.{side}"]
