"""The elements that stand inside blocks: buttons, menus, pickers and inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bot.simulator.blocks.objects import (
    confirm,
    conversation_filter,
    dispatch_config,
    option,
    option_group,
    slack_file,
    text,
)
from bot.simulator.blocks.rich_text import rich_text
from bot.simulator.blocks.rules import (
    Check,
    Problem,
    anything,
    array,
    boolean,
    enum,
    exactly_one,
    integer,
    number_text,
    record,
    requires,
    string,
)
from bot.simulator.json_value import Json

PLACEHOLDER = text("placeholder.max_length", plain=True)
SELECT_PLACEHOLDER = text("select.placeholder.max_length", plain=True)


def element(*required: str, also: Sequence[Check] = (), **fields: Check) -> Check:
    """An interactive element: `fields` beside its type and action_id."""
    common = {"type": anything, "action_id": string("action_id.max_length")}
    return record(common | fields, required=required, also=also)


def known_options(value: dict[str, Json]) -> list[Json]:
    """Every option an element offers, groups flattened."""
    grouped = [each for group in value.get("option_groups", []) for each in group["options"]]
    return [*value.get("options", []), *grouped]


def initial_is_offered(value: Json, pointer: str, found: list[Problem]) -> None:
    """What is chosen at first must equal an option exactly."""
    chosen = value.get("initial_options", [value["initial_option"]] if "initial_option" in value else [])
    if any(each not in known_options(value) for each in chosen):
        found.append(Problem(pointer, "initial_option", "initial option must equal one of the options exactly"))


def number_range(value: Json, pointer: str, found: list[Problem]) -> None:
    """The bounds of a number input must leave room, and its first value must lie within."""
    low, high = float(value.get("min_value", "-inf")), float(value.get("max_value", "inf"))
    if low > high or not low <= float(value.get("initial_value", low)) <= high:
        found.append(Problem(pointer, "number_input.range", "min_value, initial_value and max_value must be in order"))


def menu(**fields: Any) -> Check:
    return element(placeholder=SELECT_PLACEHOLDER, confirm=confirm, focus_on_load=boolean, **fields)


def choices(name: str) -> dict[str, Check]:
    """The fields of an element that offers a few options openly."""
    each = option(plain=False)
    return {"options": array(each, f"{name}.options"), "confirm": confirm, "focus_on_load": boolean}


_OPTIONS: dict[str, Check] = {
    "options": array(option(), "select.options"),
    "option_groups": array(option_group, "select.option_groups"),
}
_MANY: dict[str, Check] = {"max_selected_items": integer("multi_select.max_selected_items")}
_CONVERSATION: dict[str, Check] = {"default_to_current_conversation": boolean, "filter": conversation_filter}
_QUERY: dict[str, Check] = {"min_query_length": integer("select.min_query_length")}


def _static(name: str, **more: Check) -> Check:
    return element(
        placeholder=SELECT_PLACEHOLDER,
        confirm=confirm,
        focus_on_load=boolean,
        also=(exactly_one("options", "option_groups", f"{name}.choice_source"), initial_is_offered),
        **_OPTIONS,
        **more,
    )


SELECTS: dict[str, Check] = {
    "static_select": _static("static_select", initial_option=option()),
    "external_select": menu(initial_option=option(), **_QUERY),
    "users_select": menu(initial_user=string()),
    "channels_select": menu(initial_channel=string(), response_url_enabled=boolean),
    "conversations_select": menu(initial_conversation=string(), response_url_enabled=boolean, **_CONVERSATION),
}
MULTI_SELECTS: dict[str, Check] = {
    "multi_static_select": _static("multi_static_select", initial_options=array(option()), **_MANY),
    "multi_external_select": menu(initial_options=array(option()), **_QUERY, **_MANY),
    "multi_users_select": menu(initial_users=array(string()), **_MANY),
    "multi_channels_select": menu(initial_channels=array(string()), **_MANY),
    "multi_conversations_select": menu(initial_conversations=array(string()), **_CONVERSATION, **_MANY),
}
PICKERS: dict[str, Check] = {
    "datepicker": menu(initial_date=string()),
    "timepicker": menu(initial_time=string(), timezone=string()),
    "datetimepicker": element(initial_date_time=integer(), confirm=confirm, focus_on_load=boolean),
}
CHOICES: dict[str, Check] = {
    "checkboxes": element(
        "options", initial_options=array(anything), also=(initial_is_offered,), **choices("checkboxes")
    ),
    "radio_buttons": element(
        "options", initial_option=anything, also=(initial_is_offered,), **choices("radio_buttons")
    ),
}
BUTTON = element(
    "text",
    text=text("button.text.max_length", plain=True),
    url=string("button.url.max_length"),
    value=string("button.value.max_length", least=0),
    style=enum("primary", "danger"),
    confirm=confirm,
    accessibility_label=string("button.accessibility_label.max_length"),
    agent_prompt=string("button.agent_prompt.max_length"),
    agent_prompt_display=string(),
    visible_to_user_ids=array(string(), "button.visible_to_user_ids"),
)
WORKFLOW_BUTTON = element(
    "text",
    "workflow",
    text=text("button.text.max_length", plain=True),
    workflow=record({"trigger": anything}, required=("trigger",)),
    style=enum("primary", "danger"),
    accessibility_label=string("button.accessibility_label.max_length"),
)
BUTTONS: dict[str, Check] = {
    "button": BUTTON,
    "workflow_button": WORKFLOW_BUTTON,
    "overflow": element("options", options=array(option(link=True), "overflow.options"), confirm=confirm),
}


def _typed_input(**fields: Any) -> Check:
    common: dict[str, Any] = {
        "placeholder": PLACEHOLDER,
        "dispatch_action_config": dispatch_config,
        "focus_on_load": boolean,
    }
    return element(**common, **fields)


RICH_TEXT_INPUT = _typed_input(
    initial_value=rich_text,
    min_lines=integer("rich_text_input.min_lines"),
    max_lines=integer("rich_text_input.max_lines"),
)
INPUTS: dict[str, Check] = {
    "plain_text_input": _typed_input(
        initial_value=string(least=0),
        multiline=boolean,
        min_length=integer("plain_text_input.min_length"),
        max_length=integer("plain_text_input.max_length"),
    ),
    "email_text_input": _typed_input(initial_value=string(least=0)),
    "url_text_input": _typed_input(initial_value=string(least=0)),
    "number_input": element(
        "is_decimal_allowed",
        is_decimal_allowed=boolean,
        initial_value=number_text,
        min_value=number_text,
        max_value=number_text,
        placeholder=PLACEHOLDER,
        dispatch_action_config=dispatch_config,
        focus_on_load=boolean,
        also=(number_range,),
    ),
    "rich_text_input": RICH_TEXT_INPUT,
    "file_input": element(filetypes=array(string()), max_files=integer("file_input.max_files")),
}

IMAGE = record(
    {
        "type": anything,
        "image_url": string("image_element.image_url.max_length"),
        "slack_file": slack_file,
        "alt_text": string("image_element.alt_text.max_length"),
    },
    required=("alt_text",),
    also=(exactly_one("image_url", "slack_file", "image.source"),),
)

_FEEDBACK = record(
    {
        "text": text("feedback_button.text.max_length", plain=True),
        "value": string("feedback_button.value.max_length"),
        "accessibility_label": string("feedback_button.accessibility_label.max_length"),
    },
    required=("text", "value"),
)
CONTEXT_ACTIONS: dict[str, Check] = {
    "feedback_buttons": element(
        "positive_button", "negative_button", positive_button=_FEEDBACK, negative_button=_FEEDBACK
    ),
    "icon_button": element(
        "icon",
        "text",
        icon=string(),
        text=text(plain=True),
        value=string("icon_button.value.max_length"),
        accessibility_label=string("icon_button.accessibility_label.max_length"),
        visible_to_user_ids=array(string(), "icon_button.visible_to_user_ids"),
        confirm=confirm,
    ),
}

IN_ACTIONS = BUTTONS | SELECTS | MULTI_SELECTS | PICKERS | CHOICES | {"rich_text_input": RICH_TEXT_INPUT}
IN_SECTION = {k: v for k, v in IN_ACTIONS.items() if k not in {"datetimepicker", "rich_text_input"}} | {"image": IMAGE}
IN_INPUT = INPUTS | SELECTS | MULTI_SELECTS | PICKERS | CHOICES
IN_CONTEXT: dict[str, Check] = {"image": IMAGE, "plain_text": text(), "mrkdwn": text()}

URL_SOURCE = record(
    {"type": enum("url"), "url": string("url_source.url.max_length"), "text": string()},
    required=("type", "url", "text"),
    also=(requires(lambda v: v["url"].startswith(("http://", "https://")), "url_source.url", "must be a web address"),),
)
