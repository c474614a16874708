"""Which approvals are to be renewed, how far each version's approval is, and the cards that ask for it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from engine.access.policy import Action, Actor, ruled
from engine.catalog import approval_expiry, approved_targets, catalog, version_quorum
from engine.catalog.version_quorum import Quorum
from engine.errors import NotApproved
from engine.runtime import Runtime
from storage import database, renewal_cards, version_approvals
from storage.catalog_records import RenewalCardRecord, RunbookRecord, VersionRecord
from storage.records import Json
from storage.states import VersionStatus

EXPIRING = "EXPIRING"
STATUSES = (*(each.value for each in VersionStatus), EXPIRING)
"""What a list of runbooks can be narrowed to: how far they are, or that their approval ends soon or has ended."""


@dataclass(frozen=True, slots=True)
class Approval:
    """A version with how far its approval or renewal is. `expires_at` is None where an approval lasts for good.

    `due` says that it is to be renewed by now, `expired` that nothing is started until it is. `changed` are the targets
    that stand for something else since it was approved, and `calls` says in words what each of its targets is now.
    """

    version: VersionRecord
    quorum: Quorum
    expires_at: int | None = None
    due: bool = False
    expired: bool = False
    changed: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()


def approval(rt: Runtime, version: VersionRecord) -> Approval:
    """How far a version is: a draft towards its approval, an approved one towards its renewal where that is due."""
    version = approved_targets.as_shown(rt, version)
    if version.status is VersionStatus.DRAFT:
        return Approval(version, version_quorum.quorum(rt, version))
    runbook, changed = catalog.definition(version), approved_targets.changed(rt, version)
    until = approval_expiry.expires_at(rt, version, runbook)
    if not changed and not approval_expiry.is_near(rt, version, runbook):
        return Approval(version, Quorum(version_quorum.admins_needed(rt, version), (), ()), until)
    said = version_quorum.quorum(rt, version, version_approvals.RENEW)
    expired = bool(changed) or approval_expiry.has_expired(rt, version, runbook)
    calls = tuple(approved_targets.in_words(approved_targets.of_version(rt, version)))
    return Approval(version, said, until, due=True, expired=expired, changed=tuple(changed), calls=calls)


def due(rt: Runtime) -> list[Approval]:
    """All that is to be renewed, what expires first before the rest."""
    running = (_running(rt, each) for each in catalog.listing(rt))
    found = [approval(rt, each) for each in running if each is not None and _is_near(rt, each)]
    return sorted(found, key=lambda each: each.expires_at or 0)


def listing(
    rt: Runtime, text: str = "", tag: str | None = None, *, team: str | None = None, status: str | None = None,
    seen: Collection[str] | None = None,
) -> list[RunbookRecord]:  # fmt: skip
    """As `catalog.listing`, with EXPIRING as a status too: those whose approval ends within the week, or has ended."""
    if status != EXPIRING:
        return catalog.listing(rt, text, tag, team=team, status=status, seen=seen)
    ending = {each.version.runbook_id for each in due(rt)}
    return [each for each in catalog.listing(rt, text, tag, team=team, seen=seen) if each.id in ending]


def for_person(rt: Runtime, actor: Actor, found: list[Approval]) -> list[Approval]:
    """Those of these that this person may renew and has not said so of yet."""
    return [
        each
        for each in found
        if ruled(rt, actor, Action.APPROVE, each.version).allowed
        and not version_quorum.has_said(rt, actor, each.version, version_approvals.RENEW)
    ]


def _running(rt: Runtime, runbook: RunbookRecord) -> VersionRecord | None:
    try:
        with database.reading():
            return catalog.approved(rt, runbook)
    except NotApproved:
        return None


def _is_near(rt: Runtime, version: VersionRecord) -> bool:
    near = approval_expiry.is_near(rt, version, catalog.definition(version))
    return near or bool(approved_targets.changed(rt, version))


def cards(rt: Runtime) -> list[RenewalCardRecord]:
    """The messages that ask for renewals."""
    with database.reading():
        return renewal_cards.listing(rt.workspace_id)


def keep_card(rt: Runtime, channel: str, ts: str, shown: Json) -> None:
    """Note what the message of a channel shows; where it shows nothing, that the next one is another."""
    with database.transaction():
        if shown:
            renewal_cards.keep(rt.workspace_id, channel, ts, shown)
        else:
            renewal_cards.delete(channel)
