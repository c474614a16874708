"""Worker processes that nobody watches, and a way to the database that can be cut."""

from __future__ import annotations

import base64
import os
import resource
import secrets
import selectors
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from harness import Target

from bot import embedded_redis
from bot.worker import WORKER_ID_VARIABLE
from engine.config.setting_values import NamedKey
from engine.runtime import Runtime
from storage import database
from storage.columns import tuples
from storage.tables import Worker

Processes = list[subprocess.Popen[bytes]]


@contextmanager
def worker(
    rt: Runtime, folder: Path, target: Target, url: str | None = None, secret_keys: Iterable[NamedKey] = ()
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A worker process, its database at `url` or where the tests have it, with these keys for stored secrets."""
    worker_id = f"w-{secrets.token_hex(4)}"
    where = rt.settings.database_url
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "DATABASE_URL": url or where.url or f"sqlite:///{where.path}",
        "RUNBOOKS_DIR": str(folder), "EGRESS_ALLOW": f"127.0.0.1:{target.server.port}", WORKER_ID_VARIABLE: worker_id,
        "SECRET_KEYS": ",".join(f"{each.id}:{base64.urlsafe_b64encode(each.key).decode()}" for each in secret_keys),
    }  # fmt: skip
    with (folder / f"{worker_id}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "bot.cli", "worker"], cwd=folder, env=environment, stdout=log, stderr=log,
            preexec_fn=embedded_redis.die_with_parent,
        )  # fmt: skip
    try:
        yield worker_id, process
    finally:
        process.kill()
        process.wait()


def until(true: Callable[[], object], seconds: float = 20.0) -> float:
    """Wait for it; how long it took."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, "it never came true"
        time.sleep(0.01)
    return time.monotonic() - began


def living() -> set[str]:
    """Ids of the workers whose lease runs."""
    with database.reading():
        query = Worker.select(Worker.id).where(Worker.ended_at.is_null() & (Worker.lease_until > database.now()))
        return {worker_id for (worker_id,) in tuples(query)}


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Somebody else holds the SQLite file's write lock."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=10)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.rollback()
        connection.close()


def most_written(processes: Processes, size: int = resource.RLIM_INFINITY) -> None:
    """No file may grow beyond `size` by these processes: to them the disk is full, also for their logs."""
    for process in processes:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


class Proxy:
    """A TCP way to a PostgreSQL server; `cut` or `hang` takes the server away, `restore` brings it back."""

    def __init__(self, url: str) -> None:
        found = urlsplit(url)
        folder = unquote(parse_qs(found.query).get("host", [""])[0])
        port = found.port or 5432
        self._server: str | tuple[str, int] = (
            f"{folder}/.s.PGSQL.{port}" if folder.startswith("/") else (found.hostname or "127.0.0.1", port)
        )
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=100)
        self._lines: list[socket.socket] = []
        self._away = False
        self._flowing = threading.Event()
        self._flowing.set()
        self.url = f"postgresql://{found.username}@127.0.0.1:{self._listening.getsockname()[1]}{found.path}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Every connection ends, and each new one at once."""
        self._away = True
        self._end_lines()

    def hang(self) -> None:
        """Connections stand, new ones are taken, and nothing comes or goes."""
        self._flowing.clear()

    def restore(self, *, flowing: bool = True) -> None:
        """The server is back; what hung goes on, or with `flowing` false is lost."""
        if not flowing:
            self._end_lines()
        self._away = False
        self._flowing.set()

    def close(self) -> None:
        self._listening.close()
        self.cut()
        self._flowing.set()

    def _end_lines(self) -> None:
        for line in self._lines:
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
        self._lines.clear()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            if self._away:
                client.close()
            else:
                threading.Thread(target=self._run_calls, args=(client,), daemon=True).start()

    def _run_calls(self, client: socket.socket) -> None:
        kind = socket.AF_UNIX if isinstance(self._server, str) else socket.AF_INET
        with client, socket.socket(kind) as server, suppress(OSError):
            server.connect(self._server)
            self._lines += [client, server]
            with selectors.DefaultSelector() as ready:
                ready.register(client, selectors.EVENT_READ, server)
                ready.register(server, selectors.EVENT_READ, client)
                while True:
                    for key, _ in ready.select():
                        self._flowing.wait()
                        data = key.fileobj.recv(65_536)  # type: ignore[union-attr]
                        if not data:
                            return
                        key.data.sendall(data)
