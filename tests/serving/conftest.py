"""Servers with small limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from crowds import Serving

from bot.serving.server_limits import Limits


@pytest.fixture
def serve() -> Iterator[Callable[..., Serving]]:
    """Starts servers whose limits are the usual ones but for those named."""
    running: list[Serving] = []

    def start(**changed: Any) -> Serving:
        running.append(Serving(replace(Limits(), **changed)))
        running[-1].start()
        return running[-1]

    yield start
    for each in running:
        each.stop()
