"""The inputs of a form, made from JSON Schema: one for each parameter, and how its values are written in it."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
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

from bot.slack.ids import INPUT, parameter_block
from bot.slack.views import offered
from bot.slack.views.text import as_json, cut, plain
from engine.definition.formats import FORMATS
from engine.definition.model import Runbook
from engine.definition.parameter_schema import resolved
from engine.definition.parameters import coerce
from storage.records import Json

OPTIONS, VALUE = 100, 150
"""Options in a select, and characters in an option's value."""
_LONG_TEXT, _LONGEST = 150, 3000
"""Characters from which on a text gets room, and at most in an input."""
_EXACT = 2**53
"""The largest whole number that every program of Slack's keeps as it is."""
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
        return _apart(schema["enum"])
    if "const" in schema:
        return [Choice(schema["const"], as_json(schema["const"], 300))]
    alternatives = schema.get("oneOf", [])
    if alternatives and all(isinstance(one, dict) and "const" in one for one in alternatives):
        return [Choice(one["const"], str(one.get("title", as_json(one["const"], 300)))) for one in alternatives]
    return [Choice(True, "Yes"), Choice(False, "No")] if _only(schema, "boolean") else []


def _apart(values: list[Json]) -> list[Choice]:
    """Values called by their text; those that would be called the same as JSON, as `1` and `"1"`."""
    labels = [as_json(value, 300) for value in values]
    often = {label for label in labels if labels.count(label) > 1}
    return [
        Choice(value, label if label not in often else cut(json.dumps(value, ensure_ascii=False), 300))
        for value, label in zip(values, labels, strict=True)
    ]


def kind(schema: Mapping[str, Json]) -> str:
    """The JSON type of a schema; of several the first that is not null; "" where it names none."""
    named = schema.get("type", "")
    if isinstance(named, list):
        return next((str(one) for one in named if one != "null"), "")
    return str(named)


def _only(schema: Mapping[str, Json], *types: str) -> bool:
    """Whether values are of these types or null; where others are allowed too, only text holds all of them."""
    named = schema.get("type", "")
    allowed = set(named if isinstance(named, list) else [named]) - {"null"}
    return bool(allowed) and allowed <= set(types)


def many(schema: Mapping[str, Json]) -> list[Choice]:
    """The closed set that a list's items come from, or nothing."""
    items = schema.get("items")
    return choices(items) if _only(schema, "array") and isinstance(items, dict) else []


def suggestions(found: list[Choice], typed: str) -> list[dict[str, Any]]:
    """The options of a long select that have all the words typed so far, those that begin so first."""
    words = typed.casefold().split()
    fitting = [(index, one) for index, one in enumerate(found) if all(word in one.label.casefold() for word in words)]
    fitting.sort(key=lambda each: not each[1].label.casefold().startswith(typed.strip().casefold()))
    options = options_of([one.label for one in found])
    return [options[index].to_dict() for index, _ in fitting[:OPTIONS]]


def properties(runbook: Runbook) -> dict[str, dict[str, Json]]:
    """The schema of each parameter, references followed, those of a list's items too."""

    def whole(schema: dict[str, Json]) -> dict[str, Json]:
        known = resolved(runbook.parameters, schema)
        return {**known, "items": whole(known["items"])} if isinstance(known.get("items"), dict) else known

    return {name: whole(schema) for name, schema in runbook.parameters.get("properties", {}).items()}


def field(name: str, schema: dict[str, Json], required: bool, value: Json) -> InputBlock:
    """The input of a parameter, filled with `value`, which is of its type or as somebody typed it."""
    label, made = str(schema.get("title") or name), element(schema, value)
    hint = " ".join(part for part in (_not_held(schema, made, value), _hint(schema, made)) if part)
    return InputBlock(
        block_id=parameter_block(name),
        label=plain_text(label, 200),
        element=made,
        hint=plain_text(hint, 500) if hint else None,
        optional=not required or too_long(value),
    )


def _not_held(schema: dict[str, Json], element: InputInteractiveElement, value: Json) -> str:
    """What was given, in words, where the input cannot hold all of it: a mistake is not to vanish unseen."""
    if value in (None, "", []):
        return ""
    if too_long(value):
        return f"{len(written(value)):,} characters were given, too many to be shown here: left empty, it stays so."
    told = element.to_dict()
    held = next((told[key] for key in told if key.startswith("initial_")), None)
    cut_off = isinstance(element, PlainTextInputElement) and isinstance(value, str) and len(held or "") < len(value)
    meant = typed(schema, value)
    wanted = len(meant) if isinstance(meant, list) else 1
    if held is None or cut_off or (isinstance(held, list) and len(held) < wanted):
        return f"“{as_json(value, 80)}” was given."
    return ""


