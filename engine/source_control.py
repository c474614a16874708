"""Which commit a runbook file comes from, asked of git. Where there is no git, nothing is known, and that is said."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

_TIMEOUT_S = 5


@dataclass(frozen=True, slots=True)
class Commit:
    """The last commit of a file and its committer's e-mail address."""

    id: str
    email: str


def last_commit(path: Path) -> Commit | None:
    """The commit that made this file what it is; None outside git, without git, or when the file has local changes."""
    if _git(path, "status", "--porcelain", "--", path.name) != "":
        return None
    line = _git(path, "log", "-1", "--format=%H %ce", "--", path.name)
    if not line:
        return None
    commit, _, email = line.partition(" ")
    return Commit(commit, email)


def _git(path: Path, *arguments: str) -> str | None:
    """What git prints about the file's folder, or None when it can't say."""
    command = ["git", "-C", str(path.parent), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
