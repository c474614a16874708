"""The evidence of a run as a page: the same data, nothing alive, and whatever is changed in it is found."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from harness import ALICE, CAROL, OSCAR, Harness, Target, gate, http

from bot import evidence_page
from bot.cli import check
from engine.queries import evidence
from engine.runs import voting
from storage.states import Decision

HOSTILE = "</script><script>alert(1)</script><!-- \"'& \u202e\t\u2028 ä 😀"


@pytest.fixture
def page(harness: Harness, target: Target) -> str:
    made = harness.begin(
        gate("ask", message="</script><script>alert(1)</script> & ä"), http("call", target.url("/x")), slug="proved"
    )
    harness.advance(made)
    voting.vote(harness.rt, ALICE, made, None, Decision.APPROVE, HOSTILE)
    harness.run(made)
    return evidence_page.page(json.loads(json.dumps(evidence.bundle(harness.rt, OSCAR, made))))


def test_it_holds_the_evidence_whole_and_nothing_alive(page: str, tmp_path: Path) -> None:
    """It checks by itself, runs nothing and loads nothing."""
    assert evidence_page.check(page) == []
    path = tmp_path / "evidence.html"
    path.write_text(page, encoding="utf-8")
    assert check.run([path]) == 0
    assert re.findall(r"<(?:script|img|link|iframe|object)[^>]*>", page) == [
        '<script type="application/json" id="evidence">'
    ]
    assert page.count("</script>") == 1
    assert "default-src 'none'" in page
    assert ALICE.user_id in page.partition("</script>")[2]


CHANGES = {
    "what is shown": lambda page: page.replace(f"<td>{ALICE.user_id}</td>", f"<td>{CAROL.user_id}</td>", 1),
    "the data": lambda page: page.replace('"decision": "APPROVE"', '"decision": "REJECT"', 1),
    "a second set of data before it": lambda page: page.replace(
        "<script", '<script type="application/json" id="evidence">{}</script><script', 1
    ),
    "a word behind it": lambda page: f"{page}<p>And all was well.</p>",
    "a style": lambda page: page.replace("<style>", "<style>td { display: none }", 1),
    "no data": lambda page: re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL),
    "half of it": lambda page: page[: len(page) // 2],
    "data that is none": lambda page: re.sub(r"(<script[^>]*>).*?(</script>)", r"\1{{\2", page, flags=re.DOTALL),
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_is_changed_is_found(page: str, tmp_path: Path, change: str) -> None:
    """In what is seen as in what is not; the command line says so, too."""
    changed = CHANGES[change](page)
    assert changed != page
    assert evidence_page.check(changed)
    path = tmp_path / "evidence.html"
    path.write_text(changed, encoding="utf-8")
    assert check.run([path]) == 1


def test_data_and_page_changed_alike_are_found_by_the_digest(page: str) -> None:
    """Whoever makes the page anew has to make the audit's chain anew, too."""
    found = json.loads(re.search(r'id="evidence">(.*?)</script>', page, re.DOTALL)[1])  # type: ignore[index]
    found["audit"]["rows"][0]["actor"] = "U0OTHER01"
    found["digest"] = evidence.digest(found)
    assert evidence_page.check(evidence_page.page(found)) != []
