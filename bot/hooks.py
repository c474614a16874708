"""Events from outside: what is posted to `/hooks/events`, authenticated and handed to the engine.

A sender proves itself with its secret: by an HMAC over the raw body (`X-Signature: sha256=<hex>`) or as a bearer token.
A request that is sent again changes nothing, since its event id is known by then.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from collections.abc import Mapping
from typing import Any, NoReturn

from engine import incoming
from engine.errors import InvalidParameters
from engine.runtime import Runtime
from engine.secrets import SecretMissing, SecretStore

log = logging.getLogger(__name__)

MAX_BODY = 64 * 1024
_KEYS = ("key", "event_id", "data")

Answer = tuple[int, dict[str, Any]]
"""HTTP status and JSON body."""


class Receiver:
    """Takes raw requests; safe to call from many threads."""

    def __init__(self, rt: Runtime, secrets: SecretStore) -> None:
        self._rt = rt
        self._secrets = secrets

    def receive(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answer one request. Never raises.

        202 for a new event, 200 for one that this sender has sent before, 401 for anybody unknown, 413 for too much,
        422 for what cannot be taken as an event, 503 while it cannot be kept.
        """
        if len(body) > MAX_BODY:
            return _refused(413, "too_large", f"An event is at most {MAX_BODY // 1024} KiB.")
        sender = self._sender({name.lower(): value for name, value in headers.items()}, body)
        if sender is None:
            return _refused(401, "unauthorized", "Sign the body with a sender's secret, or give it as a bearer token.")
        try:
            event = read_event(body)
            new = incoming.deliver(self._rt, event["key"], event["event_id"], sender, event.get("data"))
        except InvalidParameters as wrong:
            return _refused(422, "invalid", "This is no event that can be taken.", wrong.fields)
        except Exception:
            log.exception("An event from %s could not be taken", sender)
            return _refused(503, "unavailable", "The event could not be kept just now. Please send it again.")
        return (202, {"accepted": True}) if new else (200, {"accepted": True, "duplicate": True})

    def problems(self) -> list[str]:
        """A sentence for each sender whose secret cannot be used."""
        found = []
        for name, secret in self._rt.settings.hook_senders:
            try:
                self._secrets.resolve(secret)
            except SecretMissing as error:
                found.append(f"HOOK_SENDERS: {name} cannot send events. {error}")
        return found

    def _sender(self, headers: Mapping[str, str], body: bytes) -> str | None:
        """Who sent this; every sender's secret is tried, however early one fits, so that the time tells nothing."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        bearer = token.strip() if scheme.lower() == "bearer" else ""
        signature = headers.get("x-signature", "")
        found = None
        for name, secret in self._usable():
            signed = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
            by_signature = _same(signature.lower(), signed)
            by_token = _same(bearer, secret)
            if (by_signature or by_token) and found is None:
                found = name
        return found

    def _usable(self) -> list[tuple[str, str]]:
        usable = []
        for name, secret in self._rt.settings.hook_senders:
            try:
                usable.append((name, self._secrets.resolve(secret)))
            except SecretMissing:
                log.debug("%s has no usable secret", name)  # said at the start; strangers' requests fill no log
        return usable


def read_event(body: bytes) -> dict[str, Any]:
    """The event in a body. Raises InvalidParameters with a sentence for each thing that is wrong."""
    try:
        event = json.loads(body.decode("utf-8"), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise InvalidParameters({"": "the body must be JSON in UTF-8"}) from error
    if not isinstance(event, dict):
        raise InvalidParameters({"": "the body must be a JSON object with key, event_id and data"})
    wrong = {name[:80]: "is not known here: an event has key, event_id and data" for name in event if name not in _KEYS}
    wrong |= {name: "is missing" for name in ("key", "event_id") if name not in event}
    if wrong:
        raise InvalidParameters(wrong)
    return event


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("latin-1", "replace"), expected.encode())


def _refused(status: int, code: str, message: str, fields: Mapping[str, str] | None = None) -> Answer:
    told: dict[str, Any] = {"error": code, "message": message}
    return status, {**told, "fields": dict(fields)} if fields else told
