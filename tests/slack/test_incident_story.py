"""The story of an incident in Slack: what it leaves out is counted, and what was decided is said as what it was."""

from __future__ import annotations

import pytest
from sample_records import AT, execution

from bot.audit_text import action_words
from bot.cli import show_history
from bot.event_text import told
from bot.record_text import _event
from bot.slack.views.story import catchup_view
from engine.queries.explain import Explanation, Reason
from engine.queries.incident_story import LeftOut, Story
from storage.records import AuditRecord, EventRecord, Json
from storage.states import Severity


def deed(number: int, action: str = "execution.start", **detail: Json) -> AuditRecord:
    return AuditRecord(number, AT, "U0ALICE01", action, "execution:R-7K2M9Q", Severity.NOTICE, detail)


def story(left_out: LeftOut, runs: int = 2, deeds: int = 2) -> Story:
    told = Explanation(execution(), (Reason("succeeded", since=AT),), 3)
    rows = tuple(deed(number) for number in range(deeds))
    return Story(None, AT, (execution(),) * runs, left_out.runs > 0, (told,), (told,), rows, left_out)


def shown(told: Story) -> str:
    return "\n".join(block.get("text", {}).get("text", "") for block in catchup_view(told, "/runbook").blocks)


def test_what_is_left_out_is_counted() -> None:
    """What the engine left out, and what a message has no room for, together."""
    text = shown(story(LeftOut(runs=30, open=7, failures=1, deeds=27), runs=50, deeds=25))
    for words in (
        "… and 7 more open runs", "… and 1 more failed run", "… 65 runs before these", "… 40 acts before these",
        "… and 3 more steps under way",
    ):  # fmt: skip
        assert words in text
    assert "1 more failed runs" not in text


def test_nothing_is_said_of_what_is_all_there() -> None:
    """A short story ends where it ends."""
    assert "before these" not in shown(story(LeftOut()))
    assert "more open" not in shown(story(LeftOut()))


def test_the_command_line_counts_it_too() -> None:
    """From what the API says."""
    left = {"runs": 30, "open": 7, "failures": 2, "deeds": 1}
    said = {"since": "2026-01-01T10:00:00Z", "runs": [], "open": [], "failures": [], "deeds": [], "left_out": left}
    lines = list(show_history.story_lines(said))
    for words in (
        "… 30 runs before these",
        "… and 7 more open runs",
        "… and 2 more failed runs",
        "… 1 act before these",
    ):
        assert any(words in line for line in lines), lines


@pytest.mark.parametrize(("decision", "words"), [("APPROVE", "approved"), ("REJECT", "rejected")])
def test_a_vote_reads_as_what_it_was(decision: str, words: str) -> None:
    """In the story at both doors, as an event, and in the log's text; the stored word is shown nowhere."""
    assert action_words("approval.vote", {"decision": decision}) == f"{words} a gate of"
    row = deed(1, "approval.vote", decision=decision, step="sign-off")
    assert f"<@U0ALICE01> {words} a gate of `R-7K2M9Q` (`sign-off`)" in shown(
        Story(None, AT, (), False, (), (), (row,))
    )
    data = {"decision": decision, "comment": "", "approvals": 1, "needed": 2}
    event = told("vote", "sign-off", "Alice", data)
    log = _event(EventRecord("R-7K2M9Q", 1, AT, "vote", "sign-off", "U0ALICE01", data))
    for text in (event, log):
        assert words in text
        assert decision not in text
