"""Slack and the REST API share a process and get in nobody's way."""

from __future__ import annotations

import threading
import time

import httpx
import pytest
from stage import CAROL, Stage, wait_for

from bot.api.caller import READERS
from engine.access import tokens
from engine.access.policy import SYSTEM
from engine.runs import executions


def test_a_slow_api_call_never_delays_slack(bot: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """All the API's threads are stuck and more requests wait for them: a command is acknowledged and answered."""
    stuck, go_on = threading.Semaphore(0), threading.Event()
    real = executions.page

    def slow(*args: object, **keys: object) -> object:
        stuck.release()
        go_on.wait(30)
        return real(*args, **keys)  # type: ignore[arg-type]

    monkeypatch.setattr(executions, "page", slow)
    _, secret = tokens.create(bot.rt, SYSTEM, "slow", person=CAROL)
    headers = {"Authorization": f"Bearer {secret}"}
    answers: list[int] = []

    def ask() -> None:
        found = httpx.get(f"{bot.url}/api/v1/executions", headers=headers, trust_env=False, timeout=60)
        answers.append(found.status_code)

    threads = [threading.Thread(target=ask) for _ in range(3 * READERS)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(READERS):
            assert stuck.acquire(timeout=10)
        began = time.monotonic()
        assert bot.command("help")["ok"]
        assert time.monotonic() - began < 3, "Slack gives a command three seconds"
        wait_for(lambda: "type" in bot.say("help").lower())
        assert answers == []
    finally:
        go_on.set()
        for thread in threads:
            thread.join(30)
    assert answers == [200] * len(threads)
