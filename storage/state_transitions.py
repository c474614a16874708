"""The allowed transitions of every state, as data. Anything not listed here raises `ForbiddenTransition`.

An execution never leaves SUCCESS or CANCELLED, and FAILED only by an audited retry, or skip of what failed (which may
be all that was left to do). A step run leaves FAILED by that
retry (its container goes on WAITING) or when a person skips it, CANCELLED by that retry where the failure had closed
it, and SUCCESS and SKIPPED only as a gate that is asked (again) for other parameters.
Containers go from READY to WAITING for their inner steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from storage.states import ApprovalStatus, ExecutionStatus, StepStatus, TaskStatus, VersionStatus

State = TypeVar("State", bound=StrEnum)

E, S, V, A, T = ExecutionStatus, StepStatus, VersionStatus, ApprovalStatus, TaskStatus

EXECUTION_TRANSITIONS: Mapping[ExecutionStatus, frozenset[ExecutionStatus]] = {
    E.PENDING: frozenset({E.RUNNING, E.WAITING, E.PAUSED, E.SUCCESS, E.FAILED, E.CANCELLED}),
    E.RUNNING: frozenset({E.WAITING, E.PAUSED, E.SUCCESS, E.FAILED, E.CANCELLED}),
    E.WAITING: frozenset({E.RUNNING, E.PAUSED, E.SUCCESS, E.FAILED, E.CANCELLED}),
    E.PAUSED: frozenset({E.PENDING, E.RUNNING, E.WAITING, E.SUCCESS, E.FAILED, E.CANCELLED}),
    E.SUCCESS: frozenset(),
    E.FAILED: frozenset({E.RUNNING, E.WAITING, E.SUCCESS}),
    E.CANCELLED: frozenset(),
}

STEP_TRANSITIONS: Mapping[StepStatus, frozenset[StepStatus]] = {
    S.BLOCKED: frozenset({S.READY, S.SUCCESS, S.SKIPPED, S.FAILED, S.CANCELLED}),
    S.READY: frozenset({S.RUNNING, S.WAITING, S.BLOCKED, S.SUCCESS, S.SKIPPED, S.FAILED, S.CANCELLED}),
    S.RUNNING: frozenset({S.READY, S.WAITING, S.UNKNOWN, S.SUCCESS, S.FAILED, S.CANCELLED}),
    S.WAITING: frozenset({S.READY, S.SUCCESS, S.FAILED, S.SKIPPED, S.CANCELLED}),
    S.UNKNOWN: frozenset({S.READY, S.SUCCESS, S.FAILED, S.SKIPPED, S.CANCELLED}),
    S.SUCCESS: frozenset({S.BLOCKED}),
    S.FAILED: frozenset({S.READY, S.WAITING, S.SKIPPED}),
    S.SKIPPED: frozenset({S.BLOCKED}),
    S.CANCELLED: frozenset({S.READY}),
}

VERSION_TRANSITIONS: Mapping[VersionStatus, frozenset[VersionStatus]] = {
    V.DRAFT: frozenset({V.APPROVED, V.DEPRECATED}),
    V.APPROVED: frozenset({V.DEPRECATED}),
    V.DEPRECATED: frozenset({V.DRAFT}),
}

APPROVAL_TRANSITIONS: Mapping[ApprovalStatus, frozenset[ApprovalStatus]] = {
    A.PENDING: frozenset({A.APPROVED, A.REJECTED, A.EXPIRED, A.CANCELLED}),
    A.APPROVED: frozenset(),
    A.REJECTED: frozenset(),
    A.EXPIRED: frozenset(),
    A.CANCELLED: frozenset(),
}
TASK_TRANSITIONS: Mapping[TaskStatus, frozenset[TaskStatus]] = {
    T.OPEN: frozenset({T.DONE, T.FAILED, T.EXPIRED, T.CANCELLED}),
    T.DONE: frozenset(),
    T.FAILED: frozenset(),
    T.EXPIRED: frozenset(),
    T.CANCELLED: frozenset(),
}


class ForbiddenTransition(Exception):
    """A state was about to be changed in a way that its table does not allow: a bug, never a person's mistake."""


def check_transition(table: Mapping[State, frozenset[State]], old: State, new: State) -> None:
    """Raise `ForbiddenTransition` unless `table` lets `old` become `new`."""
    if new not in table[old]:
        raise ForbiddenTransition(f"{type(old).__name__} {old} may not become {new}")
