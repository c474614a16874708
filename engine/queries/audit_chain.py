"""The chain of audit rows: each carries a hash over its own content and the hash of the row before it, and a mac.

Rows are written with the change they tell of and sealed into the chain a moment later, by whichever sweeper comes
first, so that no change waits for another's place in it. A row that was altered, taken out or put in afterwards breaks
the chain there, and nobody can mend it without the audit key. From which row on there are macs is a setting: without it
a chain whose macs were all taken away would pass for one from before there were keys. Rows cut off its end are found by
comparing with a head that was noted elsewhere, as every evidence file does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from engine.config import audit_keys
from engine.queries import audit_trouble
from engine.queries.audit_links import START, Place, as_json, content, digest, link, place, sealed
from engine.runtime import Runtime
from storage import audit, audit_jobs, database
from storage.records import AuditRecord, Json

__all__ = ["START", "Anchor", "Trouble", "Verified", "as_json", "check", "content", "link", "proof", "seal", "verify"]

BATCH = 500
SEALED_AT_ONCE = 100
"""Rows that share a transaction when they are sealed, so that no other change waits for long."""
MOST_TROUBLES = 20


@dataclass(frozen=True, slots=True)
class Trouble:
    """A row at which the chain does not hold, by its number; `what` goes on after it."""

    seq: int
    what: str


@dataclass(frozen=True, slots=True)
class Anchor:
    """A head of the chain that was noted elsewhere; `mac` is None where only the hash was."""

    seq: int
    hash: str
    mac: str | None = None


@dataclass(frozen=True, slots=True)
class Verified:
    """How many rows were looked at, the chain's head (`seq` 0 while it is empty), and where it does not hold.

    `keyed_from` is the first row that was looked at and has a mac; None where none has. `compared` is how many of the
    heads that were noted elsewhere are of rows that were looked at, or of such as should be behind them.
    """

    rows: int
    seq: int
    hash: str
    troubles: tuple[Trouble, ...] = ()
    mac: str | None = None
    keyed_from: int | None = None
    compared: int = 0


def seal(rt: Runtime) -> int:
    """Give every row that lacks one its place in the chain; how many that were."""
    count = 0
    while sealed := _seal_some(rt):
        count += sealed
    return count


def _seal_some(rt: Runtime) -> int:
    with database.reading():
        if not audit.unsealed(rt.workspace_id, 1):
            return 0
    keys = audit_keys.of(rt.settings)
    with database.transaction():
        audit.lock_chain(rt.workspace_id)
        before = place(audit.head(rt.workspace_id))
        places = []
        for row in audit.unsealed(rt.workspace_id, SEALED_AT_ONCE):
            places.append(sealed(row, before, keys))
            before = place(places[-1])
        audit.seal(places)
    return len(places)


def verified_since(rt: Runtime, since: int) -> int | None:
    """The number of the sealed row before the first that was written since then, in epoch milliseconds.

    Whoever gives altered rows an older time alters that one, too, and it is verified with those behind it. The first
    row's own number where there is none before it; None where none was written since.
    """
    seal(rt)
    with database.reading():
        found = audit.first_since(rt.workspace_id, since)
    return max(1, found - 1) if found is not None else None


def verify(
    rt: Runtime,
    expected: tuple[int, str] | None = None,
    *,
    since: int = 1,
    anchors: Iterable[Anchor] = (),
    told: Callable[[int], None] = lambda _rows: None,
) -> Verified:
    """Recompute the chain from row `since` on, taking what stands before that row as it is.

    `expected` is the place and hash of a head that was noted earlier, `anchors` are any number of them; of several with
    one number each counts.
    The head that was noted last counts by its number too, so that a chain which is shorter than it is told of.
    `told` hears of every row that was looked at how many these were.
    """
    seal(rt)
    noted = [each for each in (*anchors, *([Anchor(*expected)] if expected else ())) if each.seq >= since]
    noted_at = {seq: list(found) for seq, found in groupby(sorted(noted, key=_seq), key=_seq)}
    kept_out, troubles = _kept_out(rt), list[Trouble]()
    before = _before(rt, since)
    rows, keyed_from = 0, None
    last = max([*noted_at, _last_noted(rt)])
    try:
        for row in _sealed(rt, since - 1):
            troubles += _wrong(rt, row, before, noted_at.get(row.seq or 0, ()), first=not troubles)
            before, rows = place(row), rows + 1
            keyed_from = keyed_from or (row.seq if row.mac is not None else None)
            told(rows)
    except audit.Unreadable as unreadable:
        what = "was changed to what cannot be read; the rows from there on were not looked at"
        troubles.append(Trouble(unreadable.seq or 0, what))
        last = 0
    if last > before.seq:
        troubles.append(Trouble(before.seq + 1, f"was cut off the end: rows up to {last} were noted"))
    told_of = tuple((*kept_out, *troubles)[:MOST_TROUBLES])
    return Verified(rows, before.seq, before.hash, told_of, before.mac, keyed_from, len(noted))


def _seq(anchor: Anchor) -> int:
    return anchor.seq


def _last_noted(rt: Runtime) -> int:
    """The number of the head that was noted elsewhere last, as the database knows it; 0 for none."""
    with database.reading():
        last = audit_jobs.last(rt.workspace_id, audit_jobs.HEAD)
    return last[1] if last is not None else 0


def _kept_out(rt: Runtime) -> list[Trouble]:
    with database.reading():
        found = audit.outside(rt.workspace_id, MOST_TROUBLES)
        unsealable = audit.unsealable(rt.workspace_id, MOST_TROUBLES)
    unread = [Trouble(0, f"was inserted with the id {each}, and cannot be read or sealed") for each in unsealable]
    outside = "was kept out of the chain, whose first row has the number 1"
    return [*(Trouble(row.seq or 0, outside) for row in found), *unread]


def _before(rt: Runtime, since: int) -> Place:
    """The place that row `since` follows; that of a row which is not there has no hash, so that nothing follows it."""
    if since <= 1:
        return Place()
    with database.reading():
        found = audit.placed(rt.workspace_id, since - 2, since - 1, 1)
    return place(found[0]) if found else Place(since - 2)


def _wrong(rt: Runtime, row: AuditRecord, before: Place, noted: Iterable[Anchor], *, first: bool) -> Iterator[Trouble]:
    """What is wrong at a row. Only at the first such place are the rows after it looked through for what was done."""
    assert row.seq is not None
    if row.seq != before.seq + 1:
        last = f" and so were the others up to {row.seq - 1}" if row.seq > before.seq + 2 else ""
        yield Trouble(before.seq + 1, f"was deleted{last}")
        return
    later = (lambda: _sealed(rt, row.seq or 0)) if first else (lambda: iter(()))
    what = audit_trouble.of_row(row, before, audit_keys.of(rt.settings), later)
    if what is not None:
        yield Trouble(row.seq, what)
    elif any(each.hash != row.hash or (each.mac or row.mac) != row.mac for each in noted):
        yield Trouble(row.seq, "is not the row that was noted elsewhere: the chain was made anew up to here")


def proof(rt: Runtime, rows: Sequence[AuditRecord]) -> dict[str, Json]:
    """What is needed to check sealed rows by themselves: the links from the first of them to the last.

    `before` is the hash that the first follows; of rows in between that are not among them only the digest of their
    content is told. `head` is where the chain ends now.
    """
    mine = {row.seq for row in rows}
    places = [seq for seq in mine if seq is not None]
    if not places:
        return {"before": START, "links": [], "head": None}
    with database.reading():
        first, last = min(places), max(places)
        ahead = audit.placed(rt.workspace_id, first - 2, first - 1, 1)
        between = list(_placed(rt, first - 1, last))
        head = audit.head(rt.workspace_id)
    links = [{"seq": row.seq, "content": content(row), "hash": row.hash} for row in between]
    told = {"seq": head.seq, "hash": head.hash, "mac": head.mac, "key": head.mac_key} if head else None
    return {"before": ahead[0].hash if ahead else START, "links": links, "head": told}


def check(rows: Sequence[Json], told: Json) -> list[str]:
    """What is wrong with the audit rows of an evidence file and their `proof`; needs nothing but the file."""
    before, found, links = told["before"], [], {each["seq"]: each for each in told["links"]}
    for each in told["links"]:
        if each["hash"] != link(before, each["content"]):
            found.append(f"link {each['seq']} does not follow the one before it")
        before = each["hash"]
    for row in rows:
        known = links.get(row["seq"])
        if row.get("masked") and known is not None and known["hash"] == row["hash"]:
            continue
        said = {key: value for key, value in row.items() if key not in ("seq", "hash")}
        if known is None or known["content"] != digest(said) or known["hash"] != row["hash"]:
            found.append(f"row {row['seq']} is not the one in the chain")
    return found


def _placed(rt: Runtime, after: int, up_to: int) -> Iterator[AuditRecord]:
    """The rows to be shown: of one that cannot be read the link does not fit, as the file's check will say."""
    while found := audit.placed(rt.workspace_id, after, up_to, BATCH):
        yield from found
        after = found[-1].seq or after


def _sealed(rt: Runtime, after: int = 0) -> Iterator[AuditRecord]:
    while True:
        with database.reading():
            found = audit.sealed(rt.workspace_id, after, None, BATCH)
        yield from found
        if not found:
            return
        after = found[-1].seq or after