def _hint(schema: dict[str, Json], made: InputInteractiveElement) -> str:
    parts = [str(schema.get("description", ""))]
    if offered.asks(schema):
        parts.append("Open the menu or type: a system is asked what there is.")
    found = choices(schema) or many(schema)
    listed = kind(schema) == "array"
    if len(found) > OPTIONS:
        of = "Of" if listed else "One of"
        parts.append(f"{of} {len(found)} values: type to find yours.")
    picked = not isinstance(made, PlainTextInputElement)
    if listed and not picked:
        parts.append("Written with commas between them, or as a JSON list.")
    elif kind(schema) == "object" and not found:
        parts.append("Written as a JSON object.")
    if kind(schema) in ("integer", "number") and not found:
        parts.append(_bounds(schema.get("minimum"), schema.get("maximum")))
    if schema.get("format") == "date-time":
        parts.append("Written as 2026-01-31T14:30:00Z." if not picked else "In your own time zone.")
    if schema.get("default") not in (None, ""):
        default = schema["default"]
        label = next((one.label for one in choices(schema) if one.value == default), as_json(default, 60))
        parts.append(f"Default: {label}.")
    return " ".join(part for part in parts if part)


def _bounds(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f"From {low} to {high}."
    return f"At least {low}." if low is not None else f"At most {high}." if high is not None else ""


def element(schema: dict[str, Json], value: Json) -> InputInteractiveElement:
    """The input for a value, filled with it: Slack's own where that keeps every character of it, else a text input."""
    value = typed(schema, value)
    if offered.asks(schema):
        return offered.menu(schema, value)
    if one := choices(schema):
        return _select(one, value)
    if several := many(schema):
        return _selects(several, value if isinstance(value, list) else [], schema.get("maxItems"))
    text = written(value)
    made: InputInteractiveElement | None = None
    if _only(schema, "integer", "number"):
        made = _number(schema, value)
    elif _only(schema, "string") or _only(schema, "array"):
        made = _picker(schema, value) or _dated(schema, text)
    return made or _text(schema, text)


def typed(schema: Mapping[str, Json], value: Json) -> Json:
    """What somebody typed as a value of the parameter's type, where it is not meant as text; else as it is."""
    types = schema.get("type", [])
    if not isinstance(value, str) or "string" in ([types] if isinstance(types, str) else types):
        return value
    return (
        value if value in schema.get("enum", ()) else coerce({"properties": {"it": dict(schema)}}, {"it": value})["it"]
    )


def written(value: Json) -> str:
    """A value as it stands in a text input."""
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def too_long(value: Json) -> bool:
    """Whether a value is longer than any input of Slack's holds."""
    return value is not None and len(written(value)) > _LONGEST


def _select(found: list[Choice], value: Json) -> InputInteractiveElement:
    options = options_of([one.label for one in found])
    picked = next(iter(_picked(found, options, [value])), None)
    if len(options) > OPTIONS:
        return ExternalDataSelectElement(action_id=INPUT, initial_option=picked, min_query_length=0)
    return StaticSelectElement(action_id=INPUT, options=options, initial_option=picked)


def _selects(found: list[Choice], values: list[Json], most: int | None) -> InputInteractiveElement:
    options = options_of([one.label for one in found])
    picked = _picked(found, options, values)[:most] or None
    if len(options) > OPTIONS:
        return ExternalDataMultiSelectElement(
            action_id=INPUT, initial_options=picked, min_query_length=0, max_selected_items=most
        )
    return StaticMultiSelectElement(action_id=INPUT, options=options, initial_options=picked, max_selected_items=most)


def _picker(schema: dict[str, Json], value: Json) -> InputInteractiveElement | None:
    """Slack's own menu of people or channels, where a schema asks for one or several of them by `format`.

    None also for ids that are right and that the menu does not know, as those of direct messages.
    """
    several = kind(schema) == "array"
    wanted = (schema.get("items") or {}).get("format") if several else schema.get("format")
    if wanted not in _PICKERS:
        return None
    known = value if isinstance(value, list) else [value]
    ids = [each for each in known if isinstance(each, str) and _PICKERS[wanted].fullmatch(each)]
    if any(isinstance(each, str) and each and each not in ids and FORMATS.conforms(each, wanted) for each in known):
        return None
    ids = list(dict.fromkeys(ids))
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


def options_of(labels: Sequence[str], values: Sequence[str] = ()) -> list[Option]:
    """Options that people can tell apart; their values are their numbers, or those that are given.

    Slack shows 75 characters of each: a longer one is cut in the middle, which stands below it, and those that still
    look alike are numbered.
    """
    shown = [_in_two(plain(label, len(label) + 1)) for label in labels]
    often = Counter(shown)
    return [
        Option(
            text=plain_text(text if often[text, rest] == 1 else f"{index + 1}: {text}", 75),
            value=values[index] if values else str(index),
            description=plain_text(rest, 75) if rest else None,
        )
        for index, (text, rest) in enumerate(shown)
    ]


def _in_two(label: str) -> tuple[str, str]:
    """The beginning and the end of a label, and what is left out between them."""
    if len(label) <= 75:
        return label, ""
    return f"{label[:30]}…{label[-30:]}", cut(f"…{label[30:-30]}…", 75)


def _picked(found: list[Choice], options: list[Option], values: list[Json]) -> list[Option]:
    """The options of these values, letter by letter and type by type, in the values' order."""
    places = {json.dumps(one.value, sort_keys=True): option for one, option in zip(found, options, strict=True)}
    wanted = dict.fromkeys(json.dumps(value, sort_keys=True) for value in values)
    return [places[each] for each in wanted if each in places]


def _number(schema: dict[str, Json], value: Json) -> NumberInputElement | None:
    """None for what is right and what such an input may change: a long number or an exponent."""
    low, high = schema.get("minimum"), schema.get("maximum")
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    text = written(value) if number else ""
    if text and ("e" in text or abs(value) > _EXACT):
        return None
    return NumberInputElement(
        action_id=INPUT,
        is_decimal_allowed=kind(schema) == "number",
        min_value=None if low is None else str(low),
        max_value=None if high is None else str(high),
        initial_value=text if text and _within(value, low, high) else None,
    )


def _within(number: float, low: float | None, high: float | None) -> bool:
    """Whether a number may be prefilled: Slack refuses a form whose number does not fit its own input."""
    return (low is None or number >= low) and (high is None or number <= high)


def _dated(schema: dict[str, Json], text: str) -> InputInteractiveElement | None:
    """Slack's own input for a format; None where that would lose something of a text that is right."""
    asked = str(schema.get("format", ""))
    held = _held(asked, text)
    if text and not held and FORMATS.conforms(text, asked):
        return None
    match asked:
        case "date":
            return DatePickerElement(action_id=INPUT, initial_date=text if held else None)
        case "time":
            return TimePickerElement(action_id=INPUT, initial_time=text if held else None)
        case "date-time":
            return DateTimePickerElement(action_id=INPUT, initial_date_time=_epoch(text) if held else None)
        case "email":
            return EmailInputElement(action_id=INPUT, initial_value=text or None)
        case "uri":
            return UrlInputElement(action_id=INPUT, initial_value=text or None)
    return None


def _held(asked: str, text: str) -> bool:
    """Whether Slack's own input for a format gives this text back as it is."""
    match asked:
        case "date":
            return _DATE.fullmatch(text) is not None and FORMATS.conforms(text, "date")
        case "time":
            return _TIME.fullmatch(text) is not None and FORMATS.conforms(text, "time")
        case "date-time":
            at = _epoch(text)
            return at is not None and 10**9 <= at < 10**10 and moment(at) == text
        case "uri":
            return text.startswith(("http://", "https://"))
    return True


def _epoch(text: str) -> int | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return int(found.timestamp()) if found.tzinfo else None


def moment(at: int) -> str:
    """A picked moment, in epoch seconds, as the text that it stands for."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _text(schema: dict[str, Json], text: str) -> PlainTextInputElement:
    longest = min(int(schema.get("maxLength", _LONGEST)), _LONGEST)
    roomy = "maxLength" in schema and longest > _LONG_TEXT
    long = roomy or schema.get("format") == "multiline" or kind(schema) == "object" or "\n" in text
    return PlainTextInputElement(
        action_id=INPUT,
        multiline=long,
        min_length=min(int(schema["minLength"]), _LONGEST) if schema.get("minLength") else None,
        max_length=max(longest, 1) if "maxLength" in schema else None,
        initial_value=(text[:longest] or None) if not too_long(text) else None,
    )


def plain_text(text: str, limit: int) -> dict[str, Any]:
    return PlainTextObject(text=plain(text, limit)).to_dict()
