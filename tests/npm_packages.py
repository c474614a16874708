"""Programs of npm that tests start, each installed once a checkout in exactly the versions of a `package-lock.json`."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

_LISTS = ("package.json", "package-lock.json")


def installed(here: Path, name: str) -> Path:
    """The package `name` with what it needs, by the lists in `here`. Skips without npm, or where it fetches nothing."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("there is no npm on this machine")
    digest = hashlib.sha256(b"".join((here / each).read_bytes() for each in _LISTS)).hexdigest()[:16]
    folder = Path(__file__).parents[1] / "var" / f"npm-{here.name}-{digest}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "ready").exists():
            for each in _LISTS:
                shutil.copy(here / each, folder)
            command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100)
            if done.returncode:
                pytest.skip(f"npm could not install {name}: {done.stderr[-300:]}")
            (folder / "ready").touch()
    return folder / "node_modules" / name
