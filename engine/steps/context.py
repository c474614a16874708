"""What templates and conditions can see of an execution, as plain JSON. Secrets are never part of it."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from engine.definition.kinds.loop import round_names
from engine.definition.model import Runbook
from engine.definition.references import FACTS
from engine.expressions import conditions, references
from engine.expressions.times import at_milliseconds
from storage import people, steps
from storage.records import ExecutionRecord, Json
from storage.states import Phase, StepStatus

INCIDENT_FACTS = FACTS["incident"]
"""Known for a run in an incident's channel; empty text for any other."""


def of(
    execution: ExecutionRecord,
    runbook: Runbook,
    chains: set[tuple[str, ...]],
    scope: str = "",
    began: int | None = None,
) -> dict[str, Any]:
    """The context for what reads `chains` in `scope`; only the step outputs that they name are fetched.

    Inside a loop `item` and `index` are the innermost round's; each that says `as` has its own names. `began` is when
    the step that reads began, in epoch milliseconds: its `now`, the same for every attempt, so that a call that is made
    again says the same. Needs a connection.
    """
    named = {chain[1]: path_of(runbook, chain[1], scope) for chain in chains if chain[0] == "steps" and len(chain) > 1}
    outputs = steps.outputs(execution.id, sorted(named.values()))
    asked = {chain[1] for chain in chains if chain[0] == "steps" and chain[2:3] in _ENDS}
    ends = steps.ends(execution.id, sorted(named[each] for each in asked))
    roots = {chain[0] for chain in chains}
    return {
        "params": execution.parameters,
        "steps": {
            step_id: {**_step(outputs.get(path)), **_end(execution, ends.get(path))}
            for step_id, path in named.items()
            if path in outputs or path in ends
        },
        "incident": {**dict.fromkeys(INCIDENT_FACTS, ""), **(execution.incident or {})},
        "execution": _execution(execution) if "execution" in roots else {},
        "runbook": {"id": runbook.id, "name": runbook.name, "version": execution.number, "team": runbook.team},
        **_rounds(execution, runbook, scope, roots),
        **({"now": at_milliseconds(began)} if began is not None and "now" in roots else {}),
    }


def _step(outputs: Json) -> dict[str, Json]:
    """What is seen of a step: without outputs, because it was skipped or has none, these are not defined."""
    return {} if outputs is None else {"outputs": outputs}


_ENDS = (("status",), ("error",))


def _end(execution: ExecutionRecord, end: tuple[StepStatus, Json] | None) -> dict[str, Json]:
    """How a step ended, as `status` and `error`; nothing of one that has not, before the run cleans up."""
    if end is None or (execution.phase is Phase.MAIN and end[0] not in _ENDED):
        return {}
    error = end[1] if isinstance(end[1], dict) else None
    return {"status": end[0].value, "error": error and {key: error.get(key, "") for key in ("code", "message")}}


_ENDED = (StepStatus.SUCCESS, StepStatus.FAILED, StepStatus.SKIPPED, StepStatus.CANCELLED)


def join(scope: str, step_id: str) -> str:
    """The path of a step in a scope."""
    return f"{scope}.{step_id}" if scope else step_id


def scopes_of(scope: str) -> list[str]:
    """The scope itself and all around it, innermost first, without the outermost "".

    `each[3].route` gives itself and `each[3]`.
    """
    parts = scope.split(".") if scope else []
    return [".".join(parts[:count]) for count in range(len(parts), 0, -1)]


def container_path(scope: str) -> tuple[str, int | None]:
    """The path of the step that a scope belongs to, and the round's number if that is a loop."""
    if scope.endswith("]"):
        path, _, number = scope[:-1].rpartition("[")
        return path, int(number)
    return scope, None


def path_of(runbook: Runbook, step_id: str, scope: str) -> str:
    """Where a step that is visible from `scope` runs: in the scope around it as many containers deep as the step is."""
    depth, container = 0, runbook.container_of.get(step_id)
    while container is not None:
        depth += 1
        container = runbook.container_of.get(container[0])
    return join(".".join(scope.split(".")[:depth]) if depth else "", step_id)


def step_of(path: str) -> str:
    """The id of the step at a path."""
    return path.rpartition(".")[2]


def inside(scope: str, path: str) -> bool:
    """Whether a scope is that of the container at `path`, one of its rounds, or somewhere in these."""
    return scope == path or scope.startswith((f"{path}.", f"{path}["))


def same_rounds(runbook: Runbook, one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Whether two runs of steps, each (step id, scope), are in the same rounds of the loops around both steps."""
    (one_id, one_scope), (other_id, other_scope) = one, other
    ones, others = _containers(runbook, one_id), _containers(runbook, other_id)
    shared = sum(1 for a, b in zip(ones, others, strict=False) if a == b)
    return one_scope.split(".")[:shared] == other_scope.split(".")[:shared]


def _containers(runbook: Runbook, step_id: str) -> list[str]:
    """The containers around a step, the outermost first."""
    found: list[str] = []
    while (holder := runbook.container_of.get(step_id)) is not None:
        step_id = holder[0]
        found.insert(0, step_id)
    return found


def _rounds(execution: ExecutionRecord, runbook: Runbook, scope: str, roots: set[str]) -> dict[str, Json]:
    """What `roots` name of the rounds around a scope: `item` and `index` of the innermost, all by their loop's `as`."""
    found: dict[str, Json] = {}
    innermost: tuple[str, ...] = ("item", "index")
    for path, number in map(container_path, scopes_of(scope)):
        if number is None:
            continue
        names = [innermost, round_names(runbook.by_id[step_of(path)].with_)]
        innermost = ()
        if any(roots.intersection(each) for each in names):
            (loop,) = steps.at_paths(execution.id, [path])
            item = loop.items[number] if isinstance(loop.items, list) else None
            for each in filter(None, names):
                found |= dict(zip(each, (item, number), strict=True))
    return found


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


@lru_cache(maxsize=4096)
def _template_chains(source: str) -> frozenset[tuple[str, ...]]:
    return frozenset(references(source))


@lru_cache(maxsize=4096)
def _expression_chains(source: str) -> frozenset[tuple[str, ...]]:
    return frozenset(references(source, "expression"))
