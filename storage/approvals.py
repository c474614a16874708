"""Gates and votes. Always changed under the execution's lock, so two last votes can't both be the deciding one."""

from __future__ import annotations

from collections.abc import Collection

from storage import rows, sql
from storage.columns import tuples
from storage.records import ApprovalRecord, Json, VoteRecord
from storage.state_transitions import APPROVAL_TRANSITIONS, check_transition
from storage.states import ApprovalStatus, Decision, StepStatus
from storage.tables import Approval, StepRun, Vote


def create(workspace_id: int, approval: ApprovalRecord) -> int:
    """Open a gate and return its id."""
    row = {name: getattr(approval, name) for name in ApprovalRecord.__slots__ if name != "id"}
    return int(Approval.insert(workspace_id=workspace_id, **row).execute())


def of_execution(execution_id: str) -> list[ApprovalRecord]:
    """All gates of an execution, oldest first."""
    return sql.ask(sql.Query(Approval, ApprovalRecord, "execution_id = ? ORDER BY id", (execution_id,)))


def expired(at: int, limit: int) -> list[ApprovalRecord]:
    """Open gates whose time is up."""
    query = (
        rows.select(Approval, ApprovalRecord)
        .where((Approval.status == ApprovalStatus.PENDING) & (Approval.expires_at <= at))
        .order_by(Approval.expires_at)
        .limit(limit)
    )
    return rows.read(query, ApprovalRecord)


def to_remind(at: int, limit: int) -> list[ApprovalRecord]:
    """Open gates of which people are to be reminded by now, and whose time is not up."""
    query = (
        rows.select(Approval, ApprovalRecord)
        .where((Approval.status == ApprovalStatus.PENDING) & (Approval.remind_at <= at) & (Approval.expires_at > at))
        .order_by(Approval.remind_at)
        .limit(limit)
    )
    return rows.read(query, ApprovalRecord)


def reminded(approval: ApprovalRecord, next_at: int | None) -> bool:
    """Note that people were reminded, and when they are next; False when that was done or the gate is closed."""
    query = Approval.update(remind_at=next_at).where(
        (Approval.id == approval.id)
        & (Approval.status == ApprovalStatus.PENDING)
        & (Approval.remind_at == approval.remind_at)
    )
    return bool(query.execute() == 1)


def all_open(workspace_id: int) -> list[ApprovalRecord]:
    """The open gates of all runs, in no particular order."""
    query = rows.select(Approval, ApprovalRecord).where(
        (Approval.workspace_id == workspace_id) & (Approval.status == ApprovalStatus.PENDING)
    )
    return rows.read(query, ApprovalRecord)


def soonest_open(workspace_id: int, limit: int) -> list[ApprovalRecord]:
    """The open gates whose time is up first."""
    query = rows.select(Approval, ApprovalRecord).where(
        (Approval.workspace_id == workspace_id) & (Approval.status == ApprovalStatus.PENDING)
    )
    return rows.read(query.order_by(Approval.expires_at).limit(limit), ApprovalRecord)


def rejections(execution_ids: Collection[str], path: str, before: int) -> list[VoteRecord]:
    """The rejections of the gates at `path` in these executions, the newest first.

    Only those of gates that were opened before the gate of the id `before`.
    """
    query = (
        rows.select(Vote, VoteRecord)
        .join(Approval, on=(Approval.id == Vote.approval_id))
        .where(Approval.execution_id.in_(list(execution_ids)) & (Approval.path == path) & (Approval.id < before))
        .where(Vote.decision == Decision.REJECT)
    )
    return rows.read(query.order_by(Vote.id.desc()), VoteRecord)


def show_anew(approval: ApprovalRecord, message: str, preview: Json, digest: str, barred: Json) -> None:
    """Let an open gate show something else: the votes on it were for what it showed before, and are forgotten."""
    Vote.delete().where(Vote.approval_id == approval.id).execute()
    Approval.update(message=message, preview=preview, digest=digest, barred=barred).where(
        (Approval.id == approval.id) & (Approval.status == ApprovalStatus.PENDING)
    ).execute()


def void_votes(execution_ids: Collection[str], people: Collection[str]) -> list[tuple[str, str]]:
    """Forget the votes of these people on the open gates of these executions; execution and path of those gates."""
    open_gates = Approval.execution_id.in_(list(execution_ids)) & (Approval.status == ApprovalStatus.PENDING)
    theirs = Vote.person.in_(list(people))
    query = Approval.select(Approval.id, Approval.execution_id, Approval.path)
    found = tuples(query.join(Vote, on=(Vote.approval_id == Approval.id)).where(open_gates & theirs))
    Vote.delete().where(Vote.approval_id.in_([each[0] for each in found]) & theirs).execute()
    return sorted({(execution_id, path) for _, execution_id, path in found})


def deciders_of(execution_ids: Collection[str]) -> set[str]:
    """Everybody whose vote stands on a gate of these executions that was decided."""
    query = Vote.select(Vote.person).join(Approval, on=(Approval.id == Vote.approval_id))
    decided = Approval.status.in_([ApprovalStatus.APPROVED, ApprovalStatus.REJECTED])
    return {row[0] for row in tuples(query.where(Approval.execution_id.in_(list(execution_ids)) & decided))}


def decide(approval: ApprovalRecord, status: ApprovalStatus, at: int) -> bool:
    """Close an open gate; False when it was closed already."""
    check_transition(APPROVAL_TRANSITIONS, approval.status, status)
    query = Approval.update(status=status, decided_at=at)
    return bool(query.where((Approval.id == approval.id) & (Approval.status == approval.status)).execute() == 1)


def cancel_open(execution_id: str, at: int) -> None:
    """Close every open gate of an execution that is ending."""
    Approval.update(status=ApprovalStatus.CANCELLED, decided_at=at).where(
        (Approval.execution_id == execution_id) & (Approval.status == ApprovalStatus.PENDING)
    ).execute()


def cancel_orphaned(execution_id: str, at: int) -> None:
    """Close every open gate whose step no longer waits for it."""
    waiting = StepRun.select(StepRun.id).where(
        (StepRun.execution_id == execution_id) & (StepRun.status == StepStatus.WAITING)
    )
    Approval.update(status=ApprovalStatus.CANCELLED, decided_at=at).where(
        (Approval.execution_id == execution_id)
        & (Approval.status == ApprovalStatus.PENDING)
        & Approval.step_run_id.not_in(waiting)
    ).execute()


def record_vote(workspace_id: int, vote: VoteRecord) -> bool:
    """Keep a person's one vote; False when this person has voted here before."""
    row = {name: getattr(vote, name) for name in VoteRecord.__slots__}
    return bool(Vote.insert(workspace_id=workspace_id, **row).on_conflict_ignore().execute())


def withdraw_vote(approval_id: int, person: str) -> bool:
    """Forget a person's vote; False when there was none. The audit keeps that it was given."""
    return bool(Vote.delete().where((Vote.approval_id == approval_id) & (Vote.person == person)).execute())


def voted_by(approval_ids: Collection[int], person: str) -> set[int]:
    """Those of these gates on which this person has voted."""
    query = Vote.select(Vote.approval_id).where(Vote.approval_id.in_(list(approval_ids)) & (Vote.person == person))
    return {row[0] for row in tuples(query)} if approval_ids else set()


def votes(approval_id: int) -> list[VoteRecord]:
    """The votes on a gate in the order they were given."""
    query = rows.select(Vote, VoteRecord).where(Vote.approval_id == approval_id)
    return rows.read(query.order_by(Vote.id), VoteRecord)
