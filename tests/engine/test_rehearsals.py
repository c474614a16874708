"""Rehearsals that are synced: what is kept with a version, when it is played anew, and that it may be required."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from harness import ALICE, BOB, DAVE, Harness, http, runbook

from engine.access.policy import SYSTEM
from engine.catalog import catalog, rehearsals, rehearsing, sync, version_approval
from engine.catalog.sync import SyncReport
from engine.errors import Conflict, NotAllowed
from storage.catalog_records import RehearsalRecord, VersionRecord

URL = "https://api.example.com/switch"


def text_of(**top: Any) -> str:
    return runbook("demo", http("switch", URL, method="POST"), risk="high", **top)


def rehearsal(outcome: str = "SUCCESS", name: str = "It switches", **stub: Any) -> str:
    case = {"name": name, "stubs": {"switch": stub or {"status": 204}}, "expect": {"outcome": outcome}}
    return json.dumps({"cases": [case]})


@pytest.fixture
def synced(harness: Harness) -> Harness:
    """A deployment in which versions of high risk need a rehearsal."""
    harness.settle_for(require_rehearsal="high")
    return harness


def write(harness: Harness, said: str | None, **top: Any) -> SyncReport:
    (harness.folder / "demo.yaml").write_text(text_of(**top))
    path = harness.folder / "demo.rehearsal.yaml"
    path.unlink(missing_ok=True)
    if said is not None:
        path.write_text(said)
    return sync.sync(harness.rt, SYSTEM)


def current(harness: Harness) -> VersionRecord:
    return catalog.version(harness.rt, "demo")


def kept(harness: Harness) -> RehearsalRecord | None:
    return rehearsals.of_version(harness.rt, current(harness))


def approve(harness: Harness) -> VersionRecord:
    return version_approval.approve(harness.rt, ALICE, "demo", current(harness).number)


def test_a_passing_rehearsal_is_kept_and_lets_a_version_be_approved(synced: Harness) -> None:
    report = write(synced, rehearsal())
    assert report.ok
    assert [each.slug for each in report.changes] == ["demo"]
    found = kept(synced)
    assert found is not None
    assert found.passed
    assert found.result["cases"][0]["path"] == [["switch", "SUCCESS"]]
    assert approve(synced).status == "APPROVED"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (None, "it has none: write demo.rehearsal.yaml beside demo.yaml, and sync."),
        (rehearsal("FAILED"), "1 of its 1 cases fail: “It switches”. `runbook rehearse demo.rehearsal.yaml` says why"),
        (rehearsal(status=500), "1 of its 1 cases fail"),
        (json.dumps({"cases": [{"name": "a", "expect": {"outcome": "SUCCESS"}}]}), "1 of its 1 cases fail"),
        ("cases: [", "it could not be played: demo.rehearsal.yaml:2:1: this is not YAML"),
    ],
)
def test_without_one_that_passes_it_is_not_approved(synced: Harness, said: str | None, why: str) -> None:
    write(synced, said)
    with pytest.raises(Conflict, match="is not approved without a rehearsal") as refused:
        approve(synced)
    assert why in str(refused.value)
    assert current(synced).status == "DRAFT"


def test_where_it_is_not_required_nobody_is_kept_from_approving(harness: Harness) -> None:
    write(harness, rehearsal("FAILED"))
    assert approve(harness).status == "APPROVED"


@pytest.mark.parametrize(
    ("level", "risk", "needed"),
    [("high", "medium", False), ("medium", "medium", True), ("medium", "low", False), ("all", "low", True)],
)
def test_from_which_risk_on(harness: Harness, level: str, risk: str, needed: bool) -> None:
    harness.settle_for(require_rehearsal=level)
    (harness.folder / "demo.yaml").write_text(runbook("demo", http("switch", URL), risk=risk))
    sync.sync(harness.rt, SYSTEM)
    if needed:
        with pytest.raises(Conflict):
            approve(harness)
    else:
        assert approve(harness).status == "APPROVED"


def test_a_lower_risk_is_no_way_round_it(synced: Harness) -> None:
    """What was approved as of high risk needs a rehearsal to become of less."""
    write(synced, rehearsal())
    approve(synced)
    (synced.folder / "demo.rehearsal.yaml").unlink()
    (synced.folder / "demo.yaml").write_text(runbook("demo", http("switch", URL, method="POST"), risk="low"))
    sync.sync(synced.rt, SYSTEM)
    with pytest.raises(Conflict, match="without a rehearsal"):
        approve(synced)


def test_a_first_of_two_approvals_needs_it_too(synced: Harness) -> None:
    synced.settle_for(definition_approvals=2)
    write(synced, None)
    for who in (ALICE, DAVE):
        with pytest.raises(Conflict, match="without a rehearsal"):
            version_approval.approve(synced.rt, who, "demo", current(synced).number)


def test_who_may_not_approve_is_told_nothing_of_it(synced: Harness) -> None:
    write(synced, None)
    with pytest.raises(NotAllowed):
        version_approval.approve(synced.rt, BOB, "demo", current(synced).number)


def test_one_that_goes_or_changes_counts_no_more(synced: Harness) -> None:
    """The version is the same; what is said of it is that of the folder as it is now."""
    number = write(synced, rehearsal()).changes[0].number
    write(synced, rehearsal("FAILED"))
    with pytest.raises(Conflict, match="1 of its 1 cases fail"):
        approve(synced)
    write(synced, None)
    assert kept(synced) is None
    with pytest.raises(Conflict, match="it has none"):
        approve(synced)
    write(synced, rehearsal())
    assert current(synced).number == number
    assert approve(synced).status == "APPROVED"


def test_a_new_version_does_not_have_that_of_the_one_before(synced: Harness) -> None:
    write(synced, rehearsal())
    write(synced, rehearsal(name="Another"), description="Changed")
    assert current(synced).number == 2
    found = kept(synced)
    assert found is not None
    assert [each["name"] for each in found.result["cases"]] == ["Another"]


def test_a_version_rolled_back_is_asked_again(synced: Harness) -> None:
    write(synced, rehearsal())
    approve(synced)
    version_approval.deprecate(synced.rt, ALICE, "demo", reason="Away with it")
    (synced.folder / "demo.rehearsal.yaml").unlink()
    sync.sync(synced.rt, SYSTEM)
    version_approval.rollback(synced.rt, ALICE, "demo", reason="And back")
    with pytest.raises(Conflict, match="without a rehearsal"):
        approve(synced)


def test_what_has_not_changed_is_not_played_again(synced: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    write(synced, rehearsal())
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("it was played again"))
    sync.sync(synced.rt, SYSTEM)
    found = kept(synced)
    assert found is not None
    assert found.passed


def test_a_child_that_has_changed_is_played_again(synced: Harness) -> None:
    parent = runbook("parent", {"id": "go", "type": "runbook", "with": {"id": "demo"}}, risk="high")
    (synced.folder / "parent.yaml").write_text(parent)
    said = {"name": "a", "stubs": {"go/switch": {"status": 204}}, "expect": {"outcome": "SUCCESS"}}
    (synced.folder / "parent.rehearsal.yaml").write_text(json.dumps({"cases": [said]}))
    write(synced, None)
    assert version_approval.approve(synced.rt, ALICE, "parent", 1).status == "APPROVED"
    (synced.folder / "demo.yaml").write_text(runbook("demo", http("other", URL, method="POST")))
    sync.sync(synced.rt, SYSTEM)
    found = rehearsals.of_version(synced.rt, catalog.version(synced.rt, "parent"))
    assert found is not None
    assert not found.passed


def test_a_rehearsal_that_hangs_is_ended(synced: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of it counts, the sync goes on, and the next one tries again."""
    monkeypatch.setattr(rehearsing, "LIMIT_S", 0.5)
    monkeypatch.setattr(rehearsing, "COMMAND", ("/bin/sleep", "30"))
    assert write(synced, rehearsal()).changes
    with pytest.raises(Conflict, match=r"was not played to its end within the 0\.5 s of a sync"):
        approve(synced)
    monkeypatch.undo()
    sync.sync(synced.rt, SYSTEM)
    assert approve(synced).status == "APPROVED"


