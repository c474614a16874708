"""The graph of a runbook's steps: who follows whom. Pure functions over `needs`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

from engine.definition.model import Runbook

Needs = Mapping[str, Iterable[str]]


def needs_of(runbook: Runbook) -> dict[str, tuple[str, ...]]:
    return {step.id: step.needs for step in runbook.steps}


def roots(runbook: Runbook) -> tuple[str, ...]:
    """The steps that start at once."""
    return tuple(step.id for step in runbook.steps if not step.needs)


def successors(runbook: Runbook) -> dict[str, tuple[str, ...]]:
    """For every step, the steps that wait for it, in the file's order."""
    found: dict[str, list[str]] = {step.id: [] for step in runbook.steps}
    for step in runbook.steps:
        for need in step.needs:
            found[need].append(step.id)
    return {step_id: tuple(following) for step_id, following in found.items()}


def ancestors(runbook: Runbook) -> dict[str, frozenset[str]]:
    """For every step, all the steps that end before it starts."""
    return ancestors_of(needs_of(runbook))


def topological_order(runbook: Runbook) -> tuple[str, ...]:
    """Every step after all that it needs."""
    return tuple(TopologicalSorter(needs_of(runbook)).static_order())


def cycle(needs: Needs) -> list[str] | None:
    """A ring of steps that wait for each other, the first named again at the end, or None."""
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return None


def ancestors_of(needs: Needs) -> dict[str, frozenset[str]]:
    """As `ancestors`, over any `needs` without a cycle."""
    found: dict[str, frozenset[str]] = {}
    for step_id in TopologicalSorter(needs).static_order():
        direct = frozenset(needs.get(step_id, ()))
        found[step_id] = direct.union(*(found[need] for need in direct))
    return found
