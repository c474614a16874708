"""The card: one message that shows a whole run, as a plan block with a task card a step, else as sections."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from slack_sdk.models.blocks import ActionsBlock, Block, ButtonElement, PlanBlock, TaskCardBlock

from bot.slack.ids import Action, RunRef, StepRef
from bot.slack.views import gate as gates
from bot.slack.views.parts import Message, actions, button, confirm, context, header, message, rich, section, sections
from bot.slack.views.text import as_json, code, cut, duration, escape, inline, person, plain, when
from bot.slack.views.words import error_field, execution_words, step_words, task_status
from storage.records import ApprovalStatus, ExecutionRecord, ExecutionStatus, Json, StepRunRecord, StepStatus

if TYPE_CHECKING:
    from engine.definition.model import Runbook
    from engine.executions import ExecutionView

TASK_LIMIT = 50
"""Task cards in a plan block, by Slack's reference."""
_ROOM = 6000
"""Characters for the details of all steps together: Slack refuses messages of about 13,000."""
_SETTLED = {StepStatus.SUCCESS, StepStatus.SKIPPED, StepStatus.BLOCKED}


def card(view: ExecutionView, *, plan: bool = True, live: bool = True) -> Message:
    """The card of a run as it stands. `plan=False` uses only blocks that every client and workspace knows.

    `live=False` leaves the buttons out: a copy that is not kept up to date must not offer anything.
    """
    execution = view.execution
    icon, words = execution_words(execution)
    title = f"{view.runbook.name} · {execution.id} · {words}"
    blocks: list[Block] = [header(f"{icon} {title}")]
    blocks += [_plan(view)] if plan and view.steps else _step_lines(view)
    blocks += _trouble(execution)
    blocks += _open_gates(view)
    blocks += _unknown_steps(view)
    blocks += actions(_buttons(execution))
    blocks.append(context(*_small_print(execution)))
    return message(f"{icon} {inline(title)}", blocks if live else [b for b in blocks if b.type != ActionsBlock.type])


def short_card(view: ExecutionView) -> Message:
    """The least that still tells the truth, for when Slack finds the card too long."""
    execution = view.execution
    icon, words = execution_words(execution)
    title = f"{view.runbook.name} · {execution.id} · {words}"
    blocks = [header(f"{icon} {title}"), section(inline(_progress(view))), *actions(_buttons(execution))]
    return message(f"{icon} {inline(title)}", [*blocks, context(*_small_print(execution))])


def folded(steps: Sequence[StepRunRecord], limit: int) -> tuple[list[StepRunRecord], Counter[str]]:
    """At most `limit` steps, those worth looking at, in the runbook's order; and how many others are in which state.

    When some are left out, one place is kept free for the line that says so.
    """
    if len(steps) <= limit:
        return list(steps), Counter()
    ranked = sorted(
        steps, key=lambda step: (step.status in _SETTLED, step.status is not StepStatus.BLOCKED, step.position)
    )
    kept = {step.id for step in ranked[: limit - 1]}
    shown = [step for step in steps if step.id in kept]
    return shown, Counter(step_words(step)[1] for step in steps if step.id not in kept)


def _plan(view: ExecutionView) -> PlanBlock:
    shown, rest = folded(view.steps, TASK_LIMIT)
    room = _ROOM // max(len(shown), 1)
    tasks = [_task(view, step, room) for step in shown]
    if rest:
        left_out = f"and {sum(rest.values())} more steps: {_counted(rest)}"
        tasks.append(TaskCardBlock(task_id="rest", title=plain(left_out, 150), status="pending"))
    return PlanBlock(title=plain(_progress(view), 150), tasks=tasks)


def _task(view: ExecutionView, step: StepRunRecord, room: int) -> TaskCardBlock:
    _, words = step_words(step, run_ended=view.execution.status.ended)
    details = plain(" · ".join(part for part in (words, _note(step)) if part), min(200, room))
    output = _output(step)
    return TaskCardBlock(
        task_id=f"step-{step.id}",
        title=plain(step_title(view.runbook, step), 120),
        status=task_status(step),
        details=rich(details),
        output=rich(plain(output, min(150, room))) if output else None,
    )


