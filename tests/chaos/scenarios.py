"""Runbooks that between them use every kind of commit, and the people who act on their runs.

The people look at where a run stands and do what comes next, so whoever takes over from them after a crash does too.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

from harness import ALICE, CAROL, DAVE, gate, http, runbook

from engine.orchestration.admission import Wanted
from engine.runs import controls, executions, incoming_events, replay_run, skipping, voting
from engine.runs.executions import ExecutionView
from engine.runtime import Runtime
from storage import database, events
from storage.columns import tuples
from storage.records import ExecutionRecord, StepRunRecord
from storage.states import Decision
from storage.tables import Execution

T = TypeVar("T")

MIXED, FAILING, CONTROLLED, RETRIED = FOUR = ("mixed", "failing", "controlled", "retried")
PARENT = "parent"
"""Its run is cancelled while it waits for its child, and replayed once."""

MAIN = (*FOUR, PARENT)
LATE = ("late-gate", "late-wait", "late-run", "late-cleanup", "late-loop", "late-child")
ENDS = {MIXED: "SUCCESS", FAILING: "FAILED", CONTROLLED: "CANCELLED", RETRIED: "SUCCESS", "child": "SUCCESS"} | (
    {"late-gate": "FAILED", "late-wait": "FAILED", "late-run": "FAILED", "late-cleanup": "SUCCESS"}
    | {"late-loop": "FAILED", "late-child": "FAILED", PARENT: "CANCELLED", "patient": "CANCELLED"}
)


def texts(url: str) -> list[str]:
    """The runbooks. `/broken` at `url` answers 400, `/flaky` does so once for each key, all else 200."""

    def call(name: str, **keys: Any) -> dict[str, Any]:
        return http(name, f"{url}/{keys.pop('to', name)}", method=keys.pop("method", "POST"), **keys)

    wait = {"type": "wait", "with": {"key": "deploy-{{ execution.id }}"}}
    once = {"max_attempts": 1}
    undo = {"type": "http", "with": {"method": "POST", "url": f"{url}/unmade"}}
    slow = {"items": [1], "steps": [gate("ask")]}
    each = {"items": [1, 2], "max_parallel": 2, "steps": [call("put", method="PUT"), call("each")]}
    mixed = [
        call("get", method="GET"), call("post"), {"id": "all", "type": "loop", "with": each},
        {"id": "way", "type": "branch", "with": {"if": "true", "then": [call("taken")]}},
        gate("ask", min_approvals=2), {"id": "hear", **wait}, {"id": "calm", "type": "delay", "with": {"for": "20ms"}},
        {"id": "say", "type": "message", "with": {"text": "Done"}},
        {"id": "sub", "type": "runbook", "with": {"id": "child"}},
    ]  # fmt: skip
    made = {**call("made"), "undo": undo}
    broken = call("bad", to="broken", method="GET", retry=once)
    held = {"items": [1], "steps": [call("flaky", method="GET", retry=once)]}
    return [
        runbook("child", call("inner")),
        runbook(MIXED, *mixed, **{"finally": [call("tidy")]}),
        runbook(FAILING, made, broken, on_failure=[call("warn")], **{"finally": [call("tidy")]}),
        runbook(CONTROLLED, gate("ask"), call("never"), **{"finally": [call("tidy")]}),
        runbook(RETRIED, {"id": "held", "type": "loop", "with": held}, broken, call("last")),
        runbook("late-gate", gate("ask", timeout="1s")),
        runbook("late-wait", {"id": "hear", **wait, "timeout": "1s"}),
        runbook("late-run", {"id": "calm", "type": "delay", "with": {"for": "1h"}}, timeout="1s"),
        runbook("patient", gate("ask"), **{"finally": [call("tidy")]}),
        runbook(PARENT, {"id": "sub", "type": "runbook", "with": {"id": "patient"}}),
        runbook("late-loop", {"id": "each", "type": "loop", "with": slow, "timeout": "1s"}),
        runbook("late-child", {"id": "sub", "type": "runbook", "with": {"id": "patient"}, "timeout": "1s"}),
        runbook("late-cleanup", call("get", method="GET"), **{"finally": [gate("ask")]}),
    ]


def ask(rt: Runtime, slug: str, case: str) -> ExecutionRecord:
    """Ask for a run of this case; asked again, it is the same run."""
    wanted = Wanted(slug, {}, "test", reason="to see it end", incident={"case": case})
    return executions.request(rt, CAROL, wanted, key=f"{case}-{slug}").execution


def patiently(act: Callable[[], T]) -> T:
    """Do it, again and again for 20 s while the database cannot be reached."""
    until = time.monotonic() + 20
    while True:
        try:
            return act()
        except database.DatabaseTrouble:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def is_over(rt: Runtime, run: ExecutionRecord) -> bool:
    """Whether this run, and whatever it started or follows from it, has come to its end."""
    if not run.status.ended or (run.slug == RETRIED and run.status == "FAILED"):
        return False
    replays = _replays(rt, run)
    wanted = run.slug == PARENT and run.replay_of is None
    return bool(replays) == wanted and all(is_over(rt, each) for each in [*replays, *children(rt, run)])


def _replays(rt: Runtime, run: ExecutionRecord) -> list[ExecutionRecord]:
    with database.reading():
        found = tuples(Execution.select(Execution.id).where(Execution.replay_of == run.id))
    return [executions.find(rt, execution_id) for (execution_id,) in found]


def children(rt: Runtime, run: ExecutionRecord) -> list[ExecutionRecord]:
    """The runs that its steps have started."""
    return [executions.find(rt, step.child) for step in executions.view(rt, run.id).steps if step.child]


def act(rt: Runtime, run_id: str) -> None:
    """What people do about this run now, if anything, and about those that it has started."""
    seen = executions.view(rt, run_id)
    run = seen.execution
    for child in children(rt, run):
        act(rt, child.id)
    for step in seen.steps:
        if step.status == "UNKNOWN":
            controls.resolve(rt, CAROL, run.id, step.path, "done", "I looked.")
        elif run.slug == MIXED and step.status == "WAITING":
            _attend(rt, seen, step)
    if run.slug == CONTROLLED and not run.status.ended and run.phase == "main" and run.pending_result is None:
        _control(rt, run)
    elif run.slug == PARENT and any(step.child for step in seen.steps) and not run.status.ended:
        controls.cancel(rt, CAROL, run.id, "Enough.")
    elif run.slug == PARENT and run.status.ended and run.replay_of is None:
        for each in _replays(rt, run) or [replay_run.replay(rt, CAROL, run.id)]:
            act(rt, each.id)
    elif run.slug == RETRIED and run.status == "FAILED":
        failed = [each.path for each in seen.steps if each.status == "FAILED" and each.kind == "http"]
        if failed == ["bad"]:
            skipping.skip(rt, CAROL, run.id, "bad", "It is broken.")
        else:
            controls.retry(rt, CAROL, run.id, failed[0])


def _attend(rt: Runtime, seen: ExecutionView, step: StepRunRecord) -> None:
    run = seen.execution.id
    if step.kind == "wait":
        incoming_events.deliver(rt, f"deploy-{run}", run, "ci", {"tag": "v2"})
    elif step.kind == "approval":
        voted = {vote.person for view in seen.gates for vote in view.votes}
        if _story(run)["vote_withdrawn"] == 0 and ALICE.user_id in voted:
            voting.withdraw(rt, ALICE, run, step.path)
        else:
            again = DAVE if _story(run)["vote_withdrawn"] and DAVE.user_id not in voted else ALICE
            voting.vote(rt, again, run, step.path, Decision.APPROVE)


def _control(rt: Runtime, run: ExecutionRecord) -> None:
    if run.status == "PAUSED":
        controls.resume(rt, CAROL, run.id)
    elif run.status == "WAITING" and not _story(run.id)["resumed"]:
        controls.pause(rt, CAROL, run.id, "Let me think.")
    elif run.status == "WAITING":
        controls.cancel(rt, CAROL, run.id, "Enough.")


def _story(run: str) -> Counter[str]:
    with database.reading():
        return Counter(each.kind for each in events.after(run, 0, 10_000))
