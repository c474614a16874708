"""What ties an audit row to its content and to the row before it: two hashes, and two codes made with a key.

A row's `tag` is over what it says, its `mac` over its place as well. The tag is a part of what is hashed, so that
nobody without it can confirm by the hash what they guess a masked row says.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from engine.config.audit_keys import AuditKeys
from storage.records import AuditRecord, Head, Json, Seal

START = "0" * 64
"""What stands for the hash before the first row."""


@dataclass(frozen=True, slots=True)
class Place:
    """A row's number, hash and mac, which the next row follows; `mac` is None where that was not keyed."""

    seq: int = 0
    hash: str = START
    mac: str | None = None


def place(found: AuditRecord | Head | Seal | None) -> Place:
    """The place of a sealed row; what the first one follows for None."""
    return Place(found.seq or 0, found.hash or "", found.mac) if found is not None else Place()


def as_json(row: AuditRecord) -> dict[str, Json]:
    """What of a row is hashed."""
    return {**_said(row), **({"tag": row.tag} if row.tag is not None else {})}


def _said(row: AuditRecord) -> dict[str, Json]:
    said = {"id": row.id, "at": row.at, "actor": row.actor, "action": row.action, "thing": row.thing}
    return {**said, "severity": row.severity.value, "detail": row.detail}


def canonical(said: Json) -> str:
    """JSON with sorted keys, no spaces, in ASCII."""
    return json.dumps(said, sort_keys=True, separators=(",", ":"))


def content(row: AuditRecord) -> str:
    """The SHA-256 of what a row says and of its tag, in hexadecimal."""
    return digest(as_json(row))


def digest(said: Json) -> str:
    """The SHA-256 of canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical(said).encode()).hexdigest()


def link(before: str, digest: str) -> str:
    """A row's hash: the SHA-256 of the hash before it and the digest of its own content, both in hexadecimal."""
    return hashlib.sha256((before + digest).encode()).hexdigest()


def tag_text(row: AuditRecord) -> str:
    """What a row's tag is over."""
    return canonical(_said(row))


def mac_text(seq: int, before: Place, digest: str) -> str:
    """What a row's mac is over: its number, the mac before it (the hash where there is none), and its content."""
    return f"{seq} {before.mac or before.hash} {digest}"


def sealed(row: AuditRecord, before: Place, keys: AuditKeys) -> Seal:
    """The place of a row that follows another."""
    tag, seq = keys.mac(tag_text(row)), before.seq + 1
    said = digest({**_said(row), "tag": tag})
    return Seal(row.id, seq, link(before.hash, said), tag, keys.mac(mac_text(seq, before, said)), keys.current)
