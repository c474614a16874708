"""Reading files that others put there: regular files and nothing else, so that no read waits or leaves its folder."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_KINDS = (
    (stat.S_ISLNK, "a symbolic link, and links are not followed"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class NotRegular(OSError):
    """The path names a link, folder, pipe, socket or device. `strerror` says which."""


def read(path: Path, most: int = -1) -> bytes:
    """The first `most` bytes of the regular file at `path`; all of them where `most` is not said.

    Raises `OSError`, whose `strerror` finishes the sentence “cannot be read: …”; `NotRegular` for all but files.
    """
    if "\0" in str(path):
        raise OSError(errno.EINVAL, "its name holds a NUL character")
    # What a mere opening would set off or wait for, a device or a pipe, is not even opened.
    _must_be_regular(path.lstat().st_mode)
    with os.fdopen(os.open(path, _FLAGS), "rb") as opened:
        _must_be_regular(os.fstat(opened.fileno()).st_mode)
        return opened.read(most)


def _must_be_regular(mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = next((words for is_it, words in _KINDS if is_it(mode)), "no regular file")
        raise NotRegular(errno.EINVAL, f"it is {kind}")
