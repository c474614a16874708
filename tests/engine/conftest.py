"""The engine over a real database, with a clock turned by hand and a real server to call."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Clock, Harness, Target

from engine import boot
from engine.config import settings
from storage import database


@pytest.fixture
def target() -> Iterator[Target]:
    server = Target()
    yield server
    server.close()


@pytest.fixture
def harness(database_url: str, runbooks_dir: Path, tmp_path: Path, target: Target) -> Iterator[Harness]:
    loaded = settings.load(
        {
            "DATABASE_URL": database_url,
            "RUNBOOKS_DIR": str(runbooks_dir),
            "EGRESS_ALLOW": f"127.0.0.1:{target.server.port}",
            "RUNBOOK_SECRET_CANARY": "c4nary-b1rd-of-the-m1ne",
        },
        tmp_path,
    )
    clock = Clock()
    rt = boot.open_engine(loaded)
    database.use_clock(clock)
    made = Harness(rt, clock)
    yield made
    made.close()
