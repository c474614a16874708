"""How payloads get to a bot: signatures, retries, Socket Mode."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st
from practice import ALICE, CHANNEL, Hands, hands_in, wait_for
from slack_sdk import WebClient
from slack_sdk.signature import SignatureVerifier
from slack_sdk.socket_mode import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse

from bot.simulator import Config
from bot.simulator.delivery.signing import signed_headers
from bot.simulator.people.typed import encode, escape
from bot.simulator.tickets import TicketRefused, Tickets


class Listener(ThreadingHTTPServer):
    """A bot that notes requests and answers what it is told to."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[tuple[int, dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/slack/events"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Listener)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append(({name.lower(): value for name, value in self.headers.items()}, body))
        status, headers, answer = self.server.answers.pop(0) if self.server.answers else (200, {}, b"")
        self.send_response(status)
        for name, value in {"Content-Length": str(len(answer)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@contextmanager
def listening(**more: Any) -> Iterator[tuple[Hands, Listener]]:
    listener = Listener()
    thread = threading.Thread(target=listener.serve_forever, daemon=True)
    thread.start()
    try:
        with hands_in(Config(bot_url=listener.url, **more)) as hands:
            yield hands, listener
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join(10)


@given(st.text(max_size=200))
def test_signatures_satisfy_slacks_verifier(text: str) -> None:
    """Slack's own verifier takes our signature, and refuses it for any other body."""
    body = text.encode("utf-8", "replace")
    verifier = SignatureVerifier("secret")
    headers = signed_headers("secret", body)
    assert verifier.is_valid_request(body, headers)
    assert not verifier.is_valid_request(body + b"x", headers)


def test_requests_are_signed_forms_and_json() -> None:
    """A command comes as a form, an event as JSON, both signed."""
    with listening() as (hands, listener):
        hands.command("run send-payload")
        hands.post("mention", user=ALICE, channel=CHANNEL, text="hi")
        verifier = SignatureVerifier(hands.sim.config.signing_secret)
        assert all(verifier.is_valid_request(body, headers) for headers, body in listener.requests)
        (command, form), (event, inner) = listener.requests
        assert command["content-type"] == "application/x-www-form-urlencoded"
        assert parse_qs(form.decode())["text"] == ["run send-payload"]
        assert event["content-type"] == "application/json"
        assert json.loads(inner)["event"]["type"] == "app_mention"


def test_events_are_tried_again() -> None:
    """An event that failed comes again with its number and reason, and then no more."""
    with listening(event_retry_delays=(0.0, 0.0, 0.0)) as (hands, listener):
        listener.answers = [(500, {}, b"")] * 2
        assert hands.post("mention", user=ALICE, channel=CHANNEL, text="hi")["ok"] is False
        wait_for(lambda: len(listener.requests) == 3)
        tries = [(each.get("x-slack-retry-num"), each.get("x-slack-retry-reason")) for each, _ in listener.requests]
        assert tries == [(None, None), ("1", "http_error"), ("2", "http_error")]
        assert len({json.loads(body)["event_id"] for _, body in listener.requests}) == 1


def test_a_bot_can_ask_for_no_retry() -> None:
    """x-slack-no-retry ends the tries."""
    with listening(event_retry_delays=(0.0,)) as (hands, listener):
        listener.answers = [(500, {"x-slack-no-retry": "1"}, b"")]
        hands.post("mention", user=ALICE, channel=CHANNEL, text="first")
        hands.post("mention", user=ALICE, channel=CHANNEL, text="second")
        assert len(listener.requests) == 2


def test_commands_are_not_tried_again() -> None:
    """A command that failed is shown to the person and sent once."""
    with listening() as (hands, listener):
        listener.answers = [(404, {}, b"nope")]
        answer = hands.command("ping")
        assert (answer["status"], answer["error"]) == (404, "dispatch_failed")
        assert [each["text"] for each in answer["ephemerals"]] == ['/runbook failed with the error "dispatch_failed"']
        assert len(listener.requests) == 1


def test_raw_requests_can_be_replayed_and_spoiled() -> None:
    """A test can send the same signed body twice, and headers of its own."""
    with listening() as (hands, listener):
        hands.post("send_raw", body="{}", times=2, headers={"X-Slack-Signature": "v0=bad", "Content-Type": None})
        assert [body for _, body in listener.requests] == [b"{}"] * 2
        assert {each["x-slack-signature"] for each, _ in listener.requests} == {"v0=bad"}


@pytest.mark.parametrize(
    ("answer", "errors"),
    [
        (b"plain text", {}),
        (b'{"response_action": "errors", "errors": {"nowhere": "x"}}', {}),
        (b'{"response_action": "update", "view": {"type": "modal"}}', {}),
    ],
)
def test_bad_answers_to_a_form_are_trouble(answer: bytes, errors: dict[str, str]) -> None:
    """An answer Slack would not understand leaves the form open, says so, and is on record."""
    with listening() as (hands, listener):
        trigger = hands.command("x")["trigger_id"]
        view = {
            "type": "modal",
            "title": {"type": "plain_text", "text": "t"},
            "blocks": [{"type": "divider"}],
        }
        view_id = hands.client().views_open(trigger_id=trigger, view=view)["view"]["id"]
        listener.answers = [(200, {}, answer)]
        result = hands.post("submit", user=ALICE, view_id=view_id, values={})
        assert (result["ok"], result["errors"]) == (False, errors)
        assert len(hands.get("views", user=ALICE)) == 1
        assert [each["kind"] for each in hands.get("problems")] == ["ack"]


def socket_client(hands: Hands, heard: list[SocketModeRequest]) -> SocketModeClient:
    client = SocketModeClient(hands.sim.config.app_token, web_client=WebClient(base_url=hands.sim.api_url))

    def listen(connection: SocketModeClient, request: SocketModeRequest) -> None:
        heard.append(request)
        connection.send_socket_mode_response(SocketModeResponse(request.envelope_id, {"text": "over the socket"}))

    client.socket_mode_request_listeners.append(listen)
    client.connect()
    return client


def test_socket_mode_spreads_payloads_over_connections() -> None:
    """Each payload goes down one of the open connections, and its ack comes back."""
    with hands_in(Config(socket_mode=True)) as hands:
        heard: tuple[list[SocketModeRequest], ...] = ([], [])
        clients = [socket_client(hands, each) for each in heard]
        wait_for(lambda: hands.get("status")["connections"] == 2)
        answers = [hands.command("ping") for _ in range(4)]
        assert all(each["ephemerals"][0]["text"] == "over the socket" for each in answers)
        assert [len(each) for each in heard] == [2, 2]
        assert heard[0][0].accepts_response_payload is True
        for client in clients:
            client.close()


def test_a_refreshed_connection_comes_back() -> None:
    """The client reconnects when told that its connection is being refreshed."""
    with hands_in(Config(socket_mode=True, ack_timeout=1.0)) as hands:
        heard: list[SocketModeRequest] = []
        client = socket_client(hands, heard)
        wait_for(lambda: hands.get("status")["connections"] == 1)
        assert hands.post("disconnect")["told"] == 1
        wait_for(lambda: hands.get("status")["connections"] == 1, 20.0)
        wait_for(lambda: hands.command("ping")["ok"], 20.0)
        client.close()


def test_without_a_connection_dispatch_fails() -> None:
    """A command with no bot connected fails at once."""
    with hands_in(Config(socket_mode=True)) as hands:
        answer = hands.command("ping")
        assert (answer["error"], answer["ack_ms"]) == ("dispatch_failed", 0)


def test_tickets_expire_and_are_used_up() -> None:
    """Triggers live three seconds, response URLs half an hour."""
    now = [0.0]
    tickets = Tickets(3.0, lambda: now[0])
    early, late = tickets.new_trigger(ALICE), tickets.new_trigger(ALICE)
    hook = tickets.new_hook(ALICE, CHANNEL)
    assert tickets.exchange(early) == ALICE
    now[0] = 3.5
    with pytest.raises(TicketRefused, match="expired_trigger_id"):
        tickets.exchange(late)
    tickets.use_hook(hook)
    now[0] = 1801.0
    with pytest.raises(TicketRefused, match="expired_url"):
        tickets.use_hook(hook)


@given(st.text(alphabet=st.characters(exclude_characters="@#"), max_size=80).filter(lambda text: "http" not in text))
def test_text_without_references_is_only_escaped(text: str) -> None:
    """Typed text arrives with its three entities and nothing else changed."""
    assert encode(text, labels=True) == escape(text)
    assert "<" not in escape(text)


@given(st.text(max_size=80))
def test_typed_text_cannot_forge_a_reference(text: str) -> None:
    """Whatever is typed, every < that arrives opens a reference that we made."""
    for part in encode(text, labels=False).split("<")[1:]:
        assert part.startswith(("@U0", "#C0", "!subteam^S0", "!here", "!channel", "!everyone", "http"))
        assert ">" in part
