"""A copy of an SQLite database: whole, whatever other processes do with it meanwhile, and checked before it counts."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

from storage import private_files
from storage.connections import SQLITE_PATIENCE_S

_HISTORY = "SELECT number, checksum FROM schema_history ORDER BY number"


class BackupFailed(Exception):
    """There is no copy that could be gone back to; the message says why."""


def make(path: Path, reached: tuple[int, int]) -> Path:
    """Copy the database at `path`, whose schema is at `reached[0]` and about to go to `reached[1]`; where the copy is.

    It has what was committed when the copying began, what is only in the WAL included. It replaces an earlier copy of
    the same step. Raises `BackupFailed`, leaving the earlier one as it was.
    """
    copy = path.with_name(f"{path.stem}.at-{reached[0]:04d}.before-{reached[1]:04d}.db")
    draft = copy.with_name(f"{copy.name}.part")
    try:
        draft.unlink(missing_ok=True)
        private_files.make_file(draft)
        _copy(path, draft)
        _check(path, draft)
        os.replace(draft, copy)
        _keep_name(copy.parent)
    except (OSError, sqlite3.Error) as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise BackupFailed(f"{path} could not be copied to {copy} before its migration: {error}") from error
    return copy


def _copy(path: Path, draft: Path) -> None:
    until = time.monotonic() + SQLITE_PATIENCE_S

    def look(status: int, _remaining: int, _total: int) -> None:
        """Python tries again for as long as the database is busy; nobody who is waited for so long ever ends."""
        if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) and time.monotonic() > until:
            raise sqlite3.OperationalError("the database is locked by another process")

    # All pages in one step: one snapshot, which no writer makes begin anew.
    with closing(_open(path, "mode=rw")) as source, closing(sqlite3.connect(draft)) as target:
        source.backup(target, pages=-1, progress=look)


def _check(path: Path, draft: Path) -> None:
    """Raise `sqlite3.DatabaseError` unless the copy is sound and of the same schema."""
    with closing(_open(path, "mode=rw")) as source, closing(_open(draft, "immutable=1")) as copy:
        (found,) = copy.execute("PRAGMA integrity_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(f"the copy is damaged, and so the database may be: {found}")
        if copy.execute(_HISTORY).fetchall() != source.execute(_HISTORY).fetchall():
            raise sqlite3.DatabaseError("the copy is of another schema")


def _open(path: Path, how: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, timeout=SQLITE_PATIENCE_S)


def _keep_name(folder: Path) -> None:
    """Have the new name survive a loss of power."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
