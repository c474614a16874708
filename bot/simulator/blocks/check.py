"""Whether Slack would take these blocks, or this view: the two questions the Web API asks."""

from __future__ import annotations

from bot.simulator.blocks.block_kit_limits import LIMITS
from bot.simulator.blocks.kinds import BLOCKS, SURFACES
from bot.simulator.blocks.objects import text
from bot.simulator.blocks.rules import Check, Problem, anything, boolean, enum, record, string
from bot.simulator.blocks.tables import text_length
from bot.simulator.json_value import Json


def check_blocks(blocks: Json, surface: str, pointer: str = "/blocks") -> list[Problem]:
    """Every reason for which Slack would refuse these blocks on a surface (message, modal or home); none is fine."""
    if not isinstance(blocks, list):
        return [Problem(pointer, "type", "must be an array")]
    most = LIMITS["message.blocks.max_items" if surface == "message" else "view.blocks.max_items"]
    if len(blocks) > most:
        name = "message" if surface == "message" else "view"
        return [Problem(pointer, f"{name}.blocks.max_items", f"no more than {most} items allowed")]
    found: list[Problem] = []
    for index, block in enumerate(blocks):
        _check_block(block, surface, f"{pointer}/{index}", found)
    if not found:
        _check_ids(blocks, pointer, found)
        _check_totals(blocks, pointer, found)
    return found


def _check_block(block: Json, surface: str, pointer: str, found: list[Problem]) -> None:
    kind = block.get("type") if isinstance(block, dict) else None
    allowed = SURFACES[surface]
    if not isinstance(kind, str):
        found.append(Problem(pointer, "required", "missing required field: type"))
    elif kind not in BLOCKS:
        found.append(Problem(f"{pointer}/type", "unknown_block", f"unsupported type: {kind}"))
    elif kind not in allowed:
        found.append(Problem(f"{pointer}/type", "surface", f"a {surface} does not take blocks of type {kind}"))
    else:
        allowed[kind](block, pointer, found)
        if surface != "modal" and kind == "input" and block.get("element", {}).get("type") == "file_input":
            found.append(Problem(f"{pointer}/element/type", "surface", "file_input stands in modals only"))


def _check_ids(blocks: list[dict[str, Json]], pointer: str, found: list[Problem]) -> None:
    seen: set[str] = set()
    for index, block in enumerate(blocks):
        block_id = block.get("block_id")
        if block_id in seen:
            found.append(Problem(f"{pointer}/{index}/block_id", "block_id.unique", f"duplicate block_id: {block_id}"))
        seen.update([block_id] if block_id else [])


def _check_totals(blocks: list[dict[str, Json]], pointer: str, found: list[Problem]) -> None:
    """What one message may hold altogether."""
    kinds = [block["type"] for block in blocks]
    markdown = sum(len(block["text"]) for block in blocks if block["type"] == "markdown")
    if markdown > LIMITS["markdown.total_text.max_length"]:
        found.append(Problem(pointer, "markdown.total_text.max_length", "too much markdown text in one message"))
    cells = sum(text_length(block["rows"]) for block in blocks if block["type"] == "table")
    if cells > LIMITS["table.content.max_length"]:
        found.append(Problem(pointer, "table.content.max_length", "too many characters in the table's cells"))
    if kinds.count("table") + kinds.count("data_table") > 1:
        found.append(Problem(pointer, "only_one_table_allowed", "a message takes one table"))
    if kinds.count("data_visualization") > LIMITS["message.data_visualizations.max_items"]:
        found.append(Problem(pointer, "message.data_visualizations.max_items", "a message takes two charts"))


_COMMON: dict[str, Check] = {
    "type": anything,
    "blocks": anything,
    "private_metadata": string("view.private_metadata.max_length", least=0),
    "callback_id": string("view.callback_id.max_length", least=0),
    "external_id": string("view.external_id.max_length", least=0),
}
_MODAL = record(
    {
        **_COMMON,
        "title": text("view.title.max_length", plain=True),
        "submit": text("view.submit.max_length", plain=True),
        "close": text("view.close.max_length", plain=True),
        "clear_on_close": boolean,
        "notify_on_close": boolean,
        "submit_disabled": boolean,
    },
    required=("title", "blocks"),
)
_HOME = record(_COMMON, required=("blocks",))


def check_view(view: Json, pointer: str = "/view") -> list[Problem]:
    """Every reason for which Slack would refuse this view, a modal or a Home tab."""
    found: list[Problem] = []
    kind = view.get("type") if isinstance(view, dict) else None
    if kind not in ("modal", "home"):
        enum("modal", "home")(kind, f"{pointer}/type", found)
        return found
    (_MODAL if kind == "modal" else _HOME)(view, pointer, found)
    blocks = view.get("blocks")
    if isinstance(blocks, list) and not blocks:
        found.append(Problem(f"{pointer}/blocks", "view.blocks.min_items", "must have at least one block"))
    elif "blocks" in view:
        found += check_blocks(blocks, str(kind), f"{pointer}/blocks")
    if not found:
        _check_modal(view, pointer, found)
    return found


def _check_modal(view: dict[str, Json], pointer: str, found: list[Problem]) -> None:
    inputs = [block for block in view["blocks"] if block["type"] == "input"]
    if view["type"] == "modal" and inputs and "submit" not in view:
        found.append(Problem(pointer, "view.submit", "missing required field: submit (the view has an input)"))
    if sum(1 for block in inputs if block["element"].get("focus_on_load")) > 1:
        found.append(Problem(f"{pointer}/blocks", "view.focus_on_load", "only one element may take the focus"))
