"""Bringing a database up to the schema: from nothing, by many at once, and never by guessing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import peewee
import pytest

from engine import boot, settings
from engine.errors import BadSettings
from engine.settings import Settings
from storage import database, migrate
from storage.migrate import Migration, SchemaTrouble
from storage.tables import ALL, proxy

MIGRATE = """
import os, pathlib
from engine import boot, settings
print(len(boot.migrate_database(settings.load(os.environ, pathlib.Path.cwd()))))
"""


@pytest.fixture
def empty(empty_database_url: str, tmp_path: Path) -> Settings:
    loaded = settings.load({"DATABASE_URL": empty_database_url, "RUNBOOKS_DIR": str(tmp_path)}, tmp_path)
    boot.open_database(loaded)
    return loaded


def test_an_empty_database_is_brought_up_once(empty: Settings) -> None:
    """The second time there is nothing to do."""
    names = boot.migrate_database(empty)
    assert names == [f"{each.number:04d} {each.name}" for each in migrate.migrations()]
    assert boot.migrate_database(empty) == []
    assert migrate.pending() == []
    assert boot.open_engine(empty).workspace_id == 1


def test_a_process_does_not_work_on_an_older_schema(empty: Settings) -> None:
    """It says what to do, and makes no table itself."""
    with pytest.raises(BadSettings, match="runbook migrate"):
        boot.open_engine(empty)
    with database.reading():
        assert not proxy.obj.table_exists("execution")


def test_three_processes_at_once_bring_it_up_once(empty: Settings, empty_database_url: str) -> None:
    """Each comes back content, and exactly one of them did it."""
    database.close_database()
    environment = {"DATABASE_URL": empty_database_url, "RUNBOOKS_DIR": str(empty.runbooks_dir)}
    command, pipe = [sys.executable, "-c", MIGRATE], subprocess.PIPE
    processes = [subprocess.Popen(command, env=environment, cwd=empty.home, stdout=pipe, stderr=pipe) for _ in range(3)]
    ended = [(process.communicate(timeout=60), process.returncode) for process in processes]
    assert [code for _, code in ended] == [0, 0, 0], [err.decode() for (_, err), _ in ended]
    assert sorted(int(out) for (out, _), _ in ended) == [0, 0, len(migrate.migrations())]


def test_an_edited_migration_is_refused(empty: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was applied is not what this release has: nothing is guessed."""
    migrate.migrate()
    first, *rest = migrate.migrations()
    edited = [Migration(first.number, first.name, first.sql + "-- edited"), *rest]
    monkeypatch.setattr(migrate, "migrations", lambda: edited)
    with pytest.raises(SchemaTrouble, match="restore a backup"):
        migrate.pending()
    with pytest.raises(BadSettings, match="restore a backup"):
        boot.migrate_database(empty)


def test_a_newer_schema_is_refused(empty: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older release does not work on a newer one's tables."""
    migrate.migrate()
    known = migrate.migrations()
    monkeypatch.setattr(migrate, "migrations", lambda: known[:-1])
    for refused in (lambda: boot.open_engine(empty), lambda: boot.migrate_database(empty)):
        with pytest.raises(BadSettings, match="upgrade the bot"):
            refused()


def test_a_migration_that_fails_leaves_nothing_behind(empty: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its statements and its row in the history are one transaction."""
    good = migrate.migrations()
    bad = Migration(good[-1].number + 1, "bad", "CREATE TABLE half (id {bigint}); CREATE TABLE half (id {bigint});")
    monkeypatch.setattr(migrate, "migrations", lambda: [*good, bad])
    with pytest.raises(peewee.DatabaseError):
        migrate.migrate()
    with database.reading():
        assert not proxy.obj.table_exists("half")
    assert migrate.pending() == [bad]


def test_an_sqlite_file_is_copied_before_it_is_changed(
    empty: Settings, database_kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that there is something to go back to."""
    migrate.migrate()
    good = migrate.migrations()
    more = Migration(good[-1].number + 1, "more", "CREATE TABLE more (id {bigint});")
    monkeypatch.setattr(migrate, "migrations", lambda: [*good, more])
    assert migrate.migrate() == [more]
    copies = list(empty.home.glob("*.before-*.db"))
    assert len(copies) == (1 if database_kind == "sqlite" else 0)


def test_the_models_are_what_the_migrations_made(empty: Settings) -> None:
    """Same tables, same columns, same nullability, the same primary keys."""
    migrate.migrate()
    with database.reading():
        made = set(proxy.obj.get_tables()) - {"schema_history", "sqlite_sequence"}
        assert made == {table._meta.table_name for table in ALL}
        for table in ALL:
            name = table._meta.table_name
            # SQLite calls a primary key nullable, which it is not where it matters here.
            found = {each.name: each.primary_key or not each.null for each in proxy.obj.get_columns(name)}
            assert found == {field.column_name: not field.null for field in table._meta.sorted_fields}, name
            keys = {each.name for each in proxy.obj.get_columns(name) if each.primary_key}
            assert keys == {table._meta.primary_key.column_name}, name
