"""Signed events, as Standard Webhooks (standardwebhooks.com) has them.

`webhook-signature` holds one or more of `v1,<base64 of HMAC-SHA256>` with blanks between, over
`{webhook-id}.{webhook-timestamp}.{body}`. A secret that begins with `whsec_` is base64 behind that, any other is taken
as it is.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass

TOLERANCE_S = 300
"""How old a signature may be, and how far ahead the sender's clock."""

_PREFIX = "whsec_"
_SECONDS = re.compile(r"[0-9]{1,12}")


@dataclass(frozen=True, slots=True)
class Signed:
    """What a request says of its signature: `id` is the sender's name for the delivery, `at` epoch seconds as sent."""

    id: str
    at: str
    signatures: tuple[str, ...]

    def is_by(self, secret: str, body: bytes) -> bool:
        """Whether one of the signatures is this secret's; the time that takes does not tell how nearly one was."""
        content = b"%s.%s.%s" % (self.id.encode("latin-1", "replace"), self.at.encode(), body)
        made = "v1," + base64.b64encode(hmac.new(_key(secret), content, hashlib.sha256).digest()).decode()
        return any([hmac.compare_digest(each.encode(), made.encode()) for each in self.signatures])  # noqa: C419

    def is_fresh(self, now: float) -> bool:
        return abs(now - int(self.at)) <= TOLERANCE_S


def read(headers: Mapping[str, str]) -> Signed | None:
    """The signature of a request with these headers (names in lower case), None for one without."""
    delivery, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    signatures = tuple(headers.get("webhook-signature", "").split()[:10])
    if not delivery or not signatures or not _SECONDS.fullmatch(at):
        return None
    return Signed(delivery, at, signatures)


def _key(secret: str) -> bytes:
    if secret.startswith(_PREFIX):
        try:
            return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
        except binascii.Error:
            pass  # it only looks like one: then it is taken as it is
    return secret.encode()
