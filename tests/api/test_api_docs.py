"""The reference of the API says what the code says."""

from __future__ import annotations

import re
from pathlib import Path

from asking import Api

from bot.api.problems import STATUS
from engine import errors
from engine.errors import EngineError

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")


def test_every_operation_has_its_row(api: Api) -> None:
    """And no other has one."""
    document = api.client.get("/api/v1/openapi.json").json()
    offered = {f"{method.upper()} {path}" for path, found in document["paths"].items() for method in found}
    assert set(re.findall(r"^\| `([A-Z]+ /\S*)` \|", PAGE, re.MULTILINE)) == offered
    assert document["openapi"].startswith("3.1")


def test_every_code_is_told() -> None:
    """With the status that goes with it."""
    told = set(re.findall(r"^\| (\d+) \| `(\w+)` \|", PAGE, re.MULTILINE))
    assert {(str(status), kind.code) for kind, status in STATUS.items()} <= told
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, EngineError)}
    unknown = {kind.__name__ for kind in kinds - set(STATUS) - {EngineError}}
    assert unknown == {"BadSettings"}
