"""The runbooks that are run, and one measurement of each."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench.rig import THREADS, Rig, wait_for
from engine.access.policy import SYSTEM, Actor
from engine.catalog import sync, version_approval
from engine.runs import executions
from engine.runtime import Runtime
from storage import database
from storage.columns import proxy

STEPS = 5
ADMIN = Actor("U0BENCH01", standing="member")
_ACCESS = "platform_admins: [U0BENCH01, U0ALICE01]\nresponders: [U0BENCH01, U0CAROL01]\n"
_numbers = itertools.count()


def publish(rig: Rig, fan: int, sizes: Iterable[int] = ()) -> None:
    """Sync and approve every runbook that is measured."""
    folder = rig.folder / "runbooks"
    (folder / "_access.yaml").write_text(_ACCESS)
    chains = [("linear", STEPS), *((f"linear-{size}", size) for size in sizes)]
    books = [book(slug, [_message(n) for n in range(size)]) for slug, size in chains]
    books += [
        book("calls", [_call(n, rig.target) for n in range(STEPS)]),
        book("gate", [_gate()]),
        book("hear", [{"id": "hear", "type": "wait", "with": {"key": "k-{{ params.n }}"}, "timeout": "1h"}]),
        book("nap", [{"id": "nap", "type": "delay", "with": {"for": "1h"}}]),
        *(book(f"loop-{rounds}", [_loop(rounds)]) for rounds in (10, 100, 1000)),
        book("slow", [{"id": "slow", "type": "http", "with": {"url": f"http://127.0.0.1:{rig.target}/slow"}}]),
        book("fan", [*[_message(n, needs=[]) for n in range(fan)], _join(fan)], max_concurrent_steps=fan),
    ]
    approve(rig, books)


def approve(rig: Rig, books: list[dict[str, Any]]) -> None:
    """Put these runbooks into the catalogue; each is new."""
    for each in books:
        (rig.folder / "runbooks" / f"{each['id']}.yaml").write_text(json.dumps(each))
    report = sync.sync(rig.rt, SYSTEM)
    assert report.ok, report.problems
    for each in books:
        version_approval.approve(rig.rt, ADMIN, each["id"], 1)


def start(rig: Rig, slug: str) -> str:
    """Ask for one run; each has a parameter of its own, for the same run twice would be one."""
    return executions.start(rig.rt, ADMIN, slug, {"n": next(_numbers)}, trigger="bench").id


def start_in_channel(rt: Runtime, slug: str, person: str, channel: str) -> str:
    """Ask for one run that a channel in Slack shows."""
    actor, given, incident = Actor(person, standing="member"), {"n": next(_numbers)}, {"channel": channel}
    return executions.start(rt, actor, slug, given, trigger="bench", incident=incident).id


def many(rig: Rig, slug: str, count: int) -> float:
    """Seconds from asking for `count` runs, in 8 threads, to all of them having ended as SUCCESS."""
    began = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda _: start(rig, slug), range(count)))
    wait_for(lambda: open_runs() == 0, f"{count} runs of {slug} to end", every=0.005)
    spent = time.perf_counter() - began
    assert failures() == 0, "a run did not succeed"
    return spent


def one(rig: Rig, slug: str) -> float:
    """Seconds from asking for one run to its end."""
    began = time.perf_counter()
    run = start(rig, slug)
    wait_for(lambda: _scalar(f"SELECT status FROM execution WHERE id = '{run}'") == "SUCCESS", run, every=0.001)
    return time.perf_counter() - began


def open_runs() -> int:
    return int(_scalar("SELECT count(*) FROM execution WHERE ended_at IS NULL"))


def failures() -> int:
    return int(_scalar("SELECT count(*) FROM execution WHERE status NOT IN ('SUCCESS', 'CANCELLED')"))


def waiting_runs() -> int:
    return int(_scalar("SELECT count(*) FROM execution WHERE status = 'WAITING'"))


def resting_runs() -> int:
    """Runs whose steps wait for a person or an event, or for a due time."""
    resting = "SELECT execution_id FROM step_run WHERE status = 'WAITING' OR (status = 'READY' AND attempts > 0)"
    return int(_scalar(f"SELECT count(*) FROM execution WHERE id IN ({resting})"))


def attempts(run: str) -> int:
    """How many attempts the run's steps have had."""
    return int(_scalar(f"SELECT coalesce(sum(attempts), 0) FROM step_run WHERE execution_id = '{run}'"))


def live_worker(parent: int) -> int | None:
    """The process id of a worker that this process started, once it works."""
    with database.reading():
        rows = proxy.obj.execute_sql("SELECT pid FROM worker WHERE ended_at IS NULL AND lease_until > 0").fetchall()
    for (pid,) in rows:
        stat = Path(f"/proc/{pid}/stat")
        if stat.exists() and int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
            return int(pid)
    return None


def _scalar(sql: str) -> Any:
    with database.reading():
        return proxy.obj.execute_sql(sql).fetchone()[0]


def book(slug: str, steps: list[dict[str, Any]], **top: Any) -> dict[str, Any]:
    """A runbook of these steps."""
    parameters = {"type": "object", "properties": {"n": {"type": "integer"}}}
    about = {"apiVersion": "runbook/v1", "id": slug, "name": slug.title()}
    return {**about, "parameters": parameters, "steps": steps, **top}


def _message(number: int, **keys: Any) -> dict[str, Any]:
    return {"id": f"s{number}", "type": "message", "with": {"text": f"step {number}"}, **keys}


def _call(number: int, port: str) -> dict[str, Any]:
    with_ = {"method": "POST", "url": f"http://127.0.0.1:{port}/step", "json": {"a": 1}}
    return {"id": f"s{number}", "type": "http", "with": with_, "idempotent": True}


def _join(fan: int) -> dict[str, Any]:
    return {**_message(fan), "id": "join", "needs": [f"s{number}" for number in range(fan)]}


def _loop(rounds: int) -> dict[str, Any]:
    return {"id": "each", "type": "loop", "with": {"while": f"index < {rounds}", "steps": [_message(0)]}}


def _gate() -> dict[str, Any]:
    with_ = {"approvers": {"roles": ["platform_admin"]}, "message": "Go on?"}
    return {"id": "sign-off", "type": "approval", "with": with_, "timeout": "1h"}
