"""Bringing a database up to the schema: from nothing, by many at once, and never by guessing."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import peewee
import pytest

from engine import boot
from engine.config import settings
from engine.config.settings import Settings
from engine.errors import BadSettings
from storage import backup, database, migrate
from storage.columns import proxy
from storage.migrate import Migration, SchemaTrouble
from storage.tables import ALL

MIGRATE = """
import os, pathlib
from engine import boot
from engine.config import settings
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


def filled(table: str, **given: object) -> None:
    """Put a row into a table of whatever release: what is not given is 1, False or "1"."""
    of_kind = {"bool": False, "int": 1}
    values = dict(given)
    for column in proxy.obj.get_columns(table):
        kind = next((kind for kind in of_kind if kind in column.data_type.lower()), "")
        values.setdefault(column.name, None if column.null else of_kind.get(kind, "1"))
    marks = ", ".join(proxy.obj.param for _ in values)
    proxy.obj.execute_sql(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", list(values.values()))


def test_what_was_there_is_under_the_columns_new_names(empty: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A release that names columns otherwise loses nothing of a run that goes on."""
    every = migrate.migrations()
    with monkeypatch.context() as before:
        before.setattr(migrate, "migrations", lambda: every[:22])
        migrate.migrate()
    with database.transaction():
        for table in ("workspace", "runbook", "runbook_version"):
            filled(table, id=1)
        filled("execution", id="R-AAAAAA", ending="FAILED", parked=3, asking=2)
        filled("card", execution_id="R-AAAAAA", told_seq=7)
    migrate.migrate()
    with database.reading():
        run = proxy.obj.execute_sql("SELECT pending_result, waiting_steps, reopened_gates FROM execution").fetchone()
        assert tuple(run) == ("FAILED", 3, 2)
        assert proxy.obj.execute_sql("SELECT posted_seq FROM card").fetchone()[0] == 7


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


@pytest.fixture
def more(empty: Settings, database_kind: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An SQLite file that has one migration to go, and where its copy will be."""
    if database_kind != "sqlite":
        pytest.skip("PostgreSQL has tools of its own for this")
    migrate.migrate()
    good = migrate.migrations()
    added = Migration(good[-1].number + 1, "more", "CREATE TABLE more (id {bigint});")
    monkeypatch.setattr(migrate, "migrations", lambda: [*good, added])
    path = Path(proxy.obj.database)
    return path.with_name(f"{path.stem}.at-{good[-1].number:04d}.before-{added.number:04d}.db")


def _kept(copy: Path) -> list[str]:
    with closing(sqlite3.connect(copy)) as opened:
        assert opened.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return [name for (name,) in opened.execute("SELECT name FROM workspace ORDER BY name")]


def _add(name: str) -> None:
    with database.transaction():
        proxy.obj.execute_sql("INSERT INTO workspace (name, created_at) VALUES (?, 1)", (name,))


READ = """
import sqlite3, sys
reader = sqlite3.connect(sys.argv[1])
reader.execute("BEGIN")
reader.execute("SELECT count(*) FROM workspace").fetchone()
print("reading", flush=True)
sys.stdin.read()
"""


def test_the_copy_has_what_is_only_in_the_log_yet(more: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Another process that reads keeps commits from reaching the main file; and a killed one leaves them there."""
    _add("before")
    command = [sys.executable, "-c", READ, str(proxy.obj.database)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == b"reading\n"
        _add("while somebody reads")
        with caplog.at_level("INFO"):
            migrate.migrate()
        reader.communicate()
    assert _kept(more)[:2] == ["before", "while somebody reads"]
    assert str(more) in caplog.text
    assert stat.S_IMODE(more.stat().st_mode) == 0o600


def test_the_copy_is_whole_while_others_write(more: Path) -> None:
    """One moment of the database, not pages of several."""
    stop = threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(proxy.obj.database, timeout=30)) as writer:
            number = 0
            while not stop.is_set():
                number += 1
                with writer:
                    for half in ("a", "b"):
                        values = (f"{half}{number}",)
                        writer.execute("INSERT INTO workspace (name, created_at) VALUES (?, 1)", values)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(20):
            backup.make(Path(proxy.obj.database), (1, 2))
    finally:
        stop.set()
        thread.join()
    names = set(_kept(Path(proxy.obj.database).with_name(f"{Path(proxy.obj.database).stem}.at-0001.before-0002.db")))
    assert {f"b{name[1:]}" for name in names if name[0] == "a"} == {name for name in names if name[0] == "b"}


def test_without_a_copy_nothing_is_migrated(empty: Settings, more: Path) -> None:
    """The disk is full, say, or something is in the way; the copy that was there stays."""
    more.write_text("an earlier one")
    in_the_way = more.with_name(f"{more.name}.part")
    in_the_way.mkdir()
    with pytest.raises(BadSettings, match=r"could not be copied to .*before-.*(Is a directory|not permitted)"):
        boot.migrate_database(empty)
    assert len(migrate.pending()) == 1
    assert more.read_text() == "an earlier one"


def test_a_damaged_database_is_not_migrated(empty: Settings, more: Path) -> None:
    """The copy of it would be nothing to go back to."""
    for number in range(200):
        _add(f"{number}" * 40)
    path = Path(proxy.obj.database)
    database.close_database()
    with closing(sqlite3.connect(path)) as opened:
        opened.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (root,) = opened.execute("SELECT rootpage FROM sqlite_master WHERE name = 'workspace'").fetchone()
        (size,) = opened.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((root - 1) * size + 5)
        file.write(b"\xff" * 200)
    with pytest.raises(BadSettings, match="before its migration"):
        boot.migrate_database(empty)
    assert not more.exists()
    assert not list(path.parent.glob("*.part"))


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_a_database_is_nobody_elses(tmp_path: Path, umask: int) -> None:
    """The file, what SQLite puts beside it, the lock and the folders that are made for it, whatever the umask."""
    before = os.umask(umask)
    try:
        url = f"sqlite:///{tmp_path}/new/deep/runbook.db"
        boot.migrate_database(settings.load({"DATABASE_URL": url, "RUNBOOKS_DIR": str(tmp_path)}, tmp_path))
        with database.reading():
            found = {path: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new").rglob("*")}
    finally:
        os.umask(before)
        database.close_database()
    names = {path.name for path in found}
    assert names == {"deep", "runbook.db", "runbook.db-wal", "runbook.db-shm", "runbook.db.migrate"}
    assert {mode for path, mode in found.items() if path.is_file()} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new", tmp_path / "new" / "deep")} == {0o700}


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


def test_a_statement_of_one_database_is_taken_whole_and_by_no_other(empty: Settings) -> None:
    """A trigger has semicolons of its own; what stands around it is split as ever."""
    assert empty.database_url
    block = "@sqlite\nA; B; END\n@end\n@postgresql\nC $$ D; E $$\n@end\n"
    ours = "C $$ D; E $$" if database.is_postgresql() else "A; B; END"
    assert list(migrate._statements(f"ONE; TWO;\n{block}THREE {{bigint}} -- and so on;\n;")) == [
        "ONE", "TWO", ours, f"THREE {'BIGINT' if database.is_postgresql() else 'INTEGER'}",
    ]  # fmt: skip
