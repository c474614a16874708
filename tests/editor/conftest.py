"""A real YAML language server and the schema of SARIF, installed once a checkout by `package-lock.json`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import npm_packages
import pytest
from language_server import LanguageServer

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LanguageServer]:
    """One that runs, with nothing configured but that it fetches nothing."""
    program = npm_packages.installed(HERE, "yaml-language-server") / "bin/yaml-language-server"
    running = LanguageServer(program, tmp_path_factory.mktemp("editor"))
    yield running
    running.close()


@pytest.fixture(scope="module")
def sarif_schema() -> dict[str, Any]:
    """SARIF 2.1.0 as OASIS has published it."""
    schemas = npm_packages.installed(HERE, "@microsoft/jest-sarif") / "lib/schemas"
    found: dict[str, Any] = json.loads((schemas / "sarif-2.1.0-rtm.5.json").read_text("utf-8-sig"))
    return found
