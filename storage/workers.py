"""Workers and their leases, and the named leases that make one process the only one to do a thing."""

from __future__ import annotations

import os
import socket
from typing import Any

import peewee as pw

from storage.columns import tuples
from storage.database import now
from storage.tables import Lease, Worker

HEARTBEAT_MS = 3_000
LEASE_MS = 15_000
"""Five heartbeats: four may be late or lost before a worker counts as dead, and its work waits for no longer."""
GAP_MS = 2 * HEARTBEAT_MS
"""A worker whose renewals lie further apart than this could not reach the database, and so perhaps nobody could."""


def register(workspace_id: int, worker_id: str, lock_key: int | None = None) -> None:
    """Announce a worker process; its lease runs from now. Whoever finds its lock free may take it for dead."""
    at = now()
    Worker.insert(
        id=worker_id, workspace_id=workspace_id, host=socket.gethostname(), pid=os.getpid(), started_at=at,
        lease_until=at + LEASE_MS, ended_at=None, lock_key=lock_key, steady_since=at,
    ).execute()  # fmt: skip


def heartbeat(worker_id: str, sweeps: int = 0, calls: int = 0, waiting: int = 0) -> bool:
    """Renew the lease; False when it was already taken away, and the process must begin again under a new id.

    `sweeps` is how often the worker has looked for due work so far, `calls` how many it has under way, and `waiting`
    how many runs wait for a place among them.
    """
    at = now()
    steady = pw.Case(
        None, ((Worker.lease_until >= at + LEASE_MS - GAP_MS, pw.fn.COALESCE(Worker.steady_since, at)),), at
    )
    query = Worker.update(lease_until=at + LEASE_MS, sweeps=sweeps, steady_since=steady, calls=calls, waiting=waiting)
    return bool(query.where((Worker.id == worker_id) & Worker.ended_at.is_null()).execute() == 1)


def end(worker_id: str) -> bool:
    """End a worker's lease for good; False when that was done before. What it still runs is taken over."""
    query = Worker.update(ended_at=now()).where((Worker.id == worker_id) & Worker.ended_at.is_null())
    return bool(query.execute() == 1)


def declare_dead(worker_id: str) -> None:
    """Let a worker that is proven dead expire at once, with all it held: the next sweep takes its steps over."""
    Lease.update(until=0).where(Lease.holder == worker_id).execute()
    Worker.update(lease_until=0).where((Worker.id == worker_id) & Worker.ended_at.is_null()).execute()


def is_over(at: int) -> Any:
    """Whether a worker's lease has ended: it was ended or declared dead, or the worker was silent for a whole lease.

    Silence counts only while somebody else renewed without a gap, for that long and until after this lease's end. In
    the time of an outage nobody could, so that nobody's lease ends by it.
    """
    other = Worker.alias()
    steadily = other.ended_at.is_null() & (other.steady_since <= other.lease_until - 2 * LEASE_MS)
    heard = pw.fn.COALESCE(other.select(pw.fn.MAX(other.lease_until) - LEASE_MS).where(steadily), 0)
    silent = (Worker.lease_until <= at) & (Worker.lease_until <= heard)
    return Worker.ended_at.is_null(False) | (Worker.lease_until == 0) | silent


def is_late(at: int) -> Any:
    """Whether a worker's lease is past, for whatever reason."""
    return Worker.ended_at.is_null(False) | (Worker.lease_until <= at)


def alive(at: int) -> int:
    """How many workers hold a lease."""
    return int(Worker.select().where(Worker.ended_at.is_null() & (Worker.lease_until > at)).count())


def load(at: int) -> tuple[int, int]:
    """Calls that the living workers have under way, and runs that wait for a place among them, as last said."""
    query = Worker.select(pw.fn.SUM(Worker.calls), pw.fn.SUM(Worker.waiting))
    calls, waiting = next(iter(tuples(query.where(Worker.ended_at.is_null() & (Worker.lease_until > at)))))
    return int(calls or 0), int(waiting or 0)


def acquire_lease(name: str, holder: str, ms: int) -> bool:
    """Take or renew the lease `name` for `ms`; False while somebody else holds it."""
    at = now()
    Lease.insert(name=name, holder=holder, until=0).on_conflict_ignore().execute()
    query = Lease.update(holder=holder, until=at + ms)
    return bool(query.where((Lease.name == name) & ((Lease.holder == holder) | (Lease.until <= at))).execute() == 1)


def renew_lease(name: str, holder: str, ms: int) -> bool:
    """Keep the lease `name` for `ms` from now; False when somebody else has taken it meanwhile, also if it is free."""
    query = Lease.update(until=now() + ms)
    return bool(query.where((Lease.name == name) & (Lease.holder == holder)).execute() == 1)


def release_lease(name: str, holder: str) -> None:
    """Give the lease `name` up before its time; nothing happens where somebody else holds it."""
    Lease.update(until=0).where((Lease.name == name) & (Lease.holder == holder)).execute()
