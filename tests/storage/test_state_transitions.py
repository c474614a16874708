"""Every state, every other state: what is not in its table raises."""

from __future__ import annotations

import pytest

from storage.state_transitions import (
    APPROVAL_TRANSITIONS,
    EXECUTION_TRANSITIONS,
    STEP_TRANSITIONS,
    VERSION_TRANSITIONS,
    ForbiddenTransition,
    check_transition,
)
from storage.states import ApprovalStatus, ExecutionStatus, StepStatus, VersionStatus

TABLES = {
    ExecutionStatus: EXECUTION_TRANSITIONS,
    StepStatus: STEP_TRANSITIONS,
    VersionStatus: VERSION_TRANSITIONS,
    ApprovalStatus: APPROVAL_TRANSITIONS,
}
PAIRS = [(kind, old, new) for kind in TABLES for old in kind for new in kind]
FINAL = [
    *((ExecutionStatus, each) for each in ("SUCCESS", "CANCELLED")),
    *((ApprovalStatus, each) for each in ("APPROVED", "REJECTED", "EXPIRED", "CANCELLED")),
]


@pytest.mark.parametrize("kind", TABLES)
def test_every_state_has_its_row(kind) -> None:
    """Also the ones that are never left."""
    assert set(TABLES[kind]) == set(kind)


def test_every_pair_that_is_not_listed_raises() -> None:
    """And every listed one does not."""
    for kind, old, new in PAIRS:
        if new in TABLES[kind][old]:
            check_transition(TABLES[kind], old, new)
        else:
            with pytest.raises(ForbiddenTransition, match=f"{old} may not become {new}"):
                check_transition(TABLES[kind], old, new)


@pytest.mark.parametrize(("kind", "state"), FINAL)
def test_an_end_is_never_left(kind, state: str) -> None:
    """What is over is over."""
    assert TABLES[kind][kind(state)] == frozenset()


def test_a_failure_is_left_only_by_a_retry_or_a_skip() -> None:
    """A failed run goes on, or is done when all that failed is skipped; what was done or skipped is only ever a gate
    asked again, and what was closed comes back only with its run."""
    goes_on = {ExecutionStatus.RUNNING, ExecutionStatus.WAITING}
    assert EXECUTION_TRANSITIONS[ExecutionStatus.FAILED] == goes_on | {ExecutionStatus.SUCCESS}
    assert STEP_TRANSITIONS[StepStatus.CANCELLED] == {StepStatus.READY}
    assert STEP_TRANSITIONS[StepStatus.FAILED] == {StepStatus.READY, StepStatus.WAITING, StepStatus.SKIPPED}
    assert STEP_TRANSITIONS[StepStatus.SUCCESS] == STEP_TRANSITIONS[StepStatus.SKIPPED] == {StepStatus.BLOCKED}


def test_nothing_moves_to_where_it_is() -> None:
    """A move that is none would hide a lost race."""
    assert not [each for each in PAIRS if each[1] is each[2] and each[2] in TABLES[each[0]][each[1]]]


def test_nothing_is_approved_but_a_draft() -> None:
    """Neither versions nor gates come back from the dead."""
    assert [old for old in VersionStatus if VersionStatus.APPROVED in VERSION_TRANSITIONS[old]] == [VersionStatus.DRAFT]
    assert [old for old in ApprovalStatus if ApprovalStatus.APPROVED in APPROVAL_TRANSITIONS[old]] == [
        ApprovalStatus.PENDING
    ]
