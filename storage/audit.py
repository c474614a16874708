"""Who did what, and what policy decided. Rows are only ever added, in the transaction of the change they tell of.

A row gets its place in the chain (`seq`, `hash` and what is keyed) afterwards, when it is sealed; nothing else of it
ever changes, and the database refuses whoever tries.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import islice, takewhile
from typing import Any

from storage import idempotency, rows, sql
from storage.audit_tables import Audit
from storage.columns import tuples
from storage.database import now, one_at_a_time
from storage.records import AuditRecord, Head, Json, Seal
from storage.states import Severity

_NAMES = AuditRecord.__slots__


class Unreadable(ValueError):
    """A row says what none that was written here does: its details are no JSON, or its severity is none of ours."""

    def __init__(self, row_id: int, seq: int | None) -> None:
        super().__init__(f"row {row_id} of the audit cannot be read")
        self.row_id, self.seq = row_id, seq


def shown(query: Any) -> list[AuditRecord]:
    """The rows that a query for `AuditRecord` finds, to be looked at: one that cannot be read says only that.

    Such a row is `CRITICAL`, whatever it says itself, and its hash is not the one of what stands in its place.
    """
    try:
        return rows.read(query, AuditRecord)
    except (KeyError, ValueError):
        return [_stand_in(_row(row[0])) for row in tuples(query.select(Audit.id))]


def _stand_in(found: AuditRecord | Unreadable) -> AuditRecord:
    if isinstance(found, AuditRecord):
        return found
    names = tuple(name for name in _NAMES if name not in ("severity", "detail"))
    known = dict(zip(names, sql.select(Audit, names, "id = ?", found.row_id)[0], strict=True))
    what = f"Row {found.seq or 'without a number'} (id {found.row_id}) was changed to what cannot be read."
    return AuditRecord(**known, severity=Severity.CRITICAL, detail={"unreadable": what})


def write(
    workspace_id: int, actor: str, action: str, thing: str, severity: Severity = Severity.INFO, detail: Json = None
) -> None:
    """Add a row. A person's row is also what says that the keyed request under way was done; raises `TakenOver`.

    `actor` is a Slack user id or `system`; `thing` reads like `runbook:restart@3` or `execution:R-7K2M9Q`.
    """
    idempotency.note_done(actor, thing)
    row = {"workspace_id": workspace_id, "at": now(), "actor": actor, "action": action, "thing": thing}
    sql.insert(Audit, [{**row, "severity": severity, "detail": detail}])


def of_thing(workspace_id: int, thing: str, limit: int = 100) -> list[AuditRecord]:
    """The rows about one thing, oldest first."""
    query = rows.select(Audit, AuditRecord).where((Audit.workspace_id == workspace_id) & (Audit.thing == thing))
    return shown(query.order_by(Audit.id).limit(limit))


def of_things(workspace_id: int, things: Collection[str], limit: int = 100) -> list[AuditRecord]:
    """The newest rows about any of these things, newest first."""
    query = rows.select(Audit, AuditRecord).where((Audit.workspace_id == workspace_id) & Audit.thing.in_(list(things)))
    return shown(query.order_by(Audit.id.desc()).limit(limit)) if things else []


def count_of_things(workspace_id: int, things: Collection[str]) -> int:
    """How many rows there are about any of these things."""
    query = Audit.select().where((Audit.workspace_id == workspace_id) & Audit.thing.in_(list(things)))
    return int(query.count()) if things else 0


def recent(workspace_id: int, limit: int = 100) -> list[AuditRecord]:
    """The newest rows first."""
    query = rows.select(Audit, AuditRecord).where(Audit.workspace_id == workspace_id)
    return shown(query.order_by(Audit.id.desc()).limit(limit))


def search(
    workspace_id: int,
    *,
    who: str | None,
    action: str | None,
    thing: str | None,
    severity: Severity | None,
    since: int | None,
    until: int | None,
    before: int | None,
    limit: int,
) -> list[AuditRecord]:
    """The newest rows that fit, those with an id below `before`; what is None does not matter."""
    query = rows.select(Audit, AuditRecord).where(Audit.workspace_id == workspace_id)
    for column, value in ((Audit.actor, who), (Audit.action, action), (Audit.thing, thing), (Audit.severity, severity)):
        if value is not None:
            query = query.where(column == value)
    if since is not None:
        query = query.where(Audit.at >= since)
    if until is not None:
        query = query.where(Audit.at < until)
    if before is not None:
        query = query.where(Audit.id < before)
    return shown(query.order_by(Audit.id.desc()).limit(limit))


def quarantined(workspace_id: int, since: int) -> list[str]:
    """What was quarantined since then, the latest first."""
    query = Audit.select(Audit.thing).where((Audit.workspace_id == workspace_id) & (Audit.at >= since))
    query = query.where(Audit.action == "execution.quarantine").order_by(Audit.at.desc()).limit(20)
    return [row[0] for row in tuples(query)]


def lock_chain(workspace_id: int) -> None:
    """Hold the chain's end until this transaction ends."""
    one_at_a_time(f"audit-chain:{workspace_id}")


