"""The bot's own secrets as a source: read from the database, decrypted once a version and process."""

from __future__ import annotations

from collections.abc import Mapping

from engine.config.secret_keys import Keyring, of_stored
from engine.config.secrets import SecretMissing, SecretUnavailable
from storage import database, secrets
from storage.secret_records import SealedRow

Opened = tuple[int, str, str]
"""A version, what is kept of it, and its value."""


class StoredSecrets:
    """What was set by people. Which version counts is asked each time; its value is decrypted once. Thread-safe."""

    kind = "store"

    def __init__(self, workspace_id: int, keys: Keyring) -> None:
        self._workspace_id = workspace_id
        self._keys = keys
        self._opened: dict[str, Opened] = {}

    def read(self, name: str) -> str | None:
        """The newest value. Raises `SecretUnreadable`, and `SecretUnavailable` while the database is away."""
        try:
            with database.reading():
                found = secrets.find(self._workspace_id, name)
        except database.DatabaseTrouble as error:
            raise SecretUnavailable(f"The secret {name} could not be looked up: the database is away.") from error
        return None if found is None else self._value(found)

    def known(self) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """Everything that is set: one small question, and what was not decrypted before is decrypted now."""
        with database.reading():
            live = {each.name: each.version for each in secrets.live(self._workspace_id)}
        values, wrong = dict[str, str](), dict[str, str]()
        for name, version in live.items():
            opened = self._opened.get(name)
            try:
                value = opened[2] if opened and opened[0] == version else self.read(name)
            except SecretMissing as error:
                wrong[name] = str(error)
                continue
            if value is not None:
                values[name] = value
        return values, wrong

    def _value(self, found: SealedRow) -> str:
        kept = (found.version, found.sealed.ciphertext)
        opened = self._opened.get(found.name)
        if opened is None or opened[:2] != kept:
            opened = *kept, self._keys.open(of_stored(self._workspace_id, found.name, found.version), found.sealed)
            self._opened[found.name] = opened
        return opened[2]
