"""Rich text: sections, lists, quotes and preformatted text, and what stands inside them."""

from __future__ import annotations

from bot.simulator.blocks.rules import Check, anything, array, boolean, by_type, enum, integer, record, string

STYLE = record(
    dict.fromkeys(("bold", "italic", "strike", "code", "underline", "highlight", "client_highlight", "unlink"), boolean)
)


def _inline(*required: str, **fields: Check) -> Check:
    return record({"type": anything, "style": STYLE} | fields, required=required)


INLINE: dict[str, Check] = {
    "text": _inline("text", text=string()),
    "link": _inline("url", url=string(), text=string(least=0), unsafe=boolean),
    "user": _inline("user_id", user_id=string()),
    "usergroup": _inline("usergroup_id", usergroup_id=string()),
    "channel": _inline("channel_id", channel_id=string()),
    "team": _inline("team_id", team_id=string()),
    "emoji": _inline("name", name=string(), unicode=string(), url=string()),
    "broadcast": _inline("range", range=enum("here", "channel", "everyone")),
    "color": _inline("value", value=string()),
    "date": _inline("timestamp", "format", timestamp=integer(), format=string(), url=string(), fallback=string()),
}

_inlines = array(by_type(INLINE, "rich_text.elements"))
SECTION = record({"type": anything, "elements": _inlines}, required=("elements",))
_plain = array(by_type({"text": INLINE["text"], "link": INLINE["link"]}, "rich_text_preformatted.elements"))

PARTS: dict[str, Check] = {
    "rich_text_section": SECTION,
    "rich_text_list": record(
        {
            "type": anything,
            "style": enum("bullet", "ordered"),
            "elements": array(by_type({"rich_text_section": SECTION}, "rich_text_list.elements")),
            "indent": integer("rich_text_list.indent"),
            "offset": integer("rich_text_list.offset"),
            "border": integer("rich_text_list.border"),
        },
        required=("style", "elements"),
    ),
    "rich_text_preformatted": record(
        {
            "type": anything,
            "elements": _plain,
            "border": integer("rich_text_preformatted.border"),
            "language": string(),
        },
        required=("elements",),
    ),
    "rich_text_quote": record(
        {"type": anything, "elements": _inlines, "border": integer("rich_text_quote.border")}, required=("elements",)
    ),
}

rich_text = record(
    {
        "type": enum("rich_text"),
        "block_id": string("block_id.max_length"),
        "elements": array(by_type(PARTS, "rich_text.parts")),
    },
    required=("type", "elements"),
)
