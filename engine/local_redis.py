"""The Redis that `runbook up` brings along, as other processes of the same folder find it.

Its address, password included, lies in a file that only the bot's owner may read. The file is locked for as long as
`runbook up` lives, so that one that was left behind is told from one that is true.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage import private_files

_FILE = "redis.url"


@contextmanager
def published(folder: Path, url: str) -> Iterator[None]:
    """Leave this Redis's URL in `folder` for as long as the block. Raises `OSError`."""
    private_files.make_folder(folder)
    path = folder / _FILE
    with open(path, "a+", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        os.fchmod(file.fileno(), 0o600)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        file.truncate(0)
        file.write(url)
        file.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def find_url(folder: Path) -> str | None:
    """The URL, if `runbook up` runs in this folder with a Redis of its own and this person may use it."""
    try:
        with open(folder / _FILE) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read() or None
    except OSError:
        return None
    return None
