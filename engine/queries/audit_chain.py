"""The chain of audit rows: each carries a hash over its own content and the hash of the row before it.

Rows are written with the change they tell of and sealed into the chain a moment later, by whichever sweeper comes
first, so that no change waits for another's place in it. A row that was altered, taken out or put in afterwards breaks
the chain there. It is no signature: who may write to the database can cut rows off its end, or make all of it anew.
Both are found by comparing with a head that was noted elsewhere, as every evidence file does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.runtime import Runtime
from storage import audit, database
from storage.records import AuditRecord, Json

START = "0" * 64
"""What stands for the hash before the first row."""

BATCH = 500
SEALED_AT_ONCE = 100
"""Rows that share a transaction when they are sealed, so that no other change waits for long."""
MOST_TROUBLES = 20


@dataclass(frozen=True, slots=True)
class Trouble:
    """A place at which the chain does not hold, in words."""

    seq: int
    what: str


@dataclass(frozen=True, slots=True)
class Verified:
    """How many rows were looked at, the chain's head (`seq` 0 while it is empty), and where it does not hold."""

    rows: int
    seq: int
    hash: str
    troubles: tuple[Trouble, ...] = ()


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
    with database.transaction():
        audit.lock_chain(rt.workspace_id)
        seq, before = audit.head(rt.workspace_id) or (0, START)
        places = []
        for row in audit.unsealed(rt.workspace_id, SEALED_AT_ONCE):
            seq, before = seq + 1, link(before, content(row))
            places.append((row.id, seq, before))
        audit.seal(places)
    return len(places)


def content(row: AuditRecord) -> str:
    """The SHA-256 of what a row says, in hexadecimal: its JSON with sorted keys, no spaces, in ASCII."""
    return hashlib.sha256(json.dumps(as_json(row), sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def as_json(row: AuditRecord) -> dict[str, Json]:
    """What of a row is hashed."""
    said = {"id": row.id, "at": row.at, "actor": row.actor, "action": row.action, "thing": row.thing}
    return {**said, "severity": row.severity.value, "detail": row.detail}


def link(before: str, digest: str) -> str:
    """A row's hash: the SHA-256 of the hash before it and the digest of its own content, both in hexadecimal."""
    return hashlib.sha256((before + digest).encode()).hexdigest()


def verify(rt: Runtime, expected: tuple[int, str] | None = None) -> Verified:
    """Recompute the whole chain; `expected` is the place and hash of a head that was noted earlier."""
    seal(rt)
    troubles: list[Trouble] = []
    rows, seq, before = 0, 0, START
    for row in _sealed(rt):
        assert row.seq is not None
        rows += 1
        if row.seq != seq + 1:
            troubles.append(Trouble(row.seq, f"{row.seq - seq - 1} rows before this one are missing"))
        elif row.hash != link(before, content(row)):
            troubles.append(Trouble(row.seq, "this row, or the one before it, is not what was sealed"))
        seq, before = row.seq, row.hash or ""
        if expected is not None and seq == expected[0] and before != expected[1]:
            troubles.append(Trouble(seq, "this row's hash is not the one that was noted"))
    if expected is not None and seq < expected[0]:
        troubles.append(Trouble(expected[0], "this row was noted and is not there any more"))
    return Verified(rows, seq, before, tuple(troubles[:MOST_TROUBLES]))


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
        ahead = audit.sealed(rt.workspace_id, first - 2, first - 1, 1)
        between = list(_sealed(rt, first - 1, last))
        head = audit.head(rt.workspace_id)
    links = [{"seq": row.seq, "content": content(row), "hash": row.hash} for row in between]
    told = {"seq": head[0], "hash": head[1]} if head else None
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
        digest = hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
        if known is None or known["content"] != digest or known["hash"] != row["hash"]:
            found.append(f"row {row['seq']} is not the one in the chain")
    return found


def _sealed(rt: Runtime, after: int = 0, up_to: int | None = None) -> Iterator[AuditRecord]:
    while True:
        with database.reading():
            found = audit.sealed(rt.workspace_id, after, up_to, BATCH)
        yield from found
        if len(found) < BATCH:
            return
        after = found[-1].seq or after
