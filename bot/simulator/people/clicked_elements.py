"""Finding what a person clicks: the message or view, and the element in it."""

from __future__ import annotations

from collections.abc import Iterator

from bot.simulator.json_value import Json
from bot.simulator.messages import Blocks, Posted
from bot.simulator.people.impossible import Impossible
from bot.simulator.view_store import OpenView
from bot.simulator.workspace import Workspace

Found = tuple[dict[str, Json], dict[str, Json]]


def interactive(blocks: Blocks) -> Iterator[Found]:
    """Every block and element in it that a person can act on, in the order they are shown."""
    for block in blocks:
        kind = block["type"]
        inside: list[Json] = []
        if kind in ("actions", "context_actions"):
            inside = block["elements"]
        elif kind == "section":
            inside = [block.get("accessory")]
        elif kind == "input" and block.get("dispatch_action"):
            inside = [block["element"]]
        elif kind == "card":
            inside = block.get("actions", [])
        yield from ((block, each) for each in inside if isinstance(each, dict) and "action_id" in each)
        nested: Blocks = block.get("child_blocks") or (block["elements"] if kind == "carousel" else [])
        yield from interactive(nested)


def visible(element: dict[str, Json], user: str) -> bool:
    """Whether Slack shows this element to the person."""
    listed = element.get("visible_to_user_ids")
    return not listed or user in listed


def find_element(blocks: Blocks, action_id: str, block_id: str | None, user: str) -> Found | None:
    """The element with this action_id, or the first whose action_id begins with it, among those the person sees."""
    offered = [
        (block, element)
        for block, element in interactive(blocks)
        if visible(element, user) and block_id in (None, block["block_id"])
    ]
    exact = [found for found in offered if found[1]["action_id"] == action_id]
    begins = [found for found in offered if found[1]["action_id"].startswith(action_id)]
    return next(iter([*exact, *begins]), None)


def find_message(ws: Workspace, user: str, where: dict[str, Json]) -> Posted:
    """The message that `ephemeral_id`, or `channel` and `message_ts`, point at. Raises Impossible."""
    if where.get("ephemeral_id"):
        posted = ws.messages.find_ephemeral(str(where["ephemeral_id"]))
    else:
        posted = ws.messages.find_any(str(where.get("channel")), str(where.get("message_ts")))
    if posted is None or posted.only not in (None, user):
        raise Impossible("There is no such message for this person.")
    return posted


def find_view(ws: Workspace, user: str, view_id: str) -> OpenView:
    """A view this person has open. Raises Impossible."""
    opened = ws.views.find(view_id)
    if opened is None or opened.user != user:
        raise Impossible("This person has no such view open.")
    return opened