def test_the_process_has_no_environment(synced: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """What this process knows is not there to be read."""
    monkeypatch.setenv("RUNBOOK_SECRET_CANARY", "c4nary-b1rd-of-the-m1ne")
    seen: dict[str, Any] = {}
    real = subprocess.Popen

    def noting(*args: Any, **options: Any) -> Any:
        seen.update(options)
        return real(*args, **options)

    monkeypatch.setattr(subprocess, "Popen", noting)
    write(synced, rehearsal())
    assert seen["env"] == {}


def test_a_link_is_reported_and_counts_for_nothing(synced: Harness, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text(rehearsal())
    (synced.folder / "demo.yaml").write_text(text_of())
    os.symlink(tmp_path / "elsewhere", synced.folder / "demo.rehearsal.yaml")
    report = sync.sync(synced.rt, SYSTEM)
    assert [each.message for each in report.problems] == [
        "cannot be read: it is a symbolic link, and links are not followed"
    ]
    with pytest.raises(Conflict, match="it has none"):
        approve(synced)


def test_how_the_way_has_changed_is_told(synced: Harness) -> None:
    """Against that of the last approved version, case by case."""
    write(synced, rehearsal())
    approve(synced)
    steps = [http("first", URL), http("switch", URL, method="POST")]
    (synced.folder / "demo.yaml").write_text(runbook("demo", *steps, risk="high"))
    said = {"name": "It switches", "stubs": {"first": {}, "switch": {"status": 400}}, "expect": {"outcome": "FAILED"}}
    said["stubs"]["first"] = {"status": 200}
    (synced.folder / "demo.rehearsal.yaml").write_text(json.dumps({"cases": [said]}))
    sync.sync(synced.rt, SYSTEM)
    assert rehearsals.path_changes(synced.rt, current(synced)) == ["“It switches”: + first, switch: SUCCESS → FAILED"]
