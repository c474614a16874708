"""Signed, expiring proofs of who may look at the pages: the link that Slack hands out, and the cookie made of it.

Both are `payload.signature`, each URL-safe base64 without padding. The signature is HMAC-SHA256 under a key that is
derived from SECRET_KEY for one purpose: neither stands in for the other, nor for anything else that is signed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from enum import StrEnum

LINK_S = 15 * 60
"""How long a link can be opened."""
COOKIE_S = 12 * 3600
"""How long a browser stays admitted after it opened one."""


class Purpose(StrEnum):
    LINK = "page link"
    COOKIE = "page cookie"


@dataclass(frozen=True, slots=True)
class Pass:
    """Who may look at which run, until when in epoch seconds. What they may see of it is still the engine's to say."""

    person: str
    execution_id: str
    until: int


def sign(key: bytes, purpose: Purpose, admitted: Pass) -> str:
    """The text that proves `admitted` to who has the same key."""
    payload = json.dumps([admitted.person, admitted.execution_id, admitted.until], separators=(",", ":")).encode()
    return f"{_text(payload)}.{_text(_signature(key, purpose, payload))}"


def verify(key: bytes, purpose: Purpose, text: str, now: int) -> Pass | None:
    """What `sign` was given, or None for anything that it did not write for this purpose or that has expired."""
    try:
        payload, signature = (_bytes(part) for part in text.split("."))
    except ValueError:
        return None
    if not hmac.compare_digest(signature, _signature(key, purpose, payload)):
        return None
    person, execution_id, until = json.loads(payload)
    return Pass(person, execution_id, until) if now < until else None


def link(base: str, key: bytes, person: str, execution_id: str) -> str:
    """The address by which this person may open a run's page for the next `LINK_S` seconds; `base` is PUBLIC_URL."""
    proof = sign(key, Purpose.LINK, Pass(person, execution_id, int(time.time()) + LINK_S))
    return f"{base.rstrip('/')}/executions/{execution_id}?pass={proof}"


def _signature(key: bytes, purpose: Purpose, payload: bytes) -> bytes:
    derived = hmac.digest(key, purpose.encode(), hashlib.sha256)
    return hmac.digest(derived, payload, hashlib.sha256)


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
