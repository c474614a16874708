"""Following a run: every event once, in order, from where one was, until the end."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
from api_client import Api, refused
from harness import CAROL, OSCAR, gate, http, runbook

from bot.api import event_feed
from bot.api.app import PREFIX
from engine.access import people, tokens
from engine.access.policy import Actor
from engine.queries import events
from engine.runs import voting
from storage.people_records import PersonRecord
from storage.states import Decision

ALICE = Actor("U0ALICE01", standing="member")


class Listener:
    """Somebody who follows a run in a thread; `seen` are the numbers of the events so far."""

    def __init__(self, api: Api, run: str, who: Actor = CAROL, **headers: str) -> None:
        self.messages: list[dict[str, Any]] = []
        self.comments = 0
        self.status = 0
        self._url = f"{api.url}/api/v1/executions/{run}/events"
        self._headers = {"Authorization": f"Bearer {api.token(who)}", **headers}
        self._api = api
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    @property
    def seen(self) -> list[int]:
        return [each["seq"] for each in self.messages if "seq" in each]

    def ended(self) -> bool:
        self._thread.join(15)
        return not self._thread.is_alive()

    def _listen(self) -> None:
        with self._api.client.stream("GET", self._url, headers=self._headers) as answer:
            self.status = answer.status_code
            kind = number = ""
            for line in answer.iter_lines():
                self.comments += line.startswith(":")
                name, _, value = line.partition(": ")
                if name == "event":
                    kind = value
                elif name == "id":
                    number = value
                elif name == "data":
                    told = json.loads(value)
                    assert kind == "end" or (told["kind"], str(told["seq"])) == (kind, number)
                    self.messages.append({**told, "kind": kind})


def until(condition: Any, seconds: float = 15.0) -> None:
    """Wait until it holds."""
    done = threading.Event()
    for _ in range(int(seconds / 0.01)):
        if condition():
            return
        done.wait(0.01)
    raise AssertionError("it did not come true in time")


def test_a_run_is_followed_to_its_end(api: Api) -> None:
    """What happened before, what happens meanwhile, and then the end; all listeners hear the same."""
    api.harness.publish(runbook("gated", gate("ask"), http("then", "http://127.0.0.1:9/")))
    run = api.harness.start("gated")
    api.harness.advance(run)
    before = [each.seq for each in api.harness.events(run)]
    listeners = [Listener(api, run) for _ in range(3)]
    until(lambda: all(each.seen == before for each in listeners))
    voting.vote(api.harness.rt, ALICE, run, "ask", Decision.APPROVE)
    api.harness.run(run)
    assert all(each.ended() for each in listeners)
    everything = [each.seq for each in api.harness.events(run)]
    assert [each.seen for each in listeners] == [everything] * 3
    assert [each.messages[-1]["kind"] for each in listeners] == ["end"] * 3
    assert [each["kind"] for each in listeners[0].messages[:-1]] == api.harness.event_kinds(run)


def test_a_broken_stream_goes_on_where_it_was(api: Api) -> None:
    """By the header or, where none can be sent, by the query; after the end there is nothing to come back for."""
    run = api.harness.start("ping", ALICE)
    api.harness.run(run)
    last = api.harness.execution(run).event_seq
    later = Listener(api, run, **{"Last-Event-ID": "2"})
    assert later.ended()
    assert later.seen == list(range(3, last + 1))
    assert api.ask("GET", f"/executions/{run}/events", CAROL, None, {"Last-Event-ID": str(last)}).status_code == 204
    assert api.ask("GET", f"/executions/{run}/events", CAROL, after=last).status_code == 204
    for wrong in ("x", "-1", "9" * 30):
        answer = api.ask("GET", f"/executions/{run}/events", CAROL, None, {"Last-Event-ID": wrong})
        refused(answer, 422, "invalid_parameters")


def test_nobody_follows_what_they_may_not_see(api: Api) -> None:
    """404, before any event."""
    run = api.harness.start("drain", CAROL, service="api")
    refused(api.ask("GET", f"/executions/{run}/events", OSCAR), 404, "not_found")


@pytest.mark.parametrize("how", ["revoked", "deactivated"])
def test_a_stream_ends_with_its_token(api: Api, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """Token and person are asked about with every sign of life."""
    monkeypatch.setattr(event_feed, "HEARTBEAT_S", 0.05)
    api.harness.publish(runbook("gated", gate("ask")))
    run = api.harness.start("gated")
    api.harness.advance(run)
    listener = Listener(api, run)
    until(lambda: listener.comments >= 2)
    (token,) = tokens.listing(api.harness.rt, CAROL)
    if how == "revoked":
        tokens.revoke(api.harness.rt, CAROL, token.id)
    else:
        gone = PersonRecord(CAROL.user_id, "carol", None, "deleted", None, api.harness.clock.time)
        people.remember(api.harness.rt, gone)
    assert listener.ended()
    assert listener.messages[-1]["kind"] != "end"


@pytest.mark.parametrize("door", [PREFIX, ""], ids=["api", "page"])
def test_a_busy_stream_ends_with_its_token_too(api: Api, monkeypatch: pytest.MonkeyPatch, door: str) -> None:
    """It is asked about by time, although there never is a pause in the events."""
    run = api.harness.start("ping", ALICE)
    revoked = threading.Event()

    async def busy(_feed: event_feed.Feed, execution_id: str, _seq: int) -> Any:
        """Events without end; the hour in which the token is revoked goes by between two of them."""
        (one, *_rest) = events.after(api.harness.rt, execution_id, 0, 1)
        for number in range(200):
            if number == 1:
                await asyncio.to_thread(revoked.wait, 10)
                monkeypatch.setattr(event_feed, "HEARTBEAT_S", 0.0)
            yield [replace(one, seq=number)]

    monkeypatch.setattr(event_feed.Feed, "follow", busy)
    headers = {"Authorization": f"Bearer {api.token(ALICE)}"}
    (token,) = tokens.listing(api.harness.rt, ALICE)
    with api.client.stream("GET", f"{door}/executions/{run}/events", headers=headers) as answer:
        assert answer.status_code == 200
        tokens.revoke(api.harness.rt, ALICE, token.id)
        revoked.set()
        told = [line for line in answer.iter_lines() if line.startswith("id: ")]
    assert "id: 0" in told
    assert len(told) <= 2, told


def test_a_stopping_server_ends_its_streams(api: Api) -> None:
    """So that it stops at once, however many listen."""
    run = api.harness.start("ping", ALICE)
    listener = Listener(api, run)
    until(lambda: listener.seen)
    context = api.app.routes[-1].app.state.context
    context.feed.close()
    assert listener.ended()


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Which questions the feed asks of the engine."""
    asked: list[str] = []
    for name in ("after", "heads"):
        real = getattr(events, name)
        monkeypatch.setattr(events, name, lambda *args, real=real, name=name: asked.append(name) or real(*args))
    yield asked


