"""Everything that can go wrong, at random and at once, under load: nothing is lost, stuck or done twice.

`make chaos SECONDS=60 SEED=7` runs it for longer, and the same things again (as far as processes allow).
"""

from __future__ import annotations

import os
import random
import secrets
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import promises
import pytest
import scenarios
from counting import CountingServer
from harness import Clock, Harness
from worker_estate import Estate, worker_environment

from engine.errors import EngineError
from engine.runs import executions
from engine.runtime import Runtime
from storage import database

SECONDS = int(os.environ.get("CHAOS_SECONDS") or 15)
SEED = int(os.environ.get("CHAOS_SEED") or secrets.randbelow(1_000_000))
DRAIN_S = 120
MOST_OPEN = 12
TERMINATE_EVERY_S = 2.0
OUTAGE_EVERY_S = 60.0


class Load:
    """People who start runs and act on them, as patiently as people do while the database is away."""

    def __init__(self, rt: Runtime) -> None:
        self.rt = rt
        self.open: set[str] = set()
        self.all: list[str] = []

    def start_one(self, random_: random.Random) -> None:
        if len(self.open) < MOST_OPEN:
            slug, case = random_.choice(scenarios.MAIN), f"c{len(self.all)}"
            run = scenarios.patiently(lambda: scenarios.ask(self.rt, slug, case)).id
            self.open.add(run)
            self.all.append(run)

    def attend(self) -> None:
        """Act on every open run once."""
        for run in sorted(self.open):
            with suppress(EngineError, database.DatabaseTrouble):  # somebody was first, or the database is away
                if scenarios.is_over(self.rt, executions.find(self.rt, run)):
                    self.open.discard(run)
                else:
                    scenarios.act(self.rt, run)


@pytest.mark.slow
@pytest.mark.timeout(2 * SECONDS + 300)
def test_chaos(rt: Runtime, database_kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every run ends as its runbook says, with the tests' people saying yes to whatever waits for a person."""
    random_ = random.Random(SEED)
    server, where = CountingServer(), rt.settings.database_url
    Harness(rt, Clock()).publish(*scenarios.texts(server.url))
    url = where.url or f"sqlite:///{where.path}"
    load = Load(rt)
    with Estate(tmp_path, worker_environment(url, tmp_path, server.server.port), where.url) as estate:
        try:
            trouble(load, estate, random_, terminate=database_kind == "postgresql")
            drain(load, tmp_path)
        finally:
            told = ", ".join(f"{each} × {count}" for each, count in sorted(estate.done.items()))
            with capsys.disabled():
                print(f"\n{database_kind}: SEED={SEED}, {SECONDS} s, {len(load.all)} runs; {told}")
    for run in load.all:
        promises.check(rt, server, run)
    ends = Counter(executions.find(rt, run).status for run in load.all)
    assert len(load.all) >= SECONDS / 3, f"too few runs to prove anything: {ends}"
    assert estate.done["kill -9 a worker"], "nothing was killed"
    server.close()


def trouble(load: Load, estate: Estate, random_: random.Random, *, terminate: bool) -> None:
    """Load and faults together, until the time is up."""
    until, next_fault, next_end = time.monotonic() + SECONDS, 0.0, time.monotonic() + TERMINATE_EVERY_S
    outage_at = time.monotonic() + SECONDS / 3
    if SECONDS >= 45:
        estate.freeze_for_long()
    while (now := time.monotonic()) < until:
        load.start_one(random_)
        load.attend()
        if now >= next_fault:
            estate.do(random_, sorted(load.open))
            next_fault = now + random_.uniform(0.5, 2.5)
        if now >= outage_at:
            until += estate.take_the_database_away(random_)  # on SQLite people can do nothing meanwhile, either
            outage_at = now + OUTAGE_EVERY_S
        if terminate and now >= next_end:
            estate.terminate_backends()
            next_end = now + TERMINATE_EVERY_S
        time.sleep(0.02)  # the pace of people; nothing is waited for here


def drain(load: Load, folder: Path) -> None:
    """The trouble is over: everything that is open comes to its end."""
    until = time.monotonic() + DRAIN_S
    while load.open:
        if time.monotonic() > until:
            shown = {run: executions.view(load.rt, run) for run in load.open}
            stuck = {run: (seen.execution, {s.path: s.status for s in seen.steps}) for run, seen in shown.items()}
            raise AssertionError(f"SEED={SEED}: stuck: {stuck}\n{(folder / 'workers.log').read_text()[-6000:]}")
        load.attend()
        time.sleep(0.05)
