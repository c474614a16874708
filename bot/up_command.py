"""`runbook up`: the whole bot from one command. Migrates, starts Redis, web and worker, and starts again what dies."""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from bot import embedded_redis, web
from bot.stop_signals import stop_signals
from bot.worker import WORKER_ID_VARIABLE
from engine import boot, health, local_redis
from engine.config import audit_keys, home
from engine.config.settings import Settings, secret_key
from engine.errors import BadSettings
from engine.worker.worker_process import declare_dead

log = logging.getLogger(__name__)

BAD_SETTINGS = 2
_LOCK = "up.lock"
STOP_S = 15.0
"""How long children get to finish; with Redis after them the whole stops within 20 s."""

SAY_AGAIN_S = 1.0
QUICK_S = 5.0
MAX_PAUSE_S = 10.0


@dataclass
class Child:
    """One process that has to be there. `begin` starts it; `pause` grows while it keeps dying young."""

    name: str
    begin: Callable[[], subprocess.Popen[bytes]]
    ended: Callable[[], None] = lambda: None
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    pause: float = 0.0
    due: float = field(default=0.0)

    def start(self) -> None:
        self.process = self.begin()
        self.started = time.monotonic()

    def poll(self) -> int | None:
        """Start it when it is due; when it has ended say its exit code, once, and set when it starts again."""
        if self.process is None:
            if time.monotonic() >= self.due:
                self.start()
            return None
        code = self.process.poll()
        if code is None:
            return None
        lived = time.monotonic() - self.started
        self.pause = 0.1 if lived > QUICK_S else min(MAX_PAUSE_S, max(0.2, self.pause * 2))
        self.process, self.due = None, time.monotonic() + self.pause
        self.ended()
        return code


def run(settings: Settings) -> int:
    """Run until SIGTERM, SIGINT or the terminal's end, then stop everything. Raises `BadSettings`."""
    stopping: list[int] = []
    for number in stop_signals():
        signal.signal(number, lambda received, _frame: stopping.append(received))
    home.must_be_writable(settings)
    _must_be_alone(settings.home)
    # Whatever keeps the bot from starting is found before anything is changed.
    with closing(web.bind(settings)) as listening, _alone(settings.home):
        secret_key(settings)
        audit_keys.of(settings)
        if settings.slack_mode == "none":
            log.warning("%s", _without_slack(settings))
        for applied in boot.migrate_database(settings):
            log.info("database migrated: %s", applied)
        redis = _embedded(settings)
        with local_redis.published(settings.home / "var", redis.url) if redis is not None else nullcontext():
            kind, children = _children(settings, listening.fileno(), redis)
            for child in children:
                child.start()
            host, port = listening.getsockname()[:2]
            log.info("runbook is up on http://%s:%d (Slack: %s, Redis: %s)", host, port, settings.slack_mode, kind)
            try:
                return _supervise(children, stopping)
            finally:
                _stop(children)


def _without_slack(settings: Settings) -> str:
    dotenv = settings.home / ".env"
    found = "was read" if dotenv.is_file() else "is not there"
    return f"SLACK_BOT_TOKEN is not set, so nobody reaches the bot through Slack ({dotenv} {found})"


def _embedded(settings: Settings) -> embedded_redis.Embedded | None:
    """A Redis of our own, where the settings name none and there is a program for it."""
    server = embedded_redis.find() if settings.redis_url is None else None
    return embedded_redis.Embedded(server, settings.home / "var") if server is not None else None


def _children(settings: Settings, listening: int, redis: embedded_redis.Embedded | None) -> tuple[str, list[Child]]:
    """What kind of Redis there is, and the processes to keep alive; Redis first."""
    environment = dict(os.environ)
    children = []
    kind = "yours" if settings.redis_url else "embedded" if redis else "none; sweeps carry the work"
    if redis is not None:
        environment["REDIS_URL"] = redis.url
        children.append(Child("redis", redis.start))
    elif settings.redis_url is None:
        log.warning("there is no Redis server on this machine: the bot works without, a little slower")
    web_environment = {**environment, web.SOCKET_VARIABLE: str(listening)}
    children.append(Child("web", lambda: _python("web", web_environment, (listening,))))
    children.append(_worker(environment))
    return kind, children


def _worker(environment: dict[str, str]) -> Child:
    worker_ids: list[str] = []

    def begin() -> subprocess.Popen[bytes]:
        worker_ids.append(f"w-{secrets.token_hex(6)}")
        return _python("worker", {**environment, WORKER_ID_VARIABLE: worker_ids[-1]}, ())

    def ended() -> None:
        threading.Thread(target=_declare_dead, args=(worker_ids[-1],), daemon=True).start()

    return Child("worker", begin, ended)


def _declare_dead(worker_id: str) -> None:
    """Say that a worker is dead, for as long as the database does not take it: others wait for its lease meanwhile."""
    while True:
        try:
            declare_dead(worker_id)
            return
        except Exception as error:
            if not health.is_away(error):
                log.exception("could not say that the worker is gone; its lease will run out instead")
                return
            log.warning("could not say yet that the worker is gone; trying again", exc_info=True)
            time.sleep(SAY_AGAIN_S)


def _python(verb: str, environment: dict[str, str], descriptors: tuple[int, ...]) -> subprocess.Popen[bytes]:
    """A process of ours. `-P` keeps the folder that the bot is started in from shadowing its packages."""
    command = [sys.executable, "-P", "-m", "bot.cli", verb]
    return subprocess.Popen(  # noqa: S603 - our own interpreter and module
        command, env=environment, pass_fds=descriptors, preexec_fn=embedded_redis.die_with_parent
    )


def _supervise(children: list[Child], stopping: list[int]) -> int:
    while not stopping:
        for child in children:
            code = child.poll()
            if code == BAD_SETTINGS and child.name != "redis":
                return BAD_SETTINGS
            if code is not None:
                log.warning("%s has ended (%s); starting it again", child.name, _exit_words(code))
        time.sleep(0.05)
    return 0


def _exit_words(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"


def _stop(children: list[Child]) -> None:
    """Web and worker first, so that they can finish with Redis still there."""
    log.info("stopping")
    own = [child for child in children if child.name != "redis"]
    _end(own, STOP_S)
    _end([child for child in children if child.name == "redis"], 3.0)


def _end(children: list[Child], patience: float) -> None:
    running = [child.process for child in children if child.process is not None]
    for process in running:
        process.terminate()
    until = time.monotonic() + patience
    for process in running:
        try:
            process.wait(timeout=max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _must_be_alone(folder: Path) -> None:
    """Raise `BadSettings` where `runbook up` runs in this folder already: its port is taken by no other program."""
    path = folder / "var" / _LOCK
    if path.exists():
        with _opened(path) as lock:
            _take(lock, folder)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One `runbook up` a folder; the lock is the kernel's and goes with the process."""
    path = home.make_var(folder) / _LOCK
    with _opened(path) as lock:
        _take(lock, folder)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
        path.unlink(missing_ok=True)


def _opened(path: Path) -> IO[str]:
    try:
        return open(path, "a+", opener=lambda name, flags: os.open(name, flags, 0o600))
    except OSError as error:
        raise BadSettings([f"{path} cannot be opened: {error.strerror}. Does it belong to another user?"]) from error


def _take(lock: IO[str], folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.seek(0)
        raise BadSettings([f"The bot is already running in {folder} (process {lock.read().strip()})."]) from error
