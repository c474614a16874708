"""Events that are posted from outside: real requests to the real routes."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import httpx
import pytest
import uvicorn
from house import House, runbook
from hypothesis import given
from hypothesis import strategies as st

from bot import hooks, web
from engine import executions
from engine.errors import InvalidParameters
from storage import database

SECRETS = {"RUNBOOK_SECRET_CI_HOOK": "ci-secret-8f742231", "RUNBOOK_SECRET_OTHER": "other-secret-99"}
SENDERS = (("ci", "ci_hook"), ("grafana", "other"), ("nobody", "not_there"))
EVENT = {"key": "deploy", "event_id": "e1", "data": {"tag": "v2"}}
Post = Callable[..., httpx.Response]


@pytest.fixture
def house(house: House) -> House:
    """With senders, one of which has no secret."""
    house.settle_for(hook_senders=SENDERS, secret_variables=SECRETS)
    return house


@pytest.fixture
def post(house: House) -> Iterator[Post]:
    """Post to the web process's own routes, signed by `sender`'s secret unless headers are given."""
    listening = web.bind(replace(house.rt.settings, port=0))
    server = uvicorn.Server(uvicorn.Config(web.application(house.rt, None), log_config=None, lifespan="off", ws="none"))
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


def signed(body: bytes, secret: str) -> dict[str, str]:
    return {"X-Signature": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def test_an_event_ends_a_wait_and_its_second_coming_changes_nothing(house: House, post: Post) -> None:
    """202 for the first, 200 for the duplicate, and the waiting step has its data."""
    run = house.begin({"id": "hear", "type": "wait", "with": {"key": "deploy"}})
    house.run(run)
    first, second = post(), post()
    assert (first.status_code, first.json()) == (202, {"accepted": True})
    assert (second.status_code, second.json()) == (200, {"accepted": True, "duplicate": True})
    assert house.run(run) == "SUCCESS"
    (step,) = executions.view(house.rt, run).steps
    assert step.outputs == {"data": {"tag": "v2"}, "event_id": "e1"}


def test_a_secret_in_an_event_is_masked(house: House, post: Post) -> None:
    """A sender may tell more than it should, in whatever encoding and however deep: it is kept nowhere."""
    run = house.begin({"id": "hear", "type": "wait", "with": {"key": "deploy"}})
    house.run(run)
    deep: Any = ["ci-secret-8f742231"]
    for _ in range(200):
        deep = [deep]
    data = {"log": 'with "ci-secret-8f742231"', "hex": b"ci-secret-8f742231".hex(), "other-secret-99": deep}
    assert post({**EVENT, "data": data}).status_code == 202
    assert house.run(run) == "SUCCESS"
    (step,) = executions.view(house.rt, run).steps
    assert step.outputs["data"]["log"] == 'with "‹secret ci_hook›"'
    assert step.outputs["data"]["hex"] == "‹secret ci_hook›"
    assert "secret-" not in str(step.outputs)


def test_an_event_that_comes_first_is_kept(house: House, post: Post) -> None:
    """The wait that begins later takes it; senders' event ids do not meet."""
    assert post(headers=bearer("ci-secret-8f742231")).status_code == 202
    assert post(headers=bearer("other-secret-99")).status_code == 202
    house.publish(runbook("demo", {"id": "hear", "type": "wait", "with": {"key": "deploy"}}))
    assert [house.run(house.start("demo")) for _ in range(3)] == ["SUCCESS", "SUCCESS", "WAITING"]


def test_whoever_is_not_a_sender_gets_one_answer(post: Post) -> None:
    """Nothing tells a wrong secret from a missing one, and nothing is kept."""
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
        {"X-Signature": "sha1=abc"},
        {"X-Signature": ""},
        {"X-Slack-Signature": "v0=abc"},
    ]
    encoded = [{name: value.encode() for name, value in each.items()} for each in wrong]
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
        ({"key": "a"}, "event_id", "is missing"),
        ({**EVENT, "colour": 1}, "colour", "is not known here: an event has key, event_id and data"),
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
    room = hooks.MAX_BODY - len(json.dumps({**EVENT, "data": ""}))
    assert post({**EVENT, "data": "x" * room}).status_code == 202
    assert post({**EVENT, "data": "x" * (room + 1)}).status_code == 413
    assert post(b"x" * 300_000, headers={}).status_code == 413


def test_a_database_that_is_away_is_no_accident(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 asks the sender to come again, and then it is taken."""

    def away(*_: object) -> None:
        raise database.OperationalError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(hooks.incoming, "deliver", away)
        assert post().status_code == 503
    assert post().status_code == 202


def test_a_sender_without_a_secret_is_said_at_the_start(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """The others work on."""
    web.application(house.rt, None)
    assert "HOOK_SENDERS: nobody cannot send events. There is no secret not_there" in caplog.text


@given(st.binary(max_size=200) | st.recursive(st.none() | st.text() | st.integers() | st.floats(), st.lists).map(repr))
def test_any_body_is_an_event_or_refused(body: bytes | str) -> None:
    """No body makes reading it fail in any other way than with sentences."""
    raw = body if isinstance(body, bytes) else body.encode("utf-8", "replace")
    told: dict[str, Any] = {}
    with suppress(InvalidParameters):
        told = hooks.read_event(raw)
    assert not told or {"key", "event_id"} <= set(told) <= {"key", "event_id", "data"}
