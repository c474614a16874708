"""Live plans by every door of a running bot: a typed command in Slack, the REST API and the command line."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from stage import ALICE, BOB, CAROL, DAVE, GUEST, OSCAR, Stage, ready, shown, stage, wait_for
from test_doors import Rest

from engine.access import tokens
from engine.access.policy import SYSTEM
from engine.runs import live_plans
from storage import database

ASK = """
apiVersion: runbook/v1
id: SLUG
name: Ask
team: payments
steps:
  - id: go
    type: http
    with: {method: POST, url: "TARGET/go"}
    dry_run: {query: {dryRun: All}}
"""
Door = Callable[[Stage, Rest, str, str], bool]


class Service:
    """A target that answers once it is let; `asked` counts the calls."""

    def __init__(self) -> None:
        self.let = threading.Event()
        self.let.set()
        self.asked = 0
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                service.asked += 1
                service.let.wait(30)
                self.send_response(200)
                self.send_header("Content-Length", "11")
                self.end_headers()
                self.wfile.write(b"would scale")

            def log_message(self, *_: Any) -> None:
                """Nothing is said on standard error."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_port}"


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    made = Service()
    threading.Thread(target=made.server.serve_forever, daemon=True).start()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture(scope="module")
def bot(tmp_path_factory: pytest.TempPathFactory, service: Service) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("live")
    with stage(folder, socket_mode=False, EGRESS_ALLOW=service.host) as running:
        for slug in ("asked", "draft"):
            text = ASK.replace("SLUG", slug).replace("TARGET", f"http://{service.host}")
            (running.rt.settings.runbooks_dir / f"{slug}.yaml").write_text(text)
        ready(running)
        assert "is approved" in running.say("admin approve asked@1", ALICE)
        yield running


@pytest.fixture
def rest(bot: Stage) -> Iterator[Rest]:
    made = Rest(bot)
    yield made
    made.client.close()


@pytest.fixture(autouse=True)
def later(bot: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plans of the tests before count for none of this one's."""
    began = database.now()
    search = live_plans.audit.search
    monkeypatch.setattr(live_plans.audit, "search", lambda *a, **k: search(*a, **{**k, "since": began}))


def slack(bot: Stage, _rest: Rest, slug: str, who: str) -> bool:
    before = len(bot.private(who))
    bot.command(f"plan {slug} live=yes", who)

    def ended() -> str:
        told = [shown(each) for each in bot.private(who)[before:]]
        return next((each for each in told if "Asking what" not in each), "")

    return "it would work" in wait_for(ended)


def api(_bot: Stage, rest: Rest, slug: str, who: str) -> bool:
    told = rest(f"POST /runbooks/{slug}/plan", who, {"live": True})
    return told.status_code == 200 and told.json()["live"]["success"] == 1


def command_line(_bot: Stage, rest: Rest, slug: str, who: str) -> bool:
    return rest.typed(f"plan {slug} live=yes", who) == 200


DOORS: list[Door] = [slack, api, command_line]


def test_slack_tells_at_once_that_it_asks_and_then_what_came(bot: Stage, service: Service) -> None:
    service.let.clear()
    before, began = len(bot.private()), time.monotonic()
    try:
        bot.command("plan asked live=yes")
        progress = shown(wait_for(lambda: bot.private()[before:])[0])
        assert time.monotonic() - began < 5
        assert "Asking what `asked` calls, in check mode" in progress
        time.sleep(0.3)
        assert len(bot.private()) == before + 1
    finally:
        service.let.set()
    told = shown(wait_for(lambda: bot.private()[before + 1 :])[0])
    assert "in check mode: it would work (200)" in told
    assert "would scale" in told
    assert "Run exactly this" in told


def test_what_is_in_the_way_says_what_to_type_here(bot: Stage) -> None:
    assert "`/runbook admin approve draft`" in bot.say("plan draft", CAROL)


def test_a_refusal_is_all_that_is_said_of_a_live_plan(bot: Stage, service: Service) -> None:
    """Nothing is asked of a draft, nor for who may not start it, so nothing says that it is."""
    for slug, who in (("draft", CAROL), ("asked", OSCAR), ("asked version=99", CAROL)):
        before = len(bot.private(who))
        told = bot.say(f"plan {slug} live=yes", who)
        time.sleep(0.3)
        assert [shown(each) for each in bot.private(who)[before:]] == [told]
        assert "Asking what" not in told


def test_nobody_else_waits_for_calls_that_hang(bot: Stage, service: Service, rest: Rest) -> None:
    """As many as one process makes, from two doors; pages of the API and other commands are answered meanwhile."""
    service.let.clear()
    before = service.asked
    people = (ALICE, BOB, CAROL, DAVE)[: live_plans.MOST_AT_ONCE]
    doors = [slack, api, api, slack]
    secrets = [rest.secret(who) for who in people]
    assert len(set(secrets)) == len(people)
    threads = [
        threading.Thread(target=door, args=(bot, rest, "asked", who), daemon=True)
        for door, who in zip(doors, people, strict=False)
    ]
    try:
        for each in threads:
            each.start()
        wait_for(lambda: service.asked == before + len(people))
        began = time.monotonic()
        assert rest("GET /runbooks", CAROL).status_code == 200
        assert rest("POST /runbooks/asked/plan", CAROL, {}).status_code == 200
        assert "asked" in bot.say("list", OSCAR)
        assert rest("POST /runbooks/asked/plan", CAROL, {"live": True}).status_code == 409
        assert time.monotonic() - began < 8
    finally:
        service.let.set()
        for each in threads:
            each.join(20)
    assert service.asked == before + len(people)


@pytest.mark.parametrize("door", DOORS)
def test_each_door_makes_the_call_once(bot: Stage, service: Service, rest: Rest, door: Door) -> None:
    before = service.asked
    assert door(bot, rest, "asked", CAROL)
    assert service.asked == before + 1


@pytest.mark.parametrize("door", DOORS)
def test_no_door_lets_in_who_may_not_start_it_now(bot: Stage, service: Service, rest: Rest, door: Door) -> None:
    """Another team's member, a guest, a draft of one's own, and a frozen runbook: nothing is called."""
    before = service.asked
    assert not door(bot, rest, "asked", OSCAR)
    if door is not slack:  # to whom no token is given
        assert not door(bot, rest, "asked", GUEST)
    assert not door(bot, rest, "draft", CAROL)
    bot.say('freeze team:payments for=1h reason="release night"', BOB)
    try:
        assert not door(bot, rest, "asked", CAROL)
    finally:
        bot.say("unfreeze team:payments", BOB)
    assert service.asked == before


def test_a_token_for_looking_makes_no_call(bot: Stage, service: Service) -> None:

    _, secret = tokens.create(bot.rt, SYSTEM, "looks", scopes="read", person=CAROL)
    before = service.asked
    headers = {"Authorization": f"Bearer {secret}"}
    told: Any = httpx.post(
        f"{bot.url}/api/v1/runbooks/asked/plan", json={"live": True}, headers=headers, trust_env=False
    )
    assert told.status_code == 403
    assert service.asked == before


def test_all_doors_count_together(bot: Stage, service: Service, rest: Rest) -> None:
    before = service.asked
    for number in range(live_plans.MOST_A_PERSON):
        assert DOORS[number % len(DOORS)](bot, rest, "asked", DAVE), number
    for door in DOORS:
        assert not door(bot, rest, "asked", DAVE)
    assert service.asked == before + live_plans.MOST_A_PERSON
