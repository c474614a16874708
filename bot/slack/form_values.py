"""What a person filled into the form of a run, read back by the same schema that the form was made from."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bot.slack.ids import INPUT, REASON_BLOCK, STEP_BLOCK, parameter_block
from bot.slack.views.form import Choice, choices, many, pickable, properties
from engine.definition import parameters
from engine.definition.model import Runbook

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
        if isinstance(value, str) and _is_typed(schema):
            typed[name] = value
        else:
            picked[name] = value
    return {**parameters.coerce(runbook.parameters, typed), **picked}


def read_reason(state: Mapping[str, Any]) -> str:
    """What was written as the reason, "" where nothing was."""
    value = (state.get(REASON_BLOCK, {}).get(INPUT) or {}).get("value")
    return value.strip() if isinstance(value, str) else ""


def read_step(state: Mapping[str, Any]) -> str:
    """The step that was chosen, "" where none was."""
    chosen = (state.get(STEP_BLOCK, {}).get(INPUT) or {}).get("selected_option") or {}
    return str(chosen.get("value", ""))


def _is_typed(schema: Mapping[str, Json]) -> bool:
    """Whether the text of an input still has to become a value of the schema's type."""
    return not pickable(choices(schema)) and not pickable(many(schema))


def _value(schema: Mapping[str, Json], entry: Mapping[str, Any]) -> Json:
    if entry.get("selected_option"):
        return _chosen(choices(schema), [entry["selected_option"]])[0]
    if entry.get("selected_options"):
        return _chosen(many(schema), entry["selected_options"])
    if entry.get("selected_date_time") is not None:
        return datetime.fromtimestamp(entry["selected_date_time"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    text = entry.get("selected_date") or entry.get("selected_time") or entry.get("value")
    return text if isinstance(text, str) and text else None


def _chosen(found: list[Choice], options: list[dict[str, Any]]) -> list[Json]:
    """The values behind options; Slack only sends back options that the form offered, so an index always fits."""
    return [found[int(option["value"])].value for option in options]
