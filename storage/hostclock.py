"""One clock for all processes that share an SQLite file, whatever happens to the host's wall clock.

What is kept is when the host was started, by the wall clock of whoever looked first; from there every process counts
the same seconds since the start, which the kernel tells them all. So a wall clock that is changed, or is another one in
one process, neither fires a timer early nor ends a lease. PostgreSQL has a clock of its own.
"""

from __future__ import annotations

import time
from pathlib import Path

import peewee as pw

from storage.columns import first, proxy
from storage.tables import HostClock

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", None)
"""Goes on while the machine sleeps; not every system has one."""


def seconds() -> float:
    """The time by the kept start of this host, or by the wall clock where none is kept. Needs a connection."""
    boot = _boot()
    if boot is None:
        return time.time()
    try:
        kept = first(HostClock.select(HostClock.started_at).where(HostClock.boot == boot))
    except pw.OperationalError:  # the table is not there yet: this database is being made or upgraded
        kept = None
    return time.time() if kept is None else kept["started_at"] / 1000 + _since_start()


def keep() -> None:
    """Keep when this host was started, if that is not kept yet. Needs a transaction."""
    boot = _boot()
    if boot is not None:
        HostClock.insert(boot=boot, started_at=_started_at()).on_conflict_ignore().execute()


def set_by_wall() -> None:
    """Go by the wall clock as it is now; only while nobody works by the old time. Needs a transaction."""
    HostClock.delete().execute()
    keep()


def _started_at() -> int:
    return int((time.time() - _since_start()) * 1000)


def _since_start() -> float:
    assert _BOOT_CLOCK is not None
    return time.clock_gettime(_BOOT_CLOCK)


def _boot() -> str | None:
    """What tells this start of the host from every other; None where the system does not say, and on PostgreSQL."""
    if _BOOT_CLOCK is None or isinstance(proxy.obj, pw.PostgresqlDatabase) or not _BOOT_ID.exists():
        return None
    return _BOOT_ID.read_text(encoding="ascii").strip()
