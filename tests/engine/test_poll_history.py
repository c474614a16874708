"""Waiting costs rows of one bounded size: a poll keeps its first and last tries, and how many there were."""

from __future__ import annotations

from harness import CAROL, Harness, Target, http, poll
from local_server import answer

from bot.record_text import log_text
from engine.queries import evidence
from storage.attempts import KEPT_FIRST, KEPT_LAST

BUSY = answer(b'{"ok":false}', "200 OK", "Content-Type: application/json")
FINE = answer(b'{"ok":true}', "200 OK", "Content-Type: application/json")


def test_a_poll_keeps_its_first_and_last_tries(harness: Harness, target: Target) -> None:
    rounds = KEPT_FIRST + KEPT_LAST + 30
    target.does["/health"] = [BUSY] * rounds + [FINE]
    run = harness.begin(
        poll("healthy", target.url("/health"), "response.json.ok", timeout="1h"), http("b", target.url())
    )
    assert harness.run(run) == "SUCCESS"
    step = harness.step(run, "healthy")
    numbers = [each.number for each in harness.attempts(run, "healthy")]
    assert step.attempts == rounds + 1
    assert numbers == [*range(1, KEPT_FIRST + 1), *range(rounds - KEPT_LAST + 1, rounds + 2)]
    harness.check_books(run)


def test_what_is_not_kept_is_told(harness: Harness, target: Target) -> None:
    """Between the tries that are shown."""
    rounds = KEPT_FIRST + KEPT_LAST + 3
    target.does["/health"] = [BUSY] * rounds + [FINE]
    run = harness.begin(poll("healthy", target.url("/health"), "response.json.ok", timeout="1h"))
    harness.run(run)
    text = log_text(evidence.logs(harness.rt, CAROL, run))
    assert f"-- tries {KEPT_FIRST + 1} to {KEPT_FIRST + 3} are not kept" in text
    assert f"-- try {rounds + 1}," in text
