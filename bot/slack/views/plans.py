"""A plan as Slack shows it to the one person who asked."""

from __future__ import annotations

from collections.abc import Iterable

from slack_sdk.models.blocks import Block

from bot import plan_text
from bot.slack.ids import Action
from bot.slack.payload_values import PlanRef
from bot.slack.views.parts import Message, actions, button, confirm, context, message, section
from bot.slack.views.text import code, code_block, inline, link, pieces
from bot.slack.views.why import people
from bot.typed_hints import typed_here
from engine.runs.plan_records import Obstacle, Plan

_PIECE = 2_500
_PIECES = 3
"""Characters in one block of a plan, and blocks of it in one message; what is longer is a file, too."""
_OBSTACLES = 5
_GOOD_FOR = "The link is good for 15 minutes, the page for an hour."


def is_long(plan: Plan) -> bool:
    """Whether a message does not hold all of it."""
    return len(list(pieces(text(plan), _PIECE))) > _PIECES


def text(plan: Plan) -> str:
    """The whole of it, as a file or as the blocks of a message."""
    return "\n".join(plan_text.lines(plan.as_json()))


def plan_view(
    plan: Plan, ref: PlanRef | None, command: str, *, changes: Iterable[str] = (), file: str = "", page: str = ""
) -> Message:
    """The plan with its Run button, which is there where `ref` is given and nothing is in the way.

    `changes` are what differs from the plan before it, `file` says where the whole of a long one is, and `page` is
    the address of its page for this person alone. `command` is put before a verb that is hinted at.
    """
    title = f"What {code(f'{plan.slug}@{plan.number}')} would do. Nothing was done."
    if any(count for word, count in (plan.live or {}).items() if word != "not_called"):
        title += " Its targets were asked in check mode; their answers stand beside the calls."
    blocks: list[Block] = []
    differs = [inline(each, 300) for each in changes]
    if differs:
        told = "\n".join(f"• {each}" for each in differs)
        blocks.append(section(f"⚠️ This is not what was planned any more, and nothing was started:\n{told}"))
    blocks.append(section(title))
    said = "\n".join(plan_text.lines(plan.as_json(), obstacles=not plan.obstacles))
    blocks += [section(code_block(each)) for each in list(pieces(said, _PIECE))[:_PIECES]]
    blocks += [section(_in_the_way(each, command)) for each in plan.obstacles[:_OBSTACLES]]
    if file:
        blocks.append(context(file))
    if page:
        blocks.append(context(f"{link(page, 'Read it on a page, with its picture')}: yours alone. {_GOOD_FOR}"))
    if ref is not None and not plan.obstacles:
        sure = confirm("Run this?", "It starts at once, exactly as it is shown here.", "Run")
        blocks += actions([button("Run exactly this", Action.RUN_PLAN, ref, "primary", sure)])
    return message(title, blocks)


def _in_the_way(obstacle: Obstacle, command: str) -> str:
    ask = f" Ask {people(obstacle.ask)}." if obstacle.ask else ""
    return f"⛔ You cannot start it now: {inline(typed_here(obstacle.why, command), 900)}{ask}"
