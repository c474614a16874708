"""Real worker processes and a real Redis, and all that can be done to them."""

from __future__ import annotations

import os
import random
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psycopg
import redis
from workers_apart import Proxy, locked

from bot import embedded_redis
from bot.worker import WORKER_ID_VARIABLE
from engine.worker.actors import Hints, make_broker
from engine.worker.worker_process import declare_dead
from storage import database

CLOCK_OFF_S = 600
_SKEWED = (
    "import sys, time; real, off = time.time, float(sys.argv.pop(1)); time.time = lambda: real() + off; "
    "from bot.cli import main; sys.exit(main(sys.argv[1:]))"
)
LONG_FREEZE_S = 17.0
"""Longer than a worker's lease."""


class WorkerProcess:
    """One worker, started anew under another id whenever it has ended."""

    def __init__(self, folder: Path, environment: dict[str, str], clock_off_s: float) -> None:
        self._folder = folder
        self._environment = environment
        self._clock_off_s = clock_off_s
        self.frozen_until = 0.0
        self.exits: list[int] = []
        self.start()

    def start(self) -> None:
        self.id = f"w-{secrets.token_hex(6)}"
        with (self._folder / "workers.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", _SKEWED, str(self._clock_off_s), "worker"],
                cwd=self._folder, env={**self._environment, WORKER_ID_VARIABLE: self.id}, stdout=log, stderr=log,
                preexec_fn=embedded_redis.die_with_parent,
            )  # fmt: skip

    def look_after(self) -> None:
        """Thaw it when its time has come; start another where it has ended, and say that this one is dead."""
        if self.frozen_until and time.monotonic() >= self.frozen_until:
            self.process.send_signal(signal.SIGCONT)
            self.frozen_until = 0.0
        if (status := self.process.poll()) is not None:
            self.exits.append(status)
            self.frozen_until = 0.0
            with suppress(database.DatabaseTrouble):  # then its lease runs out instead
                declare_dead(self.id)
            self.start()

    def freeze(self, seconds: float) -> None:
        self.process.send_signal(signal.SIGSTOP)
        self.frozen_until = time.monotonic() + seconds

    def end(self) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()


