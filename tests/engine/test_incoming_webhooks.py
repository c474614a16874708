"""Events that are posted from outside: real requests to the real routes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import httpx
import pytest
import uvicorn
from harness import Harness, at_once, runbook
from hypothesis import given
from hypothesis import strategies as st

from bot import incoming_webhooks, web
from engine.config.setting_values import HookSender
from engine.errors import InvalidParameters
from engine.runs import executions, incoming_events
from storage import database, waits

SECRETS = {
    "RUNBOOK_SECRET_CI_HOOK": "ci-secret-8f742231",
    "RUNBOOK_SECRET_OTHER": "other-secret-99",
    "RUNBOOK_SECRET_PAY": "pay-secret-7",
    "RUNBOOK_SECRET_SEARCH": "whsec_" + base64.b64encode(b"search-secret-5").decode(),
}
SENDERS = (
    HookSender("ci", "ci_hook"),
    HookSender("grafana", "other"),
    HookSender("pay", "pay", "payments"),
    HookSender("search", "search", "search"),
    HookSender("nobody", "not_there"),
)
ACCESS = """\
platform_admins: [S0PLATFORM]
responders: [S0ONCALL]
teams:
  payments: {members: [S0PAYMENTS]}
  search: {members: [S0PAYMENTS]}
"""
NUMBERS = itertools.count(1)
EVENT = {"key": "deploy", "event_id": "e1", "data": {"tag": "v2"}}
Post = Callable[..., httpx.Response]


@pytest.fixture
def harness(harness: Harness) -> Harness:
    """With senders, one of which has no secret."""
    harness.settle_for(hook_senders=SENDERS, secret_variables=SECRETS)
    return harness


@pytest.fixture
def post(harness: Harness) -> Iterator[Post]:
    """Post to the web process's own routes, signed by `sender`'s secret unless headers are given."""
    listening = web.bind(replace(harness.rt.settings, port=0))
    server = uvicorn.Server(
        uvicorn.Config(web.application(harness.rt, None), log_config=None, lifespan="off", ws="none")
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started:
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.01)
    url = f"http://127.0.0.1:{listening.getsockname()[1]}/hooks/events"

    def send(event: Any = EVENT, headers: dict[str, str] | None = None, secret: str = "ci-secret-8f742231") -> Any:
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        return client.post(url, content=body, headers=signed(body, secret) if headers is None else headers)

    with httpx.Client(trust_env=False, timeout=20) as client:
        yield send
    server.should_exit = True
    thread.join(10)


def signed(body: bytes, *secrets: str, delivery: str = "", at: float | None = None) -> dict[str, str]:
    """The headers of Standard Webhooks, signed with each of these secrets."""
    named, at = delivery or f"msg_{next(NUMBERS)}", str(int(time.time() if at is None else at))
    return {"webhook-id": named, "webhook-timestamp": at, "webhook-signature": " ".join(
        "v1," + base64.b64encode(hmac.digest(_key(secret), f"{named}.{at}.".encode() + body, "sha256")).decode()
        for secret in secrets)}  # fmt: skip


def _key(secret: str) -> bytes:
    return base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()


def hear(name: str = "hear", key: str = "deploy", **with_: Any) -> dict[str, Any]:
    return {"id": name, "type": "wait", "with": {"key": key, **with_}}


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def test_an_event_ends_a_wait_and_its_second_coming_changes_nothing(harness: Harness, post: Post) -> None:
    """202 for the first, 200 for the duplicate, and the waiting step has its data."""
    run = harness.begin({"id": "hear", "type": "wait", "with": {"key": "deploy"}})
    harness.run(run)
    first, second = post(), post()
    assert (first.status_code, first.json()) == (202, {"accepted": True})
    assert (second.status_code, second.json()) == (200, {"accepted": True, "duplicate": True})
    assert harness.run(run) == "SUCCESS"
    (step,) = executions.view(harness.rt, run).steps
    assert step.outputs == {"data": {"tag": "v2"}, "event_id": "e1"}


def test_a_secret_in_an_event_is_masked(harness: Harness, post: Post) -> None:
    """A sender may tell more than it should, in whatever encoding and however deep: it is kept nowhere."""
    run = harness.begin({"id": "hear", "type": "wait", "with": {"key": "deploy"}})
    harness.run(run)
    deep: Any = ["ci-secret-8f742231"]
    for _ in range(200):
        deep = [deep]
    data = {"log": 'with "ci-secret-8f742231"', "hex": b"ci-secret-8f742231".hex(), "other-secret-99": deep}
    assert post({**EVENT, "data": data}).status_code == 202
    assert harness.run(run) == "SUCCESS"
    (step,) = executions.view(harness.rt, run).steps
    assert step.outputs["data"]["log"] == 'with "‹secret ci_hook›"'
    assert step.outputs["data"]["hex"] == "‹secret ci_hook›"
    assert "secret-" not in str(step.outputs)


def test_an_event_that_comes_first_is_kept(harness: Harness, post: Post) -> None:
    """The wait that begins later takes it; senders' event ids do not meet."""
    assert post(headers=bearer("ci-secret-8f742231")).status_code == 202
    assert post(headers=bearer("other-secret-99")).status_code == 202
    harness.publish(runbook("demo", {"id": "hear", "type": "wait", "with": {"key": "deploy"}}))
    assert [harness.run(harness.start("demo")) for _ in range(3)] == ["SUCCESS", "SUCCESS", "WAITING"]


