"""The chain of audit rows, and what is on record of a run."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from harness import ALICE, CAROL, OSCAR, SYSTEM, Harness, Target, at_once, errors, gate, http, runbook
from hypothesis import given
from hypothesis import strategies as st
from local_server import answer
from tampering import pass_triggers, tampering

from bot import evidence_page
from bot.cli import check
from engine.access import policy as access
from engine.errors import Conflict, NotAllowed, NotFound
from engine.queries import audit_chain, evidence
from engine.runs import controls, voting
from storage import audit, database, sql
from storage.records import AuditRecord
from storage.states import Decision, Severity

SECRET = "c4nary-b1rd-of-the-m1ne"


def wrote(harness: Harness, number: int) -> None:
    with database.transaction():
        for each in range(number):
            detail = {"n": each, "text": "<!channel> ä\u2028"}
            audit.write(harness.rt.workspace_id, "U0ALICE01", "test.row", "thing", Severity.NOTICE, detail)


def test_rows_are_sealed_in_order_by_the_sweep_and_the_chain_holds(harness: Harness) -> None:
    """Each hash covers its row and the hash before; nothing is sealed twice."""
    wrote(harness, 5)
    harness.sweep()
    seen = audit_chain.verify(harness.rt)
    assert seen.troubles == ()
    assert seen.rows == seen.seq >= 5
    wrote(harness, 1)
    again = audit_chain.verify(harness.rt, expected=(seen.seq, seen.hash))
    assert (again.seq, again.troubles) == (seen.seq + 1, ())
    assert audit_chain.seal(harness.rt) == 0


TAMPERED = {
    "UPDATE audit SET actor = 'U0OTHER01' WHERE seq = 3": 3,
    "UPDATE audit SET detail = '{}' WHERE seq = 3": 3,
    "UPDATE audit SET at = at + 1 WHERE seq = 3": 3,
    "UPDATE audit SET hash = '00' WHERE seq = 3": 3,
    "DELETE FROM audit WHERE seq = 3": 3,
}


def test_a_row_that_was_changed_or_taken_out_is_found(harness: Harness) -> None:
    """And where."""
    wrote(harness, 6)
    audit_chain.seal(harness.rt)
    for tamper, place in TAMPERED.items():
        with tampering():
            sql.run(tamper)
            assert audit_chain.verify(harness.rt).troubles[0].seq == place, tamper
    assert audit_chain.verify(harness.rt).troubles == ()


def test_rows_cut_off_the_end_are_found_by_a_head_noted_elsewhere(harness: Harness) -> None:
    """The chain itself cannot know how long it was."""
    wrote(harness, 6)
    seen = audit_chain.verify(harness.rt)
    with database.transaction():
        pass_triggers()
        sql.run(f"DELETE FROM audit WHERE seq > {seen.seq - 2}")
    assert audit_chain.verify(harness.rt).troubles == ()
    assert audit_chain.verify(harness.rt, expected=(seen.seq, seen.hash)).troubles[0].seq == seen.seq - 1


def test_many_that_write_and_seal_at_once_make_one_chain(harness: Harness) -> None:
    """No row waits for another's place, and every place is given once."""

    def work() -> None:
        for _ in range(5):
            wrote(harness, 2)
            audit_chain.seal(harness.rt)

    assert errors(at_once(*[work] * 4)) == []
    seen = audit_chain.verify(harness.rt)
    assert seen.troubles == ()
    assert seen.rows >= 40


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=10,
    )
)  # fmt: skip
def test_a_rows_digest_survives_the_way_through_json(detail: Any) -> None:
    """What was hashed as it was written is hashed the same when it is read."""
    row = AuditRecord(1, 2, "U0", "a", "t", Severity.INFO, detail)
    back = AuditRecord(1, 2, "U0", "a", "t", Severity.INFO, json.loads(json.dumps(detail)))
    assert audit_chain.content(row) == audit_chain.content(back)


@pytest.fixture
def run(harness: Harness, target: Target) -> str:
    """A run with a gate, a call whose answer holds a secret, and rows of others in between."""
    target.does["/x"] = [answer(f"the key is {SECRET}".encode(), "200 OK")]
    auth = {"type": "bearer", "token": "{{ secrets.canary }}"}
    made = harness.begin(gate("ask"), http("call", target.url("/x"), auth=auth), slug="proved")
    harness.advance(made)
    wrote(harness, 3)
    voting.vote(harness.rt, ALICE, made, None, Decision.APPROVE, "go")
    harness.run(made)
    return made


def test_logs_hold_every_try_and_no_secret(harness: Harness, run: str) -> None:
    """Requests and answers as they were kept, with the events of each step."""
    found = evidence.logs(harness.rt, OSCAR, run.lower())
    assert [each.step.path for each in found.steps] == ["ask", "call"]
    (call,) = [each for each in found.steps if each.step.path == "call"]
    assert call.attempts[0].request["method"] == "GET"
    assert SECRET not in str(found)
    assert [each.kind for each in call.events] == ["step_started", "step_succeeded"]
    assert "started" in [each.kind for each in found.events]


