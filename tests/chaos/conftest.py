"""What proves the promises uses the engine tests' harness: its folder and its fixtures are known here too."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

_ENGINE = Path(__file__).parents[1] / "engine"
sys.path.append(str(_ENGINE))

_spec = importlib.util.spec_from_file_location("engine_fixtures", _ENGINE / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)
harness, target = _fixtures.harness, _fixtures.target


@pytest.fixture
def new_database(database_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[], str]:
    """Gives the URL of a migrated database without a row, as often as it is asked; the one before is over then."""
    if database_kind == "postgresql":
        return request.getfixturevalue("postgres").empty
    template, file = request.getfixturevalue("sqlite_template"), tmp_path / "machine.db"

    def copy() -> str:
        for each in tmp_path.glob("machine.db*"):
            each.unlink()
        shutil.copy(template, file)
        return f"sqlite:///{file}"

    return copy
