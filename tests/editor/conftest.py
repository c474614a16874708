"""A real YAML language server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import npm_packages
import pytest
from language_server import LanguageServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LanguageServer]:
    """One that runs, with nothing configured but that it fetches nothing."""
    program = npm_packages.installed(Path(__file__).parent, "yaml-language-server") / "bin/yaml-language-server"
    running = LanguageServer(program, tmp_path_factory.mktemp("editor"))
    yield running
    running.close()
