"""A worker that dies at any of its commits, before it or after it: nothing is lost, nothing unsafe is done twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from harness import ALICE, CAROL, Harness, Target, gate, http, runbook

from engine.runs import controls, voting
from engine.worker import worker_process
from storage import database
from storage.states import Decision


class Crash(BaseException):
    """The process is gone: nothing may catch this."""


@contextmanager
def crash_at(monkeypatch: pytest.MonkeyPatch, number: int, *, after: bool) -> Iterator[None]:
    """Die at the `number`th transaction from here, before its commit or after it."""
    original, left = database.transaction, [number]

    @contextmanager
    def dying() -> Iterator[None]:
        left[0] -= 1
        with original():
            yield
            if left[0] == 0 and not after:
                raise Crash
        if left[0] == 0:
            raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(database, "transaction", dying)
        yield


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_crash_at_any_commit(harness: Harness, target: Target, monkeypatch: pytest.MonkeyPatch, after: bool) -> None:
    """The next worker brings every such run to its end; a POST arrives once, or a person is asked about it."""
    steps = (
        http("get", target.url("/get")), http("post", target.url("/post"), method="POST"),
        gate("ask", needs=[]), http("join", target.url("/join"), needs=["post", "ask"], method="POST"),
    )  # fmt: skip
    harness.publish(runbook("demo", *steps))
    crashes = 0
    for number in range(1, 30):
        target.hits.clear()
        run, name = harness.start("demo"), f"mortal-{number}"
        worker = harness.worker(name)
        try:
            with crash_at(monkeypatch, number, after=after):
                worker.advance(run)
        except Crash:
            crashes += 1
            harness.alive.discard(name)
            worker_process.declare_dead(name)
        else:
            assert crashes >= 3
            break
        harness.know_groups()
        bring_to_an_end(harness, run)
        assert harness.status(run) == "SUCCESS", (number, harness.all_steps(run))
        harness.check_books(run)
        posts = [key for method, _, key in target.hits if method == "POST"]
        assert len(posts) == len(set(posts)), number
    else:
        pytest.fail("it never came through without a crash")


def bring_to_an_end(harness: Harness, run: str) -> None:
    """What the other workers and a person do about it: a call that nobody saw the end of is taken as done."""
    for _ in range(6):
        harness.clock.tick(1_000)
        harness.sweep()
        for step, status in harness.all_steps(run).items():
            if status == "UNKNOWN":
                controls.resolve(harness.rt, CAROL, run, step, "done", "I looked.")
            elif status == "WAITING":
                voting.vote(harness.rt, ALICE, run, step, Decision.APPROVE)
        if harness.status(run).ended:
            return
