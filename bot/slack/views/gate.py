"""A gate: what is asked, what would happen next, who may decide, and, once decided, who did."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slack_sdk.models.blocks import Block

from bot.slack.ids import Action, GateRef
from bot.slack.views.parts import Message, actions, button, context, message, section
from bot.slack.views.text import as_json, code_block, escape, inline, person, pieces, when
from bot.slack.views.words import approver_words, gate_words
from storage.records import Json, VoteRecord
from storage.states import ApprovalStatus, Decision

if TYPE_CHECKING:
    from engine.executions import GateView

_PIECE, _PIECES = 2800, 2
"""Characters in one block of a preview, escaped, and blocks of it in one message."""
_SHORT = 600
_CALLS = {
    "http": ("method", "url"),
    "poll": ("kind", "method", "url"),
    "grpc": ("kind", "target", "service", "method"),
    "runbook": ("kind", "id"),
}
"""The keys of a preview that say in short what is called, by the kind of step; others say their kind."""
_BLOCKS = ("then", "else", "steps")


def gate_post(gate: GateView) -> Message:
    """The gate's own message in the thread; the buttons give way to what happened."""
    approval = gate.approval
    icon, words = gate_words(approval)
    text = f"{icon} {words}: {inline(approval.path, 120)} in {inline(approval.execution_id, 40)}"
    return message(text, gate_blocks(gate))


def gate_blocks(gate: GateView, *, brief: bool = False) -> list[Block]:
    """The gate as blocks; `brief` leaves the preview to the thread."""
    approval = gate.approval
    icon, words = gate_words(approval)
    asked = f"{icon} *{words}: {inline(approval.path, 120)}*"
    blocks: list[Block] = [section(f"{asked}\n{escape(approval.message, 800)}" if approval.message else asked)]
    if approval.preview and not brief:
        blocks += _preview(approval.preview)
    if approval.status is not ApprovalStatus.PENDING:
        decided = f"{words} {when(approval.decided_at)}" if approval.decided_at else words
        return [*blocks, context(" · ".join([decided, *(_vote(vote) for vote in gate.votes[:10])]))]
    ref = GateRef(approval.execution_id, approval.path, approval.digest)
    blocks += actions(
        [
            button("Approve", Action.APPROVE, ref, style="primary"),
            button("Reject", Action.REJECT, ref, style="danger"),
        ]
    )
    return [*blocks, context(*_terms(gate))]


def _terms(gate: GateView) -> list[str]:
    approval = gate.approval
    needed = approval.min_approvals
    approved = sum(vote.decision is Decision.APPROVE for vote in gate.votes)
    left = f"needs {needed} approval{'' if needed == 1 else 's'}, has {approved}"
    if gate.unmet:
        left += f"; still missing {inline(', '.join(gate.unmet), 300)}"
    end = {"approve": "it counts as approved", "reject": "it counts as rejected"}.get(
        approval.on_timeout, "the run fails"
    )
    own = "" if approval.allow_self else "; not who asked for the run"
    return [
        f"{left} · may decide: {approver_words(approval.approvers)}{own}",
        f"open until {when(approval.expires_at)}, then {end}",
        " · ".join(_vote(vote) for vote in gate.votes[:10]),
    ]


def _vote(vote: VoteRecord) -> str:
    did = "approved" if vote.decision is Decision.APPROVE else "rejected"
    return f"{person(vote.person)} {did}" + (f": “{inline(vote.comment, 200)}”" if vote.comment else "")


def _preview(preview: Json) -> list[Block]:
    items = preview if isinstance(preview, list) else [preview]
    text = "\n".join(line for item in items for line in preview_lines(item))
    found = list(pieces(text, _PIECE))
    rest = sum(len(piece) for piece in found[_PIECES:])
    shown: list[Block] = [section("*What happens next:*"), *(section(code_block(piece)) for piece in found[:_PIECES])]
    return [*shown, context(f"{rest:,} more characters are not shown here.")] if rest else shown


def preview_lines(item: Json) -> list[str]:
    """One thing that would happen: `restart: POST https://…`, a line for everything else that would be sent, and the
    steps of a branch or a loop below it, further in."""
    if not isinstance(item, dict):
        return [as_json(item, _SHORT)]
    keys = _CALLS.get(str(item.get("kind")), ("kind",))
    call = " ".join(str(item[key]) for key in keys if item.get(key))
    rest = {key: value for key, value in item.items() if key not in ("step", "kind", *keys)}
    lines = [f"{as_json(item.get('step', '?'), 100)}: {as_json(call, _SHORT)}"]
    for key, value in rest.items():
        if key in _BLOCKS and isinstance(value, list):
            inner = (line for each in value for line in preview_lines(each))
            lines += [f"  {key}:", *(f"    {line}" for line in inner)]
        elif value not in (None, "", [], {}):
            lines.append(f"  {key}: {as_json(value, _SHORT)}")
    return lines
