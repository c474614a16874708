"""The rehearsal of a runbook that is kept in the database: a part of its version, played when that is saved."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass

from engine.access.policy import Actor
from engine.catalog import rehearsing, started_runbooks
from engine.definition import codec
from engine.definition.load import MAX_BYTES
from engine.definition.model import Runbook
from engine.errors import Conflict, InvalidParameters
from engine.runtime import Runtime
from storage import database, version_rehearsals
from storage.catalog_records import VersionRecord
from storage.records import Json

LIMIT_S = 15.0
"""How long somebody who saves waits for a rehearsal."""
FILE = "rehearsal"
_ONE = threading.Lock()


@dataclass(frozen=True, slots=True)
class Played:
    """The text of a rehearsal, and what came of it."""

    source: str
    digest: str
    result: Json


def of_version(found: VersionRecord) -> str:
    """The text of a version's rehearsal, "" where it has none here."""
    with database.reading():
        kept = version_rehearsals.of_version(found.id)
    return (kept.source or "") if kept is not None else ""


def play(rt: Runtime, actor: Actor, runbook: Runbook, source: str) -> Played | None:
    """Play a rehearsal; None for an empty text. What is wrong with it is in its result. Never inside a transaction.

    Raises `InvalidParameters` for a text that is too large, `Conflict` where others are being played for too long.
    """
    if not source.strip():
        return None
    data = source.encode("utf-8", "surrogatepass")
    if len(data) > MAX_BYTES or "\0" in source:
        raise InvalidParameters({FILE: f"must be text of at most {MAX_BYTES // 1024} KiB, without NUL characters"})
    known = started_runbooks.with_started(rt, actor, runbook)
    if not _ONE.acquire(timeout=LIMIT_S):
        raise Conflict("Other rehearsals are being played. Try again in a moment.")
    try:
        result = rehearsing.play_one(FILE, runbook.id, source, known, LIMIT_S)
    finally:
        _ONE.release()
    result["played_with"] = {slug: codec.digest(codec.canonical(each)) for slug, each in known.items()}
    return Played(source, "sha256:" + hashlib.sha256(data).hexdigest(), result)


def outdated_by(rt: Runtime, found: VersionRecord) -> list[str]:
    """What has changed since the rehearsal that is kept with a version was played: its targets, or what it starts.

    A rehearsal beside a file is played again by the sync that brings such a change, so nothing is said of it.
    """
    with database.reading():
        kept = version_rehearsals.of_version(found.id)
    if kept is None or kept.source is None:
        return []
    with_ = kept.result.get("played_with", {found.slug: ""})
    changed = [slug for slug, digest in with_.items() if _digest_now(rt, found, slug) != digest]
    return ["what its targets stand for" if slug == found.slug else f"`{slug}`" for slug in changed]


def _digest_now(rt: Runtime, found: VersionRecord, slug: str) -> str:
    return started_runbooks.digest_now(rt, slug, found.id if slug == found.slug else None)


def keep(rt: Runtime, version: VersionRecord, played: Played | None) -> None:
    """Keep it with a version that was just added; needs a transaction."""
    if played is not None:
        version_rehearsals.keep(
            version, rt.workspace_id, played.digest, passed=played.result["passed"], result=played.result,
            source=played.source,
        )  # fmt: skip
