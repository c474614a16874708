"""A gate: what is asked, what would happen next, who may decide, and, once decided, who did."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slack_sdk.models.blocks import Block

from bot import preview
from bot.slack.ids import Action
from bot.slack.payload_values import GatePage, GateRef
from bot.slack.views.parts import (
    Message,
    actions,
    button,
    context,
    how_many_fit,
    in_parts,
    message,
    noted,
    section,
    sections,
    within,
)
from bot.slack.views.text import (
    as_json,
    clean,
    code,
    code_block,
    cut,
    escape,
    group,
    inline,
    one_line,
    person,
    pieces,
    when,
)
from bot.slack.views.words import approver_words, gate_words
from storage.records import ApprovalRecord, Json, VoteRecord
from storage.states import ApprovalStatus, Decision

if TYPE_CHECKING:
    from engine.runs.executions import GateView
    from engine.runs.gate_notifications import Calling

_PIECE, _PIECES = 2800, 2
"""Characters in one block of a preview, escaped, and blocks of it in one message."""
_ASKED, _EACH = 800, 600
"""Characters of what is asked, and of each value of what would be done, in a message."""
_ON_A_CARD = 800
"""Characters of a preview that the card shows as well."""
_SETTLED_ROOM, _STEP, _WHY, _WHOLE_WHY = 2500, 120, 300, 2000
"""Characters for the steps that would not be done, for the name of each, and for why in a message and in full."""
_REJECTIONS = 5
"""Earlier rejections that are told."""


def gate_post(gate: GateView, called: Calling | None = None) -> Message:
    """The gate's own message in the thread; the buttons give way to what happened. It rings those who are `called`."""
    approval = gate.approval
    icon, words = gate_words(approval)
    text = f"{icon} {words}: {inline(approval.path, 120)} in {inline(approval.execution_id, 40)}"
    return message(text, gate_blocks(gate, called))


def gate_blocks(gate: GateView, called: Calling | None = None, *, brief: bool = False) -> list[Block]:
    """The gate as blocks; `brief` leaves a long preview to the form that its first button opens.

    Posted in a channel they ring those who are `called`, and nobody else.
    """
    approval = gate.approval
    icon, words = gate_words(approval)
    asked = f"{icon} *{words}: {inline(approval.path, 120)}*"
    blocks: list[Block] = [section(f"{asked}\n{escape(approval.message, _ASKED)}" if approval.message else asked)]
    whole = not brief or _is_short(approval.preview)
    if approval.preview and whole:
        blocks += _preview(approval.preview)
    if approval.status is not ApprovalStatus.PENDING:
        decided = f"{words} {when(approval.decided_at)}" if approval.decided_at else words
        return [*blocks, context(" · ".join([decided, *(_vote(vote) for vote in gate.votes[:10])]))]
    blocks += _rejected_before(gate)
    if called is not None and called.stuck:
        blocks.append(section(f"⚠️ *As things are, this gate cannot pass:* {inline(called.stuck, 500)}."))
    if called is not None and called.in_channel and called.people:
        blocks.append(section(f"📣 {call_words(called)} can decide."))
    more = hidden(approval, whole=whole)
    if more:
        blocks.append(
            context(f"⚠️ *{more:,} more characters are not shown here.* Open it to read all of it and to decide.")
        )
    decide = _review(approval) if more else _decide(approval)
    return [*blocks, *decide, context(*_terms(gate))]


def hidden(approval: ApprovalRecord, *, whole: bool = True) -> int:
    """How many characters of what a gate asks, and of what would be done, its message leaves out.

    A message that is not `whole` shows nothing of what would be done.
    """
    left_out = _settled_left_out(approval.preview, whole=whole)
    if whole and not _is_cut(approval):
        return left_out
    shown = len("".join(_in_message(approval.preview))) if whole else 0
    return max(1, len(_whole(approval)) - shown - min(len(clean(approval.message)), _ASKED) - 1) + left_out


def parts(approval: ApprovalRecord) -> list[list[Block]]:
    """All that a gate asks, would do and would not do, in parts that a modal holds."""
    blocks: list[Block] = [section(code_block(piece, 3000)) for piece in pieces(_whole(approval), _PIECE)]
    lines = [line for step, why in preview.settled(approval.preview) for line in _settled_in_full(step, why)]
    return in_parts([*blocks, *sections([_NOT_DONE, *lines] if lines else [])])


def part_blocks(gate: GateView, page: int) -> list[Block]:
    """One part of a gate in full. Only below the last one stand the buttons that decide."""
    approval, found = gate.approval, parts(gate.approval)
    icon, words = gate_words(approval)
    where = f" · part {page + 1} of {len(found)}" if len(found) > 1 else ""
    blocks: list[Block] = [section(f"{icon} *{words}: {inline(approval.path, 120)}*{where}"), *found[page]]
    if page < len(found) - 1:
        ref = GatePage(approval.execution_id, approval.path, approval.digest, page + 1)
        return [*blocks, *actions([button("Next part", Action.REVIEW_PAGE, ref, style="primary")])]
    decide = _decide(approval) if approval.status is ApprovalStatus.PENDING else []
    return [*blocks, *_rejected_before(gate), *decide, context(*_terms(gate))]


