"""The words for every state, role and choice: what may stand in the columns of that name."""

from __future__ import annotations

from enum import StrEnum


class VersionStatus(StrEnum):
    """Where a version stands: only an APPROVED one may be run, and a DEPRECATED one is not to be run any more."""

    DRAFT = "DRAFT"
    APPROVED = "APPROVED"
    DEPRECATED = "DEPRECATED"


class ExecutionStatus(StrEnum):
    """Where a run stands.

    PENDING is one that is queued or about to start; WAITING one in which nothing goes on before somebody acts,
    something happens or time has passed; PAUSED one that begins no step.
    """

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    WAITING = "WAITING"
    PAUSED = "PAUSED"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def ended(self) -> bool:
        """Whether the run is over; of one that FAILED a retry or a skip may begin it again."""
        return self in _ENDED


class StepStatus(StrEnum):
    """Where a step run stands.

    BLOCKED is one whose needs are not done, READY one that a worker may claim; UNKNOWN is where a call was sent and
    nobody saw its end.
    """

    BLOCKED = "BLOCKED"
    READY = "READY"
    RUNNING = "RUNNING"
    WAITING = "WAITING"
    UNKNOWN = "UNKNOWN"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"
    CANCELLED = "CANCELLED"


_ENDED = {ExecutionStatus.SUCCESS, ExecutionStatus.FAILED, ExecutionStatus.CANCELLED}


class Phase(StrEnum):
    """Which steps a run is at.

    UNDO takes back what the main ones did, ON_FAILURE follows where a run fails, FINALLY follows always.
    """

    MAIN = "main"
    UNDO = "undo"
    ON_FAILURE = "on_failure"
    FINALLY = "finally"


class AttemptStatus(StrEnum):
    """`LOST` is an attempt whose worker died; `ABANDONED` one that a cancel dropped."""

    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"
    ABANDONED = "ABANDONED"
    LOST = "LOST"


class ApprovalStatus(StrEnum):
    """How a gate stands: PENDING is open, EXPIRED was not decided in time, CANCELLED is not asked any more."""

    PENDING = "PENDING"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    CANCELLED = "CANCELLED"


class TaskStatus(StrEnum):
    """How a manual step's task stands: FAILED is what somebody could not do, EXPIRED was not done in time.

    CANCELLED is not asked any more.
    """

    OPEN = "OPEN"
    DONE = "DONE"
    FAILED = "FAILED"
    EXPIRED = "EXPIRED"
    CANCELLED = "CANCELLED"


class Decision(StrEnum):
    """What a vote says at a gate."""

    APPROVE = "APPROVE"
    REJECT = "REJECT"


class Severity(StrEnum):
    """How loudly an audit row speaks: `WARNING` is what a reviewer should look at, `CRITICAL` what must never be."""

    INFO = "INFO"
    NOTICE = "NOTICE"
    WARNING = "WARNING"
    CRITICAL = "CRITICAL"


class Scope(StrEnum):
    """What a token may be used for; it never allows more than its person may do."""

    READ = "read"
    RUN = "run"
    APPROVE = "approve"
    ADMIN = "admin"
