"""Every state in words, with an icon beside it that says nothing the words do not say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from bot import duration_text
from bot.parameter_change_text import change_words
from bot.slack.views.text import code, duration, group, inline, person
from engine.definition.kinds import Awaits, kind_of
from engine.orchestration import skip_rules
from engine.orchestration.parameter_changes import Changed
from storage.records import ApprovalRecord, ExecutionRecord, Json, StepRunRecord
from storage.states import ApprovalStatus, ExecutionStatus, Phase, StepStatus, VersionStatus

if TYPE_CHECKING:
    from engine.runs.executions import ExecutionView

_EXECUTION = {
    ExecutionStatus.PENDING: ("⏳", "About to start"),
    ExecutionStatus.RUNNING: ("▶️", "Running"),
    ExecutionStatus.WAITING: ("✋", "Waiting"),
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
    StepStatus.CANCELLED: ("⛔", "cancelled while it ran"),
}
_TASK = {
    StepStatus.BLOCKED: "pending",
    StepStatus.READY: "pending",
    StepStatus.RUNNING: "in_progress",
    StepStatus.WAITING: "pending",
    StepStatus.UNKNOWN: "pending",
    StepStatus.SUCCESS: "complete",
    StepStatus.FAILED: "error",
    StepStatus.SKIPPED: "pending",
    StepStatus.CANCELLED: "pending",
}
"""Slack's four words have none for waiting, unknown, skipped and cancelled; "pending" is the one that claims neither
work nor a failure nor a success. An icon and the step's own words say which it is."""
TOLERATED = ("⚠️", "failed, which the run tolerates")
REPORTED = ("⚠️", "failed; the run goes on, and ends failed for it")
_ENDING = {ExecutionStatus.FAILED: "Failing", ExecutionStatus.CANCELLED: "Cancelling"}
PHASES = {
    Phase.MAIN: "",
    Phase.UNDO: "Undo",
    Phase.ON_FAILURE: "On failure",
    Phase.FINALLY: "Finally",
}
"""What the parts of a run are called; the main one needs no name."""
_DOING = {
    Phase.MAIN: "",
    Phase.UNDO: "undoing",
    Phase.ON_FAILURE: "handling the failure",
    Phase.FINALLY: "finishing",
}
_MAY_BE_SKIPPED = (
    StepStatus.BLOCKED, StepStatus.READY, StepStatus.WAITING, StepStatus.UNKNOWN, StepStatus.FAILED,
)  # fmt: skip
CHANGES = 3
"""Changes of its parameters that are told of one run, the latest."""
_BETWEEN = {
    Awaits.ANSWER: "checking, {} times so far",
    Awaits.TIME: "waiting until its time is up",
    Awaits.RUN: "its run is under way",
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
ROLES = {
    "platform_admin": "platform admins",
    "team_admin": "the team's admins",
    "team_member": "the team's members",
    "responder": "responders",
}


def execution_words(execution: ExecutionRecord, steps: Sequence[StepRunRecord] = ()) -> tuple[str, str]:
    """An icon and the state of a run. While cleanup still runs, the result that is already fixed is named too.

    With its `steps` known, what a WAITING run waits for is named.
    """
    icon, words = _EXECUTION[execution.status]
    if execution.status is ExecutionStatus.PENDING and execution.slot == "queued":
        words = "Queued"
    elif execution.status is ExecutionStatus.WAITING and steps:
        words = "Waiting for an event"
        words = "Waiting for somebody to do a step" if any(map(_is_by_hand, steps)) else words
        words = "Waiting for a decision" if any(map(_asks, steps)) else words
    if execution.pending_result is None or execution.status.ended:
        late = execution.overran_at is not None and not execution.status.ended
        return icon, f"{words}, longer than expected" if late else words
    paused = "paused" if execution.status is ExecutionStatus.PAUSED else ""
    told = ", ".join(part for part in (_ENDING.get(execution.pending_result), _DOING[execution.phase], paused) if part)
    return icon, told[:1].upper() + told[1:]


def spent_words(execution: ExecutionRecord) -> str:
    """Time spent running, waiting, paused and otherwise, told apart; "" where it only ran."""
    run = execution
    times = (run.running_ms, run.waiting_ms, run.paused_ms)
    return duration_text.parts_words(
        duration_text.run_parts(run.created_at, run.started_at, run.ended_at, *times), "running"
    )


def step_took(view: ExecutionView, step: StepRunRecord) -> str:
    """How long a step that has ended took, with what of it it ran, waited and stood still where that is known."""
    if step.started_at is None or step.ended_at is None:
        return ""
    found = view.spent.get(step.id)
    if found is None:
        return duration(max(0, step.ended_at - step.started_at))
    return duration_text.step_took(step.kind, found.tried, found.waited, found.paused)


def changed_here(changes: Iterable[Mapping[str, Json]], by: str | None = None) -> str:
    """Changed parameters as mrkdwn, with who changed them where that is not said beside it."""
    return change_words(changes, person(by) if by else "", lambda each: code(each, 100))


def last_changes(changes: Sequence[Changed]) -> list[str]:
    """One line with the latest changes of a run's parameters, each with who made it, as mrkdwn; none without any."""
    told = "; ".join(changed_here(each.changes, each.by) for each in changes[-CHANGES:])
    return [f"changed: {told}"] if told else []


def _asks(step: StepRunRecord) -> bool:
    """Whether a person is asked something by this step."""
    return step.status is StepStatus.UNKNOWN or (step.status is StepStatus.WAITING and kind_of(step).is_gate)


def _is_by_hand(step: StepRunRecord) -> bool:
    return step.status is StepStatus.WAITING and kind_of(step).is_manual


def step_words(step: StepRunRecord, *, run_ended: bool = False) -> tuple[str, str]:
    """An icon and the state of a step."""
    icon, words = _STEP[step.status]
    if step.status is StepStatus.WAITING:
        icon, words = _waiting(step)
    elif step.status is StepStatus.FAILED and "reject" in str(error_field(step.error, "code")):
        words = "rejected"
    elif never_started(step) or (run_ended and step.status in (StepStatus.BLOCKED, StepStatus.READY)):
        icon, words = _STEP[StepStatus.BLOCKED][0], "never started"
    elif step.status is StepStatus.CANCELLED and kind_of(step).is_wait and not kind_of(step).calls_out:
        words = "cancelled while it waited"
    elif step.status is StepStatus.RUNNING and step.attempts > 1 and kind_of(step).awaits not in _BETWEEN:
        words = f"running, try {step.attempts}"
    elif step.status is StepStatus.READY and kind_of(step).is_container and step.started_at is not None:
        icon, words = _waiting(step)
    elif between := _between(step):
        words = between.format(step.attempts)
    elif step.status is StepStatus.READY and step.attempts > 0:
        words = f"about to be tried again, {step.attempts} so far"
    return icon, words


def skip_wish(step: StepRunRecord) -> str:
    """That a step which is still open is to be skipped, and who asked for it; "" where nobody did."""
    agreed = skip_rules.skip_agreed(step.skip)
    if not step.skip or step.status not in ((StepStatus.BLOCKED,) if agreed else _MAY_BE_SKIPPED):
        return ""
    by, why = step.skip["by"], step.skip["reason"]
    return f"to be skipped by {by}: {why}" if agreed else f"asked by {by} to be skipped: {why}"


def never_started(step: StepRunRecord) -> bool:
    """Whether a cancel came before this step began."""
    return step.status is StepStatus.CANCELLED and step.started_at is None


def _waiting(step: StepRunRecord) -> tuple[str, str]:
    """What a step waits for."""
    icon, words = _STEP[StepStatus.WAITING]
    kind = kind_of(step)
    if kind.is_gate:
        return icon, "waiting for approval"
    if kind.is_manual:
        return icon, "to be done by hand"
    if kind.awaits is Awaits.EVENT:
        return icon, f"waiting for the event {step.wait_key}" if step.wait_key else words
    if kind.repeats:
        of = f" of {len(step.items)}" if isinstance(step.items, list) else ""
        return "▶️", f"under way, {step.rounds}{of} rounds begun"
    if kind.is_container:
        taken = step.items.get("taken") if isinstance(step.items, dict) else None
        return "▶️", f"under way, took {taken}" if taken else "under way"
    return icon, words


def task_status(step: StepRunRecord) -> str:
    """The state of a step in the four words that Slack's task card knows."""
    begun = step.status is StepStatus.READY and kind_of(step).is_container and step.started_at is not None
    return "in_progress" if begun or _between(step) else _TASK[step.status]


def _between(step: StepRunRecord) -> str:
    """What is said of a step that is only between two looks at what it waits for, "" of any other."""
    awaits = kind_of(step).awaits
    return _BETWEEN.get(awaits, "") if awaits and step.status is StepStatus.READY and step.attempts > 0 else ""


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


def approver_words(approvers: Json, *, silent: bool = False) -> str:
    """Who may decide a gate, as mrkdwn; `silent` mentions nobody, so that a message with it rings nobody."""
    named = approvers if isinstance(approvers, dict) else {}
    who = [ROLES.get(role, inline(str(role), 80)) for role in named.get("roles", [])]
    who += [_group(name, silent=silent) for name in named.get("groups", [])]
    who += [_user(name, silent=silent) for name in named.get("users", [])]
    who += [f"at least {each.get('count', 1)} of {_whom(each, silent=silent)}" for each in named.get("minima", [])]
    return ", ".join(dict.fromkeys(who)) or "platform admins"


def _group(name: Json, *, silent: bool) -> str:
    """A user group, by a word only where nobody is to be rung and only its id is known."""
    told = group(str(name))
    return "a user group" if silent and told.startswith("<") else told


def _user(name: Json, *, silent: bool) -> str:
    told = person(str(name))
    return "a person by name" if silent and told.startswith("<") else told


def _whom(minimum: dict[str, Json], *, silent: bool) -> str:
    """Whom a minimum is about, as mrkdwn."""
    if "role" in minimum:
        return ROLES.get(minimum["role"], inline(str(minimum["role"]), 80))
    if "group" in minimum:
        return _group(minimum["group"], silent=silent)
    return _user(minimum.get("user", "?"), silent=silent)