def _decide(approval: ApprovalRecord) -> list[Block]:
    ref = GateRef(approval.execution_id, approval.path, approval.digest)
    approve = button("Approve", Action.APPROVE, ref, style="primary")
    return actions([approve, button("Reject", Action.REJECT, ref, style="danger")])


def _review(approval: ApprovalRecord) -> list[Block]:
    ref = GateRef(approval.execution_id, approval.path, approval.digest)
    return actions([button("Review and decide", Action.REVIEW, ref, style="primary")])


def _whole(approval: ApprovalRecord) -> str:
    return "\n".join([clean(approval.message), *preview.planned(approval.preview)])


def _in_message(shown: Json) -> list[str]:
    """The pieces of what would be done that stand in a message."""
    return list(pieces("\n".join(preview.planned(shown, _EACH)), _PIECE))[:_PIECES]


def _is_cut(approval: ApprovalRecord) -> bool:
    whole = "\n".join(preview.planned(approval.preview))
    asked = clean(approval.message)
    return "".join(_in_message(approval.preview)) != clean(whole) or escape(asked, _ASKED) != escape(asked, 10**9)


def _is_short(shown: Json) -> bool:
    """Whether what would be done fits a card; there is nothing to fit where nothing would be."""
    if not shown:
        return True
    lines = [*preview.planned(shown), *(f"{step}: {why}" for step, why in preview.settled(shown))]
    return sum(len(line) for line in lines) <= _ON_A_CARD


def call_words(called: Calling) -> str:
    """Those who can still decide as mentions: people where they are few, else their user groups."""
    if called.more and called.groups:
        return ", ".join(group(each) for each in called.groups[:_REJECTIONS])
    named = ", ".join(person(each) for each in called.people)
    return f"{named} and others" if called.more else named


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
    return [
        f"{left} · may decide: {approver_words(approval.approvers, silent=True)}{barred_words(approval)}",
        f"open until {when(approval.expires_at)}, then {end}",
        " · ".join(_vote(vote) for vote in gate.votes[:10]),
    ]


def barred_words(approval: ApprovalRecord) -> str:
    """Who may not decide although they are among those who may, behind a semicolon; "" where nobody is kept from it."""
    if approval.allow_self:
        return ""
    skipped = ", ".join(person(each) for each in (approval.barred or ())[:_REJECTIONS])
    nor = f", nor {skipped}, who had a step of it skipped or gave answers that it shows" if skipped else ""
    return f"; not who asked for the run, owned it or chose its values{nor}"


def _rejected_before(gate: GateView) -> list[Block]:
    told = [
        f"⚠️ rejected before by {person(vote.person)}{f': “{inline(vote.comment, 200)}”' if vote.comment else ''}"
        for vote in gate.rejected_before[:_REJECTIONS]
    ]
    return [context(*told)] if told else []


def _vote(vote: VoteRecord) -> str:
    did = "approved" if vote.decision is Decision.APPROVE else "rejected"
    answers = ", ".join(f"{name}={as_json(value, 60)}" for name, value in (vote.answers or {}).items())
    told = f" with {code(answers, 200)}" if answers else ""
    return f"{person(vote.person)} {did}{told}" + (f": “{inline(vote.comment, 200)}”" if vote.comment else "")


def _preview(shown: Json) -> list[Block]:
    """What would be done as one text, and below it what would not be, with the people who had it so."""
    found = _in_message(shown)
    blocks: list[Block] = [section("*What happens next:*"), *(section(code_block(piece)) for piece in found)]
    return (blocks if found else []) + _settled(shown)


def _settled(shown: Json) -> list[Block]:
    lines = [_settled_line(step, why) for step, why in preview.settled(shown)]
    return [section("\n".join([_NOT_DONE, *within(lines, _SETTLED_ROOM)]))] if lines else []


def _settled_line(step: str, why: str) -> str:
    return f"• {code(step, _STEP)}: {noted(cut(one_line(why), _WHY))}"


def _settled_in_full(step: str, why: str) -> list[str]:
    """A step that would not be done, and why, in lines that each fit a block."""
    first, *others = list(pieces(one_line(why), _WHOLE_WHY)) or [""]
    return [f"• {code(step, 5 * _STEP)}: {noted(first)}", *(escape(each) for each in others)]


def _settled_left_out(shown: Json, *, whole: bool) -> int:
    """How many characters about the steps that would not be done a message leaves out."""
    found = preview.settled(shown)
    kept = how_many_fit([_settled_line(*each) for each in found], _SETTLED_ROOM) if whole else 0
    cut_off = sum(max(0, len(step) + 2 - _STEP) + max(0, len(one_line(why)) - _WHY) for step, why in found[:kept])
    return cut_off + sum(len(step) + len(one_line(why)) for step, why in found[kept:])


_NOT_DONE = "*Not done, or not done again:*"
