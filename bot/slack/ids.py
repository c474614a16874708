"""The names of every action, form and input that Slack can send back; what they carry is in `payload_values`."""

from __future__ import annotations

from enum import StrEnum


class Action(StrEnum):
    """The action_id of each button."""

    PAUSE = "run.pause"
    RESUME = "run.resume"
    CANCEL = "run.cancel"
    END_NOW = "run.end"
    RETRY_FAILED = "run.retry"
    SKIP = "run.skip"
    PAGE = "run.page"
    TAKE_OVER = "run.takeover"
    AGREE = "skip.agree"
    APPROVE = "gate.approve"
    REJECT = "gate.reject"
    RETRY = "step.retry"
    MARK_DONE = "step.done"
    MARK_FAILED = "step.failed"
    TASK_DONE = "task.done"
    TASK_FAILED = "task.failed"
    APPROVE_VERSION = "version.approve"
    REVIEW_VERSION = "version.review"
    VERSION_PAGE = "version.part"
    RENEW_VERSION = "version.renew"
    REVIEW_RENEWAL = "version.renewal"
    RENEWAL_PAGE = "version.renewal_part"
    WITHDRAW_VERSION = "version.withdraw"
    DEPRECATE = "version.deprecate"
    ROLLBACK = "version.rollback"
    HISTORY = "version.history"
    OPEN_FORM = "runbook.form"
    WHY = "run.why"
    LOGS = "run.logs"
    PICK = "run.pick"
    CLOSE_INCIDENT = "incident.close"
    REVIEW = "gate.review"
    REVIEW_PAGE = "gate.part"
    HOME_TEXT = "home.text"
    HOME_TEAM = "home.team"
    HOME_TAG = "home.tag"
    HOME_STATUS = "home.status"
    HOME_BACK = "home.back"
    HOME_PAGE = "home.page"
    STOP_EVERYTHING = "freeze.everything"
    HOLD = "request.hold"
    HOLD_FILLED = "request.hold_filled"
    HOLD_AGAIN = "request.hold_again"
    RELEASE = "request.release"
    DROP_HELD = "request.drop"
    AGREE_BREAK_GLASS = "break_glass.agree"
    RUN_PLAN = "plan.run"


class Form(StrEnum):
    """The callback_id of each modal."""

    RUN = "form.run"
    REJECT = "form.reject"
    APPROVE = "form.approve"
    RESOLVE = "form.resolve"
    TASK = "form.task"
    SKIP = "form.skip"
    PICK = "form.pick"
    DEPRECATE = "form.deprecate"
    WHY = "form.why"
    SECRET = "form.secret"  # noqa: S105 - words


class Shortcut(StrEnum):
    """The callback_id of each shortcut, as the app's manifest has them."""

    RUN = "run_runbook"
    RUN_ABOUT = "run_about_message"


RESOLVE_CHOICES = {Action.RETRY: "retry", Action.MARK_DONE: "done", Action.MARK_FAILED: "failed"}
"""What each button under a step of unknown outcome says to the engine."""

REASON_BLOCK = "reason"
STEP_BLOCK = "step"
CHANNEL_BLOCK = "channel"
RUNBOOK_BLOCK = "runbook"
SCOPE_BLOCK = "scope"
SECRET_BLOCK = "secret"  # noqa: S105 - words
THIS_VERSION, ALL_VERSIONS = "version", "all"
INPUT = "value"
"""The action_id of every input; a view's inputs are told apart by their block_id."""


def parameter_block(name: str) -> str:
    """The block_id of a parameter's input; at most 255 characters, as Slack wants."""
    return f"param:{name}"[:255]


def parameter_of(block: str) -> str:
    """The parameter whose input has this block_id, "" where it is no parameter's."""
    kind, _, name = block.partition(":")
    return name if kind == "param" else ""
