"""The card: one message that shows a whole run, as a plan block with a task card a step, else as sections."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from slack_sdk.models.blocks import ActionsBlock, Block, ButtonElement, ConfirmObject

from bot.event_text import BY_HAND
from bot.slack.ids import Action
from bot.slack.payload_values import RunRef, StepRef
from bot.slack.views import available_actions, steps
from bot.slack.views import gate as gates
from bot.slack.views import task as tasks
from bot.slack.views.parts import Message, actions, button, confirm, context, header, message, section
from bot.slack.views.text import ago, as_json, code, duration, escape, inline, is_permalink, link, person, when
from bot.slack.views.words import error_field, execution_words, last_changes, spent_words
from engine.definition.kinds import kind_of
from storage.records import ExecutionRecord, StepRunRecord
from storage.states import ApprovalStatus, ExecutionStatus, Phase, StepStatus, TaskStatus

if TYPE_CHECKING:
    from engine.definition.model import Runbook
    from engine.runs.executions import ExecutionView
    from engine.runs.gate_notifications import Calling

Called = Mapping[int, "Calling"]
"""Whom open gates call, by the gate's id."""
GATES = 2
"""Open gates, and open tasks, that one card shows."""
_RETRIES = 3
"""Buttons for failed steps in one card."""


def card(
    view: ExecutionView, *, plan: bool = True, live: bool = True, page: bool = False,
    called: Called | None = None,
) -> Message:  # fmt: skip
    """The card of a run as it stands. `plan=False` uses only blocks that every client and workspace knows.

    `live=False` leaves the buttons out: a copy that is not kept up to date must not offer anything. `page` says that
    the run has a page which people can open, `called` names who can decide at its gates.
    """
    execution = view.execution
    icon, words = execution_words(execution, view.steps)
    title = f"{view.runbook.name} · {execution.id} · {words}"
    blocks: list[Block] = [header(f"{icon} {title}"), *actions(_buttons(view, page=page))]
    blocks += [steps.plan(view)] if plan and view.steps else steps.lines(view)
    blocks += _trouble(view)
    blocks += _open_gates(view, called or {})
    blocks += _open_tasks(view)
    blocks += _unknown_steps(view)
    blocks.append(context(*_small_print(view)))
    return message(f"{icon} {inline(title)}", blocks if live else [b for b in blocks if b.type != ActionsBlock.type])


def short_card(view: ExecutionView, *, page: bool = False) -> Message:
    """The least that still tells the truth, for when Slack finds the card too long."""
    execution = view.execution
    icon, words = execution_words(execution, view.steps)
    title = f"{view.runbook.name} · {execution.id} · {words}"
    blocks = [header(f"{icon} {title}"), section(inline(steps.progress(view))), *actions(_buttons(view, page=page))]
    return message(f"{icon} {inline(title)}", [*blocks, context(*_small_print(view))])


def _trouble(view: ExecutionView) -> list[Block]:
    execution = view.execution
    why = error_field(execution.error, "message")
    found: list[Block] = []
    if execution.slot == "queued":
        behind = ", ".join(code(each) for each in view.ahead) or "nobody any more"
        found.append(section(f"*Queued* for {code(execution.slot_group or '')}, behind {behind}."))
    if execution.status is ExecutionStatus.PAUSED and execution.paused_reason:
        by_hand = execution.paused_reason == BY_HAND
        found.append(section("*Paused* by hand." if by_hand else f"*Paused:* {escape(execution.paused_reason, 600)}"))
    if why:
        cancelled = (
            execution.pending_result is ExecutionStatus.CANCELLED or execution.status is ExecutionStatus.CANCELLED
        )
        found.append(section(f"*{'Cancelled' if cancelled else 'What went wrong'}:* {escape(why, 600)}"))
    return found


def _open_gates(view: ExecutionView, called: Called) -> list[Block]:
    waiting = [gate for gate in view.gates if gate.approval.status is ApprovalStatus.PENDING]
    blocks: list[Block] = []
    for gate in waiting[:GATES]:
        blocks += gates.gate_blocks(gate, called.get(gate.approval.id), brief=True)
    if len(waiting) > GATES:
        blocks.append(context(f"{len(waiting) - GATES} more gates wait in the thread."))
    return blocks


def _open_tasks(view: ExecutionView) -> list[Block]:
    waiting = [task for task in view.tasks if task.status is TaskStatus.OPEN]
    blocks = [block for task in waiting[:GATES] for block in tasks.task_blocks(task)]
    if len(waiting) > GATES:
        blocks.append(context(f"{len(waiting) - GATES} more steps wait in the thread to be done by hand."))
    return blocks


def _unknown_steps(view: ExecutionView) -> list[Block]:
    unknown = (
        [step for step in view.steps if step.status is StepStatus.UNKNOWN] if not view.execution.status.ended else []
    )
    blocks: list[Block] = []
    for step in unknown[:3]:
        blocks += unknown_blocks(view.runbook, step)
    return blocks


