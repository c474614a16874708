"""What waits for somebody beside runs, as the doctor and the metrics tell it."""

from __future__ import annotations

import os

from harness import ALICE, BOB, CAROL, Harness, http, runbook

from bot.prometheus import Metrics
from engine import doctor
from engine.access import secrets as stored
from engine.config.setting_values import NamedKey
from engine.orchestration.admission import Wanted
from engine.queries import open_matters
from engine.runs import break_glass, freezing, held_requests

DAY = 86_400_000
KEYS = NamedKey("k2", bytes(range(1, 33))), NamedKey("k1", bytes(range(32)))


def lines(harness: Harness) -> dict[str, str]:
    return {f"{each.level} {each.thing}": each.detail for each in doctor.of_open_matters(harness.rt)}


def figures(harness: Harness) -> dict[str, float]:
    found = (line.split() for line in Metrics(harness.rt).text().decode().splitlines() if not line.startswith("#"))
    return {
        name: float(value) for name, value in found if name.startswith(("runbook_held", "runbook_break", "runbook_sec"))
    }


def test_where_nothing_waits_nothing_is_told(harness: Harness) -> None:
    harness.sync()
    assert lines(harness) == {}
    assert set(figures(harness).values()) == {0.0}
    assert len(figures(harness)) == 4


def test_requests_and_reviews_are_counted_until_they_are_settled(harness: Harness) -> None:
    """A review becomes a warning when its seven days are over, and goes with the review."""
    harness.publish(runbook("demo", http("a")))
    harness.settle_for(break_glass=True)
    freezing.freeze(harness.rt, ALICE, "demo", "no", lasting="6h")
    held_requests.hold(harness.rt, CAROL, Wanted("demo", {}, "test"))
    asked = break_glass.ask(harness.rt, CAROL, Wanted("demo", {}, "test", reason="down")).id
    assert "ok break-glass" not in lines(harness)
    break_glass.agree(harness.rt, BOB, asked)
    assert lines(harness)["ok held requests"].startswith("1 wait to be released, the first until ")
    assert lines(harness)["ok break-glass"] == "1 reviews are open, 0 of them for more than 7 days"
    assert figures(harness)["runbook_held_requests"] == 1
    harness.clock.tick(7 * DAY + 1)
    assert lines(harness)["warn break-glass"] == "1 reviews are open, 1 of them for more than 7 days"
    assert figures(harness)["runbook_break_glass_reviews_overdue"] == 1
    harness.know_groups()
    break_glass.review(harness.rt, ALICE, asked, "it was down")
    assert figures(harness)["runbook_break_glass_reviews_open"] == 0


def test_a_broken_calendar_is_told_and_else_its_next_window(harness: Harness) -> None:
    window = "{name: w, scope: everything, reason: no, zone: UTC, cron: '0 0 * * *', for: 1h}"
    harness.sync(_calendar_yaml=f"windows: [{window}]", demo=runbook("demo", http("a")))
    assert lines(harness)["ok calendar"].startswith("the next window freezes everything from ")
    harness.write(_calendar_yaml="windows: [{}]")
    assert "_calendar.yaml" in lines(harness)["warn calendar"]


def test_secrets_that_are_unused_or_unreadable_and_keys_that_are_left_over(harness: Harness) -> None:
    """By name and id alone."""
    harness.sync()
    harness.settle_for(secret_keys=KEYS)
    stored.set_value(harness.rt, ALICE, "lb_token", "st0red-canary-v1")
    assert lines(harness) == {"ok secrets": "nothing is kept under k1 any more: SECRET_KEYS may do without"}
    harness.clock.tick(91 * DAY)
    assert lines(harness)["warn secrets"] == "no step has read lb_token for 90 days"
    assert figures(harness)["runbook_secrets_unreadable"] == 0
    harness.settle_for(secret_keys=(NamedKey("k2", os.urandom(32)),))
    (lost,) = open_matters.of(harness.rt).unreadable
    assert lost.startswith("lb_token is encrypted with a key k2")
    assert figures(harness)["runbook_secrets_unreadable"] == 1
