"""The runbooks that ship: what each says of its API and its permissions, and what its rehearsal goes through."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pages import ROOT, read, rows

FOLDER = ROOT / "runbooks.d"
SHIPPED = sorted(path for path in FOLDER.glob("[!_]*.yaml") if ".rehearsal." not in path.name)
_HEAD = re.compile(r"API: (?P<api>.+) Permissions: (?P<permissions>.+\.)")
OF_YOUR_OWN = {"canary-rollout", "restart-checkout"}
"""Those that call services of the reader's own, which have no documentation to name."""

every_runbook = pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)


def head(path: Path) -> tuple[str, str]:
    """The address of the API and the permissions, as the comment at the top of the file says them."""
    comment = path.read_text(encoding="utf-8").partition("apiVersion:")[0]
    said = _HEAD.fullmatch(" ".join(line.removeprefix("#").strip() for line in comment.splitlines()))
    assert said is not None, f"{path.name} begins with `# API: …` and `# Permissions: ….`"
    return said["api"], said["permissions"]


def cases(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(path.with_suffix(".rehearsal.yaml").read_text("utf-8"))["cases"]
    return found


def gates(path: Path) -> set[str]:
    steps = yaml.safe_load(path.read_text("utf-8")).get("steps", ())
    return {step["id"] for step in steps if step.get("type") == "approval"}


@every_runbook
def test_each_states_its_api_and_its_permissions(path: Path) -> None:
    api, _permissions = head(path)
    assert api.startswith("https://") != (path.stem in OF_YOUR_OWN)


def test_the_page_says_what_the_files_say() -> None:
    told = {cells[0]: tuple(cells[1:]) for cells in rows(read("docs/shipped-runbooks.md"))}
    said = {path: yaml.safe_load(path.read_text("utf-8")) for path in SHIPPED}
    assert told == {
        f"[`{path.stem}`](../runbooks.d/{path.name})": (one["name"], one["risk"], *head(path))
        for path, one in said.items()
    }


@every_runbook
def test_each_is_rehearsed_well_and_badly(path: Path) -> None:
    assert {"SUCCESS", "FAILED"} <= {case["expect"]["outcome"] for case in cases(path)}


@every_runbook
def test_no_call_changes_anything_where_a_gate_is_refused(path: Path) -> None:
    """For each gate there is a case in which it is not passed, and only GETs were made by then."""
    for gate in gates(path):
        refused = [case for case in cases(path) if {"reject", "expire"} & set(case.get("answers", {}).get(gate, ()))]
        assert refused, f"no case of {path.stem} refuses {gate}"
        calls = [case["expect"]["calls"] for case in refused]
        assert {call.get("method", "GET") for made in calls for call in made} <= {"GET"}
