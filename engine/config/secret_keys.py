"""The keys under which secrets are kept, stored ones and received ones: envelope encryption with AES-256-GCM.

Each value has a data key of its own, which is wrapped by a key-encryption key. Both are bound to what they belong to
as associated data: neither can be moved to another name, version or workspace, nor to another run or step.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from engine.config.derived_keys import derived_key
from engine.config.secrets import SecretMissing
from engine.config.setting_values import NamedKey
from engine.config.settings import Settings, secret_key
from storage.secret_records import KeyInUse, Sealed

DEFAULT_ID = "default"
"""The id of the key that is derived from SECRET_KEY."""
_NONCE = 12
_INFO = b"runbook-bot stored secrets"
_CHECK = b"runbook-bot key check, 1"


class SecretUnreadable(SecretMissing):
    """A kept value cannot be decrypted; the message names the key that is missing."""

    code = "secret_unreadable"


@dataclass(frozen=True, slots=True)
class Subject:
    """What a kept value belongs to: the `row` that it is bound to, how that is `named`, and what would `mend` it."""

    row: tuple[int | str, ...]
    named: str
    mend: str


def of_stored(workspace_id: int, name: str, version: int) -> Subject:
    """A version of a stored secret."""
    return Subject((workspace_id, name, version), f"The stored secret {name}", "set the secret anew")


def of_received(workspace_id: int, execution_id: str, path: str, name: str) -> Subject:
    """A secret output of a run's step."""
    named = f"The secret `{name}` that {path} of {execution_id} received"
    return Subject((workspace_id, "run", execution_id, path, name), named, "have that step run again")


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

    def seal(self, subject: Subject, value: str) -> Sealed:
        """Encrypt a value under a new data key, and that under the first key."""
        data_key = os.urandom(32)
        ciphertext = _encrypt(data_key, value.encode("utf-8", "surrogatepass"), _bound("value", *subject.row))
        return self._sealed(subject, data_key, ciphertext)

    def open(self, subject: Subject, kept: Sealed) -> str:
        """The value. Raises `SecretUnreadable`."""
        data_key = self._unwrap(subject, kept)
        opened = _decrypt(data_key, kept.ciphertext, _bound("value", *subject.row), subject, kept.key_id)
        return opened.decode("utf-8", "surrogatepass")

    def rewrap(self, subject: Subject, kept: Sealed) -> Sealed:
        """The same with its data key under the first key. Raises `SecretUnreadable`."""
        return self._sealed(subject, self._unwrap(subject, kept), kept.ciphertext)

    def check(self, key_id: str) -> str:
        """What tells the key of this id from another one, and nothing else of it. The id is one of `ids`."""
        return hmac.digest(self._key(key_id), _CHECK, "sha256").hex()[:16]

    def trouble(self, used: KeyInUse) -> str:
        """Why what is under a key cannot be read here, as half a sentence; "" where it can."""
        if used.id not in self.ids:
            return f"encrypted with the key {used.id}, which SECRET_KEYS does not name"
        if used.check is None or hmac.compare_digest(used.check, self.check(used.id)):
            return ""
        where = "derived from another SECRET_KEY" if used.id == DEFAULT_ID else "another one in SECRET_KEYS here"
        return f"encrypted with a key {used.id} that is {where}"

    def _sealed(self, subject: Subject, data_key: bytes, ciphertext: str) -> Sealed:
        wrapped = _encrypt(self._key(self.first), data_key, _bound("key", *subject.row, self.first))
        return Sealed(self.first, wrapped, ciphertext, self.check(self.first))

    def _unwrap(self, subject: Subject, kept: Sealed) -> bytes:
        if kept.key_id not in self.ids:
            raise SecretUnreadable(
                f"{subject.named} is encrypted with the key {kept.key_id}, which SECRET_KEYS does not name: "
                f"add that key behind the first one, or {subject.mend}."
            )
        bound = _bound("key", *subject.row, kept.key_id)
        return _decrypt(self._key(kept.key_id), kept.wrapped_key, bound, subject, kept.key_id)

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


def _decrypt(key: bytes, text: str, bound: bytes, subject: Subject, key_id: str) -> bytes:
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
            f"{subject.named} cannot be decrypted: {whose}, or its row in the database was. "
            f"Bring the key back, or {subject.mend}."
        ) from error
