"""A runbook as plain JSON and back: what is stored, compared and pinned by its digest.

Two files that differ in comments, quotes, the order of keys or in what they leave to the defaults have one digest.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

from engine.definition.model import Json, Retry, Runbook, Step

FORMAT = "runbook/v1"


def canonical(runbook: Runbook) -> dict[str, Json]:
    """Everything that an execution needs, as plain JSON; `from_canonical` is its inverse."""
    return {
        "apiVersion": FORMAT,
        "id": runbook.id,
        "name": runbook.name,
        "description": runbook.description,
        "team": runbook.team,
        "tags": list(runbook.tags),
        "risk": runbook.risk,
        "timeout_ms": runbook.timeout_ms,
        "max_concurrent_steps": runbook.max_concurrent_steps,
        "is_webhook": runbook.is_webhook,
        "parameters": runbook.parameters,
        "steps": [_step_data(step) for step in runbook.steps],
    }


def digest(data: dict[str, Json]) -> str:
    """`sha256:` and 64 hex digits over the sorted, compact JSON of a canonical runbook."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def from_canonical(data: dict[str, Json]) -> Runbook:
    """The runbook that `canonical` made `data` of. Raises ValueError for another format."""
    if data.get("apiVersion") != FORMAT:
        raise ValueError(f"this is not a stored runbook of {FORMAT}")
    return Runbook(
        id=data["id"],
        name=data["name"],
        description=data["description"],
        team=data["team"],
        tags=tuple(data["tags"]),
        risk=data["risk"],
        timeout_ms=data["timeout_ms"],
        max_concurrent_steps=data["max_concurrent_steps"],
        is_webhook=data["is_webhook"],
        parameters=data["parameters"],
        steps=tuple(_step(item) for item in data["steps"]),
    )


def _step_data(step: Step) -> dict[str, Json]:
    return {
        "id": step.id,
        "name": step.name,
        "kind": step.kind,
        "needs": list(step.needs),
        "with": step.with_,
        "condition": step.condition,
        "timeout_ms": step.timeout_ms,
        "retry": asdict(step.retry) if step.retry else None,
        "idempotent": step.idempotent,
        "on_timeout": step.on_timeout,
    }


def _step(data: dict[str, Json]) -> Step:
    return Step(
        id=data["id"],
        name=data["name"],
        kind=data["kind"],
        needs=tuple(data["needs"]),
        with_=data["with"],
        condition=data["condition"],
        timeout_ms=data["timeout_ms"],
        retry=Retry(**data["retry"]) if data["retry"] else None,
        idempotent=data["idempotent"],
        on_timeout=data["on_timeout"],
    )
