"""Every kind of block, and the kinds each surface takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bot.simulator.blocks import charts, elements, tables
from bot.simulator.blocks.objects import slack_file, text
from bot.simulator.blocks.rich_text import rich_text
from bot.simulator.blocks.rules import (
    Check,
    Problem,
    anything,
    array,
    boolean,
    by_type,
    enum,
    exactly_one,
    record,
    requires,
    string,
)
from bot.simulator.json_value import Json


def block(*required: str, also: Sequence[Check] = (), **fields: Check) -> Check:
    """A block: `fields` beside its type and block_id."""
    return record({"type": anything, "block_id": string("block_id.max_length")} | fields, required=required, also=also)


def distinct_actions(value: Json, pointer: str, found: list[Problem]) -> None:
    """An action_id stands for one element within a block."""
    seen: set[str] = set()
    for index, each in enumerate(value["elements"]):
        action_id = each.get("action_id")
        if action_id in seen:
            where = f"{pointer}/elements/{index}"
            found.append(Problem(where, "action_id.unique", f"duplicate action_id: {action_id}"))
        seen.update([action_id] if action_id else [])


def of(kinds: Mapping[str, Check], rule: str) -> Check:
    return by_type(kinds, rule)


TASK_CARD = block(
    "task_id",
    "title",
    "status",
    task_id=string(),
    title=string(),
    status=enum("pending", "in_progress", "complete", "error"),
    details=rich_text,
    output=rich_text,
    sources=array(elements.URL_SOURCE),
)

CARD = block(
    title=text("card.title.max_length"),
    subtitle=text("card.subtitle.max_length"),
    body=text("card.body.max_length"),
    subtext=text("card.subtext.max_length"),
    icon=elements.IMAGE,
    slack_icon=record({"type": enum("icon"), "name": string()}, required=("type", "name")),
    hero_image=elements.IMAGE,
    actions=array(of({"button": elements.BUTTON}, "card.actions"), "card.actions"),
    also=(
        requires(
            lambda v: any(k in v for k in ("title", "body", "hero_image", "actions")),
            "card.content",
            "must have a title, a body, a hero_image or actions",
        ),
    ),
)

IMAGE = block(
    "alt_text",
    image_url=string("image.image_url.max_length"),
    slack_file=slack_file,
    alt_text=string("image.alt_text.max_length"),
    title=text("image.title.max_length", plain=True),
    also=(exactly_one("image_url", "slack_file", "image.source"),),
)

VIDEO = block(
    "alt_text",
    "title",
    "thumbnail_url",
    "video_url",
    alt_text=string("video.alt_text.max_length"),
    title=text("video.title.max_length", plain=True),
    description=text("video.description.max_length", plain=True),
    author_name=string("video.author_name.max_length"),
    provider_name=string("video.provider_name.max_length"),
    provider_icon_url=string(),
    thumbnail_url=string("video.thumbnail_url.max_length"),
    title_url=string("video.title_url.max_length"),
    video_url=string("video.video_url.max_length"),
)

BLOCKS: dict[str, Check] = {
    "actions": block(
        "elements",
        elements=array(of(elements.IN_ACTIONS, "actions.elements"), "actions.elements"),
        also=(distinct_actions,),
    ),
    "alert": block(
        "text", text=text("alert.text.max_length"), level=enum("default", "info", "warning", "error", "success")
    ),
    "card": CARD,
    "carousel": block("elements", elements=array(of({"card": CARD}, "carousel.elements"), "carousel.elements")),
    "context": block("elements", elements=array(of(elements.IN_CONTEXT, "context.elements"), "context.elements")),
    "context_actions": block(
        "elements",
        elements=array(of(elements.CONTEXT_ACTIONS, "context_actions.elements"), "context_actions.elements"),
        also=(distinct_actions,),
    ),
    "data_table": tables.DATA_TABLE,
    "data_visualization": charts.DATA_VISUALIZATION,
    "divider": block(),
    "header": block("text", text=text("header.text.max_length", plain=True)),
    "image": IMAGE,
    "input": block(
        "label",
        "element",
        label=text("input.label.max_length", plain=True),
        hint=text("input.hint.max_length", plain=True),
        element=of(elements.IN_INPUT, "input.element"),
        optional=boolean,
        dispatch_action=boolean,
    ),
    "markdown": block("text", text=string("markdown.text.max_length")),
    "plan": block(
        "title",
        title=string(),
        # A task may leave its type out: inside a plan it can be nothing else.
        tasks=array(lambda v, p, f: TASK_CARD(v, p, f), "plan.tasks"),
    ),
    "rich_text": rich_text,
    "section": block(
        text=text("section.text.max_length"),
        fields=array(text("section.fields.item_max_length"), "section.fields"),
        accessory=of(elements.IN_SECTION, "section.accessory"),
        expand=boolean,
        also=(requires(lambda v: "text" in v or "fields" in v, "section.content", "must have text or fields"),),
    ),
    "table": tables.TABLE,
    "task_card": TASK_CARD,
    "video": VIDEO,
}
BLOCKS["container"] = block(
    "child_blocks",
    title=text("container.title.max_length", plain=True),
    rich_text_title=rich_text,
    subtitle=text("container.subtitle.max_length"),
    child_blocks=array(of(dict(BLOCKS), "container.child_blocks"), "container.child_blocks"),
    width=enum("narrow", "standard", "wide", "full"),
    icon=elements.IMAGE,
    is_collapsible=boolean,
    default_collapsed=boolean,
    has_header_divider=boolean,
    also=(
        requires(lambda v: "title" in v or "rich_text_title" in v, "container.title", "must have a title"),
        requires(
            lambda v: not (v.get("is_collapsible") and v.get("has_header_divider")),
            "container.has_header_divider",
            "has_header_divider does not go with is_collapsible",
        ),
    ),
)

# Where Slack's pages disagree about a surface (card, container, table …), the block is left out here:
# what the practice workspace takes, Slack takes.
_EVERYWHERE = ("actions", "context", "divider", "header", "image", "input", "rich_text", "section", "video")
SURFACES: dict[str, dict[str, Check]] = {
    "message": {name: check for name, check in BLOCKS.items() if name != "alert"},
    "modal": {name: BLOCKS[name] for name in (*_EVERYWHERE, "alert")},
    "home": {name: BLOCKS[name] for name in _EVERYWHERE},
}
