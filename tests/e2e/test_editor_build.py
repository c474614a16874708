"""The editor component that is served is what its lock file says: built anew, it is the same file, byte by byte."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parents[2]
SOURCE = HOME / ".ci/editor"
AWAY = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT")
SERVED = HOME / "bot/page/static/codemirror.js"


@pytest.mark.slow
def test_the_editor_is_built_of_the_packages_that_its_lock_file_names(tmp_path: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    folder = tmp_path / "editor"
    shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns("node_modules"))
    _npm(npm, folder, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    _npm(npm, folder, "run", "--silent", "build")
    assert (folder / "codemirror.js").read_bytes() == SERVED.read_bytes()


def test_the_lock_file_names_hashes_and_no_place_to_fetch_from() -> None:
    lock = (SOURCE / "package-lock.json").read_text(encoding="utf-8")
    assert "integrity" in lock
    assert '"resolved"' not in lock


def _npm(npm: str, folder: Path, *words: str) -> None:
    done = subprocess.run([npm, *words], cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode and any(code in done.stderr for code in AWAY):
        pytest.skip("the packages' registry cannot be reached")
    assert done.returncode == 0, done.stderr or done.stdout