def test_a_team_takes_no_event_of_another_team(harness: Harness, post: Post) -> None:
    """Not by waiting first, nor by naming the sender; who sends for every team is heard by each team once."""
    harness.write(_access_yaml=ACCESS)
    searching, naming = (
        runbook(f"s{n}", each, team="search") for n, each in enumerate([hear(), hear(**{"from": ["pay"]})])
    )
    harness.publish(searching, naming, runbook("pay", hear()), runbook("all", hear(), team=None))
    first, second, third, fourth = (harness.start(each) for each in ("s0", "s1", "pay", "all"))
    assert [harness.run(each) for each in (first, second, third, fourth)] == ["WAITING"] * 4
    assert post(secret="pay-secret-7").status_code == 202
    assert [harness.run(each) for each in (first, second, third, fourth)] == [
        "WAITING",
        "WAITING",
        "SUCCESS",
        "WAITING",
    ]
    again = harness.start("pay")
    assert harness.run(again) == "WAITING"
    assert post({**EVENT, "event_id": "e2"}).status_code == 202
    assert [harness.run(each) for each in (first, second, again, fourth)] == [
        "SUCCESS",
        "WAITING",
        "SUCCESS",
        "SUCCESS",
    ]
    late = harness.start("pay")
    assert harness.run(late) == "WAITING", "one event satisfies one wait of a team"


def test_a_wait_takes_events_of_the_senders_it_names(harness: Harness, post: Post) -> None:
    """Whoever else sends the key, first or later, is not heard."""
    assert post(headers=bearer("other-secret-99")).status_code == 202
    run = harness.begin(hear(**{"from": ["ci", "pay"]}))
    assert harness.run(run) == "WAITING"
    assert post({**EVENT, "event_id": "e2"}, headers=bearer("other-secret-99")).status_code == 202
    assert harness.run(run) == "WAITING"
    assert post({**EVENT, "event_id": "e3"}).status_code == 202
    assert harness.run(run) == "SUCCESS"
    assert executions.view(harness.rt, run).steps[0].outputs["event_id"] == "e3"
    (told,) = [each.data for each in harness.events(run) if each.kind == "event_received"]
    assert told == {"key": "deploy", "event_id": "e3", "sender": "ci"}


def test_a_shared_wait_hears_what_is_for_another_team_and_takes_it_from_nobody(harness: Harness, post: Post) -> None:
    """It names the sender; the team that the event is for has it too."""
    harness.write(_access_yaml=ACCESS)
    sharing = hear(shared=True, **{"from": ["pay"]})
    harness.publish(runbook("s", sharing, team="search"), runbook("pay", hear()))
    first, second = harness.start("s"), harness.start("pay")
    assert [harness.run(first), harness.run(second)] == ["WAITING", "WAITING"]
    post(headers=bearer("pay-secret-7"))
    assert [harness.run(first), harness.run(second)] == ["SUCCESS", "SUCCESS"]


def test_an_event_is_for_the_team_that_it_names(harness: Harness, post: Post) -> None:
    """Who sends for every team may name one; who sends for one team may name no other."""
    harness.write(_access_yaml=ACCESS)
    harness.publish(runbook("s", hear(), team="search"), runbook("pay", hear()))
    first, second = harness.start("s"), harness.start("pay")
    assert [harness.run(first), harness.run(second)] == ["WAITING", "WAITING"]
    refused = post({**EVENT, "team": "payments"}, secret=SECRETS["RUNBOOK_SECRET_SEARCH"])
    assert (refused.status_code, refused.json()["fields"]) == (422, {"team": "search sends for team search only"})
    assert post({**EVENT, "team": "payments"}).status_code == 202
    assert [harness.run(first), harness.run(second)] == ["WAITING", "SUCCESS"]


