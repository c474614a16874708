"""What arrives over HTTP: only what Slack signed, once, whatever is in it."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slack_bolt import BoltResponse

from bot.slack.transport.http import MAX_BODY, Receiver, read_body

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
NOW = 1_795_000_000


class Seen:
    """A door that notes what is dispatched."""

    def __init__(self) -> None:
        self.payloads: list[dict[str, Any]] = []
        self.keys: list[str | None] = []

    def __call__(self, payload: dict[str, Any], key: str | None, headers: Any) -> BoltResponse:
        self.payloads.append(payload)
        self.keys.append(key)
        return BoltResponse(status=200, body="")


def headers(body: bytes, at: int = NOW, **changed: str | None) -> dict[str, str]:
    digest = hmac.new(SECRET.encode(), b"v0:%d:%s" % (at, body), hashlib.sha256).hexdigest()
    whole = {
        "X-Slack-Request-Timestamp": str(at),
        "X-Slack-Signature": f"v0={digest}",
        "Content-Type": "application/x-www-form-urlencoded",
        **changed,
    }
    return {name: value for name, value in whole.items() if value is not None}


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def receiver(seen: Seen) -> Receiver:
    return Receiver(seen, SECRET, clock=lambda: NOW)


COMMAND = urlencode({"command": "/runbook", "text": "run send-payload payload=1", "trigger_id": "1.2"}).encode()


def test_a_command_whose_text_says_payload_is_a_command(receiver: Receiver, seen: Seen) -> None:
    """The word "payload" in what somebody typed does not make it a click."""
    assert receiver.receive(headers(COMMAND), COMMAND)[0] == 200
    assert seen.payloads == [{"command": "/runbook", "text": "run send-payload payload=1", "trigger_id": "1.2"}]


def test_a_click_and_an_event_are_read(receiver: Receiver, seen: Seen) -> None:
    """Clicks come as a form field, events as JSON; an event's own id makes it the same event again."""
    click = urlencode({"payload": json.dumps({"type": "block_actions", "actions": []})}).encode()
    event = json.dumps({"type": "event_callback", "event_id": "Ev1", "event": {"type": "app_mention"}}).encode()
    receiver.receive(headers(click), click)
    receiver.receive({**headers(event), "Content-Type": "application/json"}, event)
    assert [payload["type"] for payload in seen.payloads] == ["block_actions", "event_callback"]
    assert seen.keys[1] == "event:Ev1"


def test_url_verification_is_answered(receiver: Receiver, seen: Seen) -> None:
    """Slack's handshake gets its challenge back and goes no further."""
    body = json.dumps({"type": "url_verification", "challenge": "3eZbr"}).encode()
    assert receiver.receive({**headers(body), "Content-Type": "application/json"}, body)[::2] == (200, b"3eZbr")
    assert seen.payloads == []


def test_a_replay_has_the_same_key_and_a_new_request_another(receiver: Receiver, seen: Seen) -> None:
    """The same signed bytes are the same request; signed anew they are a new one."""
    for at in (NOW, NOW, NOW - 1):
        receiver.receive(headers(COMMAND, at), COMMAND)
    assert seen.keys[0] == seen.keys[1] != seen.keys[2]
    assert seen.keys[0] is not None


@pytest.mark.parametrize(
    ("skew", "status"), [(0, 200), (-300, 200), (300, 200), (-301, 401), (301, 401), (-90_000, 401), (90_000, 401)]
)
def test_five_minutes_in_both_directions(receiver: Receiver, seen: Seen, skew: int, status: int) -> None:
    """Old requests and those from the future are refused alike."""
    assert receiver.receive(headers(COMMAND, NOW + skew), COMMAND)[0] == status
    assert len(seen.payloads) == (1 if status == 200 else 0)


GOOD = headers(COMMAND)["X-Slack-Signature"]


@pytest.mark.parametrize(
    "changed",
    [
        {"X-Slack-Signature": None},
        {"X-Slack-Request-Timestamp": None},
        {"X-Slack-Signature": ""},
        {"X-Slack-Signature": "v0=" + "0" * 64},
        {"X-Slack-Signature": GOOD.upper()},
        {"X-Slack-Signature": GOOD.replace("v0", "v1")},
        {"X-Slack-Signature": GOOD + "\n"},
        {"X-Slack-Signature": GOOD + "é"},
        {"X-Slack-Signature": "v0=é" + GOOD[4:]},
        {"X-Slack-Request-Timestamp": "soon"},
        {"X-Slack-Request-Timestamp": "1e9"},
        {"X-Slack-Request-Timestamp": f"{NOW}.0"},
        {"X-Slack-Request-Timestamp": f" {NOW}"},
        {"X-Slack-Request-Timestamp": f"-{NOW}"},
        {"X-Slack-Request-Timestamp": "١٧٩٥٠٠٠٠٠٠"},
        {"X-Slack-Request-Timestamp": "9" * 400},
        {"X-Slack-Request-Timestamp": ""},
    ],
)
def test_what_is_not_signed_by_slack_is_refused(receiver: Receiver, seen: Seen, changed: dict[str, str | None]) -> None:
    """Missing, malformed and foreign signatures and timestamps all get 401, never 500."""
    assert receiver.receive(headers(COMMAND, **changed), COMMAND)[0] == 401
    assert seen.payloads == []


def test_a_changed_or_huge_body_is_refused(receiver: Receiver, seen: Seen) -> None:
    """The signature covers every byte, and a body over a megabyte is not looked at."""
    huge = b"a" * (MAX_BODY + 1)
    assert receiver.receive(headers(COMMAND), COMMAND + b"&x=1")[0] == 401
    assert receiver.receive(headers(huge), huge)[0] == 401
    assert seen.payloads == []


@pytest.mark.parametrize(
    "body",
    [b"{", b"[1]", b"payload=%7B", b"payload=1", b"\xff\xfe", b"{" * 100_000, b"payload=" + b"[" * 200_000, b"&" * 300],
)
def test_a_signed_body_that_cannot_be_read_is_no_outage(receiver: Receiver, seen: Seen, body: bytes) -> None:
    """Even a signed request may be broken: that is 400, or an empty form that nobody listens to."""
    assert receiver.receive(headers(body), body)[0] in (200, 400)
    assert not any("type" in payload or "command" in payload for payload in seen.payloads)


def test_trouble_behind_the_door_is_not_a_crash() -> None:
    """When dispatching fails, Slack is told to try again."""

    def broken(payload: dict[str, Any], key: str | None, headers: Any) -> BoltResponse:
        raise RuntimeError("no")

    assert Receiver(broken, SECRET, clock=lambda: NOW).receive(headers(COMMAND), COMMAND)[0] == 503


@given(st.binary(max_size=200), st.dictionaries(st.sampled_from(list(headers(b""))), st.text(max_size=80)))
def test_nothing_makes_it_crash(body: bytes, odd: dict[str, str]) -> None:
    """Any bytes under any headers get an answer, and without the secret it is always 401."""
    assert Receiver(Seen(), SECRET, clock=lambda: NOW).receive(odd, body)[0] == 401


@given(st.dictionaries(st.text(min_size=1), st.text(), max_size=5))
def test_forms_are_read_as_they_were_sent(form: dict[str, str]) -> None:
    """A command's form comes back field by field."""
    whole = {**form, "command": "/runbook"}
    assert read_body(urlencode(whole).encode(), "application/x-www-form-urlencoded") == whole