def test_many_listeners_cost_one_look(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """New events are read once for all who follow the same run, and looked for once for all runs."""
    run = api.harness.start("ping", ALICE)
    listeners = [Listener(api, run) for _ in range(10)]
    until(lambda: all(each.seen for each in listeners))
    with counted(monkeypatch) as asked:
        api.harness.run(run)
        assert all(each.ended() for each in listeners)
    assert asked.count("after") <= 4
    assert {tuple(each.seen) for each in listeners} == {tuple(each.seq for each in api.harness.events(run))}


def test_nothing_is_looked_for_while_nobody_listens(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """The feed sleeps, and wakes for the next who comes."""
    run = api.harness.start("ping", ALICE)
    api.harness.run(run)
    assert Listener(api, run).ended()
    context = api.app.routes[-1].app.state.context
    until(lambda: context.feed._looking.done())
    assert Listener(api, run).ended()


def test_a_database_that_is_away_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Listeners wait and hear everything."""
    monkeypatch.setattr(event_feed, "LOOK_AGAIN_S", 0.01)
    answers = iter([OSError("away"), {"R-1": (0, False)}, OSError("away"), {"R-1": (1, True)}])

    async def in_thread(act: Any, *_: Any) -> Any:
        if act is events.heads:
            found = next(answers, {"R-1": (1, True)})
            if isinstance(found, OSError):
                raise found
            return found
        return [type("E", (), {"seq": 1})()]

    async def follow() -> list[int]:
        heard = event_feed.Feed(None, in_thread).follow("R-1", 0)  # type: ignore[arg-type]
        return [each.seq async for batch in heard for each in batch]

    assert asyncio.run(asyncio.wait_for(follow(), 5)) == [1]


def test_an_accident_while_looking_is_logged_whole(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug is no outage: what went wrong and where is in the log, and the next look is made all the same."""
    monkeypatch.setattr(event_feed, "LOOK_AGAIN_S", 0.01)
    looks: list[int] = []

    async def fails_once(act: Any, *_: Any) -> Any:
        looks.append(1)
        if len(looks) == 1:
            raise ZeroDivisionError("of the feed")
        return {"R": (0, True)}

    async def follow() -> list[Any]:
        return [batch async for batch in event_feed.Feed(None, fails_once).follow("R", 0)]  # type: ignore[arg-type]

    assert asyncio.run(follow()) == []
    (said,) = [each for each in caplog.records if each.exc_info]
    assert "of the feed" in caplog.text
    assert said.levelname == "ERROR"


def test_an_accident_in_a_stream_is_logged_whole(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its answer has begun, so nothing can be told any more: the stream ends, to be asked for again."""
    run = api.harness.begin(gate("ask"))
    monkeypatch.setattr(events, "after", lambda *_: 1 // 0)
    headers = {"Authorization": f"Bearer {api.token(CAROL)}"}
    with pytest.raises(httpx.RemoteProtocolError):
        api.client.get(f"{api.url}/api/v1/executions/{run}/events", headers=headers)
    until(lambda: "ZeroDivisionError" in caplog.text)
    assert "in _behind" in caplog.text
