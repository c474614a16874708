"""What proves the promises uses the engine tests' house: its folder and its fixtures are known here too."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

_ENGINE = Path(__file__).parents[1] / "engine"
sys.path.append(str(_ENGINE))

_spec = importlib.util.spec_from_file_location("engine_fixtures", _ENGINE / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)
house, target = _fixtures.house, _fixtures.target
