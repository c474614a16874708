"""The bot's own files: `var/` in its home and the SQLite database, for nobody's eyes but the bot's."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import BadSettings
from storage import private_files

if TYPE_CHECKING:
    from engine.config.settings import Settings  # the command line starts here, and answers without settings

log = logging.getLogger(__name__)

_BESIDE = re.compile(r"-wal|-shm|-journal|\.migrate")
_BACKUP = re.compile(r"(\.at-\d+)?\.before-\d+\.db.*")


def start_private() -> None:
    """What this process makes from here on is its user's alone; what is to be shared says so itself."""
    os.umask(private_files.OTHERS)


def must_be_writable(settings: Settings) -> None:
    """Raise `BadSettings` where `var/` or the SQLite database cannot be made or written. Changes nothing."""
    var = settings.home / "var"
    if not _can_be_written(var):
        raise BadSettings([f"{var} cannot be written: start the bot in a folder that its user may write to."])
    database_must_be_writable(settings)


def database_must_be_writable(settings: Settings) -> None:
    """As `must_be_writable`, of the SQLite database alone: everybody who opens it writes to it."""
    path = settings.database_url.path
    if path is not None and not (_can_be_written(path.parent) and _can_be_written(path)):
        where = f"{path} cannot be written by this user"
        raise BadSettings([f"DATABASE_URL: {where}: SQLite has to write to the file and to its folder."])


def _can_be_written(path: Path) -> bool:
    """Whether a file or folder may be written, or be made where it is missing."""
    while not os.path.lexists(path) and path != path.parent:
        path = path.parent
    return os.access(path, os.W_OK)


def make_var(home: Path) -> Path:
    """The folder `var` in the bot's home. Raises `BadSettings` where it cannot be made."""
    folder = home / "var"
    try:
        private_files.make_folder(folder)
    except OSError as error:
        raise BadSettings([f"{folder} cannot be made: {error.strerror}."]) from error
    return folder


def open_to_others(settings: Settings) -> Iterator[Path]:
    """Those of the bot's files and folders that other users of this machine may open."""
    return filter(private_files.is_open_to_others, _own(settings))


def close_to_others(settings: Settings) -> None:
    """Close what earlier releases, or hands, left open. What cannot be closed is told by the doctor."""
    for path in open_to_others(settings):
        try:
            private_files.close_to_others(path)
        except OSError as error:
            log.warning("%s may be opened by other users and cannot be closed to them: %s", path, error.strerror)
        else:
            log.info("%s was open to other users, and is not any more", path)


def _own(settings: Settings) -> Iterator[Path]:
    var = settings.home / "var"
    yield var
    yield from _in(var)
    database = settings.database_url.path
    if database is not None and database.parent != var:
        yield from (each for each in _in(database.parent) if _belongs(each.name, database))


def _in(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _belongs(name: str, database: Path) -> bool:
    """Whether a file beside the database is it, what SQLite puts beside it, or a copy made before a migration."""
    if name == database.name:
        return True
    beside, backup = name.removeprefix(database.name), name.removeprefix(database.stem)
    return (beside != name and bool(_BESIDE.fullmatch(beside))) or (backup != name and bool(_BACKUP.fullmatch(backup)))
