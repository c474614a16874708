"""How soon people see the buttons of a gate, and how many messages a run takes, under Slack's own limits."""

from __future__ import annotations

import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from bench import workloads
from bench.rig import Rig, wait_for
from bot.simulator import Config, Simulator
from bot.slack.client import web_client
from bot.slack.conversations import SlackConversations
from bot.slack.directory import Directory
from bot.slack.ids import Action
from bot.slack.projector.projector import Projector
from engine.config import settings
from engine.queries import projection
from engine.runs import executions
from engine.runtime import Runtime

CHANNEL, PERSON = "C0INC0001", "U0CAROL01"
_BUTTONS = (Action.APPROVE.value, Action.REVIEW.value)


def of_gates(rig: Rig, counts: tuple[int, ...] = (1, 10, 30)) -> str:
    """Seconds from so many gates that open at once in one channel until each of them shows its buttons there."""
    return "; ".join(_of_gates(rig, count) for count in counts)


def of_runs(rig: Rig, count: int = 20) -> str:
    """Seconds until Slack shows so many runs that ended while it could not be reached, and what that took."""
    with _shown(rig) as (sim, rt, shows):
        runs = [workloads.start_in_channel(rt, "calls", PERSON, CHANNEL) for _ in range(count)]
        wait_for(lambda: all(executions.find(rt, run).status.ended for run in runs), "runs to end", every=0.05)
        began = time.monotonic()
        shows()
        wait_for(lambda: not projection.outdated_cards(rt, 1), "all of it to be shown", every=0.1)
        took, calls = time.monotonic() - began, Counter(call["method"] for call in sim.workspace.journal.calls)
    posts, updates = calls["chat.postMessage"] / count, calls["chat.update"] / count
    return f"{count} runs shown in {took:.0f} s: {posts:.1f} posts and {updates:.1f} updates a run"


def _of_gates(rig: Rig, count: int) -> str:
    with _shown(rig) as (sim, rt, shows):
        shows()
        runs = [workloads.start_in_channel(rt, "gate", PERSON, CHANNEL) for _ in range(count)]
        opened = {run: time.time() for run in runs}
        wait_for(lambda: len(_with_buttons(sim, runs)) == count, f"buttons of {count} gates", every=0.1)
        took = [at - opened[run] for run, at in _with_buttons(sim, runs).items()]
        wait_for(lambda: not projection.outdated_cards(rt, 1), "all of it to be shown", every=0.1)
    return f"{count} at once: buttons after {statistics.median(took):.1f} s, {max(took):.1f} s at most"


def _with_buttons(sim: Simulator, runs: list[str]) -> dict[str, float]:
    """When each run's gate was first shown with its buttons."""
    found: dict[str, float] = {}
    for call in list(sim.workspace.journal.calls):
        blocks = str(call["args"].get("blocks", ""))
        if call["method"] in ("chat.postMessage", "chat.update") and call["ok"]:
            for run in runs:
                if run in blocks and any(word in blocks for word in _BUTTONS):
                    found.setdefault(run, call["time"])
    return found


@contextmanager
def _shown(rig: Rig) -> Iterator[tuple[Simulator, Runtime, Any]]:
    """The rig's runs in a practice workspace with Slack's limits, shown from when that is called for."""
    sim = Simulator(Config(rate_limits=True))
    sim.start()
    slack = {"SLACK_BOT_TOKEN": sim.config.bot_token, "SLACK_SIGNING_SECRET": sim.config.signing_secret}
    known = settings.load({**rig.environ, **slack, "SLACK_API_URL": sim.api_url}, rig.folder)
    client = web_client(known)
    rt = replace(rig.rt, settings=known, conversations=SlackConversations(client))
    Directory(rt, client).identify(PERSON)
    stop = threading.Event()
    projector = threading.Thread(target=Projector(rt, client).run, args=(stop,), daemon=True)
    try:
        yield sim, rt, projector.start
    finally:
        stop.set()
        projector.join(10)
        sim.stop()
