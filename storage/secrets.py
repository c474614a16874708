"""The bot's own secrets: versions that say who set them and when, and of the newest one the encrypted value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict

import peewee as pw

from storage import rows
from storage.columns import tuples
from storage.database import locked, now, one_at_a_time
from storage.secret_records import KeyInUse, Sealed, SealedRow, SecretVersionRecord
from storage.secret_tables import SecretUse, SecretVersion

_ERASED: Mapping[str, None] = {"key_id": None, "wrapped_key": None, "ciphertext": None, "key_check": None}


def lock(workspace_id: int, name: str) -> None:
    """Hold a secret's name until this transaction ends: its versions are counted one after the other."""
    one_at_a_time(f"secret-versions:{workspace_id}:{name}")


def newest(workspace_id: int, name: str) -> SecretVersionRecord | None:
    """The last version of a secret, which may be its deletion; None for one that was never set."""
    return next(iter(versions(workspace_id, name, limit=1)), None)


def versions(workspace_id: int, name: str, *, limit: int = 100) -> list[SecretVersionRecord]:
    """The versions of a secret, the newest first."""
    query = rows.select(SecretVersion, SecretVersionRecord).where(_of(workspace_id) & (SecretVersion.name == name))
    return rows.read(query.order_by(SecretVersion.version.desc()).limit(limit), SecretVersionRecord)


def live(workspace_id: int) -> list[SecretVersionRecord]:
    """The newest version of each secret that is set, by name."""
    query = rows.select(SecretVersion, SecretVersionRecord).where(_of(workspace_id) & _LIVE)
    return rows.read(query.order_by(SecretVersion.name), SecretVersionRecord)


def find(workspace_id: int, name: str) -> SealedRow | None:
    """The version and encrypted value of a secret; None where it is not set."""
    return next(iter(_rows(_of(workspace_id) & (SecretVersion.name == name))), None)


def add(workspace_id: int, name: str, version: int, by: str, value: Sealed | None) -> None:
    """Set a secret's next version, or with no value delete it; the value that it had is erased. Needs its lock."""
    SecretVersion.update(**_ERASED).where(_of(workspace_id) & (SecretVersion.name == name) & _LIVE).execute()
    kept = _ERASED if value is None else asdict(value)
    SecretVersion.insert(
        workspace_id=workspace_id, name=name, version=version, set_by=by, set_at=now(), deleted=value is None, **kept
    ).execute()


def keys_in_use(workspace_id: int) -> dict[KeyInUse, list[str]]:
    """The names of the secrets under each key."""
    columns = SecretVersion.key_id, SecretVersion.key_check, SecretVersion.name
    query = SecretVersion.select(*columns).where(_of(workspace_id) & _LIVE)
    found: dict[KeyInUse, list[str]] = {}
    for key_id, check, name in tuples(query.order_by(SecretVersion.name)):
        found.setdefault(KeyInUse(key_id, check), []).append(name)
    return found


def lock_kept(workspace_id: int, after: int, limit: int) -> list[SealedRow]:
    """Rows that have a value, those with an id above `after`, held until this transaction ends."""
    return _rows(_of(workspace_id) & (SecretVersion.id > after), limit, hold=True)


def rewrap(before: SealedRow, after: Sealed) -> bool:
    """Keep a value's data key under another key; False where it was set, deleted or rewrapped meanwhile."""
    under = {"key_id": after.key_id, "wrapped_key": after.wrapped_key, "key_check": after.key_check}
    query = SecretVersion.update(**under)
    return bool(
        query.where(
            (SecretVersion.id == before.id) & (SecretVersion.wrapped_key == before.sealed.wrapped_key)
        ).execute()
    )


def note_used(workspace_id: int, used: Mapping[str, int]) -> None:
    """Note when secrets were last used, by name; an earlier time changes nothing."""
    for name, at in sorted(used.items()):
        later = pw.Case(None, [(SecretUse.last_used_at < at, at)], SecretUse.last_used_at)
        SecretUse.insert(workspace_id=workspace_id, name=name, last_used_at=at).on_conflict(
            conflict_target=[SecretUse.workspace_id, SecretUse.name], update={SecretUse.last_used_at: later}
        ).execute()


def last_used(workspace_id: int, names: Iterable[str] | None = None) -> dict[str, int]:
    """When secrets were last used, by name; all of them unless `names` says which."""
    query = SecretUse.select(SecretUse.name, SecretUse.last_used_at).where(SecretUse.workspace_id == workspace_id)
    if names is not None:
        query = query.where(SecretUse.name.in_(list(names)))
    return dict(tuples(query))


_LIVE = SecretVersion.ciphertext.is_null(False)


def _of(workspace_id: int) -> pw.Expression:
    return SecretVersion.workspace_id == workspace_id


def _rows(where: pw.Expression, limit: int = 1, *, hold: bool = False) -> list[SealedRow]:
    kept = SecretVersion.key_id, SecretVersion.wrapped_key, SecretVersion.ciphertext, SecretVersion.key_check
    query = SecretVersion.select(SecretVersion.id, SecretVersion.name, SecretVersion.version, *kept)
    query = query.where(where & _LIVE).order_by(SecretVersion.id).limit(limit)
    found = tuples(locked(query) if hold else query)
    return [SealedRow(row_id, name, version, Sealed(*kept)) for row_id, name, version, *kept in found]
