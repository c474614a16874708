"""The bot in its practice workspace, in both modes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from stage import Stage, ready, stage


@pytest.fixture(scope="module", params=["http", pytest.param("socket", marks=pytest.mark.slow)])
def bot(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The bot in its workspace, once in each mode, its runbooks synced and approved by commands."""
    with stage(tmp_path_factory.mktemp(request.param), socket_mode=request.param == "socket") as running:
        ready(running)
        yield running