def _step_lines(view: ExecutionView) -> list[Block]:
    shown, rest = folded(view.steps, TASK_LIMIT)
    room = min(200, _ROOM // max(len(shown), 1))
    lines = [f"*{inline(_progress(view))}*"]
    for step in shown:
        icon, words = step_words(step, run_ended=view.execution.status.ended)
        note = _note(step) or _output(step)
        tail = f" · {inline(note, room)}" if note else ""
        lines.append(f"{icon} {code(step_title(view.runbook, step), 120)} {words}{tail}")
    if rest:
        lines.append(f"and {sum(rest.values())} more steps: {_counted(rest)}")
    return sections(lines)


def step_title(runbook: Runbook, step: StepRunRecord) -> str:
    """The step's path, and its name where the runbook gives one."""
    known = runbook.by_id.get(step.step_id)
    name = known.name if known is not None else ""
    return f"{step.path} · {name}" if name and name != step.path else step.path


def _note(step: StepRunRecord) -> str:
    return error_field(step.error, "message") or step.note


def _output(step: StepRunRecord) -> str:
    """The telling part of what a step gave back."""
    if step.status is not StepStatus.SUCCESS or not isinstance(step.outputs, dict) or not step.outputs:
        return ""
    if "status" in step.outputs:
        body = step.outputs.get("json", step.outputs.get("text"))
        return as_json(step.outputs["status"], 20) + (f" · {_told(body, 120)}" if body not in (None, "") else "")
    return _told(step.outputs, 140)


def _told(value: Json, limit: int) -> str:
    """A value without the brackets that only programs need."""
    pairs = value.items() if isinstance(value, dict) else ()
    return cut(", ".join(f"{key}: {as_json(part, 40)}" for key, part in pairs), limit) or as_json(value, limit)


def _progress(view: ExecutionView) -> str:
    ended = sum(1 for step in view.steps if step.ended_at is not None)
    return f"{ended} of {len(view.steps)} steps ended" if view.steps else "No steps yet"


def _counted(rest: Counter[str]) -> str:
    return ", ".join(f"{count} {words}" for words, count in rest.most_common())


def _trouble(execution: ExecutionRecord) -> list[Block]:
    why = error_field(execution.error, "message")
    if execution.status is ExecutionStatus.PAUSED and execution.paused_reason:
        return [section(f"*Paused:* {escape(execution.paused_reason, 600)}")]
    if execution.status is ExecutionStatus.CANCELLED:
        return [section(f"*Cancelled:* {escape(why, 600)}")] if why else []
    return [section(f"*What went wrong:* {escape(why, 600)}")] if why else []


def _open_gates(view: ExecutionView) -> list[Block]:
    waiting = [gate for gate in view.gates if gate.approval.status is ApprovalStatus.PENDING]
    blocks: list[Block] = []
    for gate in waiting[:2]:
        blocks += gates.gate_blocks(gate, brief=True)
    if len(waiting) > 2:
        blocks.append(context(f"{len(waiting) - 2} more gates wait in the thread."))
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
    ref = StepRef(step.execution_id, step.path)
    why = _note(step) or "The call was sent and nobody saw how it ended."
    return [
        section(
            f"❓ *{inline(step_title(runbook, step), 120)}: outcome unknown.* {escape(why, 500)}\n"
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


def _buttons(execution: ExecutionRecord) -> list[ButtonElement]:
    if execution.status.ended or execution.ending is not None:
        return []
    what = f"{execution.slug}, {execution.id}: steps that run now are dropped."
    ask = confirm("Cancel this run?", what, "Cancel the run", style="danger")
    return [button("Cancel the run", Action.CANCEL, RunRef(execution.id), style="danger", confirm=ask)]


def _small_print(execution: ExecutionRecord) -> list[str]:
    version = code(f"{execution.slug}@{execution.number}", 120)
    parts = [f"{version} started by {person(execution.requester)} {when(execution.created_at)}"]
    if execution.status.ended and execution.ended_at is not None:
        parts.append(f"took {duration(execution.ended_at - execution.created_at)}")
    if execution.reason:
        parts.append(f"because: {inline(execution.reason, 300)}")
    if isinstance(execution.parameters, dict) and execution.parameters:
        pairs = " ".join(f"{name}={as_json(value, 60)}" for name, value in execution.parameters.items())
        parts.append(code(pairs, 400))
    return parts
