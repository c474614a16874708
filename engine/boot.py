"""Opening the engine in a process: database, schema check, workspace, and the tools that steps act with."""

from __future__ import annotations

from engine import database_errors, local_redis
from engine.config import home
from engine.config.secret_keys import keyring_of
from engine.config.secrets import Source
from engine.config.settings import Settings
from engine.config.stored_secrets import StoredSecrets
from engine.config.vault import VaultSource
from engine.egress import Egress, Policy
from engine.errors import BadSettings, DatabaseAway
from engine.runtime import Runtime
from engine.steps.perform import Tools
from engine.text.redaction import Redactor
from engine.worker.actors import Hints, make_broker
from storage import backup, database, hostclock, migrate, people, workers


def open_database(settings: Settings) -> None:
    """Say where this process's tables live. Raises `BadSettings` for a place that can't be used."""
    url = settings.database_url
    home.database_must_be_writable(settings)
    try:
        database.open_database(sqlite=url.path, postgresql=url.url or None, max_connections=settings.db_pool_max)
    except OSError as error:
        raise BadSettings([f"DATABASE_URL: {url.path} cannot be used: {error.strerror}"]) from error


def migrate_database(settings: Settings) -> list[str]:
    """Bring the database up to this release's schema; the names of what was applied.

    Raises `BadSettings`. What of the bot's files others could open is closed to them.
    """
    home.close_to_others(settings)
    open_database(settings)
    try:
        applied = [f"{migration.number:04d} {migration.name}" for migration in migrate.migrate()]
        _set_clock()
        return applied
    except (migrate.SchemaTrouble, backup.BackupFailed) as error:
        raise BadSettings([f"DATABASE_URL: {error}"]) from error
    except OSError as error:
        raise BadSettings(
            [f"DATABASE_URL: {error.filename or 'the database'} cannot be used: {error.strerror}"]
        ) from error
    except database.DatabaseTrouble as error:
        raise _away(error) from error


def _away(error: Exception) -> DatabaseAway:
    return DatabaseAway(
        [f"DATABASE_URL: {database_errors.describe(error) or 'The database does not answer.'} {error}".strip()]
    )


def _set_clock() -> None:
    """Go by the host's clock as it is now, unless workers go by the time that is kept."""
    with database.transaction():
        if not workers.alive(database.now()):
            hostclock.set_by_wall()
    database.refresh_clock()


def open_engine(settings: Settings, hints: Hints | None = None) -> Runtime:
    """Everything a service needs.

    Raises `BadSettings` when the schema is not this release's, `DatabaseAway` when that cannot be asked.
    """
    open_database(settings)
    try:
        behind = migrate.pending()
    except migrate.SchemaTrouble as error:
        raise BadSettings([f"DATABASE_URL: {error}"]) from error
    except database.DatabaseTrouble as error:
        raise _away(error) from error
    if behind:
        raise BadSettings(["DATABASE_URL: the database's schema is older than this release: run `runbook migrate`"])
    try:
        with database.transaction():
            hostclock.keep()
            workspace = people.the_workspace()
    except database.DatabaseTrouble as error:
        raise _away(error) from error
    return Runtime(
        settings, workspace.id, hints if hints is not None else open_hints(settings),
        sources=_sources(settings, workspace.id),
    )  # fmt: skip


def _sources(settings: Settings, workspace_id: int) -> tuple[Source, ...]:
    """Where secrets come from that neither the environment nor a file has."""
    stored = StoredSecrets(workspace_id, keyring_of(settings))
    return (stored, VaultSource(settings)) if settings.vault_addr else (stored,)


def open_hints(settings: Settings) -> Hints:
    """Over the Redis that the settings name, else over the one that `runbook up` brought along in this folder."""
    url = settings.redis_url or local_redis.find_url(settings.home / "var")
    return Hints(make_broker(url) if url else None)


def make_tools(rt: Runtime, redactor: Redactor) -> Tools:
    """What this process's steps act with: guarded calls, secrets, and the redactor that knows them all."""
    policy = Policy(allowed=rt.settings.egress_allow, own=rt.settings.own_endpoints)
    return Tools(Egress(policy), rt.secrets(redactor), redactor)
