"""Values that are kept encrypted: AES-256-GCM, by a key that is derived from SECRET_KEY for this one purpose.

What a value belongs to is sealed with it, so that a row that was moved to another run, step or name opens no more.
"""

from __future__ import annotations

import base64
import secrets
from functools import lru_cache
from typing import TYPE_CHECKING

from engine.config.derived_keys import derived_key
from engine.config.settings import Settings, secret_key
from engine.errors import EngineError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_INFO = b"runbook-bot: secret outputs of runs, 1"
_NONCE_BYTES = 12


class Unopenable(EngineError):
    """A sealed value does not open: SECRET_KEY is another one, or the row was altered."""

    code = "secret_missing"


def seal(settings: Settings, value: str, *belongs_to: str) -> str:
    """The value, encrypted, as text. Raises `BadSettings` where there is no key."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    sealed = _cipher(secret_key(settings)).encrypt(nonce, value.encode("utf-8", "surrogatepass"), _bound(belongs_to))
    return base64.b64encode(nonce + sealed).decode("ascii")


def unseal(settings: Settings, sealed: str, *belongs_to: str) -> str:
    """The value that was sealed for the same thing. Raises `Unopenable`."""
    from cryptography.exceptions import InvalidTag

    try:
        raw = base64.b64decode(sealed, validate=True)
        opened = _cipher(secret_key(settings)).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _bound(belongs_to))
        return opened.decode("utf-8", "surrogatepass")
    except (InvalidTag, ValueError):
        raise Unopenable(
            f"What {' '.join(belongs_to[1:])} received cannot be opened: it was sealed with another SECRET_KEY, or "
            "altered. Every process needs the same SECRET_KEY."
        ) from None


def _bound(belongs_to: tuple[str, ...]) -> bytes:
    return b"".join(len(raw).to_bytes(4, "big") + raw for raw in (each.encode() for each in belongs_to))


@lru_cache(maxsize=4)
def _cipher(key: bytes) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # loaded where a secret is received

    return AESGCM(derived_key(key, _INFO))
