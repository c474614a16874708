"""What storage hands out of the bot's own secrets. Nothing here is a value in the clear."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Sealed:
    """A value as it is kept: encrypted under a data key, which is encrypted under the key of this id. Both base64.

    `key_check` tells that key from another one of the same id; None for what was kept before there was any.
    """

    key_id: str
    wrapped_key: str = field(repr=False)
    ciphertext: str = field(repr=False)
    key_check: str | None = None


@dataclass(frozen=True, slots=True)
class KeyInUse:
    """A key that something is encrypted under: its id, and what tells it from another one of that id."""

    id: str
    check: str | None


@dataclass(frozen=True, slots=True)
class SecretVersionRecord:
    """That a secret was set, or `deleted`, by whom and when."""

    name: str
    version: int
    set_by: str
    set_at: int
    deleted: bool


@dataclass(frozen=True, slots=True)
class SealedRow:
    """Where a value is kept, and what is kept of it."""

    id: int
    name: str
    version: int
    sealed: Sealed
