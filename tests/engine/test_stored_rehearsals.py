"""Runbooks that are kept in the database: templates in them, and rehearsals that are a part of their versions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from harness import ALICE, DAVE, HOUR, Harness, http, runbook

from engine.access.policy import Actor
from engine.catalog import authoring, catalog, checking, rehearsals, version_approval
from engine.definition.expanded_text import as_written
from engine.errors import Conflict, InvalidDefinition, InvalidParameters, NotAllowed, Stale

URL = "https://api.example.com/switch"
SHARED = "apiVersion: runbook/v1\nkind: template\n"
SHARED += "parameters: {type: object, properties: {word: {type: string}}}\nsteps:\n"
SHARED += '  - {id: tell, type: message, with: {text: "{{ params.word }}"}}\n'
USES = "apiVersion: runbook/v1\nid: ours\nname: Ours\nsteps:\n  - {id: say, uses: say, with: {word: one}}\n"
MONTH = 30 * 24 * HOUR
STRANGER = Actor("U0NOBODY1", standing="member")


@pytest.fixture(autouse=True)
def roles(harness: Harness) -> None:
    """The folder is synced, so that it is known who may edit and approve."""
    harness.sync(demo=runbook("demo", http("switch", URL)))


def text(**top: Any) -> str:
    return runbook("ours", http("switch", URL, method="POST"), risk="high", **top)


def rehearsal(outcome: str = "SUCCESS", name: str = "It switches") -> str:
    case = {"name": name, "stubs": {"switch": {"status": 204}}, "expect": {"outcome": outcome}}
    return json.dumps({"cases": [case]})


def test_a_rehearsal_is_played_at_the_save_and_required_at_the_approval(harness: Harness) -> None:
    harness.settle_for(require_rehearsal="high")
    bare = authoring.create(harness.rt, ALICE, text())
    with pytest.raises(Conflict, match="save it with one: in the studio"):
        version_approval.approve(harness.rt, DAVE, "ours", bare.number)
    failing = authoring.update(harness.rt, ALICE, "ours", text(), rehearsal=rehearsal("FAILED"))
    with pytest.raises(Conflict, match="1 of its 1 cases fail"):
        version_approval.approve(harness.rt, DAVE, "ours", failing.number)
    broken = authoring.update(harness.rt, ALICE, "ours", text(), rehearsal="cases: [")
    with pytest.raises(Conflict, match="could not be played"):
        version_approval.approve(harness.rt, DAVE, "ours", broken.number)
    good = authoring.update(harness.rt, ALICE, "ours", text(), rehearsal=rehearsal())
    assert version_approval.approve(harness.rt, DAVE, "ours", good.number).status == "APPROVED"
    found = rehearsals.of_version(harness.rt, good)
    assert found is not None
    assert (found.passed, found.source) == (True, rehearsal())


def test_another_rehearsal_after_the_approver_looked_is_another_version(harness: Harness) -> None:
    """Of the same digest: the approval of what was looked at is refused, and an old text replaces nothing."""
    looked = authoring.create(harness.rt, ALICE, text(), rehearsal=rehearsal())
    was = authoring.tag(catalog.get(harness.rt, "ours"))
    later = authoring.update(harness.rt, ALICE, "ours", text(), rehearsal=rehearsal("FAILED"))
    assert (later.digest, later.number) == (looked.digest, 2)
    with pytest.raises(Conflict, match="not the newest version"):
        version_approval.approve(harness.rt, DAVE, "ours", looked.number, looked.digest)
    with pytest.raises(Stale):
        authoring.update(harness.rt, ALICE, "ours", text(), was=was, rehearsal=rehearsal(name="Mine"))
    with pytest.raises(Conflict, match="changes nothing"):
        authoring.update(harness.rt, ALICE, "ours", text(), rehearsal=rehearsal("FAILED"))
    first = rehearsals.of_version(harness.rt, looked)
    assert first is not None
    assert first.passed


def test_an_edit_of_the_text_alone_plays_the_rehearsal_it_had(harness: Harness) -> None:
    authoring.create(harness.rt, ALICE, text(), rehearsal=rehearsal())
    edited = authoring.patch(harness.rt, ALICE, "ours", {"name": "Another name"})
    kept = rehearsals.of_version(harness.rt, edited)
    assert kept is not None
    assert (kept.passed, kept.source) == (True, rehearsal())
    without = authoring.update(harness.rt, ALICE, "ours", text(), rehearsal="")
    assert rehearsals.of_version(harness.rt, without) is None


def test_who_may_not_edit_plays_nothing(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    authoring.create(harness.rt, ALICE, text())
    monkeypatch.setattr("engine.catalog.rehearsing.ask", lambda *_: pytest.fail("it was played"))
    with pytest.raises(NotAllowed):
        authoring.update(harness.rt, STRANGER, "ours", text(), rehearsal=rehearsal())
    with pytest.raises(NotAllowed):
        authoring.create(harness.rt, STRANGER, text().replace("ours", "other"), rehearsal=rehearsal())
    with pytest.raises(InvalidParameters, match="256 KiB"):
        authoring.update(harness.rt, ALICE, "ours", text(), rehearsal="#" * 300_000)


def test_templates_are_put_in_place_before_the_digest(harness: Harness) -> None:
    """What is kept is what they came to; a save after they changed is another version."""
    folder = harness.folder / "_templates"
    folder.mkdir()
    (folder / "say.yaml").write_text(SHARED)
    made = authoring.create(harness.rt, ALICE, USES)
    assert "say-tell" in made.source
    assert as_written(made.source) == USES
    with pytest.raises(Conflict, match="changes nothing"):
        authoring.update(harness.rt, ALICE, "ours", made.source)
    (folder / "say.yaml").write_text(SHARED.replace('}}"', '}}!"'))
    assert catalog.version(harness.rt, "ours").digest == made.digest
    again = authoring.update(harness.rt, ALICE, "ours", made.source)
    assert again.digest != made.digest
    assert again.source.count("comes to by its template") == 1
    with pytest.raises(InvalidDefinition, match="there is no template `sai`"):
        authoring.update(harness.rt, ALICE, "ours", USES.replace("uses: say", "uses: sai"))


def test_a_digest_alone_approves_nothing_that_could_be_another_version(harness: Harness) -> None:
    """The approver has seen the one that passes, and somebody saved one that fails; a number says which is meant."""
    looked = authoring.create(harness.rt, ALICE, text(), rehearsal=rehearsal())
    later = authoring.update(harness.rt, ALICE, "ours", text(), rehearsal=rehearsal("FAILED"))
    with pytest.raises(Conflict, match="Versions 1 and 2 of ours have this digest"):
        version_approval.approve(harness.rt, DAVE, "ours", None, looked.digest)
    with pytest.raises(NotAllowed):
        version_approval.approve(harness.rt, STRANGER, "ours", None, looked.digest)
    assert catalog.version(harness.rt, "ours").status == "DRAFT"
    assert version_approval.approve(harness.rt, DAVE, "ours", later.number, later.digest).status == "APPROVED"
    other = authoring.update(harness.rt, ALICE, "ours", text(name="Other"), rehearsal=rehearsal())
    assert version_approval.approve(harness.rt, DAVE, "ours", None, other.digest).status == "APPROVED"


def test_a_digest_alone_does_not_renew_where_another_rehearsal_was_saved(harness: Harness) -> None:
    harness.settle_for(approval_max_age=MONTH)
    first = authoring.create(harness.rt, ALICE, text(), rehearsal=rehearsal())
    version_approval.approve(harness.rt, DAVE, "ours", first.number)
    second = authoring.update(harness.rt, ALICE, "ours", text(), rehearsal=rehearsal(name="Another"))
    version_approval.approve(harness.rt, DAVE, "ours", second.number)
    harness.clock.tick(MONTH - HOUR)
    harness.know_groups()
    with pytest.raises(Conflict, match="Versions 1 and 2"):
        version_approval.renew(harness.rt, DAVE, "ours", None, first.digest)
    renewed, quorum = version_approval.renew(harness.rt, DAVE, "ours", second.number, second.digest)
    assert (renewed.number, quorum.missing) == (2, ())


def child(word: str) -> str:
    return runbook("child", {"id": "tell", "type": "message", "with": {"text": word}})


def test_a_result_older_than_a_target_or_a_started_runbook_counts_no_more(harness: Harness) -> None:
    """Until it is played again, by the same text saved once more: as another version, for whoever looks."""
    harness.settle_for(require_rehearsal="high")

    def change(host: str, word: str) -> None:
        targets = json.dumps({"targets": {"pay": {"url": f"https://{host}.example.com"}}})
        assert harness.sync(_targets_yaml=targets, child=child(word)).ok

    change("one", "one")
    calls = {"id": "switch", "type": "http", "with": {"target": "pay", "path": "/switch", "method": "POST"}}
    start = {"id": "start", "type": "runbook", "needs": ["switch"], "with": {"id": "child"}}
    parent = runbook("ours", calls, start, risk="high")
    made = authoring.create(harness.rt, ALICE, parent, rehearsal=rehearsal())
    assert rehearsals.outdated_by(harness.rt, made) == []
    for said, host, word in (("`child`", "one", "two"), ("what its targets stand for", "two", "two")):
        change(host, word)
        stale = catalog.version(harness.rt, "ours")
        assert rehearsals.outdated_by(harness.rt, stale) == [said]
        with pytest.raises(Conflict, match="Save it again, and it is played anew"):
            version_approval.approve(harness.rt, DAVE, "ours", stale.number)
        again = authoring.update(harness.rt, ALICE, "ours", parent)
        assert (again.digest, again.number) == (stale.digest, stale.number + 1)
        assert rehearsals.outdated_by(harness.rt, again) == []
        with pytest.raises(Conflict, match="changes nothing"):
            authoring.update(harness.rt, ALICE, "ours", parent)
    assert version_approval.approve(harness.rt, DAVE, "ours", again.number).status == "APPROVED"


def test_a_wrong_template_is_named_by_its_place_in_the_folder(harness: Harness) -> None:
    """And not by where that is on the host, in what is said at the save and in the studio."""
    folder = harness.folder / "_templates"
    folder.mkdir()
    (folder / "say.yaml").write_text(SHARED.replace("message", "mesage"))
    found = checking.checked(harness.rt, USES, None).problems
    with pytest.raises(InvalidDefinition) as refused:
        authoring.create(harness.rt, ALICE, USES)
    for said in (str(refused.value), *map(str, found)):
        assert "_templates/say.yaml:" in said
        assert str(harness.folder) not in said
    report = harness.sync(ours=USES)
    assert [each.message for each in report.problems if "first at _templates/say.yaml:" in each.message]
