"""What `.ci/slow.py` makes of slow tests that pass, that fail beside others, that fail again, and that never ran."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "slow.py"
AGAIN = SCRIPT.with_name("again.py")
FINE = "def test_fine():\n    pass\n"
ONCE = """\
def test_once():
    import pathlib
    seen = pathlib.Path("seen").exists()
    pathlib.Path("seen").touch()
    assert seen
"""
NEVER = "def test_never():\n    assert False\n"
CRASH = "def test_crash():\n    import os\n    os.environ.get('PYTEST_XDIST_WORKER') and os._exit(9)\n"
BROKEN = "raise RuntimeError('no module')\n"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def run(folder: Path, *texts: str) -> subprocess.CompletedProcess[str]:
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = slow\naddopts = -ra\n", encoding="utf-8")
    for number, text in enumerate(texts):
        marked = f"import pytest\npytestmark = pytest.mark.slow\n{text}"
        (folder / f"test_{number}.py").write_text(marked, encoding="utf-8")
    alone = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST_")}
    command = [sys.executable, str(SCRIPT)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=alone)


@pytest.mark.parametrize(("text", "status"), [(ONCE, 0), (NEVER, 1), (BROKEN, 2)])
def test_what_failed_in_make_test_is_run_once_more(tmp_path: Path, text: str, status: int) -> None:
    """By itself, from what pytest has kept of it; where nothing was run, there is nothing to run again."""
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = slow\naddopts = -ra\n", encoding="utf-8")
    (tmp_path / "test_0.py").write_text(FINE + text, encoding="utf-8")
    whole = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST_")}
    at = {"cwd": tmp_path, "capture_output": True, "text": True, "env": whole}
    assert subprocess.run([sys.executable, "-m", "pytest", "-m", "not slow"], check=False, **at).returncode
    done = subprocess.run([sys.executable, str(AGAIN)], check=False, **at)
    assert done.returncode == status, done.stdout + done.stderr
    assert ("then passed: test_0.py::test_once" in done.stdout) == (text == ONCE)


def last(done: subprocess.CompletedProcess[str]) -> str:
    return done.stdout.strip().splitlines()[-1]


def test_what_passes_is_run_once(tmp_path: Path) -> None:
    """And nothing else is said."""
    done = run(tmp_path, FINE)
    assert (done.returncode, "LOOK INTO IT" in done.stdout) == (0, False), done.stdout
    assert "1 passed" in last(done)


@pytest.mark.parametrize("text", [ONCE, CRASH])
def test_what_fails_beside_others_and_passes_alone_is_named(tmp_path: Path, text: str) -> None:
    """Also where it took its worker along. The run passes, and pytest's summary is its last word."""
    done = run(tmp_path, FINE, text)
    name = text.split("(")[0].removeprefix("def ")
    assert done.returncode == 0, done.stdout
    assert f"then passed: test_1.py::{name}" in done.stdout
    assert "1 passed" in last(done)
    assert "1 failed" in done.stdout, "the first outcome is there too"


def test_what_fails_twice_fails_the_run(tmp_path: Path) -> None:
    """Whatever else passed the second time."""
    done = run(tmp_path, ONCE, NEVER)
    assert done.returncode == 1, done.stdout
    assert "then passed: test_0.py::test_once" in done.stdout
    assert "FAILED AGAIN: test_1.py::test_never" in done.stdout
    assert "1 failed, 1 passed" in last(done)


@pytest.mark.parametrize(("texts", "status"), [((), 5), ((FINE, BROKEN), 2)])
def test_no_second_round_makes_good_what_did_not_run(tmp_path: Path, texts: tuple[str, ...], status: int) -> None:
    """No slow test at all, or a file that cannot be read."""
    assert run(tmp_path, *texts).returncode == status
