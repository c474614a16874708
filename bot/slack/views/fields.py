"""The inputs of a form, made from JSON Schema: one for each parameter, and how its values are written in it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from slack_sdk.models.blocks import (
    ConversationFilter,
    ConversationMultiSelectElement,
    ConversationSelectElement,
    DatePickerElement,
    DateTimePickerElement,
    EmailInputElement,
    ExternalDataMultiSelectElement,
    ExternalDataSelectElement,
    InputBlock,
    InputInteractiveElement,
    NumberInputElement,
    Option,
    PlainTextInputElement,
    PlainTextObject,
    StaticMultiSelectElement,
    StaticSelectElement,
    TimePickerElement,
    UrlInputElement,
    UserMultiSelectElement,
    UserSelectElement,
)

from bot.slack.ids import (
    INPUT,
    parameter_block,
)
from bot.slack.views.text import as_json, plain
from engine.definition.model import Runbook
from engine.definition.parameter_schema import resolved
from engine.definition.parameters import coerce

Json = Any
OPTIONS, VALUE = 100, 150
"""Options in a select, and characters in an option's value."""
_LONG_TEXT = 150
_PICKERS = {"user": re.compile(r"[UW][A-Z0-9]{5,20}"), "channel": re.compile(r"[CG][A-Z0-9]{5,20}")}
_DATE, _TIME = re.compile(r"\d{4}-\d\d-\d\d"), re.compile(r"\d\d:\d\d")


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a closed set of values and how it is called."""

    value: Json
    label: str


def choices(schema: Mapping[str, Json]) -> list[Choice]:
    """The closed set of values that a schema allows, or nothing. Booleans are Yes and No."""
    if "enum" in schema:
        return [Choice(value, as_json(value, 300)) for value in schema["enum"]]
    if "const" in schema:
        return [Choice(schema["const"], as_json(schema["const"], 300))]
    alternatives = schema.get("oneOf", [])
    if alternatives and all(isinstance(one, dict) and "const" in one for one in alternatives):
        return [Choice(one["const"], str(one.get("title", as_json(one["const"], 300)))) for one in alternatives]
    return [Choice(True, "Yes"), Choice(False, "No")] if kind(schema) == "boolean" else []


def kind(schema: Mapping[str, Json]) -> str:
    """The JSON type of a schema; of several the first that is not null; "" where it names none."""
    named = schema.get("type", "")
    if isinstance(named, list):
        return next((str(one) for one in named if one != "null"), "")
    return str(named)


def many(schema: Mapping[str, Json]) -> list[Choice]:
    """The closed set that a list's items come from, or nothing."""
    items = schema.get("items")
    return choices(items) if kind(schema) == "array" and isinstance(items, dict) else []


def suggestions(found: list[Choice], typed: str) -> list[dict[str, Any]]:
    """The options of a long select that have all the words typed so far, those that begin so first."""
    words = typed.casefold().split()
    fitting = [(index, one) for index, one in enumerate(found) if all(word in one.label.casefold() for word in words)]
    fitting.sort(key=lambda each: not each[1].label.casefold().startswith(typed.strip().casefold()))
    return [_option(index, one).to_dict() for index, one in fitting[:OPTIONS]]


def properties(runbook: Runbook) -> dict[str, dict[str, Json]]:
    """The schema of each parameter, references followed, those of a list's items too."""

    def whole(schema: dict[str, Json]) -> dict[str, Json]:
        known = resolved(runbook.parameters, schema)
        return {**known, "items": whole(known["items"])} if isinstance(known.get("items"), dict) else known

    return {name: whole(schema) for name, schema in runbook.parameters.get("properties", {}).items()}


def field(name: str, schema: dict[str, Json], required: bool, value: Json) -> InputBlock:
    label, element = str(schema.get("title") or name), _element(schema, value)
    hint = " ".join(part for part in (_not_held(element, value), _hint(schema)) if part)
    return InputBlock(
        block_id=parameter_block(name),
        label=plain_text(label, 200),
        element=element,
        hint=plain_text(hint, 500) if hint else None,
        optional=not required,
    )


def _not_held(element: InputInteractiveElement, value: Json) -> str:
    """What was given, in words, where the input cannot hold all of it: a mistake is not to vanish unseen."""
    if value in (None, "", []):
        return ""
    told = element.to_dict()
    held = next((told[key] for key in told if key.startswith("initial_")), None)
    cut_off = isinstance(element, PlainTextInputElement) and isinstance(value, str) and len(held or "") < len(value)
    wanted = len(value) if isinstance(value, list) else len(_items_of(value)) if isinstance(held, list) else 1
    if held is None or cut_off or (isinstance(held, list) and len(held) < wanted):
        return f"“{as_json(value, 80)}” was given."
    return ""


def _items_of(text: Json) -> list[Json]:
    """A list as people type it, as its items: JSON, or with commas between them."""
    typed = coerce({"properties": {"typed": {"type": "array"}}}, {"typed": str(text)})["typed"]
    return typed if isinstance(typed, list) else []


def _hint(schema: dict[str, Json]) -> str:
    parts = [str(schema.get("description", ""))]
    found = choices(schema) or many(schema)
    listed = kind(schema) == "array"
    if len(found) > OPTIONS:
        of = "Of" if listed else "One of"
        parts.append(f"{of} {len(found)} values: type to find yours.")
    picked = bool(found) or schema.get("items", {}).get("format") in _PICKERS
    if listed and not picked:
        parts.append("Written with commas between them, or as a JSON list.")
    elif kind(schema) == "object" and not found:
        parts.append("Written as a JSON object.")
    if kind(schema) in ("integer", "number") and not found:
        parts.append(_bounds(schema.get("minimum"), schema.get("maximum")))
    if schema.get("format") == "date-time":
        parts.append("In your own time zone.")
    if schema.get("default") not in (None, ""):
        default = schema["default"]
        label = next((one.label for one in choices(schema) if one.value == default), as_json(default, 60))
        parts.append(f"Default: {label}.")
    return " ".join(part for part in parts if part)


