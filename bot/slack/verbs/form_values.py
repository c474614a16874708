"""What a person filled into the form of a run, read back by the same schema that the form was made from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bot.slack.ids import (
    ALL_VERSIONS,
    CHANNEL_BLOCK,
    INPUT,
    REASON_BLOCK,
    RUNBOOK_BLOCK,
    SCOPE_BLOCK,
    STEP_BLOCK,
    parameter_block,
)
from bot.slack.views import offered
from bot.slack.views.fields import Choice, choices, element, kind, many, moment, properties, too_long, typed, written
from engine.definition.model import Runbook
from engine.definition.parameters import coerce
from engine.errors import InvalidParameters
from engine.text.words import shortened
from storage.records import Json


def read_parameters(
    runbook: Runbook, state: Mapping[str, Any], known: Mapping[str, Json] | None = None
) -> dict[str, Json]:
    """The parameters that were filled in; what nobody gave is left out. Raises InvalidParameters.

    `state` is the view's `state.values`, and `known` what the form was filled with beside the defaults. What was not
    touched comes back as it was, of the same type and letter by letter. What was cleared is empty, never its default.
    """
    values: dict[str, Json] = {}
    wrong: dict[str, str] = {}
    for name, schema in properties(runbook).items():
        if parameter_block(name) not in state:
            continue
        entry = state[parameter_block(name)].get(INPUT) or {}
        try:
            found = _read(schema, entry, {**_default(schema), **_given(name, known)})
        except ValueError as error:
            wrong[name] = str(error)
            continue
        if found:
            values[name] = found[0]
    if wrong:
        raise InvalidParameters(wrong)
    return values


def survives(schema: dict[str, Json], value: Json) -> bool:
    """Whether the input of a parameter gives a value back, untouched, that was not kept beside it."""
    try:
        found = list(_read(schema, _untouched(schema, value), _default(schema)))
    except ValueError:
        return False
    return [_exactly(each) for each in found] == [_exactly(typed(schema, value))]


def _given(name: str, known: Mapping[str, Json] | None) -> dict[str, Json]:
    return {"value": known[name]} if known and name in known else {}


def _default(schema: Mapping[str, Json]) -> dict[str, Json]:
    return {"value": schema["default"]} if "default" in schema else {}


def _read(schema: dict[str, Json], entry: Mapping[str, Any], filled: Mapping[str, Json]) -> list[Json]:
    """The value of one input, which was `filled` with something or not; nothing where it is left out.

    Raises ValueError with what is wrong, as the rest of a sentence.
    """
    if filled and offered.asks(schema) and _chosen_keys(entry) == _chosen_keys(_untouched(schema, filled["value"])):
        return [typed(schema, filled["value"])]
    found = _value(schema, entry)
    if filled and not offered.asks(schema) and _same(found, _value(schema, _untouched(schema, filled["value"]))):
        kept = found not in (None, []) or filled["value"] in (None, "", [], {}) or too_long(filled["value"])
        if kept:
            return [typed(schema, filled["value"])]
    if found in (None, []):
        return _cleared(schema)
    if not isinstance(found, str) or choices(schema) or offered.asks(schema):
        return [found]
    if why := _broken_json(schema, found):
        raise ValueError(why)
    return [coerce({"properties": {"it": schema}}, {"it": found})["it"]]


def _chosen_keys(entry: Mapping[str, Any]) -> list[str]:
    """What the options that are chosen carry."""
    chosen = entry.get("selected_options") or [entry.get("selected_option")]
    return sorted(str(each["value"]) for each in chosen if each)


def _cleared(schema: Mapping[str, Json]) -> list[Json]:
    """What an input that was cleared stands for: left out, it would be the default. Raises ValueError."""
    default = schema.get("default")
    if default in (None, "", [], {}):
        return []
    named = schema.get("type", [])
    types = [named] if isinstance(named, str) else named
    if "null" in types:
        return [None]
    empty: dict[str, Json] = {"array": [], "object": {}, "string": ""}
    if (
        kind(schema) in empty
        and not choices(schema)
        and not offered.asks(schema)
        and schema.get("format") in (None, "multiline")
    ):
        return [empty[kind(schema)]]
    raise ValueError(f"cannot be empty, as it has a default, {shortened(written(default), 60)}: choose a value")


def _untouched(schema: dict[str, Json], value: Json) -> dict[str, Any]:
    """What Slack sends of an input that was filled with a value and then left alone."""
    told = element(schema, value).to_dict()
    first = next((key for key in told if key.startswith("initial_")), "")
    return {first.replace("initial_", "selected_", 1) if first != "initial_value" else "value": told.get(first)}


def _same(one: Json, other: Json) -> bool:
    """Whether two readings of an input are alike; Slack need not keep the order of what is chosen."""
    if isinstance(one, list) and isinstance(other, list):
        return sorted(map(_exactly, one)) == sorted(map(_exactly, other))
    return (one in (None, []) and other in (None, [])) or _exactly(one) == _exactly(other)


def _exactly(value: Json) -> str:
    """A value with its type: 1, 1.0 and true are three."""
    return json.dumps(value, sort_keys=True)


def _broken_json(schema: Mapping[str, Json], value: Json) -> str:
    """Where a text that should be a mapping or a list stops being JSON, "" where nothing is wrong with it."""
    expected = {"object": "{", "array": "["}.get(kind(schema), "")
    if not expected or not isinstance(value, str):
        return ""
    try:
        json.loads(value)
    except json.JSONDecodeError as error:
        return f"is not JSON: {error.msg} in line {error.lineno}, column {error.colno}"
    except (ValueError, RecursionError):
        return "is not JSON that can be read"
    return ""


def read_reason(state: Mapping[str, Any]) -> str:
    """What was written as the reason, "" where nothing was."""
    value = (state.get(REASON_BLOCK, {}).get(INPUT) or {}).get("value")
    return value.strip() if isinstance(value, str) else ""


def read_channel(state: Mapping[str, Any]) -> str:
    """The channel that was chosen, "" where none was."""
    return str((state.get(CHANNEL_BLOCK, {}).get(INPUT) or {}).get("selected_conversation") or "")


def read_runbook(state: Mapping[str, Any]) -> str:
    """The id of the runbook that was chosen, "" where none was."""
    chosen = (state.get(RUNBOOK_BLOCK, {}).get(INPUT) or {}).get("selected_option") or {}
    return str(chosen.get("value", ""))


def read_all_versions(state: Mapping[str, Any]) -> bool:
    """Whether all versions were chosen, not only the one that the form is about."""
    chosen = (state.get(SCOPE_BLOCK, {}).get(INPUT) or {}).get("selected_option") or {}
    return chosen.get("value") == ALL_VERSIONS


def read_step(state: Mapping[str, Any]) -> str:
    """The step that was chosen, "" where none was."""
    chosen = (state.get(STEP_BLOCK, {}).get(INPUT) or {}).get("selected_option") or {}
    return str(chosen.get("value", ""))


def _value(schema: Mapping[str, Json], entry: Mapping[str, Any]) -> Json:
    if offered.asks(schema):
        several = entry.get("selected_options")
        one = entry.get("selected_option")
        return [offered.value_of(each) for each in several] if several else offered.value_of(one) if one else None
    if entry.get("selected_option"):
        return _chosen(choices(schema), [entry["selected_option"]])[0]
    if entry.get("selected_options"):
        return _chosen(many(schema), entry["selected_options"])
    if entry.get("selected_date_time") is not None:
        return moment(entry["selected_date_time"])
    several = entry.get("selected_users") or entry.get("selected_conversations")
    if several:
        return [str(each) for each in several]
    one = entry.get("selected_user") or entry.get("selected_conversation")
    text = one or entry.get("selected_date") or entry.get("selected_time") or entry.get("value")
    return text if isinstance(text, str) and text else None


def _chosen(found: list[Choice], options: list[dict[str, Any]]) -> list[Json]:
    """The values behind options. Raises ValueError for one that the form did not offer."""
    places = [str(option["value"]) for option in options]
    if not all(place.isdecimal() and len(place) < 6 and int(place) < len(found) for place in places):
        raise ValueError("is none of the choices that there are: choose again")
    return [found[int(place)].value for place in places]
