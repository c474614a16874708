"""The content of a message as the bot sends it: text, blocks, attachments and metadata, judged and put in order."""

from __future__ import annotations

import json

from bot.simulator.blocks import check_blocks
from bot.simulator.blocks.block_kit_limits import LIMITS
from bot.simulator.json_value import Json
from bot.simulator.messages import with_ids
from bot.simulator.web_api.arguments import Arguments
from bot.simulator.web_api.errors import SlackError

TEXT_CUT = 40_000
TEXT_LIMIT = 4_000
MARKDOWN_TEXT_LIMIT = 12_000
"""Characters of `text` and `markdown_text`. Source: Slack's method reference."""
BLOCKS_SIZE_LIMIT = 13_200
"""Characters of text in all blocks together, about where Slack was seen to refuse; it publishes no figure."""
METADATA_LIMIT = 15_000


def text_size(value: Json) -> int:
    """The characters of every `text` in a JSON value."""
    if isinstance(value, dict):
        own = value.get("text")
        return (len(own) if isinstance(own, str) else 0) + sum(text_size(each) for each in value.values())
    return sum(text_size(each) for each in value) if isinstance(value, list) else 0


def content(args: Arguments, *, text_limit: int | None = None) -> dict[str, Json]:
    """The message that these arguments make. `text_limit` refuses longer text; without it, it is cut at 40,000.

    Raises SlackError with Slack's name for what is wrong.
    """
    blocks = _blocks(args)
    text = str(args.get("text") or "")
    attachments = _attachments(args)
    if not (text or blocks or attachments):
        raise SlackError("no_text")
    if text_limit is not None and len(text) > text_limit:
        raise SlackError("msg_too_long", [f"[ERROR] text cannot exceed {text_limit:,} characters"])
    return {
        "text": text[:TEXT_CUT],
        "blocks": with_ids(blocks) or None,
        "attachments": attachments or None,
        "metadata": _metadata(args),
    }


def _blocks(args: Arguments) -> list[dict[str, Json]]:
    markdown = str(args.get("markdown_text") or "")
    if markdown:
        if args.get("text") or args.get("blocks"):
            raise SlackError("markdown_text_conflict")
        if len(markdown) > MARKDOWN_TEXT_LIMIT:
            raise SlackError("msg_too_long")
        return [{"type": "markdown", "text": markdown}]
    blocks = args.get("blocks")
    if blocks is None:
        return []
    if not isinstance(blocks, list):
        raise SlackError("invalid_blocks_format", ["[ERROR] must be an array [json-pointer:/blocks]"])
    refuse_bad_blocks(blocks, "/blocks")
    if text_size(blocks) > BLOCKS_SIZE_LIMIT:
        raise SlackError("msg_blocks_too_long", [f"[ERROR] about {BLOCKS_SIZE_LIMIT:,} characters fit into all blocks"])
    return blocks


def refuse_bad_blocks(blocks: Json, pointer: str) -> None:
    """Raises SlackError(invalid_blocks) that names every fault by pointer and rule."""
    problems = check_blocks(blocks, "message", pointer)
    if problems:
        raise SlackError("invalid_blocks", [str(problem) for problem in problems])


def _attachments(args: Arguments) -> list[Json]:
    attachments = args.get("attachments") or []
    if not isinstance(attachments, list) or not all(isinstance(each, dict) for each in attachments):
        raise SlackError("invalid_attachments")
    if len(attachments) > LIMITS["message.attachments.max_items"]:
        raise SlackError("too_many_attachments")
    for index, attachment in enumerate(attachments):
        if "blocks" in attachment:
            refuse_bad_blocks(attachment["blocks"], f"/attachments/{index}/blocks")
    return [each | {"blocks": with_ids(each["blocks"])} if "blocks" in each else each for each in attachments]


def _metadata(args: Arguments) -> Json:
    metadata = args.get("metadata")
    if metadata is None:
        return None
    payload = metadata.get("event_payload") if isinstance(metadata, dict) else None
    if not isinstance(payload, dict) or not isinstance(metadata.get("event_type"), str):
        raise SlackError("invalid_metadata_format")
    if len(json.dumps(metadata)) > METADATA_LIMIT:
        raise SlackError("metadata_too_large")
    return metadata
