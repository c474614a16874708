"""A runbook as plain JSON and back: what is stored, compared and pinned by its digest.

Two files that differ in comments, quotes, the order of keys or in what they leave to the defaults have one digest.
What only some runbooks have (containers, cleanup, undo …) is left out where it is not used, so that a runbook without
it keeps the digest under which it was once approved.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace

from engine.definition import dry_runs, parameter_options
from engine.definition.model import Concurrency, Retry, Runbook, Step
from storage.records import Json

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
        "steps": _steps_data(runbook.steps),
        **dict(_runbook_extras(runbook)),
    }


def digest(data: Json) -> str:
    """`sha256:` and 64 hex digits over the sorted, compact JSON of a canonical runbook, or of a file of rules."""
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
        steps=_steps(data["steps"]),
        on_failure=_steps(data.get("on_failure", ())),
        finally_=_steps(data.get("finally", ())),
        outputs=data.get("outputs", {}),
        concurrency=Concurrency(**data["concurrency"]) if "concurrency" in data else None,
        approval_max_age_ms=data.get("approval_max_age_ms"),
        expected_ms=data.get("expected_ms"),
        lookups=parameter_options.lookups(data["parameters"]),
    )


def _runbook_extras(runbook: Runbook) -> Iterator[tuple[str, Json]]:
    if runbook.on_failure:
        yield "on_failure", _steps_data(runbook.on_failure)
    if runbook.finally_:
        yield "finally", _steps_data(runbook.finally_)
    if runbook.outputs:
        yield "outputs", dict(runbook.outputs)
    if runbook.concurrency:
        yield "concurrency", asdict(runbook.concurrency)
    if runbook.approval_max_age_ms is not None:
        yield "approval_max_age_ms", runbook.approval_max_age_ms
    if runbook.expected_ms is not None:
        yield "expected_ms", runbook.expected_ms


def _steps_data(steps: Sequence[Step]) -> list[dict[str, Json]]:
    return [_step_data(step) for step in steps]


def _steps(items: Sequence[dict[str, Json]]) -> tuple[Step, ...]:
    return tuple(_step(item) for item in items)


def _step_data(step: Step) -> dict[str, Json]:
    return {
        "id": step.id,
        "name": step.name,
        "kind": step.kind,
        "needs": list(step.needs),
        "with": step.with_,
        "condition": step.condition,
        "timeout_ms": step.timeout_ms,
        "retry": _retry_data(step.retry) if step.retry else None,
        "idempotent": step.idempotent,
        "on_timeout": step.on_timeout,
        **dict(_step_extras(step)),
    }


def _retry_data(retry: Retry) -> dict[str, Json]:
    return {key: value for key, value in asdict(retry).items() if key != "condition" or value is not None}


def _step_extras(step: Step) -> Iterator[tuple[str, Json]]:
    if step.continue_on_error:
        yield "continue_on_error", step.continue_on_error
    if step.notify is not None:
        yield "notify", step.notify
    if step.skippable is not None:
        yield "skippable", step.skippable
    if step.outputs:
        yield "outputs", dict(step.outputs)
    if step.blocks:
        yield "blocks", {name: _steps_data(inner) for name, inner in step.blocks.items()}
    if step.undo:
        yield "undo", _step_data(step.undo)
    if step.dry_run:
        yield "dry_run", {"with": step.dry_run.step.with_, "before_gates": step.dry_run.before_gates}


def _step(data: dict[str, Json]) -> Step:
    step = Step(
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
        notify=data.get("notify"),
        continue_on_error=data.get("continue_on_error", False),
        skippable=data.get("skippable"),
        outputs=data.get("outputs", {}),
        blocks={name: _steps(inner) for name, inner in data.get("blocks", {}).items()},
        undo=_step(data["undo"]) if "undo" in data else None,
    )
    said = data.get("dry_run")
    return (
        step
        if said is None
        else replace(step, dry_run=dry_runs.of(step, said["with"], before_gates=said["before_gates"]))
    )
