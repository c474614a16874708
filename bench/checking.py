"""How long `runbook check` takes over a folder of many runbooks, in a process of its own."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from engine.definition.rehearsals import is_rehearsal

FILES = 1_000
ROOT = Path(__file__).parents[1]
BOOKS = ROOT / "runbooks.d"
_HOST = re.compile(r"(https?://[\w.-]*)\bexample\.com")
RULES = len(list(BOOKS.glob("_*.yaml"))) + len(list(BOOKS.glob("_templates/*.yaml")))


def of_many_files(files: int = FILES) -> str:
    """So many runbooks, each the text of one that ships with an id and hosts of its own, beside the files of rules."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = written(folder, files)
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "bot.cli", "check", str(folder)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.perf_counter() - began
    assert done.returncode == 0, done.stdout[:2000]
    assert done.stdout == f"{files + RULES} files are fine\n", done.stdout[:2000]
    return f"{files} files, {size / 1024:.0f} KiB, in {seconds:.1f} s: {1000 * seconds / files:.1f} ms each"


def written(folder: Path, files: int) -> int:
    """Write the runbooks and return how many bytes they have together."""
    for rules in BOOKS.glob("_*.yaml"):
        shutil.copy(rules, folder)
    shutil.copytree(BOOKS / "_templates", folder / "_templates")
    shipped = [path.read_text() for path in sorted(BOOKS.glob("[!_]*.yaml")) if not is_rehearsal(path)]
    size = 0
    for number in range(files):
        text = shipped[number % len(shipped)]
        slug = text.partition("\nid: ")[2].partition("\n")[0]
        own = text.replace(f"id: {slug}", f"id: {slug}-{number}")
        own = _HOST.sub(rf"\1s{number}.example.com", own)
        size += (folder / f"{slug}-{number}.yaml").write_text(own)
    return size
