"""Approving a version, deprecating it and rolling it back: who may, what is locked, and what the audit keeps."""

from __future__ import annotations

from collections.abc import Mapping

from engine.access import auditing, reasons
from engine.access.policy import Action, Actor, authorise
from engine.catalog import (
    approval_expiry,
    approved_targets,
    rehearsals,
    secret_policy,
    version_by_digest,
    version_quorum,
)
from engine.catalog.catalog import approved, definition, get, no_such, version
from engine.catalog.version_quorum import Quorum
from engine.definition.changes import changed_keys
from engine.errors import Conflict
from engine.runtime import Runtime
from storage import database, runbooks, version_approvals
from storage.catalog_records import RunbookRecord, VersionRecord
from storage.states import VersionStatus

_KEYS = 8
"""Keys that are named of what changed."""


def approve(rt: Runtime, actor: Actor, slug: str, number: int | None, digest: str | None = None) -> VersionRecord:
    """DRAFT → APPROVED for the current version, by a platform admin who did not write it.

    Where it takes several people it stays a DRAFT until the last of them has said so (`version_quorum`). `digest` is
    that of what was shown; with no `number` it has to tell the version from all others. Raises `NotAllowed`, and
    `Conflict` when what was shown is not what is there, or a rehearsal is lacking that is required.
    """
    shown = version(rt, slug, number)
    authorise(rt, actor, Action.APPROVE, shown)
    says = definition(shown)
    with database.transaction():
        runbook, found = _locked(rt, shown)
        authorise(rt, actor, Action.APPROVE, found)
        found = approved_targets.as_shown(rt, found)
        must_be_as_shown(found, digest)
        if number is None:
            version_by_digest.must_be_the_only(found)
        must_be_draft(found)
        if found.number != runbook.current_number:
            raise Conflict(f"{slug}@{found.number} is not the newest version: that is {runbook.current_number}.")
        secret_policy.must_allow(rt, found, says)
        rehearsals.must_have_passed(rt, found)
        said = version_quorum.vote(rt, actor, found, version_approvals.APPROVE)
        if said.missing:
            _audit(rt, actor, "runbook.vote", found, {"digest": found.digest, "missing": list(said.missing)})
        else:
            runbooks.move_version(found, VersionStatus.APPROVED, actor.user_id)
            runbooks.name_successor(found.runbook_id, None)
            approved_targets.keep(rt, found)
            version_approvals.count(found.id, [each.id for each in said.approvals])
            detail = {"digest": found.digest, "author": found.author, "approved_by": said.people}
            _audit(rt, actor, "runbook.approve", found, detail)
    return version(rt, slug, shown.number)


def renew(
    rt: Runtime, actor: Actor, slug: str, number: int | None = None, digest: str | None = None
) -> tuple[VersionRecord, Quorum]:
    """Approve once more, for as long again, the version that runs, by whom it takes to approve it; what is missing.

    Raises `NotAllowed`, and `Conflict` for another version or text than was shown and for an approval that is not near
    its end, so that no old button renews it unread.
    """
    shown = renewable(rt, slug, number)
    authorise(rt, actor, Action.APPROVE, shown)
    with database.transaction():
        _locked(rt, shown)
        found = renewable(rt, slug, shown.number)
        authorise(rt, actor, Action.APPROVE, found)
        must_be_as_shown(found, digest)
        if number is None:
            version_by_digest.must_be_the_only(found)
        secret_policy.must_allow_targets(rt, found, definition(found))
        said = version_quorum.vote(rt, actor, found, version_approvals.RENEW)
        if not said.missing:
            runbooks.renew_version(found, actor.user_id)
            approved_targets.keep(rt, found)
            version_approvals.count(found.id, [each.id for each in said.approvals])
        detail = {"digest": found.digest, "approved_by": said.people, "missing": list(said.missing)}
        _audit(rt, actor, "runbook.renew" if not said.missing else "runbook.vote", found, detail)
    return version(rt, slug, shown.number), said


