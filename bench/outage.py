"""The database is away while runs have calls under way: what that costs, in calls, workers and seconds."""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from bench import workloads
from bench.rig import Rig, wait_for
from engine.runs import executions
from storage import database, events

RUNS, WORKERS = 20, 2
SEED = 7


class _Target(ThreadingHTTPServer):
    """Counts calls by method and Idempotency-Key. `away_s` is how long an answer may take."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.arrived: Counter[tuple[str, str]] = Counter()
        self.under_way = 0
        self.away_s = 0.0
        self.random = random.Random(SEED)
        self.lock = threading.Lock()


class _Answer(BaseHTTPRequestHandler):
    server: _Target

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.server.lock:
            self.server.arrived[self.command, self.headers["Idempotency-Key"]] += 1
            self.server.under_way += 1
            pause = self.server.random.uniform(0.0, self.server.away_s + 5.0) if self.server.away_s else 0.2
        time.sleep(pause)
        with self.server.lock:
            self.server.under_way -= 1
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_PUT(self) -> None:
        self.do_POST()

    def log_message(self, *_: Any) -> None:
        pass


def measured(rig: Rig, seconds: float) -> str:
    """A line for each way in which this database can be away."""
    with _target(rig) as target:
        _publish(rig, target.server_port)
        return "".join(f"\n    {way}: {_measured(rig, target, away, seconds)}" for way, away in _ways(rig).items())


def _measured(rig: Rig, target: _Target, away: Callable[[], Any], seconds: float) -> str:
    """Half of the calls under way are not repeatable; some end while the database is away and some after its return."""
    rig.start_workers(0)
    rig.start_workers(WORKERS)
    target.arrived.clear()
    target.away_s = seconds
    runs = [workloads.start(rig, "outage") for _ in range(RUNS)]
    wait_for(lambda: target.arrived.total() >= 2 * RUNS, "calls under way", every=0.05)
    with away():
        under_way = target.under_way
        time.sleep(seconds)
        target.away_s = 0.0
    back = time.monotonic()
    wait_for(lambda: _all_at_rest(rig, runs), "the last run's end", every=0.1)
    took = time.monotonic() - back
    twice = sum(count - 1 for (method, _key), count in target.arrived.items() if method == "POST")
    again = sum(count - 1 for (method, _key), count in target.arrived.items() if method == "PUT")
    gone = sum(process.poll() is not None for process in rig.workers)
    ended = sum(executions.find(rig.rt, run).status == "SUCCESS" for run in runs)
    return (
        f"away for {seconds:.0f} s, {RUNS} runs with {under_way} calls under way: {ended} SUCCESS, "
        f"{_unknown(runs)} UNKNOWN, {twice} second calls ({again} of repeatable ones), "
        f"{gone} workers exited, the last run ended {took:.1f} s after the return"
    )


def _all_at_rest(rig: Rig, runs: list[str]) -> bool:
    """Whether each has ended or waits for a person, as one with an UNKNOWN step does."""
    with suppress(database.DatabaseTrouble):
        return all((run := executions.find(rig.rt, each)).status.ended or run.status == "WAITING" for each in runs)
    return False


def _unknown(runs: list[str]) -> int:
    with database.reading():
        return sum(each.kind == "step_unknown" for run in runs for each in events.after(run, 0, 10_000))


def _ways(rig: Rig) -> dict[str, Callable[[], Any]]:
    if rig.server is None:
        return {"locked": lambda: _locked(str(rig.folder / "bench.db"))}
    return {"stopped": lambda: _stopped(rig.server), "frozen": lambda: _frozen(rig.server)}


@contextmanager
def _locked(path: str) -> Iterator[None]:
    connection = sqlite3.connect(path, isolation_level=None, timeout=10)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.rollback()
        connection.close()


@contextmanager
def _stopped(server: Any) -> Iterator[None]:
    server.stop()
    try:
        yield
    finally:
        server.start()


@contextmanager
def _frozen(server: Any) -> Iterator[None]:
    first = server.get_postmaster_info().process
    frozen = [first, *first.children(recursive=True)]
    for process in frozen:
        process.suspend()
    try:
        yield
    finally:
        for process in frozen:
            process.resume()


@contextmanager
def _target(rig: Rig) -> Iterator[_Target]:
    """A server that workers which start meanwhile may call."""
    before = rig.environ["EGRESS_ALLOW"]
    with _Target() as target:
        threading.Thread(target=target.serve_forever, daemon=True).start()
        rig.environ["EGRESS_ALLOW"] = f"{before},127.0.0.1:{target.server_port}"
        try:
            yield target
        finally:
            rig.environ["EGRESS_ALLOW"] = before
            rig.start_workers(0)
            rig.start_workers(1)
            target.shutdown()


def _publish(rig: Rig, port: int) -> None:
    def call(name: str, method: str, needs: list[str]) -> dict[str, Any]:
        with_ = {"method": method, "url": f"http://127.0.0.1:{port}/{name}"}
        return {"id": name, "type": "http", "with": with_, "needs": needs, "timeout": "5m"}

    steps = [call("post", "POST", []), call("put", "PUT", []), call("last", "POST", ["post", "put"])]
    workloads.approve(rig, [workloads.book("outage", steps)])