def test_the_first_that_waits_in_a_team_is_served_first(harness: Harness, post: Post) -> None:
    """However many wait for the same key."""
    harness.publish(runbook("demo", hear()))
    runs = []
    for _ in range(3):
        runs.append(harness.start("demo"))
        harness.run(runs[-1])
        harness.clock.tick(10)
    served = []
    for number in range(3):
        post({**EVENT, "event_id": f"e{number}"})
        served.append([harness.run(each) for each in runs].count("SUCCESS"))
        assert harness.status(runs[number]) == "SUCCESS"
    assert served == [1, 2, 3]


@pytest.mark.parametrize("late", [-301, 315])  # the clock goes on while the request is under way
def test_a_signature_is_good_for_five_minutes(post: Post, late: int) -> None:
    """Behind or ahead; after that whoever kept a copy of the request can do nothing with it."""
    body = json.dumps(EVENT).encode()
    answer = post(body, headers=signed(body, "ci-secret-8f742231", at=time.time() + late))
    assert (answer.status_code, answer.json()["error"]) == (401, "stale")
    assert post(body, headers=signed(body, "ci-secret-8f742231", at=time.time() + late * 0.94)).status_code == 202


def test_one_of_several_signatures_is_enough(post: Post) -> None:
    """So that a sender can change its secret; of a secret that begins with whsec_ the rest is base64."""
    body = json.dumps(EVENT).encode()
    assert post(body, headers=signed(body, "old", SECRETS["RUNBOOK_SECRET_SEARCH"])).status_code == 202
    assert post(body, headers=bearer(SECRETS["RUNBOOK_SECRET_SEARCH"])).status_code == 200


def test_a_delivery_counts_once_by_its_webhook_id(post: Post) -> None:
    """Whatever stands in it; an event without an id of its own has that one."""
    bodies = [json.dumps(each).encode() for each in ({"key": "k"}, EVENT, {"key": "k", "event_id": "msg_a"})]
    codes = [post(each, headers=signed(each, "ci-secret-8f742231", delivery="msg_a")).status_code for each in bodies]
    assert codes == [202, 200, 200]
    unsigned = post({"key": "k"}, headers=bearer("ci-secret-8f742231"))
    assert (unsigned.status_code, unsigned.json()["fields"]) == (422, {"event_id": "is missing"})