def _bounds(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f"From {low} to {high}."
    return f"At least {low}." if low is not None else f"At most {high}." if high is not None else ""


def _element(schema: dict[str, Json], value: Json) -> InputInteractiveElement:
    if one := choices(schema):
        return _select(one, value)
    if several := many(schema):
        return _selects(several, value, schema.get("maxItems"))
    picker = _picker(schema, value)
    if picker is not None:
        return picker
    if kind(schema) in ("integer", "number"):
        return _number(schema, value)
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=1)
    return _dated(schema, text) or _text(schema, text)


def _select(found: list[Choice], value: Json) -> InputInteractiveElement:
    options = [_option(index, one) for index, one in enumerate(found)]
    picked = next(iter(_picked(found, options, [value])), None)
    if len(options) > OPTIONS:
        return ExternalDataSelectElement(action_id=INPUT, initial_option=picked, min_query_length=0)
    return StaticSelectElement(action_id=INPUT, options=options, initial_option=picked)


def _selects(found: list[Choice], value: Json, most: int | None) -> InputInteractiveElement:
    options = [_option(index, one) for index, one in enumerate(found)]
    picked = _picked(found, options, value if isinstance(value, list) else _items_of(value or ""))[:most] or None
    if len(options) > OPTIONS:
        return ExternalDataMultiSelectElement(
            action_id=INPUT, initial_options=picked, min_query_length=0, max_selected_items=most
        )
    return StaticMultiSelectElement(action_id=INPUT, options=options, initial_options=picked, max_selected_items=most)


def _picker(schema: dict[str, Json], value: Json) -> InputInteractiveElement | None:
    """Slack's own menu of people or channels, where a schema asks for one or several of them by `format`."""
    several = kind(schema) == "array"
    wanted = (schema.get("items") or {}).get("format") if several else schema.get("format")
    if wanted not in _PICKERS:
        return None
    known = value if isinstance(value, list) else _items_of(value or "")
    ids = [each for each in known if isinstance(each, str) and _PICKERS[wanted].fullmatch(each)]
    most, first = schema.get("maxItems"), next(iter(ids), None)
    if wanted == "user":
        if several:
            return UserMultiSelectElement(action_id=INPUT, initial_users=ids[:most] or None, max_selected_items=most)
        return UserSelectElement(action_id=INPUT, initial_user=first)
    only = ConversationFilter(include=["public", "private"])
    if several:
        return ConversationMultiSelectElement(
            action_id=INPUT, initial_conversations=ids[:most] or None, max_selected_items=most, filter=only
        )
    return ConversationSelectElement(action_id=INPUT, initial_conversation=first, filter=only)


def _option(index: int, one: Choice) -> Option:
    return Option(text=plain_text(one.label, 75), value=str(index))


def _picked(found: list[Choice], options: list[Option], values: list[Json]) -> list[Option]:
    wanted = [as_json(value, 300).lower() for value in values if value is not None]
    return [option for one, option in zip(found, options, strict=True) if as_json(one.value, 300).lower() in wanted]


def _number(schema: dict[str, Json], value: Json) -> NumberInputElement:
    low, high = schema.get("minimum"), schema.get("maximum")
    return NumberInputElement(
        action_id=INPUT,
        is_decimal_allowed=kind(schema) == "number",
        min_value=None if low is None else str(low),
        max_value=None if high is None else str(high),
        initial_value=_within(value, low, high, whole=kind(schema) == "integer"),
    )


def _within(value: Json, low: float | None, high: float | None, *, whole: bool) -> str | None:
    """A number as text if it may be prefilled: Slack refuses a form whose number does not fit its own input."""
    try:
        number = int(str(value)) if whole else float(str(value))
    except ValueError:
        return None
    fits = math.isfinite(number) and (low is None or number >= low) and (high is None or number <= high)
    return str(number) if fits else None


def _dated(schema: dict[str, Json], text: str) -> InputInteractiveElement | None:
    match schema.get("format"):
        case "date":
            return DatePickerElement(action_id=INPUT, initial_date=text if _DATE.fullmatch(text) else None)
        case "time":
            return TimePickerElement(action_id=INPUT, initial_time=text[:5] if _TIME.fullmatch(text[:5]) else None)
        case "date-time":
            return DateTimePickerElement(action_id=INPUT, initial_date_time=_epoch(text))
        case "email":
            return EmailInputElement(action_id=INPUT, initial_value=text or None)
        case "uri":
            return UrlInputElement(action_id=INPUT, initial_value=text or None)
    return None


def _epoch(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _text(schema: dict[str, Json], text: str) -> PlainTextInputElement:
    longest = min(int(schema.get("maxLength", 3000)), 3000)
    roomy = "maxLength" in schema and longest > _LONG_TEXT
    long = roomy or schema.get("format") == "multiline" or kind(schema) == "object"
    return PlainTextInputElement(
        action_id=INPUT,
        multiline=long,
        min_length=min(int(schema["minLength"]), 3000) if schema.get("minLength") else None,
        max_length=max(longest, 1) if "maxLength" in schema else None,
        initial_value=text[:longest] or None,
    )


def plain_text(text: str, limit: int) -> dict[str, Any]:
    return PlainTextObject(text=plain(text, limit)).to_dict()
