"""Menus of choices that a system offers: their options, and what stands above these when it could not be asked.

An option carries its value as JSON where Slack has room for it, else a hash by which the value is found again in what
the system offers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from slack_sdk.models.blocks import (
    ExternalDataMultiSelectElement,
    ExternalDataSelectElement,
    InputInteractiveElement,
    Option,
    PlainTextObject,
)

from bot.slack.ids import INPUT
from bot.slack.views.text import plain
from engine.definition.parameter_options import KEY
from engine.option_cache import Offered
from engine.text.words import shortened
from storage.records import Json

MOST, TEXT, VALUE = 100, 75, 150
"""Options in a menu, and characters of an option's text and value, as Slack takes them."""
NOTHING = "!"
"""The value of an option that only says that something is to be typed."""
UNCHECKABLE = "!unchecked"
"""The value of an option that only says that nothing can be chosen now."""
_HASH = "#"


def asks(schema: Mapping[str, Json]) -> bool:
    """Whether a system offers the choices of a parameter."""
    return KEY in schema


def menu(schema: Mapping[str, Json], value: Json) -> InputInteractiveElement:
    """The menu of a parameter, filled with its value or values."""
    if schema.get("type") != "array":
        picked = _option(value, _text(value)) if value not in (None, "") else None
        return ExternalDataSelectElement(
            action_id=INPUT, initial_option=picked, min_query_length=0, placeholder="Type to search"
        )
    most = schema.get("maxItems")
    several = [_option(each, _text(each)) for each in value][: most or MOST] if isinstance(value, list) else []
    return ExternalDataMultiSelectElement(
        action_id=INPUT, initial_options=several or None, min_query_length=0, max_selected_items=most,
        placeholder="Type to search",
    )  # fmt: skip


def suggested(found: Offered, typed: Json, *, unchecked: bool = True) -> dict[str, Any]:
    """What Slack is answered; `typed` is what was typed as a value, None for nothing.

    Where a system never answered, what was typed is the one choice there is, if the run takes what is `unchecked`.
    """
    options = _apart([_option(one.value, one.label) for one in found.options[:MOST]])
    if not found.trouble:
        return {"options": [each.to_dict() for each in options]}
    if found.options or found.as_of is not None:
        at = datetime.fromtimestamp((found.as_of or 0) / 1000, UTC).strftime("%H:%M UTC")
        return _group(f"As of {at}; could not be asked now", options) if options else {"options": []}
    why = f"Could not be asked now: {found.trouble}"
    if not unchecked:
        return _group(why, [_note("High risk: nothing unchecked runs. Try again once it can be asked", UNCHECKABLE)])
    if typed is None:
        return _group(why, [_note("Type the value: it is taken as you type it", NOTHING)])
    return _group("Could not be asked now: nobody has checked this", [_option(typed, _text(typed))])


def value_of(option: Mapping[str, Any]) -> Json:
    """The value that an option stands for. Raises ValueError where it stands for none, or for one not found again."""
    carried = str(option.get("value", ""))
    if carried == NOTHING:
        raise ValueError("is not chosen yet: type the value, and choose what you typed")
    if carried == UNCHECKABLE:
        raise ValueError("could not be asked for, and nothing unchecked runs at high risk: try again once it can be")
    if is_hash(carried):
        raise ValueError("is too long to be read back now: choose it once more")
    return json.loads(carried)


def is_hash(carried: str) -> bool:
    """Whether an option carries a hash instead of its value."""
    return carried.startswith(_HASH)


def key_of(value: Json) -> str:
    """What an option of this value carries."""
    whole = json.dumps(value, sort_keys=True)
    return whole if len(whole) <= VALUE else _HASH + hashlib.sha256(whole.encode()).hexdigest()


def _option(value: Json, label: str) -> Option:
    return Option(text=_plain(label or _text(value)), value=key_of(value))


def _note(text: str, value: str) -> Option:
    return Option(text=_plain(text), value=value)


def _apart(options: Sequence[Option]) -> list[Option]:
    """Options that people can tell apart: those that look alike are numbered."""
    texts = [str(option.to_dict()["text"]["text"]) for option in options]
    alike = {text for text in texts if texts.count(text) > 1}
    return [
        Option(text=_plain(f"{number}: {text}"), value=option.value) if text in alike else option
        for number, (option, text) in enumerate(zip(options, texts, strict=True), 1)
    ]


def _group(label: str, options: Sequence[Option]) -> dict[str, Any]:
    return {"option_groups": [{"label": _plain(label).to_dict(), "options": [each.to_dict() for each in options]}]}


def _plain(text: str) -> PlainTextObject:
    return PlainTextObject(text=plain(shortened(text, TEXT), TEXT), emoji=False)


def _text(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value)
