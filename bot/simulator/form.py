"""What a person fills in: the values Slack reports for it, and what Slack's own form refuses before sending."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from urllib.parse import urlsplit

from bot.simulator.json_value import Json

Block = dict[str, Json]
Values = dict[str, dict[str, Json]]

# Where each kind of element keeps its value, and the field that holds its first one.
_FIELDS: dict[str, tuple[str, str]] = {
    "plain_text_input": ("value", "initial_value"),
    "email_text_input": ("value", "initial_value"),
    "url_text_input": ("value", "initial_value"),
    "number_input": ("value", "initial_value"),
    "rich_text_input": ("rich_text_value", "initial_value"),
    "static_select": ("selected_option", "initial_option"),
    "external_select": ("selected_option", "initial_option"),
    "radio_buttons": ("selected_option", "initial_option"),
    "multi_static_select": ("selected_options", "initial_options"),
    "multi_external_select": ("selected_options", "initial_options"),
    "checkboxes": ("selected_options", "initial_options"),
    "users_select": ("selected_user", "initial_user"),
    "channels_select": ("selected_channel", "initial_channel"),
    "conversations_select": ("selected_conversation", "initial_conversation"),
    "multi_users_select": ("selected_users", "initial_users"),
    "multi_channels_select": ("selected_channels", "initial_channels"),
    "multi_conversations_select": ("selected_conversations", "initial_conversations"),
    "datepicker": ("selected_date", "initial_date"),
    "timepicker": ("selected_time", "initial_time"),
    "datetimepicker": ("selected_date_time", "initial_date_time"),
    "file_input": ("files", ""),
}
_LISTS = ("selected_options", "selected_users", "selected_channels", "selected_conversations", "files")


class UnknownChoice(ValueError):
    """What was chosen is not among the options; the text names it."""


def stateful_elements(blocks: list[Block]) -> Iterator[tuple[Block, Json]]:
    """Every element that holds a value, with the block it stands in."""
    for block in blocks:
        inside = [block.get("element"), block.get("accessory"), *_listed(block)]
        yield from ((block, each) for each in inside if isinstance(each, dict) and each.get("type") in _FIELDS)


def _listed(block: Block) -> list[Json]:
    return block["elements"] if block["type"] == "actions" else []


def initial_values(blocks: list[Block]) -> Values:
    """`state.values` of blocks nobody has touched yet."""
    values: Values = {}
    for block, element in stateful_elements(blocks):
        name, initial = _FIELDS[element["type"]]
        empty: Json = [] if name in _LISTS else None
        entry = {"type": element["type"], name: element.get(initial, empty)}
        values.setdefault(block["block_id"], {})[element["action_id"]] = entry
    return values


def entry_for(element: Json, given: Json) -> dict[str, Json]:
    """What an element reports when a person enters `given`.

    Options are given by value or by their text, several as a list; numbers as numbers or text; nothing as None.
    Raises UnknownChoice when an option is not offered.
    """
    kind = element["type"]
    name = _FIELDS[kind][0]
    if name in _LISTS:
        several = given if isinstance(given, list) else [] if given in (None, "") else [given]
        chosen = [_option(element, each) for each in several] if name == "selected_options" else several
        return {"type": kind, name: chosen}
    if given in (None, ""):
        return {"type": kind, name: None}
    if name == "selected_option":
        return {"type": kind, name: _option(element, given)}
    if name == "selected_date_time":
        return {"type": kind, name: int(given)}
    if name == "rich_text_value":
        return {"type": kind, name: _rich_text(str(given))}
    return {"type": kind, name: given if isinstance(given, str) else f"{given}"}


def _rich_text(text: str) -> dict[str, Json]:
    section = {"type": "rich_text_section", "elements": [{"type": "text", "text": text}]}
    return {"type": "rich_text", "elements": [section]}


def _option(element: Json, given: Json) -> dict[str, Json]:
    if isinstance(given, dict):
        given = given.get("value")
    offered = [*element.get("options", []), *(o for g in element.get("option_groups", []) for o in g["options"])]
    for option in offered:
        if given in (option["value"], option["text"]["text"]):
            return dict(option)
    if "external" in element["type"]:
        return {"text": {"type": "plain_text", "text": str(given), "emoji": True}, "value": str(given)}
    raise UnknownChoice(f"{given!r} is not one of the options of {element['action_id']}")


def is_empty(entry: dict[str, Json]) -> bool:
    return all(value in (None, "", []) for key, value in entry.items() if key != "type")


def complaints(blocks: list[Block], values: Values) -> dict[str, str]:
    """What Slack's form would say under each input before it sends anything, by block_id."""
    found: dict[str, str] = {}
    for block, element in stateful_elements(blocks):
        if block["type"] != "input":
            continue
        entry = values[block["block_id"]][element["action_id"]]
        if is_empty(entry):
            complaint = None if block.get("optional") else "Please complete this required field."
        else:
            complaint = _complaint(element, entry)
        if complaint:
            found[block["block_id"]] = complaint
    return found


def _complaint(element: Json, entry: dict[str, Json]) -> str | None:
    kind, value = element["type"], entry.get("value")
    if kind == "number_input":
        return _number_complaint(element, str(value))
    if kind == "email_text_input" and ("@" not in str(value) or " " in str(value)):
        return "Please enter a valid email address."
    if kind == "url_text_input" and not _is_web_address(str(value)):
        return "Please enter a valid URL, with https:// in front."
    if kind == "datepicker" and not _is_date(str(entry["selected_date"])):
        return "Please choose a date."
    if kind == "plain_text_input":
        return _length_complaint(element, len(str(value)))
    return None


def _is_web_address(value: str) -> bool:
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _is_date(value: str) -> bool:
    try:
        dt.date.fromisoformat(value)
    except ValueError:
        return False
    return True


def _number_complaint(element: Json, value: str) -> str | None:
    try:
        number = float(value)
    except ValueError:
        return "Please enter a number."
    if not element["is_decimal_allowed"] and not number.is_integer():
        return "Please enter a whole number."
    if "min_value" in element and number < float(element["min_value"]):
        return f"Please enter a number of at least {element['min_value']}."
    if "max_value" in element and number > float(element["max_value"]):
        return f"Please enter a number of at most {element['max_value']}."
    return None


def _length_complaint(element: Json, length: int) -> str | None:
    if length < element.get("min_length", 0):
        return f"Please enter at least {element['min_length']} characters."
    if length > element.get("max_length", 3000):
        return f"Please enter at most {element.get('max_length', 3000)} characters."
    return None
