"""How a state looks on the page: a name for the style sheet and a sign beside it, never a colour alone."""

from __future__ import annotations

from enum import StrEnum

from bot.slack.views.words import error_field, never_started, step_words
from engine.definition.kinds import kind_of
from storage.records import AttemptRecord, StepRunRecord
from storage.states import AttemptStatus, ExecutionStatus, StepStatus


class Look(StrEnum):
    """The names are the style sheet's classes."""

    IDLE = "idle"
    BUSY = "busy"
    WAIT = "wait"
    GOOD = "good"
    BAD = "bad"
    ASK = "ask"
    LEFT = "left"


SIGNS = {
    Look.IDLE: "○",
    Look.BUSY: "▶",
    Look.WAIT: "‖",
    Look.GOOD: "✓",
    Look.BAD: "✕",
    Look.ASK: "?",
    Look.LEFT: "–",
}
_STEP = {
    StepStatus.BLOCKED: Look.IDLE,
    StepStatus.READY: Look.IDLE,
    StepStatus.RUNNING: Look.BUSY,
    StepStatus.WAITING: Look.WAIT,
    StepStatus.UNKNOWN: Look.ASK,
    StepStatus.SUCCESS: Look.GOOD,
    StepStatus.FAILED: Look.BAD,
    StepStatus.SKIPPED: Look.LEFT,
    StepStatus.CANCELLED: Look.LEFT,
}
_ATTEMPT = {
    AttemptStatus.RUNNING: Look.BUSY,
    AttemptStatus.SUCCESS: Look.GOOD,
    AttemptStatus.FAILED: Look.BAD,
    AttemptStatus.UNKNOWN: Look.ASK,
    AttemptStatus.ABANDONED: Look.LEFT,
    AttemptStatus.LOST: Look.BAD,
}
_EXECUTION = {
    ExecutionStatus.PENDING: Look.IDLE,
    ExecutionStatus.RUNNING: Look.BUSY,
    ExecutionStatus.WAITING: Look.WAIT,
    ExecutionStatus.PAUSED: Look.WAIT,
    ExecutionStatus.SUCCESS: Look.GOOD,
    ExecutionStatus.FAILED: Look.BAD,
    ExecutionStatus.CANCELLED: Look.LEFT,
}
_ATTEMPT_WORDS = {
    AttemptStatus.RUNNING: "under way",
    AttemptStatus.SUCCESS: "went well",
    AttemptStatus.FAILED: "failed",
    AttemptStatus.UNKNOWN: "outcome unknown",
    AttemptStatus.ABANDONED: "dropped by a cancel",
    AttemptStatus.LOST: "its worker was lost",
}


def look_of(step: StepRunRecord) -> Look:
    """A container that waits for what it holds is busy; a step that a cancel came before is idle."""
    if never_started(step):
        return Look.IDLE
    if step.status is StepStatus.WAITING and kind_of(step).is_container:
        return Look.BUSY
    return _STEP[step.status]


def step_words_of(step: StepRunRecord) -> str:
    """The state of a step in words."""
    return step_words(step)[1]


def attempt_look(attempt: AttemptRecord) -> Look:
    """A poll's look that found things not ready yet is no failure."""
    return Look.LEFT if _not_yet(attempt) else _ATTEMPT[attempt.status]


def attempt_words(attempt: AttemptRecord) -> str:
    """How a try went, in words."""
    return "not yet" if _not_yet(attempt) else _ATTEMPT_WORDS[attempt.status]


def _not_yet(attempt: AttemptRecord) -> bool:
    return error_field(attempt.error, "code") == "not_yet"


def execution_look(status: ExecutionStatus) -> Look:
    return _EXECUTION[status]
