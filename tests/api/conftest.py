"""The API over a whole engine with a clock turned by hand, asked through the web application as it is served."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_ENGINE = Path(__file__).parents[1] / "engine"
sys.path.append(str(_ENGINE))

from api_client import Api  # noqa: E402
from changing_requests import prepare  # noqa: E402
from harness import Clock, Harness, Target, http, runbook  # noqa: E402

from engine import boot  # noqa: E402
from engine.config import settings  # noqa: E402
from storage import database  # noqa: E402


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def database_kind(request: pytest.FixtureRequest) -> str:
    """The engine is proved on both; what is proved here is the door."""
    return str(request.param)


@pytest.fixture
def target() -> Iterator[Target]:
    server = Target()
    yield server
    server.close()


@pytest.fixture
def harness(database_url: str, runbooks_dir: Path, tmp_path: Path, target: Target) -> Iterator[Harness]:
    """The engine, with a runbook `drain` of team payments and one for everybody, both approved."""
    environ = {
        "DATABASE_URL": database_url,
        "RUNBOOKS_DIR": str(runbooks_dir),
        "EGRESS_ALLOW": f"127.0.0.1:{target.server.port}",
        "BREAK_GLASS": "true",
    }
    loaded = settings.load(environ, tmp_path)
    clock = Clock()
    rt = boot.open_engine(loaded)
    database.use_clock(clock)
    made = Harness(rt, clock)
    parameters = {"type": "object", "required": ["service"], "properties": {"service": {"enum": ["api", "web"]}}}
    made.publish(
        runbook("drain", http("drain", target.url("/drain")), parameters=parameters, tags=["lb"]),
        runbook("ping", http("ping", target.url("/ping")), team=None),
    )
    yield made
    made.close()


@pytest.fixture
def api(harness: Harness) -> Iterator[Api]:
    with Api(harness) as asking:
        yield asking


@pytest.fixture
def things(api: Api, target: Target) -> dict[str, Any]:
    """What the requests are about, each in the state in which it can be made; all of it Carol's and Bob's."""
    return prepare(api, target)
