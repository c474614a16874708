"""What the bot makes is its user's alone, started under the usual umask; and a start that fails changes nothing."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from deployment import LB_TOKEN, Deployment, wait_for

from bot.cli import connect
from engine import boot
from engine.config import settings
from storage import database

COMMAND = [sys.executable, "-P", "-m", "bot.cli"]


@pytest.fixture(autouse=True)
def _usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    """Permissions of a folder and all in it, by path; what goes away meanwhile is left out."""
    found = {}
    for path in (folder, *folder.rglob("*")):
        try:
            found[str(path.relative_to(folder))] = stat.S_IMODE(path.lstat().st_mode)
        except FileNotFoundError:
            continue
    return found


def test_a_running_bot_keeps_its_files_to_itself(tmp_path: Path) -> None:
    """What it makes, what it finds too open, and what its processes would make; Redis gets none of its secrets."""
    home = tmp_path / "home"
    with Deployment(home) as bot:
        var = home / "var"
        var.mkdir()
        (var / "left.log").write_text("x")
        assert modes(var) == {".": 0o755, "left.log": 0o644}
        bot.up()
        found = modes(var)
        assert {"secret.key", "runbook.db", "runbook.db-wal", "up.lock", "left.log"} <= set(found)
        assert {name: oct(mode) for name, mode in found.items() if name != "." and mode != 0o600} == {}
        assert found["."] == 0o700
        assert bot.process is not None
        children = Path(f"/proc/{bot.process.pid}/task/{bot.process.pid}/children").read_text().split()
        for pid in (str(bot.process.pid), *children):
            assert "Umask:\t0077" in Path(f"/proc/{pid}/status").read_text()
        named = {pid: Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")[0] for pid in children}
        for pid in (pid for pid, name in named.items() if b"redis" in name or b"valkey" in name):
            environment = Path(f"/proc/{pid}/environ").read_bytes()
            assert LB_TOKEN.encode() not in environment
            assert b"SLACK" not in environment


def test_the_command_lines_own_api_is_nobody_elses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is served on a socket in a folder of its own, for as long as the command takes."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    loaded = settings.load({"DATABASE_URL": f"sqlite:///{tmp_path}/runbook.db"}, tmp_path)
    boot.migrate_database(loaded)
    with connect.on_this_host(loaded, "no-such-token") as api:
        with pytest.raises(connect.Refused):
            api.get("runbooks")
        (socket_,) = tmp_path.glob("runbook-*/api")
        assert stat.S_IMODE(socket_.stat().st_mode) == 0o600
        assert stat.S_IMODE(socket_.parent.stat().st_mode) == 0o700
    database.close_database()


def _run(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "PORT": "0", "RUNBOOKS_DIR": "/nonexistent"}
    return subprocess.run(
        [*COMMAND, *words], cwd=folder, env={**kept, **environment}, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip


def _contents(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


@pytest.fixture
def taken() -> Iterator[str]:
    """A port that another program listens on."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield str(other.getsockname()[1])


def _one_sentence(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    assert done.returncode == 2, done.stderr
    lines = [line for line in done.stderr.splitlines() if " WARNING " not in line]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("runbook: ")
    assert all(part in lines[0] for part in parts), lines


@pytest.mark.parametrize("there", [False, True])
def test_a_taken_port_is_found_before_anything_is_changed(tmp_path: Path, taken: str, there: bool) -> None:
    """Neither is a database migrated nor a folder made by a bot that then does not run."""
    if there:
        assert _run(tmp_path, "migrate").returncode == 0
    before = _contents(tmp_path)
    _one_sentence(_run(tmp_path, "up", PORT=taken), "PORT", taken, "is taken by another program")
    assert _contents(tmp_path) == before


@pytest.mark.parametrize("wrong", [{"SECRET_KEY": "short"}, {"HOST": "192.0.2.1"}])
def test_a_wrong_setting_is_found_before_anything_is_changed(tmp_path: Path, wrong: dict[str, str]) -> None:
    """An address that is not this machine's is known only when it is tried."""
    name, value = next(iter(wrong.items()))
    _one_sentence(_run(tmp_path, "up", **wrong), value if name == "HOST" else name)
    assert _contents(tmp_path) == {}


def test_a_second_bot_in_a_folder_says_which_is_the_first(tmp_path: Path) -> None:
    """Not that its port is taken by some other program."""
    with Deployment(tmp_path / "home") as bot:
        bot.up()
        assert bot.process is not None
        done = _run(bot.folder, "up", PORT=str(bot.port))
        _one_sentence(done, "already running", str(bot.process.pid))
        wait_for(bot.ready)


BOUND = "import ctypes, os, sys; ctypes.CDLL(None).prctl(24, 1, 0, 0, 0); os.execv(sys.argv[1], sys.argv[1:])"
"""Becomes another program that is bound by permissions even as root: without CAP_DAC_OVERRIDE."""


@pytest.mark.parametrize(
    ("what", "verb"),
    [
        ("home", "up"), ("home", "migrate"), ("folder", "up"), ("file", "migrate"), ("file", "web"), ("file", "worker"),
        ("file", "doctor"), ("lock", "up"), ("lock", "migrate"),
    ],
)  # fmt: skip
def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path, what: str, verb: str) -> None:
    """The bot's home, the database's folder or its file: without a traceback, and without a thing done."""
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    url = "sqlite:///var/runbook.db" if what == "home" else f"sqlite:///{elsewhere}/runbook.db"
    if what in ("file", "lock"):
        assert _run(home, "migrate", DATABASE_URL=url).returncode == 0
        (home / "var").mkdir(mode=0o700)
        (home / "var" / "up.lock").touch(0o400)
        (elsewhere / ("runbook.db" if what == "file" else "runbook.db.migrate")).chmod(0o400)
    else:
        (home if what == "home" else elsewhere).chmod(0o555)
    before = _contents(tmp_path)
    environment = {"PATH": os.environ["PATH"], "PORT": "0", "DATABASE_URL": url, "HOME": "/nonexistent"}
    command = [sys.executable, "-c", BOUND, *COMMAND, verb]
    done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr + done.stdout
    if verb == "doctor":
        assert done.returncode == 1
        assert "BAD   database: DATABASE_URL: " in done.stdout
    else:
        said = "cannot be " + ("written" if what != "lock" else "opened" if verb == "up" else "used")
        _one_sentence(done, said, "var" if what == "home" or (what, verb) == ("lock", "up") else "elsewhere")
    assert _contents(tmp_path) == before
