"""Every state in words, with an icon beside it that says nothing the words do not say."""

from __future__ import annotations

from bot.slack.views.text import group, inline, person
from storage.records import (
    ApprovalRecord,
    ApprovalStatus,
    ExecutionRecord,
    ExecutionStatus,
    Json,
    StepRunRecord,
    StepStatus,
    VersionStatus,
)

_EXECUTION = {
    ExecutionStatus.PENDING: ("⏳", "Queued"),
    ExecutionStatus.RUNNING: ("▶️", "Running"),
    ExecutionStatus.WAITING: ("✋", "Waiting for a decision"),
    ExecutionStatus.PAUSED: ("⏸️", "Paused"),
    ExecutionStatus.SUCCESS: ("✅", "Succeeded"),
    ExecutionStatus.FAILED: ("❌", "Failed"),
    ExecutionStatus.CANCELLED: ("⛔", "Cancelled"),
}
_STEP = {
    StepStatus.BLOCKED: ("◻️", "not started"),
    StepStatus.READY: ("◻️", "about to start"),
    StepStatus.RUNNING: ("▶️", "running"),
    StepStatus.WAITING: ("✋", "waiting"),
    StepStatus.UNKNOWN: ("❓", "outcome unknown"),
    StepStatus.SUCCESS: ("✅", "done"),
    StepStatus.FAILED: ("❌", "failed"),
    StepStatus.SKIPPED: ("⏭️", "skipped"),
    StepStatus.CANCELLED: ("⛔", "cancelled"),
}
_TASK = {
    StepStatus.BLOCKED: "pending",
    StepStatus.READY: "pending",
    StepStatus.RUNNING: "in_progress",
    StepStatus.WAITING: "in_progress",
    StepStatus.UNKNOWN: "error",
    StepStatus.SUCCESS: "complete",
    StepStatus.FAILED: "error",
    StepStatus.SKIPPED: "complete",
    StepStatus.CANCELLED: "error",
}
_GATE = {
    ApprovalStatus.PENDING: ("✋", "Waiting for approval"),
    ApprovalStatus.APPROVED: ("✅", "Approved"),
    ApprovalStatus.REJECTED: ("❌", "Rejected"),
    ApprovalStatus.EXPIRED: ("⌛", "Nobody decided in time"),
    ApprovalStatus.CANCELLED: ("⛔", "No longer needed: the run was cancelled"),
}
_VERSION = {
    VersionStatus.DRAFT: "draft, waits for approval",
    VersionStatus.APPROVED: "approved",
    VersionStatus.DEPRECATED: "deprecated",
}
_ROLES = {
    "platform_admin": "platform admins",
    "team_admin": "the team's admins",
    "team_member": "the team's members",
    "responder": "responders",
}


def execution_words(execution: ExecutionRecord) -> tuple[str, str]:
    """An icon and the state of a run. While cleanup still runs, the result that is already fixed is named too."""
    icon, words = _EXECUTION[execution.status]
    if execution.ending is not None and not execution.status.ended:
        words = "Cancelling" if execution.ending is ExecutionStatus.CANCELLED else "Failing"
    return icon, words


def step_words(step: StepRunRecord, *, run_ended: bool = False) -> tuple[str, str]:
    """An icon and the state of a step."""
    icon, words = _STEP[step.status]
    if step.status is StepStatus.WAITING and step.kind == "approval":
        words = "waiting for approval"
    elif step.status is StepStatus.FAILED and "reject" in str(error_field(step.error, "code")):
        words = "rejected"
    elif run_ended and step.status in (StepStatus.BLOCKED, StepStatus.READY):
        words = "never started"
    elif step.status is StepStatus.RUNNING and step.attempts > 1:
        words = f"running, try {step.attempts}"
    elif _polls(step):
        words = f"checking, {step.attempts} times so far"
    elif step.status is StepStatus.READY and step.attempts > 0:
        words = f"about to be tried again, {step.attempts} so far"
    return icon, words


def task_status(step: StepRunRecord) -> str:
    """The state of a step in the four words that Slack's task card knows."""
    return "in_progress" if _polls(step) else _TASK[step.status]


def _polls(step: StepRunRecord) -> bool:
    """Whether this is a poll between two of its rounds."""
    return step.kind == "poll" and step.status is StepStatus.READY and step.attempts > 0


def gate_words(approval: ApprovalRecord) -> tuple[str, str]:
    """An icon and the state of a gate."""
    return _GATE[approval.status]


def version_words(status: VersionStatus) -> str:
    """The state of a version."""
    return _VERSION[status]


def error_field(error: Json, name: str) -> str:
    """`code` or `message` of an error on a record, "" where there is none."""
    value = error.get(name) if isinstance(error, dict) else None
    return value if isinstance(value, str) else ""


def approver_words(approvers: Json) -> str:
    """Who may decide a gate, as mrkdwn."""
    named = approvers if isinstance(approvers, dict) else {}
    who = [_ROLES.get(role, inline(str(role), 80)) for role in named.get("roles", [])]
    who += [group(str(name)) for name in named.get("groups", [])]
    who += [person(str(name)) for name in named.get("users", [])]
    return ", ".join(who) or "platform admins"
