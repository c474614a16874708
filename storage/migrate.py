"""Bringing a database up to this code's schema, forwards only, one process at a time.

`migrations/NNNN_name.sql` are applied in order, each in its own transaction with a row in `schema_history`. A file that
was edited after it was applied, a gap, or a schema newer than this code is refused: guessing would lose data.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from storage import backup, database, private_files
from storage.columns import proxy

log = logging.getLogger(__name__)

_FOLDER = Path(__file__).parent / "migrations"
_PG_LOCK = 7_265_113
_BLOCK = re.compile(r"^@(sqlite|postgresql)\n(.*?)^@end$", re.DOTALL | re.MULTILINE)
"""One statement of one database, `;` and all, such as a trigger: between a line with its name and one with `@end`."""


class SchemaTrouble(Exception):
    """The database's schema and this code do not fit; the message says how and what to do."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of `migrations/`: `number` is its place among them, and `sql` is run as a whole, once."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 in hexadecimal, by which a file that was changed after it had been applied is noticed."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations() -> list[Migration]:
    """All migrations of this code, in order."""
    found = []
    for path in sorted(_FOLDER.glob("*.sql")):
        number, _, name = path.stem.partition("_")
        found.append(Migration(int(number), name, path.read_text(encoding="utf-8")))
    return found


def pending() -> list[Migration]:
    """The migrations that this database still lacks.

    Raises `SchemaTrouble` when it was made by newer code or its history was tampered with.
    """
    with database.reading():
        applied = _applied()
    known = migrations()
    if len(applied) > len(known):
        raise SchemaTrouble(f"the schema is at {len(applied)}, this release knows {len(known)}: upgrade the bot")
    for migration, (number, checksum) in zip(known, applied, strict=False):
        if migration.number != number or migration.checksum != checksum:
            raise SchemaTrouble(f"migration {number:04d} in the database is not this release's: restore a backup")
    return known[len(applied) :]


def migrate() -> list[Migration]:
    """Apply what is pending and say what was applied. Safe to call from any number of processes at once.

    Before an SQLite schema is changed its file is copied; raises `BackupFailed` where it can't be, and changes nothing.
    """
    with _alone():
        missing = pending()
        if missing and missing[0].number > 1 and not database.is_postgresql():
            log.info("the database was copied to %s before it is changed", backup.make(_file(), _reached(missing)))
        for migration in missing:
            apply(migration)
    return missing


def _applied() -> list[tuple[int, str]]:
    if not proxy.obj.table_exists("schema_history"):
        return []
    rows = proxy.obj.execute_sql("SELECT number, checksum FROM schema_history ORDER BY number").fetchall()
    return [(int(number), str(checksum)) for number, checksum in rows]


def apply(migration: Migration) -> None:
    """Run one migration and note that it was; the caller sees to it that nobody else migrates."""
    with database.transaction():
        run = proxy.obj.execute_sql
        run("CREATE TABLE IF NOT EXISTS schema_history (number INTEGER PRIMARY KEY, name TEXT NOT NULL, "
            "checksum TEXT NOT NULL, applied_at BIGINT NOT NULL)")  # fmt: skip
        for statement in _statements(migration.sql):
            run(statement)
        mark = "%s" if database.is_postgresql() else "?"
        run(f"INSERT INTO schema_history VALUES ({mark}, {mark}, {mark}, {mark})",  # noqa: S608 - only placeholders
            (migration.number, migration.name, migration.checksum, database.now()))  # fmt: skip


def _statements(sql: str) -> Iterator[str]:
    postgresql = database.is_postgresql()
    words = {
        "{serial}": "BIGSERIAL PRIMARY KEY" if postgresql else "INTEGER PRIMARY KEY AUTOINCREMENT",
        "{bigint}": "BIGINT" if postgresql else "INTEGER",
        "{bool}": "BOOLEAN" if postgresql else "INTEGER",
        "{false}": "FALSE" if postgresql else "0",
    }
    text = re.sub(r"--[^\n]*", "", sql)
    for word, meaning in words.items():
        text = text.replace(word, meaning)
    ours, at = "postgresql" if postgresql else "sqlite", 0
    for block in _BLOCK.finditer(text):
        yield from _parts(text[at : block.start()])
        if block[1] == ours:
            yield block[2].strip()
        at = block.end()
    yield from _parts(text[at:])


def _parts(text: str) -> Iterator[str]:
    return (part.strip() for part in text.split(";") if part.strip())


@contextmanager
def _alone() -> Iterator[None]:
    """One migrating process at a time: a session lock on PostgreSQL, a lock file beside an SQLite database."""
    if database.is_postgresql():
        with database.reading():
            proxy.obj.execute_sql("SELECT pg_advisory_lock(%s)", (_PG_LOCK,))
            try:
                yield
            finally:
                proxy.obj.execute_sql("SELECT pg_advisory_unlock(%s)", (_PG_LOCK,))
        return
    path = Path(f"{_file()}.migrate")
    private_files.make_file(path)
    with path.open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _file() -> Path:
    """The SQLite database's file."""
    return Path(proxy.obj.database)


def _reached(missing: list[Migration]) -> tuple[int, int]:
    """The numbers of the last migration that is applied and of the last that there is."""
    return missing[0].number - 1, missing[-1].number
