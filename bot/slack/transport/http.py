"""HTTP mode: what Slack posts to `/slack/events`, verified and parsed here so that Bolt need not.

Bolt answers 500 to a timestamp that is no number, and takes a slash command whose text holds the word "payload" for an
empty interaction; both are settled before it sees anything.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import re
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from slack_bolt import BoltResponse

log = logging.getLogger(__name__)

MAX_BODY = 1 << 20
MAX_SKEW_S = 300
"""Slack asks to refuse requests more than five minutes old; one from the future is as odd."""
_TIMESTAMP = re.compile(r"[0-9]{10}", re.ASCII)
_SIGNATURE = re.compile(r"v0=[0-9a-f]{64}", re.ASCII)

Answer = tuple[int, dict[str, str], bytes]
Dispatch = Callable[[dict[str, Any], str | None, Mapping[str, str]], BoltResponse]


class Receiver:
    """Takes raw requests; safe to call from many threads."""

    def __init__(self, dispatch: Dispatch, signing_secret: str, clock: Callable[[], float] = time.time) -> None:
        self._dispatch = dispatch
        self._secret = signing_secret.encode()
        self._clock = clock

    def receive(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answer one request: 401 where it is not verifiably Slack's, 400 where it cannot be read. Never raises."""
        lower = {name.lower(): value for name, value in headers.items()}
        stamp, signature = lower.get("x-slack-request-timestamp", ""), lower.get("x-slack-signature", "")
        if len(body) > MAX_BODY or not self._genuine(stamp, signature, body):
            return _plain(401, "not a request from Slack")
        try:
            payload = read_body(body, lower.get("content-type", ""))
        except (ValueError, RecursionError):
            return _plain(400, "not readable")
        if payload.get("type") == "url_verification":
            return _plain(200, str(payload.get("challenge", "")))
        if "ssl_check" in payload:
            return _plain(200, "")
        seen = hashlib.sha256(f"{stamp}|{signature}".encode()).hexdigest()
        try:
            return _answer(self._dispatch(payload, event_key(payload) or f"http:{seen}", _retry_headers(lower)))
        except Exception:
            log.exception("A request from Slack could not be dispatched")
            return _plain(503, "please try again")

    def _genuine(self, stamp: str, signature: str, body: bytes) -> bool:
        if not _TIMESTAMP.fullmatch(stamp) or not _SIGNATURE.fullmatch(signature):
            return False
        if abs(self._clock() - int(stamp)) > MAX_SKEW_S:
            return False
        expected = hmac.new(self._secret, b"v0:%s:%s" % (stamp.encode(), body), hashlib.sha256).hexdigest()
        return hmac.compare_digest(f"v0={expected}", signature)


def read_body(body: bytes, content_type: str) -> dict[str, Any]:
    """The payload in a body: JSON for events, the form field `payload` for clicks, the form itself for commands.

    Raises ValueError.
    """
    text = body.decode("utf-8")
    if content_type.partition(";")[0].strip().lower() == "application/json" or text.lstrip().startswith("{"):
        return _object(text)
    form = dict(parse_qsl(text, keep_blank_values=True, max_num_fields=200))
    if "payload" in form and "command" not in form:
        return _object(form["payload"])
    return dict(form)


def event_key(payload: Mapping[str, Any]) -> str | None:
    """What makes an event the same event again: Slack sends it up to four times."""
    event_id = payload.get("event_id")
    return f"event:{event_id}" if isinstance(event_id, str) and event_id else None


def _object(text: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 the reader of a body knows one kind of error
    return value


def _retry_headers(lower: Mapping[str, str]) -> dict[str, str]:
    return {name: lower[name] for name in ("x-slack-retry-num", "x-slack-retry-reason") if name in lower}


def _answer(response: BoltResponse) -> Answer:
    body = (response.body or "").encode()
    kind = response.first_headers().get("content-type", "text/plain; charset=utf-8")
    return response.status, {"content-type": kind}, body


def _plain(status: int, text: str) -> Answer:
    return status, {"content-type": "text/plain; charset=utf-8"}, text.encode()
