"""What templates and conditions can see of an execution, as plain JSON. Secrets are never part of it."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from engine.definition.model import Runbook
from engine.expressions import conditions, references
from storage import people, steps
from storage.records import ExecutionRecord, Json

INCIDENT_FACTS = ("channel", "channel_name")
"""Known for a run from Slack; empty text for any other."""

SECRET_MARK = "‹secret {}›"  # noqa: S105 - how a secret is shown, not one


def of(execution: ExecutionRecord, runbook: Runbook, chains: set[tuple[str, ...]]) -> dict[str, Any]:
    """The context for what reads `chains`; only the step outputs that they name are fetched. Needs a connection."""
    named = {chain[1] for chain in chains if chain[0] == "steps" and len(chain) > 1}
    outputs = steps.outputs(execution.id, sorted(named))
    return {
        "params": execution.parameters,
        "steps": {step_id: {"outputs": value} for step_id, value in outputs.items()},
        "incident": {**dict.fromkeys(INCIDENT_FACTS, ""), **(execution.incident or {})},
        "execution": _execution(execution) if any(chain[0] == "execution" for chain in chains) else {},
        "runbook": {"id": runbook.id, "name": runbook.name, "version": execution.number, "team": runbook.team},
    }


def _execution(execution: ExecutionRecord) -> dict[str, Json]:
    started = datetime.fromtimestamp((execution.started_at or execution.created_at) / 1000, UTC)
    return {
        "id": execution.id,
        "workspace": people.the_workspace().slack_team or "local",
        "team": execution.team,
        "requester": execution.requester,
        "reason": execution.reason,
        "started_at": started.isoformat(timespec="seconds").replace("+00:00", "Z"),
    }


def chains_in(value: Json) -> set[tuple[str, ...]]:
    """What the templates in the leaves of `value` read, as chains of names."""
    if isinstance(value, str):
        return set(_template_chains(value))
    if isinstance(value, dict):
        return set().union(*(chains_in(each) for each in value.values()))
    if isinstance(value, list):
        return set().union(*(chains_in(each) for each in value))
    return set()


def chains_in_condition(condition: Json) -> set[tuple[str, ...]]:
    """What a condition reads, written as an expression or as data."""
    return set().union(
        *(
            _expression_chains(source) if is_expression else chains_in(source)
            for _, source, is_expression in conditions.sources(condition)
        )
    )


def secret_names(chains: set[tuple[str, ...]]) -> set[str]:
    """The names of the secrets among `chains`."""
    return {chain[1] for chain in chains if chain[0] == "secrets" and len(chain) > 1}


def masked_secrets(chains: set[tuple[str, ...]]) -> dict[str, str]:
    """Something to show in place of each secret among `chains`."""
    return {name: SECRET_MARK.format(name) for name in secret_names(chains)}


@lru_cache(maxsize=4096)
def _template_chains(source: str) -> frozenset[tuple[str, ...]]:
    return frozenset(references(source))


@lru_cache(maxsize=4096)
def _expression_chains(source: str) -> frozenset[tuple[str, ...]]:
    return frozenset(references(source, "expression"))