def unknown_blocks(runbook: Runbook, step: StepRunRecord) -> list[Block]:
    """The question that only a person can answer: did the call take effect?"""
    ref = StepRef(step.execution_id, step.path, step.attempts)
    why = steps.note_of(step) or "The call was sent and nobody saw how it ended."
    return [
        section(
            f"❓ *{inline(steps.step_title(runbook, step), 120)}: outcome unknown.* {escape(why, 500)}\n"
            "Look at the target, then say:"
        ),
        *actions(
            [
                button("Try it again", Action.RETRY, ref),
                button("It worked", Action.MARK_DONE, ref),
                button("It failed", Action.MARK_FAILED, ref),
            ]
        ),
    ]


def _buttons(view: ExecutionView, *, page: bool) -> list[ButtonElement]:
    """What is always there stands first, in one order: while a run goes on no button takes another's place."""
    execution = view.execution
    found = [_retry(step, nth) for nth, step in enumerate(available_actions.retryable(view)[:_RETRIES])]
    fixed, passing = available_actions.actions(view), available_actions.looks(view)
    found += [_button(execution, action) for action in fixed if action is not Action.SKIP]
    found += [_button(execution, Action.PAGE)] if page else []
    return [
        *found,
        *(_button(execution, action) for action in passing + [each for each in fixed if each is Action.SKIP]),
    ]


def _retry(step: StepRunRecord, nth: int) -> ButtonElement:
    ref = StepRef(step.execution_id, step.path, step.attempts)
    sure = confirm("Run this step again?", f"{step.path} is tried again, and the run goes on from there.", "Retry")
    return button(f"Retry {step.path}", Action.RETRY_FAILED, ref, confirm=sure, nth=nth)


def _button(execution: ExecutionRecord, action: Action) -> ButtonElement:
    what = f"{execution.slug}, {execution.id}: "
    sure: ConfirmObject | None = None
    if action is Action.CANCEL:
        asked = f"{what}steps that run now are dropped; then its cleanup runs."
        sure = confirm("Cancel this run?", asked, "Cancel the run", style="danger")
    elif action is Action.END_NOW:
        sure = confirm("End without cleanup?", f"{what}the rest of its cleanup is left out.", "End it", style="danger")
    style = "danger" if sure is not None else None
    return button(_LABELS[action], action, RunRef(execution.id), style=style, confirm=sure)


_LABELS = {
    Action.PAUSE: "Pause",
    Action.RESUME: "Resume",
    Action.SKIP: "Skip a step…",
    Action.CANCEL: "Cancel the run",
    Action.END_NOW: "End without cleanup",
    Action.WHY: "Why?",
    Action.LOGS: "Logs",
    Action.PAGE: "Open its page",
}


def _small_print(view: ExecutionView) -> list[str]:
    execution = view.execution
    version = code(f"{execution.slug}@{execution.number}", 120)
    parts = [f"{version} started by {person(execution.requester)} {when(execution.created_at)}"]
    if execution.status.ended and execution.ended_at is not None:
        spent = spent_words(execution)
        parts.append(f"took {duration(execution.ended_at - execution.created_at)}{f' ({spent})' if spent else ''}")
    if not execution.status.ended:
        parts.append(f"under way {ago(execution.created_at)}")
        parts += [f"next gate: {code(following, 120)}"] if (following := _next_gate(view)) else []
    if execution.owner:
        parts.append(f"now with {person(execution.owner)}")
    if execution.offered_to and not execution.status.ended:
        parts.append(f"offered to {person(execution.offered_to)}")
    if execution.replay_of:
        parts.append(f"replays {code(execution.replay_of)}")
    about = str((execution.incident or {}).get("permalink", ""))
    if is_permalink(about):
        parts.append(f"about {link(about, 'this message')}")
    if execution.reason:
        parts.append(f"because: {inline(execution.reason, 300)}")
    if isinstance(execution.parameters, dict) and execution.parameters:
        named = _in_order(execution.parameters, view.runbook)
        pairs = " ".join(f"{name}={as_json(execution.parameters[name], 60)}" for name in named)
        parts.append(code(pairs, 400))
    return [*parts, *last_changes(view.changes)]


def _next_gate(view: ExecutionView) -> str:
    """The path of the first gate that is still to open, "" where one is open or none is to come."""
    if any(gate.approval.status is ApprovalStatus.PENDING for gate in view.gates):
        return ""
    coming = (step for step in steps.ordered(view.steps) if kind_of(step).is_gate and step.phase is Phase.MAIN)
    return next((step.path for step in coming if step.status is StepStatus.BLOCKED), "")


def _in_order(names: Iterable[str], runbook: Runbook) -> list[str]:
    """The parameters in the order in which the runbook has them, others behind."""
    order = list(runbook.parameters.get("properties", {}))
    return sorted(names, key=lambda name: order.index(name) if name in order else len(order))