def unsealed(workspace_id: int, limit: int) -> list[AuditRecord]:
    """The rows that have no place in the chain yet, oldest first, without those that cannot be read."""
    try:
        return _select("workspace_id = ? AND seq IS NULL ORDER BY id LIMIT ?", workspace_id, limit)
    except (KeyError, ValueError):
        found = (_row(row_id) for row_id in _unsealed_ids(workspace_id))
        return list(islice((each for each in found if isinstance(each, AuditRecord)), limit))


def unsealable(workspace_id: int, limit: int) -> list[int]:
    """The ids of rows without a place in the chain that can have none, since they cannot be read."""
    try:
        _select("workspace_id = ? AND seq IS NULL ORDER BY id", workspace_id)
    except (KeyError, ValueError):
        found = (_row(row_id) for row_id in _unsealed_ids(workspace_id))
        return list(islice((each.row_id for each in found if isinstance(each, Unreadable)), limit))
    return []


def _unsealed_ids(workspace_id: int) -> list[int]:
    return [row[0] for row in sql.select(Audit, ("id",), "workspace_id = ? AND seq IS NULL ORDER BY id", workspace_id)]


def _row(row_id: int) -> AuditRecord | Unreadable:
    try:
        return _select("id = ?", row_id)[0]
    except (KeyError, ValueError):
        return Unreadable(row_id, sql.select(Audit, ("seq",), "id = ?", row_id)[0][0])


def head(workspace_id: int) -> Head | None:
    """The chain's last row; None while it has none."""
    where = "workspace_id = ? AND seq IS NOT NULL ORDER BY seq DESC LIMIT 1"
    return sql.first(sql.Query(Audit, Head, where, [workspace_id]))


def first_since(workspace_id: int, since: int) -> int | None:
    """The number of the first sealed row that was written since then."""
    where = "workspace_id = ? AND seq IS NOT NULL AND at >= ? ORDER BY seq LIMIT 1"
    found = sql.select(Audit, ("seq",), where, workspace_id, since)
    return found[0][0] if found else None


def seal(places: Sequence[Seal]) -> None:
    """Give rows their places. Needs the chain's lock."""
    for each in places:
        fields = {"seq": each.seq, "hash": each.hash, "tag": each.tag, "mac": each.mac, "mac_key": each.mac_key}
        sql.set_later(Audit, fields, "id = ? AND seq IS NULL", each.id)


def sealed(workspace_id: int, after: int, up_to: int | None, limit: int) -> list[AuditRecord]:
    """The chain's rows behind number `after`, in its order, at most up to number `up_to`.

    Raises `Unreadable` where the first of them cannot be read, and ends before any other such row.
    """
    bound, values = ("", []) if up_to is None else (" AND seq <= ?", [up_to])
    where = f"workspace_id = ? AND seq > ?{bound} ORDER BY seq LIMIT ?"
    try:
        return _select(where, workspace_id, after, *values, limit)
    except (KeyError, ValueError):
        found = [_row(row[0]) for row in sql.select(Audit, ("id",), where, workspace_id, after, *values, limit)]
        readable = list(takewhile(lambda each: isinstance(each, AuditRecord), found))
        if not readable and isinstance(found[0], Unreadable):
            raise found[0] from None
        return [each for each in readable if isinstance(each, AuditRecord)]


def placed(workspace_id: int, after: int, up_to: int, limit: int) -> list[AuditRecord]:
    """The same, to be looked at: with what stands in for rows that cannot be read."""
    query = rows.select(Audit, AuditRecord).where((Audit.workspace_id == workspace_id) & (Audit.seq > after))
    return shown(query.where(Audit.seq <= up_to).order_by(Audit.seq).limit(limit))


def outside(workspace_id: int, limit: int) -> list[AuditRecord]:
    """Rows with a number that no row of a chain has."""
    return _select("workspace_id = ? AND seq < 1 ORDER BY seq LIMIT ?", workspace_id, limit)


def _select(where: str, *values: Any) -> list[AuditRecord]:
    return sql.ask(sql.Query(Audit, AuditRecord, where, values))
