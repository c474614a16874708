"""Every message has one writer, also while one process takes over from another that has only been slow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from stage import in_thread, is_private, ready, shown, stage, wait_for

from bot.slack.client import web_client
from bot.slack.projector.projector import LeaseLost, Projector
from storage import database, workers


def test_who_has_lost_the_lease_between_two_messages_writes_nothing_more(tmp_path: Path) -> None:
    """However many cards are due: one that is slow in the midst of them stops, and the other goes on from there."""
    with stage(tmp_path, socket_mode=False, shows=False) as bot:
        ready(bot)
        runs = [bot.start(f"run drain service=checkout grace={number}") for number in range(3)]
        client = web_client(bot.rt.settings)
        slow, other = Projector(bot.rt, client, "slow"), Projector(bot.rt, web_client(bot.rt.settings), "other")
        post, posted, late = client.chat_postMessage, [], []

        def taking_long(**message: Any) -> Any:
            answer = post(**message)
            posted.append(answer["ts"])
            if len(posted) == 2:
                with database.transaction():
                    workers.declare_dead("slow")  # its lease has run out
                late.append(other.hold())
            return answer

        client.chat_postMessage = taking_long  # type: ignore[method-assign]
        assert slow.hold()
        with pytest.raises(LeaseLost):
            slow.round()
        assert (len(posted), late) == (2, [True])
        wait_for(lambda: other.round() == 0)
        public = [each for each in bot.messages() if not is_private(each) and not in_thread(each)]
        assert sorted(run for each in public for run in runs if run in shown(each)) == sorted(runs)