def test_of_a_sender_so_much_is_kept_and_no_more(harness: Harness, post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until a wait takes some or its time is over; what is waited for, what came before and others' come through."""
    monkeypatch.setattr(incoming_events, "MAX_EARLY", 3)
    run = harness.begin(hear(key="now"))
    harness.run(run)

    def sent(number: int, key: str = "deploy", secret: str = "ci-secret-8f742231") -> httpx.Response:
        return post({"key": key, "event_id": f"e{number}"}, headers=bearer(secret))

    assert [sent(number).status_code for number in range(5)] == [202, 202, 202, 429, 429]
    refused = sent(5)
    assert (refused.json()["error"], refused.headers["Retry-After"]) == ("too_much_kept", "3600")
    assert refused.json()["message"].startswith("Of ci, 3 events or 16 MiB that no step waits for yet are kept")
    assert [sent(0).status_code, sent(6, "now").status_code, sent(0, secret="other-secret-99").status_code] == [
        200,
        202,
        202,
    ]
    assert harness.run(run) == "SUCCESS"
    harness.clock.tick(waits.KEEP_MS + 1)
    assert sent(7).status_code == 202


def test_of_a_sender_no_more_is_kept_however_much_comes_at_once(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of different keys, so that nothing else makes them wait for each other."""
    monkeypatch.setattr(incoming_events, "MAX_EARLY", 3)
    sent = [partial(incoming_events.deliver, harness.rt, f"k{number}", f"e{number}", "ci", {}) for number in range(8)]
    results = at_once(*sent)
    assert results.count(True) == 3
    assert [type(each) for each in results if each is not True] == [incoming_events.TooMuchKept] * 5


def test_of_a_sender_so_many_bytes_are_kept(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few large events are as much as many small ones."""
    monkeypatch.setattr(incoming_events, "MAX_EARLY_BYTES", 100_000)
    large = [{"key": "k", "event_id": f"e{n}", "data": "x" * 60_000} for n in range(2)]
    assert [post(each).status_code for each in large] == [202, 429]


def test_what_nobody_took_is_dropped_after_an_hour_and_known_for_a_day(harness: Harness, post: Post) -> None:
    """Its data is gone; sent again it still changes nothing."""
    post()
    harness.clock.tick(waits.KEEP_MS + 1)
    with database.transaction():
        assert (waits.forget_data(database.now()), waits.forget_data(database.now())) == (1, 0)
    assert post(headers=bearer("ci-secret-8f742231")).status_code == 200
    harness.know_groups()
    run = harness.begin(hear())
    assert harness.run(run, patience_ms=1) == "WAITING"


@pytest.mark.parametrize("half", [0, 1])
def test_whoever_is_not_a_sender_gets_one_answer(post: Post, half: int) -> None:
    """Nothing tells a wrong secret from a missing one, and nothing is kept. Of one address not many are heard."""
    body = json.dumps(EVENT).encode()
    wrong = [
        {},
        bearer("wrong"),
        {"Authorization": "Bearer"},
        bearer("sécret"),
        {"Authorization": "Basic Y2k6Y2k="},
        {"Authorization": "ci-secret-8f742231"},
        signed(body, "wrong"),
        signed(body + b" ", "ci-secret-8f742231"),
        {**signed(body, "ci-secret-8f742231"), "webhook-id": "another"},
        {**signed(body, "ci-secret-8f742231"), "webhook-timestamp": str(int(time.time()) + 1)},
        {**signed(body, "ci-secret-8f742231"), "webhook-timestamp": "now"},
        {**signed(body, "ci-secret-8f742231"), "webhook-signature": "v1,"},
        {**signed(body, "ci-secret-8f742231"), "webhook-signature": "v1a,abc v2,abc"},
        {"X-Signature": "sha256=" + hmac.new(b"ci-secret-8f742231", body, hashlib.sha256).hexdigest()},
        {"X-Slack-Signature": "v0=abc"},
    ]
    encoded = [{name: value.encode() for name, value in each.items()} for each in wrong[half::2]]
    answers = [post(headers=each) for each in encoded]
    assert {each.status_code for each in answers} == {401}
    assert len({each.content for each in answers}) == 1
    assert post().status_code == 202


@pytest.mark.parametrize(
    ("event", "field", "told"),
    [
        (b"{", "", "the body must be JSON in UTF-8"),
        (b"\xff", "", "the body must be JSON in UTF-8"),
        (b'{"key": "a", "event_id": "b", "data": NaN}', "", "the body must be JSON in UTF-8"),
        (b"[" * 60_000, "", "the body must be JSON in UTF-8"),
        ([1], "", "the body must be a JSON object with key, event_id and data"),
        ({"event_id": "a"}, "key", "is missing"),
        ({**EVENT, "team": 5}, "team", "must be the name of a team"),
        ({**EVENT, "colour": 1}, "colour", "is not known here: an event has key, event_id, team and data"),
        ({**EVENT, "key": ""}, "key", "must be a text of 1 to 256 characters that can be seen"),
        ({**EVENT, "key": 5}, "key", "must be a text of 1 to 256 characters that can be seen"),
        ({**EVENT, "event_id": "x" * 257}, "event_id", "must be a text of 1 to 256 characters that can be seen"),
        ({**EVENT, "event_id": "a\0b"}, "event_id", "must be a text of 1 to 256 characters that can be seen"),
    ],
)
def test_what_is_no_event_is_said_in_sentences(post: Post, event: Any, field: str, told: str) -> None:
    """422 and what is wrong, by name."""
    answer = post(event)
    assert (answer.status_code, answer.json()["fields"]) == (422, {field: told})


def test_too_much_is_refused_whoever_sends_it(post: Post) -> None:
    """64 KiB is the most, and one byte more is too many."""
    room = incoming_webhooks.MAX_BODY - len(json.dumps({**EVENT, "data": ""}))
    assert post({**EVENT, "data": "x" * room}).status_code == 202
    assert post({**EVENT, "data": "x" * (room + 1)}).status_code == 413
    assert post(b"x" * 300_000, headers={}).status_code == 413


def test_a_database_that_is_away_is_no_accident(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 asks the sender to come again, and then it is taken."""

    def away(*_: object) -> None:
        raise database.OperationalError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(incoming_webhooks.incoming_events, "deliver", away)
        assert post().status_code == 503
    assert post().status_code == 202


def test_a_sender_without_a_secret_is_said_at_the_start(harness: Harness, caplog: pytest.LogCaptureFixture) -> None:
    """The others work on."""
    web.application(harness.rt, None)
    assert "HOOK_SENDERS: nobody cannot send events. There is no secret not_there" in caplog.text


@given(st.binary(max_size=200) | st.recursive(st.none() | st.text() | st.integers() | st.floats(), st.lists).map(repr))
def test_any_body_is_an_event_or_refused(body: bytes | str) -> None:
    """No body makes reading it fail in any other way than with sentences."""
    raw = body if isinstance(body, bytes) else body.encode("utf-8", "replace")
    told: dict[str, Any] = {}
    with suppress(InvalidParameters):
        told = incoming_webhooks.read_event(raw)
    assert not told or {"key", "event_id"} <= set(told) <= {"key", "event_id", "team", "data"}
