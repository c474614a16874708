"""Menus of a run's form whose choices a system offers: what Slack is answered, and long values found again."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from bot.slack.app_context import AppContext
from bot.slack.ids import INPUT, parameter_block
from bot.slack.payload_values import RunForm
from bot.slack.views import fields, offered
from engine.access.policy import Actor
from engine.definition.model import Runbook
from engine.definition.parameter_options import KEY
from engine.definition.parameters import coerce
from engine.errors import NotApproved
from engine.option_cache import Offered
from engine.orchestration.option_checks import takes_unchecked
from engine.runs import parameter_options
from storage.records import Json


def suggest(ctx: AppContext, actor: Actor, ref: RunForm, runbook: Runbook, name: str, typed: str) -> dict[str, Any]:
    """The choices that fit what was typed. Raises as `parameter_options.options`.

    A version that nobody approved asks nobody: its form is open because two people may let it run.
    """
    value, unchecked = _as_value(fields.properties(runbook)[name], typed.strip()), takes_unchecked(runbook)
    try:
        found = parameter_options.options(ctx.rt, actor, ref.slug, name, typed, ref.number)
    except NotApproved as refused:
        found, unchecked = Offered(trouble=str(refused)), True
    return offered.suggested(found, value, unchecked=unchecked)


def with_long_values(
    ctx: AppContext, actor: Actor | None, ref: RunForm, runbook: Runbook, state: Mapping[str, Any],
    known: Mapping[str, Json],
) -> Mapping[str, Any]:  # fmt: skip
    """`state` with the value itself in each option that carries a hash, where it is `known` or still offered.

    A system is asked where nothing is kept here, within what Slack allows. One that is not found is left as it is.
    """
    found = dict(state)
    for name, schema in fields.properties(runbook).items():
        entry = (state.get(parameter_block(name)) or {}).get(INPUT) or {}
        chosen = entry.get("selected_options") or [each for each in [entry.get("selected_option")] if each]
        if not offered.asks(schema) or not any(offered.is_hash(str(each.get("value"))) for each in chosen):
            continue
        searches, several = bool(schema[KEY].get("search")), schema.get("type") == "array"
        whole = [_whole(ctx, actor, ref, name, each, known.get(name), searches=searches) for each in chosen]
        read = {"selected_options": whole} if several else {"selected_option": whole[0]}
        found[parameter_block(name)] = {INPUT: {**entry, **read}}
    return found


def refused(
    ctx: AppContext, actor: Actor | None, ref: RunForm, values: Mapping[str, Json], names: Collection[str], until: float
) -> dict[str, str]:
    """What is wrong with choices that are not offered, by parameter; `until` as for `parameter_options.refused`."""
    if actor is None:
        return {}
    return parameter_options.refused(ctx.rt, actor, ref.slug, ref.number, values, names, until)


def _whole(
    ctx: AppContext, actor: Actor | None, ref: RunForm, name: str, option: Mapping[str, Any], known: Json, *,
    searches: bool,
) -> Mapping[str, Any]:  # fmt: skip
    carried = str(option.get("value"))
    if not offered.is_hash(carried):
        return option
    values = known if isinstance(known, list) else [known]
    if actor is not None and carried not in map(offered.key_of, values):
        text = str((option.get("text") or {}).get("text", "")).removesuffix("…")
        there = parameter_options.options(ctx.rt, actor, ref.slug, name, text if searches else "", ref.number)
        values = [*values, *(one.value for one in there.options)]
    value = next((each for each in values if offered.key_of(each) == carried), None)
    return option if value is None else {**option, "value": json.dumps(value)}


def _as_value(schema: Mapping[str, Json], typed: str) -> Json:
    """What was typed as one value of the parameter; None for nothing."""
    one = schema.get("items", {}) if schema.get("type") == "array" else schema
    return coerce({"properties": {"it": dict(one)}}, {"it": typed})["it"] if typed else None
