"""What was done to a chain of audit rows at the place where it does not hold, in words, as the keys tell it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from engine.config.audit_keys import AuditKeys
from engine.queries.audit_links import Place, content, link, mac_text, tag_text
from engine.text.visible_characters import visible_line
from storage.records import AuditRecord

Rows = Callable[[], Iterator[AuditRecord]]


def of_row(row: AuditRecord, before: Place, keys: AuditKeys, later: Rows) -> str | None:
    """What is wrong with a row that should follow `before`; None where nothing is. `later` are the rows after it."""
    if row.tag is None:
        if before.mac is not None or before.seq + 1 >= keys.since:
            keyed = f"every row has behind a keyed one, and from AUDIT_KEYED_FROM ({keys.since}) on"
            return f"was inserted, or lost its tag and mac, which {keyed}"
        return None if _follows(row, before) else _unkeyed(row, before, later)
    if row.mac_key not in keys.keys:
        return f"was sealed with the key {visible_line(str(row.mac_key))[:40]}, which is not among the audit keys here"
    fits = _follows(row, before)
    placed = keys.fits(mac_text(before.seq + 1, before, content(row)), row.mac, row.mac_key)
    if not keys.fits(tag_text(row), row.tag, row.mac_key):
        return _forged(before, later)
    if fits and placed:
        return None
    if fits or placed:
        return f"was changed: its {'mac' if fits else 'hash'} is not the one that it was sealed with"
    return _moved(before, later) or "was deleted, and the rows after it were given other numbers"


def _follows(row: AuditRecord, before: Place) -> bool:
    return row.hash == link(before.hash, content(row))


def _forged(before: Place, later: Rows) -> str:
    """A row that says what no key was given: it was put in where the row after it follows the one before it."""
    following = next(later(), None)
    if following is None:
        return "was changed, or was inserted: what it says is not what a key was used for"
    return "was inserted" if _follows(following, before) else "was changed: it does not say what was sealed"


def _moved(before: Place, later: Rows) -> str | None:
    found = next((row.seq for row in later() if _follows(row, before)), None)
    return f"was reordered: the row that belongs here has number {found}" if found is not None else None


def _unkeyed(row: AuditRecord, before: Place, later: Rows) -> str:
    """The same by the hashes alone, which say less."""
    following = next(later(), None)
    if following is None or not _follows(following, before):
        return _moved(before, later) or "was changed, or was deleted and the rows after it given other numbers"
    swapped = row.hash == link(following.hash or "", content(row))
    return f"was reordered: the row that belongs here has number {following.seq}" if swapped else "was inserted"
