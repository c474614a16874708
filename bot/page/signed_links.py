"""Signed, expiring proofs of who may look at the pages: the link that Slack hands out, and the cookie made of it.

Each is signed with a key derived from SECRET_KEY for its one purpose: neither stands in for the other, nor for anything
else that is signed. The time of expiry is signed with it: with the time of signing, a server whose clock is a second
behind would refuse what another has just signed.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import astuple, dataclass
from enum import StrEnum

from itsdangerous import BadData, URLSafeSerializer

LINK_S = 15 * 60
"""How long a link can be opened: it is pressed at once, and may lie in a browser's history or a proxy's log after."""
COOKIE_S = 12 * 3600
"""How long a browser stays admitted after it opened one: the longest of working days."""


class Purpose(StrEnum):
    LINK = "page link"
    COOKIE = "page cookie"


@dataclass(frozen=True, slots=True)
class Pass:
    """Who may look at which run, until when in epoch seconds. What they may see of it is still the engine's to say.

    A link into the studio or to a plan has its path in the place of the run's id.
    """

    person: str
    execution_id: str
    until: int


def sign(key: bytes, purpose: Purpose, admitted: Pass) -> str:
    """The text that proves `admitted` to who has the same key."""
    return _serializer(key, purpose).dumps(astuple(admitted))


def verify(key: bytes, purpose: Purpose, text: str, now: int) -> Pass | None:
    """What `sign` was given, or None for anything that it did not write for this purpose or that has expired."""
    try:
        admitted = Pass(*_serializer(key, purpose).loads(text))
    except (BadData, UnicodeEncodeError):
        return None
    return admitted if now < admitted.until else None


def link(base: str, key: bytes, person: str, execution_id: str) -> str:
    """The address by which this person may open a run's page for the next `LINK_S` seconds; `base` is PUBLIC_URL."""
    proof = sign(key, Purpose.LINK, Pass(person, execution_id, int(time.time()) + LINK_S))
    return f"{base.rstrip('/')}/executions/{execution_id}?pass={proof}"


def studio_link(base: str, key: bytes, person: str, slug: str) -> str:
    """The address by which this person may open the studio, with this runbook in it unless `slug` is ""."""
    return _path_link(base, key, person, f"studio/{slug}" if slug else "studio")


def plan_link(base: str, key: bytes, person: str, draft: int) -> str:
    """The address by which this person may see what they have a plan of, under the id of its draft."""
    return _path_link(base, key, person, f"plans/{draft}")


def _path_link(base: str, key: bytes, person: str, path: str) -> str:
    proof = sign(key, Purpose.LINK, Pass(person, path, int(time.time()) + LINK_S))
    return f"{base.rstrip('/')}/{path}?pass={proof}"


def _serializer(key: bytes, purpose: Purpose) -> URLSafeSerializer:
    """Signs by HMAC-SHA256; the library's own default is SHA-1."""
    how = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
    return URLSafeSerializer(key, salt=purpose.value, signer_kwargs=how)
