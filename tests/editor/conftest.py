"""A real YAML language server and the schema of SARIF, installed once a checkout by `package-lock.json`."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from language_server import LanguageServer

HERE = Path(__file__).parent
LISTS = ("package.json", "package-lock.json")


def installed() -> Path:
    """The folder of what npm has installed. Skips where there is no npm, or it can fetch nothing."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("there is no npm on this machine")
    digest = hashlib.sha256(b"".join((HERE / name).read_bytes() for name in LISTS)).hexdigest()[:16]
    folder = HERE.parents[1] / "var" / f"editor-tests-{digest}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "ready").exists():
            for name in LISTS:
                shutil.copy(HERE / name, folder)
            command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100)
            if done.returncode:
                pytest.skip(f"npm could not install what the tests need: {done.stderr[-300:]}")
            (folder / "ready").touch()
    return folder / "node_modules"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LanguageServer]:
    """One that runs, with nothing configured but that it fetches nothing."""
    program = installed() / "yaml-language-server/bin/yaml-language-server"
    running = LanguageServer(program, tmp_path_factory.mktemp("editor"))
    yield running
    running.close()


@pytest.fixture(scope="module")
def sarif_schema() -> dict[str, Any]:
    """SARIF 2.1.0 as OASIS has published it."""
    found: dict[str, Any] = json.loads(
        (installed() / "@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json").read_text("utf-8-sig")
    )
    return found
