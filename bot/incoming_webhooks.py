"""Events from outside: what is posted to `/hooks/events`, authenticated and handed to the engine.

A sender proves itself with its secret, by a signature that carries its time (`bot/webhook_signatures.py`) or as a
bearer token. A request that is sent again changes nothing, since its event id is known by then.
"""

from __future__ import annotations

import hmac
import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from bot import webhook_signatures
from bot.webhook_signatures import TOLERANCE_S, Signed
from engine import database_errors
from engine.config.secrets import SecretMissing, SecretStore, SecretUnavailable
from engine.config.setting_values import HookSender
from engine.errors import InvalidParameters
from engine.runs import incoming_events
from engine.runs.incoming_events import TooMuchKept
from engine.runtime import Runtime

log = logging.getLogger(__name__)

MAX_BODY = 64 * 1024
_KEYS = ("key", "event_id", "team", "data")

Answer = tuple[int, dict[str, str], dict[str, Any]]
"""HTTP status, headers and JSON body."""


class Receiver:
    """Takes raw requests; safe to call from many threads."""

    def __init__(self, rt: Runtime, secrets: SecretStore, clock: Callable[[], float] = time.time) -> None:
        self._rt = rt
        self._secrets = secrets
        self._clock = clock

    def receive(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answer one request. Never raises.

        202 for a new event, 200 for one that this sender has sent before, 401 for anybody unknown and for a signature
        that is too old, 413 for too much, 422 for what cannot be taken as an event, 429 for a sender of whom enough is
        kept, 503 while it cannot be kept.
        """
        if len(body) > MAX_BODY:
            return _refused(413, "too_large", f"An event is at most {MAX_BODY // 1024} KiB.")
        given = {name.lower(): value for name, value in headers.items()}
        try:
            proof = self._proof(given, body)
        except SecretUnavailable:
            return _refused(503, "unavailable", "Who sent this cannot be told just now. Please send it again.")
        if proof is None:
            return _refused(401, "unauthorized", _WHO)
        sender, signed = proof
        if signed is not None and not signed.is_fresh(self._clock()):
            return _refused(401, "stale", _STALE)
        return self._take(sender, signed, body)

    def _take(self, sender: HookSender, signed: Signed | None, body: bytes) -> Answer:
        try:
            new = self._deliver(sender, signed, read_event(body, signed.id if signed else None))
        except InvalidParameters as wrong:
            return _refused(422, "invalid", "This is no event that can be taken.", wrong.fields)
        except TooMuchKept as much:
            status, headers, told = _refused(429, much.code, str(much))
            return status, {**headers, "Retry-After": str(much.retry_after_s)}, told
        except Exception as error:
            log.exception("An event from %s could not be taken", sender.name)
            why = database_errors.describe(error) or ""
            return _refused(
                503, "unavailable", f"The event could not be kept just now. Please send it again. {why}".strip()
            )
        return (202, {}, {"accepted": True}) if new else (200, {}, {"accepted": True, "duplicate": True})

    def _deliver(self, sender: HookSender, signed: Signed | None, event: Mapping[str, Any]) -> bool:
        team = incoming_events.team_of(sender, event.get("team"))
        delivery = signed.id if signed else None
        return incoming_events.deliver(
            self._rt, event["key"], event["event_id"], sender.name, event.get("data"), team=team, delivery_id=delivery
        )

    def problems(self) -> list[str]:
        """A sentence for each sender whose secret cannot be used."""
        found = []
        for sender in self._rt.settings.hook_senders:
            try:
                self._secrets.resolve(sender.secret)
            except SecretMissing as error:
                found.append(f"HOOK_SENDERS: {sender.name} cannot send events. {error}")
        return found

    def _proof(self, headers: Mapping[str, str], body: bytes) -> tuple[HookSender, Signed | None] | None:
        """Who sent this, with the signature that says so where one does.

        Every sender's secret is tried, however early one fits, so that the time tells nothing. Raises
        `SecretUnavailable` where none that can be had fits, and one cannot be had.
        """
        scheme, _, token = headers.get("authorization", "").partition(" ")
        bearer = token.strip() if scheme.lower() == "bearer" else ""
        signed = webhook_signatures.read(headers)
        found = None
        usable, unavailable = self._usable()
        for sender, secret in usable:
            by_signature = signed is not None and signed.is_by(secret, body)
            by_token = hmac.compare_digest(bearer.encode("latin-1", "replace"), secret.encode())
            if (by_signature or by_token) and found is None:
                found = sender, signed if by_signature else None
        if found is None and unavailable is not None:
            raise unavailable
        return found

    def _usable(self) -> tuple[list[tuple[HookSender, str]], SecretUnavailable | None]:
        """The senders' secrets, and what came of one that may be there and does not come now."""
        usable, unavailable = [], None
        for sender in self._rt.settings.hook_senders:
            try:
                usable.append((sender, self._secrets.resolve(sender.secret)))
            except SecretUnavailable as error:
                unavailable = error
            except SecretMissing:
                log.debug("%s has no usable secret", sender.name)  # said at the start; strangers' requests fill no log
        return usable, unavailable


_WHO = (
    "Sign the event as Standard Webhooks has it (webhook-id, webhook-timestamp, webhook-signature) with a sender's "
    "secret, or give that secret as a bearer token."
)
_STALE = (
    f"This was signed more than {TOLERANCE_S // 60} minutes before or after now. Sign it anew when it is sent again, "
    "and set the sender's clock."
)


def read_event(body: bytes, delivery_id: str | None = None) -> dict[str, Any]:
    """The event in a body; its id is that of a signed delivery where it names none.

    Raises InvalidParameters with a sentence for each thing that is wrong.
    """
    try:
        event = json.loads(body.decode("utf-8"), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise InvalidParameters({"": "the body must be JSON in UTF-8"}) from error
    if not isinstance(event, dict):
        raise InvalidParameters({"": "the body must be a JSON object with key, event_id and data"})
    wrong = {
        name[:80]: "is not known here: an event has key, event_id, team and data" for name in event if name not in _KEYS
    }
    if delivery_id is not None:
        event.setdefault("event_id", delivery_id)
    wrong |= {name: "is missing" for name in ("key", "event_id") if name not in event}
    if wrong:
        raise InvalidParameters(wrong)
    return event


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")


def _refused(status: int, code: str, message: str, fields: Mapping[str, str] | None = None) -> Answer:
    told: dict[str, Any] = {"error": code, "message": message}
    return status, {}, {**told, "fields": dict(fields)} if fields else told
