"""Files and folders that nobody but their owner may open: 0600 and 0700, whatever the umask."""

from __future__ import annotations

import os
import stat
from pathlib import Path

OTHERS = 0o077
"""The permissions of everybody but the owner."""


def make_folder(path: Path) -> None:
    """Have a folder at `path`; it and those above it that are missing are made as 0700. Raises `OSError`."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)


def make_file(path: Path) -> None:
    """Have a file at `path`; a missing one is made, empty, as 0600. Raises `OSError`."""
    os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))


def is_open_to_others(path: Path) -> bool:
    """Whether anybody but its owner may do something with a file or folder. Links and what is gone are not."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    return not stat.S_ISLNK(mode) and bool(stat.S_IMODE(mode) & OTHERS)


def close_to_others(path: Path) -> None:
    """Take from everybody else what they may do with it. Raises `OSError` where it is another user's."""
    path.chmod(stat.S_IMODE(path.lstat().st_mode) & ~OTHERS)
