"""The composition objects: text, options, confirmation dialogs and the like."""

from __future__ import annotations

from bot.simulator.blocks.rules import Check, Problem, anything, array, boolean, enum, record, requires, string
from bot.simulator.json_value import Json


def text(limit: str = "text.max_length", *, plain: bool = False) -> Check:
    """A text object. `plain` ones refuse mrkdwn; emoji belongs to plain_text only, verbatim to mrkdwn only."""
    length = string(limit)

    def content(value: Json, pointer: str, found: list[Problem]) -> None:
        if value == "":
            found.append(Problem(pointer, "text.min_length", "must be more than 0 characters"))
        else:
            length(value, pointer, found)

    plain_text = record({"type": anything, "text": content, "emoji": boolean}, required=("text",))
    mrkdwn = record({"type": anything, "text": content, "verbatim": boolean}, required=("text",))

    def check(value: Json, pointer: str, found: list[Problem]) -> None:
        kind = value.get("type") if isinstance(value, dict) else None
        if kind == "plain_text":
            plain_text(value, pointer, found)
        elif kind == "mrkdwn" and not plain:
            mrkdwn(value, pointer, found)
        else:
            wanted = "plain_text" if plain else "plain_text or mrkdwn"
            found.append(Problem(pointer, "text.type", f"must be a text object of type {wanted}"))

    return check


confirm = record(
    {
        "title": text("confirmation.title.max_length", plain=True),
        "text": text("confirmation.text.max_length"),
        "confirm": text("confirmation.confirm.max_length", plain=True),
        "deny": text("confirmation.deny.max_length", plain=True),
        "style": enum("primary", "danger"),
    },
    required=("title", "text", "confirm", "deny"),
)


def option(*, plain: bool = True, link: bool = False) -> Check:
    """An option. Menus take plain text, checkboxes and radio buttons mrkdwn too; only an overflow's may link."""
    fields = {
        "text": text("option.text.max_length", plain=plain),
        "value": string("option.value.max_length"),
        "description": text("option.description.max_length", plain=plain),
    }
    if link:
        fields["url"] = string("option.url.max_length")
    return record(fields, required=("text", "value"))


option_group = record(
    {"label": text("option_group.label.max_length", plain=True), "options": array(option(), "option_group.options")},
    required=("label", "options"),
)

dispatch_config = record(
    {
        "trigger_actions_on": array(
            enum("on_enter_pressed", "on_character_entered"), "dispatch_action_configuration.trigger_actions_on"
        )
    },
    required=("trigger_actions_on",),
)

conversation_filter = record(
    {
        "include": array(enum("im", "mpim", "private", "public"), "conversation_filter.include"),
        "exclude_external_shared_channels": boolean,
        "exclude_bot_users": boolean,
    },
    also=(requires(bool, "conversation_filter.content", "must not be empty"),),
)

slack_file = record(
    {"id": string(), "url": string()},
    also=(requires(lambda v: len(v) == 1, "slack_file.source", "must have exactly one of id and url"),),
)
