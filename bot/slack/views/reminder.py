"""A gate as it is told to people who would otherwise miss it: by direct message, and again before its time is up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slack_sdk.models.blocks import ActionsBlock

from bot.slack.views.gate import call_words, gate_blocks, hidden
from bot.slack.views.parts import Message, context, message, said, section
from bot.slack.views.text import channel, code, duration, inline, link, when
from bot.slack.views.words import approver_words, gate_words
from storage.states import ApprovalStatus

if TYPE_CHECKING:
    from engine.runs.executions import ExecutionView, GateView
    from engine.runs.gate_notifications import Calling

_INVITE = "Type `/invite` and this bot's name in that channel"
_WHY_UNREACHABLE = {
    "not_in_channel": f"this bot is not in it. {_INVITE}",
    "channel_not_found": f"the channel is gone, or private without this bot in it. {_INVITE}",
    "external_channel": "it is shared with another workspace, and `external_channels` in _access.yaml does not name it",
    "channel_unknown": "Slack does not tell this bot whose channel it is. Install the app again with its manifest",
    "is_archived": f"the channel is archived. Unarchive it. If it stays silent then: {_INVITE[0].lower()}{_INVITE[1:]}",
}


def direct_gate_message(gate: GateView, view: ExecutionView, permalink: str, command: str) -> Message:
    """The gate for somebody who is not in its channel. It has no buttons that decide: those are where everybody sees
    them.

    `permalink` is "" where there is none; what can be typed instead begins with `command`. Where it shows a part only
    nothing is typed: its button opens all of it, to be decided about there. A decided gate says so.
    """
    approval, execution = gate.approval, view.execution
    _, words = gate_words(approval)
    drawn = message(f"{words}: {inline(approval.path, 120)} of {inline(execution.id, 40)}", gate_blocks(gate))
    is_open = approval.status is ApprovalStatus.PENDING
    if is_open and hidden(approval):
        return direct_gate_question(drawn, view, permalink, "", opens=True)
    return direct_gate_question(
        drawn, view, permalink, f"{command} approve {execution.id} {approval.path}" if is_open else ""
    )


def direct_gate_question(
    drawn: Message, view: ExecutionView, permalink: str, typed: str, *, opens: bool = False
) -> Message:
    """What is asked in a thread, for one person. `typed` is what they can type instead, "" where it is over.

    Where its button only `opens` what is asked, it stands here too.
    """
    what = f"{inline(view.runbook.name, 150)}, {code(view.execution.id)}"
    blocks = [section(f"*A decision is asked of you:* {what}").to_dict()]
    blocks += [block for block in drawn.blocks if opens or block["type"] != ActionsBlock.type]
    there = link(permalink, "Go there") if permalink else ""
    if typed:
        say = code(typed, 300)
        blocks.append(section(f"{there}, or type {say} here." if there else f"Type {say} here.").to_dict())
    elif there:
        blocks.append(context(there).to_dict())
    return Message(drawn.text, tuple(blocks))


def unreachable_notice(view: ExecutionView, where: str, reason: str) -> Message:
    """For who started a run: its channel does not show it, why, and what to do."""
    run = code(view.execution.id)
    why = _WHY_UNREACHABLE.get(reason, f"Slack does not let this bot write there ({code(reason, 80)})")
    return said(
        f"⚠️ {run} ({inline(view.runbook.name, 150)}) goes on, but nobody sees it in {channel(where)}: {why}. "
        "It is tried again every minute, and appears there once that is possible. Until then, those who may decide "
        "its gates are asked by direct message."
    )


def reminder(gate: GateView, left_ms: int, called: Calling | None = None) -> Message:
    """A line in the thread that a gate still waits, which rings those who are `called`, and nobody else."""
    approval, needed = gate.approval, gate.missing
    lack = f"{needed} more approval{'' if needed == 1 else 's'}"
    end = {"approve": "counts as approved", "reject": "counts as rejected"}.get(approval.on_timeout, "fails the run")
    return said(
        f"⏰ *{inline(approval.path, 120)}* still needs {lack} of {approver_words(approval.approvers, silent=True)}. "
        f"{duration(left_ms)} left: without a decision by {when(approval.expires_at)} it {end}."
        + (f" {call_words(called)} can decide." if called is not None and called.in_channel else "")
    )


def reminded_directly(gate: GateView, left_ms: int, permalink: str) -> Message:
    """The same for one person."""
    approval = gate.approval
    where = f" {link(permalink, 'Go to the gate')}" if permalink else ""
    what = f"*{inline(approval.path, 120)}* of {code(approval.execution_id)}"
    return said(f"⏰ {what} still waits for you, {duration(left_ms)} left.{where}")
