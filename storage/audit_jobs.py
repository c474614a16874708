"""When what is done of the audit at times of its own, by one worker for all, was done last."""

from __future__ import annotations

from storage.audit_tables import AuditJob
from storage.database import one_at_a_time

HEAD = "head"
"""The job that notes the head of the chain elsewhere."""


def lock(workspace_id: int, kind: str) -> None:
    """Hold the job until this transaction ends."""
    one_at_a_time(f"audit-job:{_name(workspace_id, kind)}")


def last(workspace_id: int, kind: str) -> tuple[int, int] | None:
    """When a job was done last, and up to which number of the chain; None where it never was."""
    found = AuditJob.get_or_none(AuditJob.name == _name(workspace_id, kind))
    return (found.at, found.seq) if found is not None else None


def note(workspace_id: int, kind: str, at: int, seq: int = 0) -> None:
    """A job was done. Needs its lock."""
    done = {AuditJob.at: at, AuditJob.seq: seq}
    added = AuditJob.insert(name=_name(workspace_id, kind), workspace_id=workspace_id, at=at, seq=seq)
    added.on_conflict(conflict_target=[AuditJob.name], update=done).execute()


def _name(workspace_id: int, kind: str) -> str:
    return f"{kind}:{workspace_id}"
