"""Is the bot able to do its work? Each thing that must be so is asked by itself and named."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cache

from engine import database_errors
from engine.access.auditing import kind_and_name
from engine.config.secret_keys import keyring_of
from engine.runtime import Runtime
from engine.worker.actors import RedisProbe
from storage import audit, cards, database, executions, runbooks, secret_outputs, secrets, workers
from storage.driver_errors import must_write
from storage.records import CardRecord
from storage.secret_records import KeyInUse

PATIENCE_S = 3.0
MAX_READY_AGE_MS = 30_000
MAX_UNSHOWN_AGE_MS = 30_000
QUARANTINE_TOLD_MS = 86_400_000
MOST_UNREACHABLE = 5
"""Runs that are named where Slack cannot show them."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must be so; `detail` says what was found.

    What is not `vital` is worth an alert and no reason to send the bot no work: runs go on without it.
    """

    name: str
    ok: bool
    detail: str
    vital: bool = True


def is_away(error: Exception) -> bool:
    """Whether this says that the database is lost, full or locked: whoever asked may ask again."""
    return database_errors.describe(error) is not None


class _DatabaseProbe:
    """One look at the database at a time, for all who ask meanwhile; they wait for it no longer than `PATIENCE_S`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._probing: tuple[Runtime, Future[list[Check]], float] | None = None

    def checks(self, rt: Runtime) -> list[Check]:
        began, look = self._current(rt)
        try:
            return look.result(max(0.1, began + PATIENCE_S - time.monotonic()))
        except TimeoutError:
            seconds = time.monotonic() - began
            return [Check("database", False, f"has taken no write for {seconds:.0f} s: it hangs, or is locked")]

    def _current(self, rt: Runtime) -> tuple[float, Future[list[Check]]]:
        with self._lock:
            if self._probing is None or self._probing[0] is not rt or self._probing[1].done():
                self._probing = (rt, Future(), time.monotonic())
                threading.Thread(target=_run_into, args=(self._probing[1], rt), name="health", daemon=True).start()
            return self._probing[2], self._probing[1]


_database_probe = _DatabaseProbe()


def _run_into(look: Future[list[Check]], rt: Runtime) -> None:
    try:
        look.set_result(_database_checks(rt))
    except BaseException as error:  # noqa: BLE001 - it is raised where somebody waits for it
        look.set_exception(error)


def checks(rt: Runtime) -> list[Check]:
    """Everything that readiness depends on. A database that is away is one failed check, not an exception.

    The database has to take a write, too. Takes `PATIENCE_S` at most, and two seconds for Redis.
    """
    found = _database_probe.checks(rt)
    return [*found, _redis(rt)] if found[0].ok else found


def _database_checks(rt: Runtime) -> list[Check]:
    try:
        at = database.now()
        with database.reading():
            alive = workers.alive(at)
            synced = runbooks.last_sync(rt.workspace_id)
            queue = _queue(executions.oldest_ready_age(at), *workers.load(at))
            unshown = cards.oldest_unshown(rt.workspace_id)
            unreachable = cards.unreachable(rt.workspace_id)
            quarantined = audit.quarantined(rt.workspace_id, at - QUARANTINE_TOLD_MS)
            sealed, held = secrets.keys_in_use(rt.workspace_id), secret_outputs.keys_in_use()
        must_write()
    except Exception as error:  # noqa: BLE001 - whatever keeps the database from answering is the answer
        return [Check("database", False, database_errors.describe(error) or f"does not answer: {type(error).__name__}")]
    slack = (
        [_slack(at - unshown if unshown is not None else 0, unreachable)] if rt.settings.slack_mode != "none" else []
    )
    return [
        Check("database", True, "answers and takes writes"),
        Check("sync", synced is not None, "the runbooks were read" if synced else "the runbooks were not read yet"),
        Check("worker", alive > 0, f"{alive} alive"),
        queue,
        _definitions(quarantined),
        _secrets(rt, sealed, held),
        *slack,
    ]


def _queue(oldest_ms: int, calls: int, waiting: int) -> Check:
    """Whether what is ready begins. Steps that wait while as many calls are under way as may be say busy, not stuck."""
    found = f"the oldest ready step has waited {oldest_ms} ms"
    if waiting:
        return Check("queue", True, f"busy: {calls} calls are under way, {waiting} runs wait for a place; {found}")
    return Check("queue", oldest_ms < MAX_READY_AGE_MS, found)


def _redis(rt: Runtime) -> Check:
    """Runs go on without Redis, a little slower: the sweeper carries the work."""
    url = rt.settings.redis_url
    if url is None:
        return Check("redis", True, "none is set: the sweeper carries the work", vital=False)
    ok = _redis_probe(url).is_up()
    return Check("redis", ok, "answers" if ok else "does not answer: the sweeper carries the work", vital=False)


@cache
def _redis_probe(redis_url: str) -> RedisProbe:
    return RedisProbe(redis_url)


def _definitions(quarantined: list[str]) -> Check:
    """Whether runs had to be ended lately because what is stored of their runbook cannot be read."""
    names = ", ".join(kind_and_name(each)[1] for each in quarantined)
    detail = f"could not be read; ended for that within a day: {names}" if names else "can be read"
    return Check("definitions", not quarantined, detail, vital=False)


def _secrets(rt: Runtime, stored: Mapping[KeyInUse, list[str]], held: Mapping[KeyInUse, list[str]]) -> Check:
    """Whether there is the key of every stored and received secret; only steps that need one without fail."""
    keys = keyring_of(rt.settings)
    lost = [f"{', '.join(names)} {trouble}" for used, names in stored.items() if (trouble := keys.trouble(used))]
    lost += [
        f"what {', '.join(runs)} received {trouble}" for used, runs in held.items() if (trouble := keys.trouble(used))
    ]
    return Check("secrets", not lost, "; ".join(lost) or "have their keys", vital=False)


def _slack(lag_ms: int, unreachable: list[CardRecord]) -> Check:
    """How far Slack is behind: the age of the oldest event that no card or thread shows yet, and what cannot be."""
    late = lag_ms >= MAX_UNSHOWN_AGE_MS
    found = [f"lags: the oldest event that is not shown is {max(lag_ms, 0) // 1000} s old"] if late else []
    if unreachable:
        runs = ", ".join(
            f"{each.execution_id} in {each.channel} ({each.trouble})" for each in unreachable[:MOST_UNREACHABLE]
        )
        more = f" and {len(unreachable) - MOST_UNREACHABLE} more" if len(unreachable) > MOST_UNREACHABLE else ""
        found.append(f"cannot be shown: {runs}{more}; invite the bot there, or unarchive the channel")
    return Check("slack", not found, "; ".join(found) or "is up to date", vital=False)
