"""The clock of an SQLite file: a wall clock that jumps, or is wrong in one process, changes nothing for anybody."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine import boot
from engine.runtime import Runtime
from storage import database, hostclock, workers

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
TEN_MINUTES = 600


@pytest.fixture
def jump(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Put the wall clock forward, or back, by these seconds."""
    if hostclock._boot() is None:
        pytest.skip("this system does not say when it was started")
    real = time.time

    def by(seconds: int) -> None:
        monkeypatch.setattr(time, "time", lambda: real() + seconds)

    return by


def off() -> float:
    """How far the database's time is from the true one, in seconds."""
    database.refresh_clock()
    return database.now() / 1000 - (time.clock_gettime(time.CLOCK_REALTIME))


@pytest.mark.parametrize("seconds", [TEN_MINUTES, -TEN_MINUTES])
def test_a_jump_of_the_wall_clock_is_not_seen(rt: Runtime, jump: Callable[[int], None], seconds: int) -> None:
    """Nor is it by a process that begins with the wrong time."""
    jump(seconds)
    assert abs(off()) < 5
    boot.open_engine(rt.settings)
    assert abs(off()) < 5


def test_the_wall_clock_counts_when_the_bot_starts_anew(rt: Runtime, jump: Callable[[int], None]) -> None:
    """Unless somebody works by the time that is kept: a lease must not end early for it."""
    with database.transaction():
        workers.register(rt.workspace_id, "w1")
    jump(TEN_MINUTES)
    boot.migrate_database(rt.settings)
    assert abs(off()) < 5
    with database.transaction():
        workers.end("w1")
    boot.migrate_database(rt.settings)
    assert abs(off() - TEN_MINUTES) < 5


def test_without_a_word_from_the_system_the_wall_clock_counts(
    rt: Runtime, jump: Callable[[int], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """There is nothing better then."""
    monkeypatch.setattr(hostclock, "_BOOT_ID", tmp_path / "missing")
    jump(TEN_MINUTES)
    assert abs(off() - TEN_MINUTES) < 5