def test_logs_of_one_step_are_those_in_it_too(harness: Harness, target: Target) -> None:
    """A loop's name stands for its rounds; another name is answered with the nearest."""
    loop = {"id": "each", "type": "loop", "with": {"items": [1, 2], "steps": [http("look", target.url())]}}
    run = harness.begin(loop, http("eachother", target.url()))
    harness.run(run)
    paths = [each.step.path for each in evidence.logs(harness.rt, CAROL, run, "each").steps]
    assert sorted(paths) == ["each", "each[0].look", "each[1].look"]
    with pytest.raises(Conflict, match=r"Did you mean eachother\?"):
        evidence.logs(harness.rt, CAROL, run, "eachothr")


def test_evidence_is_whole_and_can_be_checked_by_itself(harness: Harness, run: str) -> None:
    """Definition, votes, tries, events, audit rows and their proof; secrets masked; others' rows not told."""
    found = json.loads(json.dumps(evidence.bundle(harness.rt, OSCAR, run)))
    assert evidence.check(found) == []
    assert found["gates"][0]["votes"][0]["person"] == ALICE.user_id
    assert found["steps"][1]["tries"][0]["response"]["status"] == 200
    assert found["runbook"]["number"] == 1
    assert [row["action"] for row in found["audit"]["rows"]][-1] == "execution.evidence"
    assert SECRET not in json.dumps(found)
    assert "test.row" not in json.dumps(found)
    assert found["audit"]["proof"]["head"]["seq"] == audit_chain.verify(harness.rt).seq


def test_evidence_that_was_changed_is_not_whole(harness: Harness, run: str, tmp_path: Path) -> None:
    """Also where whoever changed it made the file's digest anew; the command line says so too."""
    found = json.loads(json.dumps(evidence.bundle(harness.rt, OSCAR, run)))
    vote, row, link, lacking = (copy.deepcopy(found) for _ in range(4))
    vote["gates"][0]["votes"][0]["person"] = "U0OTHER01"
    row["audit"]["rows"][0]["actor"] = "U0OTHER01"
    link["audit"]["proof"]["links"][1]["content"] = "00"
    del lacking["audit"]["proof"]
    for changed in (row, link, lacking):
        changed["digest"] = evidence.digest(changed)
    paths = [tmp_path / "whole.json", tmp_path / "row.json"]
    for path, each in zip(paths, (found, row), strict=True):
        path.write_text(json.dumps(each), encoding="utf-8")
    assert [check.run([path]) for path in paths] == [0, 1]
    assert [evidence.check(each) == [] for each in (found, vote, row, link, lacking, [])] == [True] + [False] * 5


def test_a_row_taken_out_of_evidence_is_found(harness: Harness, run: str) -> None:
    """The row of the file's making says how many there were, and cannot be left out itself."""
    found = json.loads(json.dumps(evidence.bundle(harness.rt, OSCAR, run)))
    for row in found["audit"]["rows"]:
        lacking = copy.deepcopy(found)
        lacking["audit"]["rows"].remove(row)
        lacking["digest"] = evidence.digest(lacking)
        assert evidence.check(lacking) != [], row["action"]
    found["audit"]["rows"] = found["audit"]["proof"]["links"] = []
    found["digest"] = evidence.digest(found)
    assert evidence.check(found) != []


def test_what_a_masked_row_says_is_not_said_to_be_proved(
    harness: Harness, run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever changes a row can say that it is masked: the check names it, of a file and of a page."""
    found = json.loads(json.dumps(evidence.bundle(harness.rt, OSCAR, run)))
    assert evidence.cautions(found) == []
    row = next(each for each in found["audit"]["rows"] if each["action"] == "execution.start")
    row.update(actor="U0OTHER01", masked=True)
    del row["tag"]
    found["digest"] = evidence.digest(found)
    file, page = tmp_path / "masked.json", tmp_path / "masked.html"
    file.write_text(json.dumps(found), encoding="utf-8")
    page.write_text(evidence_page.page(found), encoding="utf-8")
    for path in (file, page):
        assert check.run([path]) == 0
        assert f"warning: audit row {row['seq']} of the chain cannot be proved" in capsys.readouterr().out


def test_a_secret_that_somebody_typed_is_masked_and_the_row_says_so(harness: Harness, target: Target) -> None:
    """The row keeps its place in the chain, which can still be checked."""
    run = harness.begin(gate("ask"))
    harness.advance(run)
    controls.cancel(harness.rt, CAROL, run, f"the key is {SECRET}")
    found = json.loads(json.dumps(evidence.bundle(harness.rt, ALICE, run)))
    assert SECRET not in json.dumps(found)
    assert [row["action"] for row in found["audit"]["rows"] if row.get("masked")] == ["execution.cancel"]
    assert evidence.check(found) == []


def test_evidence_is_for_people_of_the_workspace(harness: Harness, run: str) -> None:
    """And of runs that there are."""
    with pytest.raises(NotAllowed):
        evidence.bundle(harness.rt, access.Actor("U0GUEST01", standing="guest"), run)
    with pytest.raises(NotFound):
        evidence.bundle(harness.rt, OSCAR, "R-000000")
    assert evidence.logs(harness.rt, SYSTEM, run).execution.id == run


def test_the_name_of_the_runbook_is_told(harness: Harness, run: str) -> None:
    """As it was in the version that ran."""
    harness.publish(runbook("proved", gate("ask"), name="Another name"))
    assert evidence.bundle(harness.rt, OSCAR, run)["runbook"]["name"] == "Proved"
