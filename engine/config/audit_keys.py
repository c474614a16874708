"""The keys that audit rows are sealed with. They are never in the database, so that who writes there cannot forge rows.

`AUDIT_KEY` has them by id. Without it there is one key: derived from a `SECRET_KEY` that is given, else that of
`var/audit.key`. Keys of either kind that are still there go on verifying rows once `AUDIT_KEY` is set.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from engine.config.derived_keys import derived_key
from engine.config.key_files import key_of_file
from engine.config.setting_values import NamedKey
from engine.config.settings import Settings

_INFO = b"runbook audit chain"


@dataclass(frozen=True, slots=True)
class AuditKeys:
    """Every key by its id, the id of the one that seals now, and the number of the first row that a key sealed.

    That number comes from the settings, since whoever writes to the database could take every mac away there.
    """

    current: str
    keys: Mapping[str, bytes]
    since: int

    def mac(self, text: str, key_id: str | None = None) -> str:
        """The HMAC-SHA256 of a text in hexadecimal. Raises `KeyError` for an id that is not there."""
        return hmac.digest(self.keys[key_id or self.current], text.encode(), "sha256").hex()

    def fits(self, text: str, mac: str | None, key_id: str | None) -> bool:
        """Whether `mac` is this text's, by a key that is there."""
        return key_id in self.keys and hmac.compare_digest(self.mac(text, key_id).encode(), (mac or "").encode())


def of(settings: Settings) -> AuditKeys:
    """The keys that the settings name; the file is made where no other key is given. Raises `BadSettings`."""
    return _of(settings.audit_key, settings.secret_key, settings.home / "var" / "audit.key", settings.audit_keyed_from)


@lru_cache(maxsize=8)
def _of(given: tuple[NamedKey, ...], secret: bytes | None, path: Path, since: int) -> AuditKeys:
    found = {each.id: each.key for each in given}
    if secret is not None:
        derived = derived_key(secret, _INFO)
        found.setdefault(_named("derived", derived), derived)
    if path.exists() or not found:
        own = key_of_file(path, "AUDIT_KEY")
        found.setdefault(_named("local", own), own)
    return AuditKeys(next(iter(found)), found, since)


def _named(kind: str, key: bytes) -> str:
    """An id that tells one key from another: a row sealed with a key that is gone is not taken for a forged one."""
    return f"{kind}-{hashlib.sha256(_INFO + key).hexdigest()[:8]}"