class Estate:
    """Two workers and a Redis (where this machine has one), looked after by a thread; use as a context manager."""

    def __init__(self, folder: Path, environment: dict[str, str], postgresql: str | None) -> None:
        program = embedded_redis.find()
        self._redis = embedded_redis.Embedded(program, folder) if program else None
        self._redis_process = self._redis.start() if self._redis else None
        self._redis_away_until = 0.0
        self._postgresql = postgresql
        self._proxy = Proxy(postgresql) if postgresql else None
        self._sqlite = Path(environment["DATABASE_URL"].removeprefix("sqlite:///"))
        self._outage: threading.Thread | None = None
        if self._proxy is not None:
            environment = {**environment, "DATABASE_URL": self._proxy.url}
        if self._redis:
            environment = {**environment, "REDIS_URL": self._redis.url}
        # It is the database's clock that counts, on SQLite the host's: one worker's own may be far off.
        self.workers = [WorkerProcess(folder, environment, off) for off in (0.0, float(CLOCK_OFF_S))]
        self.hints = Hints(make_broker(self._redis.url) if self._redis else None)
        self.done: Counter[str] = Counter()
        self._stop = threading.Event()
        self._keeper = threading.Thread(target=self._keep, daemon=True)

    def __enter__(self) -> Estate:
        self._keeper.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._outage is not None:
            self._outage.join()
        self._keeper.join()
        for worker in self.workers:
            worker.end()
        if self._redis_process is not None:
            self._redis_process.kill()
            self._redis_process.wait()
        if self._proxy is not None:
            self._proxy.close()

    def do(self, random_: random.Random, open_runs: list[str]) -> None:
        """One thing at random."""
        acts = [self._kill] * 3 + [self._freeze] * 2
        if self._redis:
            acts += [self._flush, self._kill_redis, self._freeze_redis]
        act = random_.choice([*acts, lambda each: self._repeat_hints(each, open_runs)])
        act(random_)

    def freeze_for_long(self) -> None:
        """Until a worker's lease has run out while it thinks that it goes on."""
        self.workers[0].freeze(LONG_FREEZE_S)
        self.done["freeze beyond the lease"] += 1

    def take_the_database_away(self, random_: random.Random) -> float:
        """From the workers, for 10 to 25 s: nobody can renew a lease meanwhile. How many seconds that will be."""
        seconds = random_.uniform(10.0, 25.0)
        way = random_.choice(["refused", "hanging", "lost"]) if self._proxy else "locked"
        self._outage = threading.Thread(target=self._be_away, args=(way, seconds), daemon=True)
        self._outage.start()
        self.done[f"take the database away for {seconds:.0f} s ({way})"] += 1
        return seconds

    def _be_away(self, way: str, seconds: float) -> None:
        if self._proxy is None:
            with locked(self._sqlite):
                self._stop.wait(seconds)
            return
        if way == "refused":
            self._proxy.cut()
        else:
            self._proxy.hang()
        self._stop.wait(seconds)
        self._proxy.restore(flowing=way != "lost")

    def stall_redis(self) -> None:
        """It takes connections and commands, and answers none until `wake_redis`."""
        assert self._redis_process is not None
        self._redis_process.send_signal(signal.SIGSTOP)

    def wake_redis(self) -> None:
        assert self._redis_process is not None
        self._redis_process.send_signal(signal.SIGCONT)

    @property
    def exits(self) -> list[int]:
        """The status of every worker process that has ended."""
        return [status for worker in self.workers for status in worker.exits]

    def terminate_backends(self) -> None:
        """End every connection to the database, the tests' own among them."""
        assert self._postgresql is not None
        with psycopg.connect(self._postgresql, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        self.done["terminate backends"] += 1

    def _kill(self, random_: random.Random) -> None:
        worker = random_.choice(self.workers)
        if not worker.frozen_until:
            worker.process.kill()
            self.done["kill -9 a worker"] += 1

    def _freeze(self, random_: random.Random) -> None:
        worker = random_.choice(self.workers)
        if not worker.frozen_until and worker.process.poll() is None:
            worker.freeze(random_.uniform(0.2, 2.0))
            self.done["freeze a worker"] += 1

    def _flush(self, _: random.Random) -> None:
        assert self._redis is not None
        with suppress(redis.RedisError):
            redis.Redis.from_url(self._redis.url, socket_timeout=0.5, socket_connect_timeout=0.5).flushall()
            self.done["flush Redis"] += 1

    def _kill_redis(self, random_: random.Random) -> None:
        assert self._redis_process is not None
        self._redis_process.kill()
        self._redis_away_until = time.monotonic() + random_.uniform(0.0, 3.0)
        self.done["kill Redis"] += 1

    def _freeze_redis(self, random_: random.Random) -> None:
        assert self._redis_process is not None
        process = self._redis_process
        process.send_signal(signal.SIGSTOP)
        threading.Timer(random_.uniform(0.2, 2.0), process.send_signal, [signal.SIGCONT]).start()
        self.done["freeze Redis"] += 1

    def _repeat_hints(self, random_: random.Random, open_runs: list[str]) -> None:
        repeated = open_runs * 5
        random_.shuffle(repeated)
        if self.hints.send(repeated):
            self.done["double and reorder hints"] += 1

    def _keep(self) -> None:
        while not self._stop.wait(0.1):
            for worker in self.workers:
                worker.look_after()
            away = self._redis_process is not None and self._redis_process.poll() is not None
            if self._redis and away and time.monotonic() >= self._redis_away_until:
                self._redis_process = self._redis.start()


def worker_environment(database_url: str, folder: Path, port: int) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"], "HOME": str(folder), "DATABASE_URL": database_url,
        "RUNBOOKS_DIR": str(folder), "EGRESS_ALLOW": f"127.0.0.1:{port}",
    }  # fmt: skip