def renewable(rt: Runtime, slug: str, number: int | None = None) -> VersionRecord:
    """The approved version that runs, whose approval is near its end, has expired or is for other targets.

    Raises `Conflict`, saying until when it lasts, and `NotApproved` where there is none or it is not `number`.
    """
    with database.reading():
        found = approved(rt, get(rt, slug), number)
    found = approved_targets.as_shown(rt, found)
    if approved_targets.changed(rt, found):
        return found
    until = approval_expiry.expires_at(rt, found, definition(found))
    name = f"{found.slug}@{found.number}"
    if until is None:
        raise Conflict(f"The approval of {name} does not expire: there is nothing to renew.")
    if not approval_expiry.is_near(rt, found, definition(found)):
        raise Conflict(
            f"The approval of {name} lasts until {approval_expiry.shown(until)}: it is too early to renew it."
        )
    return found


def withdraw_vote(
    rt: Runtime, actor: Actor, slug: str, number: int | None = None, digest: str | None = None, until: int | None = None
) -> tuple[VersionRecord, Quorum]:
    """Take back one's own word for a version, the newest without `number`, while others are missing; what then is.

    `digest` is that of what the word was for, and what was said after `until` (epoch milliseconds) stays. Raises
    `NotAllowed` as `approve`, and `Conflict` where there is none to take back, it was decided by then or what is there
    is not what was shown.
    """
    shown = version(rt, slug, number)
    authorise(rt, actor, Action.APPROVE, shown)
    with database.transaction():
        _, found = _locked(rt, shown)
        authorise(rt, actor, Action.APPROVE, found)
        must_be_as_shown(approved_targets.as_shown(rt, found), digest)
        kind = version_approvals.APPROVE if found.status is VersionStatus.DRAFT else version_approvals.RENEW
        said = version_quorum.said_by(rt, actor, found, kind)
        mine = [each for each in said if until is None or each.at <= until]
        name = f"{found.slug}@{found.number}"
        if said and not mine:
            raise Conflict(
                f"That approval of {name} is decided or taken back. `admin withdraw {name}` takes back the later one."
            )
        if not mine:
            raise Conflict(f"No approval of {name} by you waits for others, so there is none to withdraw.")
        version_approvals.withdraw([each.id for each in mine])
        left = version_quorum.quorum(rt, found, kind)
        _audit(rt, actor, "runbook.withdraw", found, {"digest": found.digest, "missing": list(left.missing)})
    return found, left


def must_be_as_shown(found: VersionRecord, digest: str | None) -> None:
    """Raise `Conflict`, saying what changed, where a person was shown another text than this version's.

    None is for who names the version alone. Needs an open connection.
    """
    if digest is None or digest == found.digest:
        return
    name, before = f"{found.slug}@{found.number}", runbooks.versions(found.runbook_id)
    shown = next((each for each in before if each.digest == digest), None)
    what = "no version of it reads so"
    if shown is not None:
        keys = changed_keys(shown.definition, found.definition)
        more = f" and {len(keys) - _KEYS} more" if len(keys) > _KEYS else ""
        what = f"that was {shown.slug}@{shown.number}, and what changed is {', '.join(keys[:_KEYS])}{more}"
    raise Conflict(f"{name} is not what you were shown: {what}. Look at it again before you decide about it.")


def must_be_draft(found: VersionRecord) -> None:
    """Raise `Conflict`, saying what to do instead, unless this version waits for approval."""
    name = f"{found.slug}@{found.number}"
    if found.status is VersionStatus.APPROVED:
        raise Conflict(f"{name} is already approved.")
    if found.status is VersionStatus.DEPRECATED:
        why = f" ({found.note.rstrip('.')})" if found.note else ""
        back = f"`admin rollback {found.slug}` makes it a draft again, which can be approved."
        raise Conflict(f"{name} is deprecated{why}. {back}")


