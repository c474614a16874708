"""What a person filled into the form of a run, read back by the same schema that the form was made from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
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
from bot.slack.views.fields import Choice, choices, kind, many, properties
from engine.definition import parameters
from engine.definition.model import Runbook
from engine.errors import InvalidParameters

Json = Any


def read_parameters(runbook: Runbook, state: Mapping[str, Any]) -> dict[str, Json]:
    """The parameters that were filled in; empty fields are left out. Raises InvalidParameters.

    `state` is the view's `state.values`.
    """
    picked: dict[str, Json] = {}
    typed: dict[str, str] = {}
    for name, schema in properties(runbook).items():
        entry = state.get(parameter_block(name), {}).get(INPUT) or {}
        value = _value(schema, entry)
        if value is None:
            continue
        if isinstance(value, str) and not choices(schema):
            typed[name] = value
        else:
            picked[name] = value
    values = parameters.coerce(runbook.parameters, typed)
    broken = {name: why for name, value in values.items() if (why := _broken_json(properties(runbook)[name], value))}
    if broken:
        raise InvalidParameters(broken)
    return {**values, **picked}


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
    if entry.get("selected_option"):
        return _chosen(choices(schema), [entry["selected_option"]])[0]
    if entry.get("selected_options"):
        return _chosen(many(schema), entry["selected_options"])
    if entry.get("selected_date_time") is not None:
        return datetime.fromtimestamp(entry["selected_date_time"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    several = entry.get("selected_users") or entry.get("selected_conversations")
    if several:
        return [str(each) for each in several]
    one = entry.get("selected_user") or entry.get("selected_conversation")
    text = one or entry.get("selected_date") or entry.get("selected_time") or entry.get("value")
    return text if isinstance(text, str) and text else None


def _chosen(found: list[Choice], options: list[dict[str, Any]]) -> list[Json]:
    """The values behind options; Slack only sends back options that the form offered, so an index always fits."""
    return [found[int(option["value"])].value for option in options]
