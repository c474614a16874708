"""The keys under which stored secrets are encrypted: envelope encryption with AES-256-GCM.

Each value has a data key of its own, which is wrapped by a key-encryption key. Both are bound to their row as
associated data: neither can be moved to another name, version or workspace.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from functools import cached_property

from engine.config.derived_keys import derived_key
from engine.config.secrets import SecretMissing
from engine.config.setting_values import NamedKey
from engine.config.settings import Settings, secret_key
from storage.secret_records import Sealed

DEFAULT_ID = "default"
"""The id of the key that is derived from SECRET_KEY."""
_NONCE = 12
_INFO = b"runbook-bot stored secrets"


class SecretUnreadable(SecretMissing):
    """A stored value cannot be decrypted; the message names the key that is missing."""

    code = "secret_unreadable"


class Keyring:
    """Encrypts with the first key, decrypts with any; the key derived from SECRET_KEY is always the last. Thread-safe.

    `secret_key` gives SECRET_KEY; it is asked for only when a secret needs it.
    """

    def __init__(self, keys: tuple[NamedKey, ...], secret_key: Callable[[], bytes]) -> None:
        self._named = {each.id: each.key for each in keys}
        self._secret_key = secret_key
        self.first = keys[0].id if keys else DEFAULT_ID

    @property
    def ids(self) -> frozenset[str]:
        """The ids of all keys that decrypt."""
        return frozenset({*self._named, DEFAULT_ID})

    def seal(self, workspace_id: int, name: str, version: int, value: str) -> Sealed:
        """Encrypt a value under a new data key, and that under the first key."""
        data_key, row = os.urandom(32), (workspace_id, name, version)
        ciphertext = _encrypt(data_key, value.encode(), _bound("value", *row))
        return Sealed(self.first, self._wrap(data_key, row), ciphertext)

    def open(self, workspace_id: int, name: str, version: int, kept: Sealed) -> str:
        """The value. Raises `SecretUnreadable`."""
        row = (workspace_id, name, version)
        data_key = self._unwrap(kept, row)
        return _decrypt(data_key, kept.ciphertext, _bound("value", *row), name, kept.key_id).decode()

    def rewrap(self, workspace_id: int, name: str, version: int, kept: Sealed) -> Sealed:
        """The same with its data key under the first key. Raises `SecretUnreadable`."""
        row = (workspace_id, name, version)
        return Sealed(self.first, self._wrap(self._unwrap(kept, row), row), kept.ciphertext)

    def _wrap(self, data_key: bytes, row: tuple[int, str, int]) -> str:
        return _encrypt(self._key(self.first), data_key, _bound("key", *row, self.first))

    def _unwrap(self, kept: Sealed, row: tuple[int, str, int]) -> bytes:
        if kept.key_id not in self.ids:
            raise SecretUnreadable(
                f"The stored secret {row[1]} is encrypted with the key {kept.key_id}, which SECRET_KEYS does not name: "
                "add that key behind the first one, or set the secret anew."
            )
        return _decrypt(self._key(kept.key_id), kept.wrapped_key, _bound("key", *row, kept.key_id), row[1], kept.key_id)

    def _key(self, key_id: str) -> bytes:
        named = self._named.get(key_id)
        return self._derived if named is None else named

    @cached_property
    def _derived(self) -> bytes:
        return derived_key(self._secret_key(), _INFO)


def keyring_of(settings: Settings) -> Keyring:
    """The keys that the settings name, and the one that is derived from SECRET_KEY."""
    return Keyring(settings.secret_keys, lambda: secret_key(settings))


def _bound(what: str, *row: int | str) -> bytes:
    """The associated data: what is encrypted, and the row that it stands in."""
    return json.dumps(["runbook-bot", what, *row], separators=(",", ":")).encode()


def _encrypt(key: bytes, plain: bytes, bound: bytes) -> str:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(_NONCE)
    return base64.b64encode(nonce + AESGCM(key).encrypt(nonce, plain, bound)).decode("ascii")


def _decrypt(key: bytes, text: str, bound: bytes, name: str, key_id: str) -> bytes:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        raw = base64.b64decode(text, validate=True)
        return AESGCM(key).decrypt(raw[:_NONCE], raw[_NONCE:], bound)
    except (InvalidTag, ValueError) as error:
        whose = (
            "SECRET_KEY was changed, or is another one here"
            if key_id == DEFAULT_ID
            else f"the key {key_id} in SECRET_KEYS was changed"
        )
        raise SecretUnreadable(
            f"The stored secret {name} cannot be decrypted: {whose}, or its row in the database was. "
            "Bring the key back, or set the secret anew."
        ) from error