def rollback(
    rt: Runtime, actor: Actor, slug: str, number: int | None = None, reason: str = "", digest: str | None = None
) -> VersionRecord:
    """DEPRECATED → DRAFT for the current version, by a platform admin: it needs an approval before it runs again.

    `digest` is that of what was shown. Raises `NotAllowed`, and `Conflict` for a version that is not deprecated, not
    the newest or not what was shown.
    """
    shown = version(rt, slug, number)
    authorise(rt, actor, Action.ROLLBACK, shown)
    reasons.must_be_stated(rt, actor, reason)
    with database.transaction():
        runbook, found = _locked(rt, shown)
        authorise(rt, actor, Action.ROLLBACK, found)
        must_be_as_shown(found, digest)
        name = f"{found.slug}@{found.number}"
        if found.number != runbook.current_number:
            raise Conflict(f"{name} is not the newest version: that is {runbook.current_number}.")
        if found.status is not VersionStatus.DEPRECATED:
            raise Conflict(f"{name} is {found.status.lower()}, not deprecated: there is nothing to roll back.")
        runbooks.move_version(found, VersionStatus.DRAFT, actor.user_id)
        _audit(rt, actor, "runbook.rollback", found, {"digest": found.digest, "was": found.note, "reason": reason})
    return version(rt, slug, shown.number)


def deprecate(
    rt: Runtime, actor: Actor, slug: str, number: int | None = None, reason: str = "", successor: str = ""
) -> VersionRecord:
    """Withdraw one version, or with no `number` the whole runbook. Running executions stop at their next step.

    `successor` is the id of the runbook to be used instead, which `run` then names. Raises `NotFound` for it too.
    """
    shown = version(rt, slug, number)
    authorise(rt, actor, Action.DEPRECATE, shown)
    reasons.must_be_stated(rt, actor, reason)
    heir = get(rt, successor).slug if successor else None
    if heir == shown.slug:
        raise Conflict(f"{heir} cannot take its own place: name another runbook as its successor.")
    with database.transaction():
        _, found = _locked(rt, shown)
        authorise(rt, actor, Action.DEPRECATE, found)
        wanted = [found] if number else runbooks.versions(shown.runbook_id)
        if all(each.status is VersionStatus.DEPRECATED for each in wanted):
            raise Conflict(f"{shown.slug}@{shown.number} is DEPRECATED already.")
        withdraw(rt, actor, found if number else None, shown.runbook_id, reason, heir)
        if heir is not None:
            runbooks.name_successor(shown.runbook_id, heir)
    return version(rt, slug, shown.number)


def withdraw(
    rt: Runtime, actor: Actor, only: VersionRecord | None, runbook_id: int, reason: str, successor: str | None = None
) -> None:
    """Deprecate one version, or every version that is not deprecated yet; needs the runbook's lock."""
    for found in [only] if only else runbooks.versions(runbook_id):
        if found.status is not VersionStatus.DEPRECATED:
            runbooks.move_version(found, VersionStatus.DEPRECATED, actor.user_id, reason)
            version_approvals.drop_waiting(found.id)
            _audit(rt, actor, "runbook.deprecate", found, {"reason": reason, "successor": successor})


def _locked(rt: Runtime, shown: VersionRecord) -> tuple[RunbookRecord, VersionRecord]:
    runbook = runbooks.lock(rt.workspace_id, shown.slug)
    found = runbooks.version(shown.runbook_id, shown.number)
    if runbook is None or found is None or runbook.id != found.runbook_id:  # it was deleted, or made anew, meanwhile
        raise no_such(shown.slug)
    return runbook, found


def _audit(rt: Runtime, actor: Actor, action: str, found: VersionRecord, detail: Mapping[str, object]) -> None:
    auditing.by_actor(rt, actor, action, auditing.of_version(found.slug, found.number), detail)
