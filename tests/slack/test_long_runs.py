"""A run that takes longer than expected, as its channel sees it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from stage import ALICE, CAROL, Stage, ready_with, shown, stage, until, wait_for

from engine.runs import executions

SLOW = """
expected: 500ms
steps:
  - {id: rest, type: delay, with: {for: 4s}}
"""


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Stage]:
    with stage(tmp_path, socket_mode=False) as running:
        ready_with(running, {"slow": SLOW})
        yield running


def test_whoever_asked_for_it_is_called_once(there: Stage) -> None:
    """In the thread, by name; the card and the lists say so as long as it runs, and no longer."""
    run = there.start("run slow")
    card = until(there, run, "longer than expected")
    wait_for(lambda: any("takes longer than expected" in each for each in there.in_thread(card["ts"])))
    assert "longer than expected" in there.say("runs")
    until(there, run, "Succeeded")
    told = [each for each in there.in_thread(card["ts"]) if "takes longer than expected" in each]
    assert len(told) == 1
    assert f"<@{CAROL}>" in told[0]
    assert "longer than expected" not in shown(there.card(run))
    assert "longer than expected" not in there.say("runs all")


def test_without_a_channel_they_are_told_directly(there: Stage) -> None:
    """As of a run over REST, and only those who answer for it."""
    actor = there.door.ctx.directory.identify(CAROL)
    run = executions.start(there.rt, actor, "slow", {}, trigger="rest").id

    def direct(user: str) -> list[str]:
        return [told for each in there.messages(user, f"D{user[1:]}") if run in (told := shown(each))]

    (told,) = wait_for(lambda: direct(CAROL))
    assert "takes longer than expected, which is at most" in told
    assert direct(ALICE) == []
