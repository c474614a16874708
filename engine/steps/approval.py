"""The `approval` step: a gate that shows people what would happen next and waits for them, holding nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from engine import context
from engine.definition import graph
from engine.definition.kinds import render_with
from engine.definition.model import Runbook, Step
from engine.errors import EngineError
from engine.steps.outcome import Opened, Outcome

Json = Any

MAX_SHOWN_CHARS = 2_000
SHOWN_KEYS = ("method", "url", "query", "headers", "json", "text")


def run(step: Step, runbook: Runbook, visible: Mapping[str, Json]) -> Outcome:
    """Open the gate. `visible` holds what the message and the steps behind the gate can see so far."""
    with_ = render_with(step, visible)
    approvers = with_["approvers"]
    return Opened(
        min_approvals=with_["min_approvals"],
        approvers={kind: list(approvers.get(kind, ())) for kind in ("roles", "users", "groups", "minima")},
        message=with_["message"],
        preview=[preview(each, visible) for each in behind(step, runbook)],
        timeout_ms=step.timeout_ms or 0,
        on_timeout=step.on_timeout,
        allow_self=with_["allow_self"],
    )


def behind(gate: Step, runbook: Runbook) -> list[Step]:
    """The steps that this gate lets on, in the file's order: all that follow, up to the next gate on each way."""
    successors = graph.all_successors(runbook)
    seen: set[str] = set()
    waiting = [gate.id]
    while waiting:
        for each in successors[waiting.pop()]:
            if each not in seen:
                seen.add(each)
                if runbook.by_id[each].kind != "approval":
                    waiting.append(each)
    return [step for step in runbook.by_id.values() if step.id in seen]


def preview(step: Step, visible: Mapping[str, Json]) -> Json:
    """What a step would send, rendered as far as it can be now, secrets masked: {step, kind, …}."""
    shown = {"step": step.id, "kind": step.kind}
    seen = {**visible, "secrets": context.masked_secrets(context.chains_in(step.with_))}
    try:
        with_ = render_with(step, seen)
    except EngineError:
        with_ = step.with_  # it uses what a step before it will bring: shown as written
    return {**shown, **{key: _clipped(with_[key]) for key in SHOWN_KEYS if key in with_}}


def _clipped(value: Json) -> Json:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return value if len(text) <= MAX_SHOWN_CHARS else text[:MAX_SHOWN_CHARS] + "…"


def chains_of(gate: Step, runbook: Runbook) -> set[tuple[str, ...]]:
    """What the gate and the steps behind it read."""
    return context.chains_in(gate.with_).union(*(context.chains_in(step.with_) for step in behind(gate, runbook)))
