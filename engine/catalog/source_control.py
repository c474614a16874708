"""Which commits runbook files come from, read by a library from the files that git keeps.

A repository says what git is to run: monitors, hooks, filters, whole repositories made of committed files. So no
program is asked and no such setting is looked at. Where nothing can be learnt, nothing is known.
"""

from __future__ import annotations

import logging
import os
import re
import stat
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from dulwich.config import ConfigFile
from dulwich.index import Index, IndexEntry
from dulwich.objects import Blob, ObjectID
from dulwich.refs import HEADREF
from dulwich.repo import Repo

from engine.catalog.git_history import Entry, History

log = logging.getLogger(__name__)

DEADLINE_S = 10.0
"""How long one sync looks through a history: some 50,000 commits."""

_EMAIL = re.compile(r"[^\s<>@\x00-\x1f\x7f]{1,128}@[^\s<>@\x00-\x1f\x7f]{1,255}")


@dataclass(frozen=True, slots=True)
class Commit:
    """The last commit of a file, its committer's e-mail address, where that is one, and its time in seconds."""

    id: str
    email: str | None
    at: int = field(default=0, compare=False)


def last_commits(folder: Path, files: Mapping[str, bytes]) -> dict[str, Commit]:
    """The commits that made these files of `folder` what they are, by name. `files` are their contents.

    A file is left out when it is outside git, untracked, no longer as it was committed, or not found in time; what went
    wrong is logged. Raises nothing, and returns within a second of `DEADLINE_S`.
    """
    found: dict[str, Commit] = {}
    reading = threading.Thread(target=_read, args=(folder, files, found), name="history", daemon=True)
    reading.start()
    # The reader keeps the time itself; only a disk that does not answer holds it up, and cannot hold up a sync.
    reading.join(DEADLINE_S + 1)
    if reading.is_alive():
        log.warning("git's files over %s could not be read in time: authors are unknown", folder)
    return dict(found)


def _read(folder: Path, files: Mapping[str, bytes], found: dict[str, Commit]) -> None:
    until = time.monotonic() + DEADLINE_S
    try:
        folder = folder.resolve(strict=True)
        root = _root(folder)
        if root is None:
            return
        with closing(_Repository(str(root), bare=False)) as repo:
            left = _look(repo, folder, root, files, until, found)
    except Exception as error:  # noqa: BLE001 - a repository may be broken in any way, and the files are synced all the same
        log.warning("git's files over %s could not be read: authors are unknown: %s", folder, _said(error))
        return
    if left:
        log.warning("the last commits of %s were not found in %g s: authors are unknown", ", ".join(left), DEADLINE_S)


def _look(
    repo: Repo, folder: Path, root: Path, files: Mapping[str, bytes], until: float, found: dict[str, Commit]
) -> list[str]:
    """Put into `found` what is found until then; the names that are committed as they are and were not found."""
    try:
        head = repo.refs[HEADREF]
    except KeyError:  # nothing is committed yet
        return []
    history = History(repo, map(os.fsencode, folder.relative_to(root).parts))
    clean = {os.fsencode(name): name for name in _clean(repo, folder, root, files, history.entries(head))}
    for raw, commit_id, commit in history.last_changes(head, clean, until):
        found[clean[raw]] = Commit(commit_id.decode("ascii"), _email(commit.committer), commit.commit_time)
    return sorted(name for name in clean.values() if name not in found)


class _Repository(Repo):
    """Reads the repository's own settings, which say how its files are laid out, and none that those name."""

    def get_config(self) -> ConfigFile:
        try:
            return ConfigFile.from_path(os.path.join(self.commondir(), "config"), expand_includes=False)
        except FileNotFoundError:
            return ConfigFile()


def _root(folder: Path) -> Path | None:
    """The nearest folder, upwards, with a `.git`: git never commits one. What looks like a bare repository is none."""
    for each in (folder, *folder.parents):
        try:
            mode = (each / ".git").stat().st_mode
        except OSError:
            continue
        if stat.S_ISDIR(mode) or stat.S_ISREG(mode):
            return each
    return None


def _clean(
    repo: Repo, folder: Path, root: Path, files: Mapping[str, bytes], committed: Mapping[bytes, Entry]
) -> Iterator[str]:
    """The names of those files that are as `committed` says."""
    unlike: dict[bytes, tuple[str, ObjectID]] = {}
    for name, content in files.items():
        mode, content_id = committed.get(os.fsencode(name), (0, None))
        if content_id is None or not stat.S_ISREG(mode):
            continue
        if Blob.from_string(content).get_id(repo.object_format) == content_id:
            yield name
        else:
            unlike[os.fsencode((folder / name).relative_to(root))] = (name, content_id)
    if unlike:
        yield from _checked_out(Path(repo.index_path()), repo, folder, unlike)


def _checked_out(noted: Path, repo: Repo, folder: Path, unlike: Mapping[bytes, tuple[str, ObjectID]]) -> Iterator[str]:
    """Those whose content differs because git changed it on the way out (line ends, filters), by git's own notes."""
    try:
        at = noted.stat().st_mtime_ns
        notes = Index(noted, object_format=repo.object_format)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the other files do not need it
        log.warning("%s could not be read: %s", noted, _said(error))
        return
    for path, note in notes.iteritems():
        name, content_id = unlike.get(path, ("", None))
        if not name or not isinstance(note, IndexEntry):
            continue
        now = (folder / name).lstat()
        # A file that is as young as the notes may have been changed after they were taken.
        if _ns(note.mtime) == now.st_mtime_ns < at and (note.sha, note.size) == (content_id, now.st_size):
            yield name


def _ns(mtime: float | tuple[int, int]) -> int:
    return mtime[0] * 1_000_000_000 + mtime[1] if isinstance(mtime, tuple) else int(mtime * 1_000_000_000)


def _email(committer: bytes) -> str | None:
    """The address in `Name <address>`."""
    address = committer.partition(b"<")[2].partition(b">")[0].decode("utf-8", "replace").strip()
    return address if _EMAIL.fullmatch(address) else None


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
