"""How the steps of a file stand to each other: how many, how deep, under which ids, and who waits for whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from engine.definition.graph import cycle
from engine.definition.schema import Finding, Path
from engine.definition.tree import Block, needs_in
from engine.text.words import did_you_mean
from storage.records import Json

MAX_STEPS = 200
"""Steps in one file, inner ones and cleanup counted."""
MAX_NESTING = 5
"""Containers around one step."""


def too_many(blocks: Sequence[Block]) -> Finding | None:
    """The first step that is one too many, if any."""
    total = 0
    for block in blocks:
        if total + len(block.steps) > MAX_STEPS:
            return Finding((*block.path, MAX_STEPS - total), f"a runbook has at most {MAX_STEPS} steps")
        total += len(block.steps)
    return None


def findings(blocks: Sequence[Block]) -> Iterator[Finding]:
    """Everything wrong with ids, needs and nesting."""
    homes = homes_of(blocks)
    yield from _id_findings(blocks)
    for block in blocks:
        yield from _needs_findings(block, homes)
        if len(block.within) == MAX_NESTING + 1:
            yield Finding(block.holder, f"branches and loops stand in each other at most {MAX_NESTING} deep")


def homes_of(blocks: Sequence[Block]) -> dict[str, Block]:
    """The list in which each step stands, by its id; the first where an id is there twice."""
    found: dict[str, Block] = {}
    for block in blocks:
        for step_id in filter(None, block.ids):
            found.setdefault(step_id, block)
    return found


def _id_findings(blocks: Sequence[Block]) -> Iterator[Finding]:
    first: dict[str, Path] = {}
    homes = homes_of(blocks)
    for block in blocks:
        for index, step_id in enumerate(block.ids):
            location: Path = (*block.path, index)
            taken = first.setdefault(step_id, location)
            if step_id and taken != location:
                home = homes[step_id]
                where = "" if home.path == ("steps",) else f" in {home.words()}"
                yield Finding(
                    (*location, "id"), f"the id `{step_id}` is taken by step number {int(taken[-1]) + 1}{where}"
                )


def _needs_findings(block: Block, homes: Mapping[str, Block]) -> Iterator[Finding]:
    ids, needs = block.ids, needs_in(block.steps)
    for index, step in enumerate(block.steps):
        wanted = step.get("needs", [])
        for position, need in enumerate(wanted if isinstance(wanted, list) else ()):
            fault = _need_fault(need, wanted[:position], ids[index], block, homes)
            if fault:
                yield Finding((*block.path, index, "needs", position), fault)
    known = {step_id: [need for need in each if need in ids and need != step_id] for step_id, each in needs.items()}
    ring = cycle(known)
    if ring:
        shown = " needs ".join(f"`{step_id}`" for step_id in reversed(ring))
        location = (*block.path, ids.index(ring[0]), "needs")
        yield Finding(location, f"steps wait for each other in a ring: {shown}")


def _need_fault(need: Json, before: list[Json], itself: str, block: Block, homes: Mapping[str, Block]) -> str | None:
    if need == itself:
        return f"step `{need}` cannot need itself"
    if need not in block.ids:
        if isinstance(need, str) and need in homes:
            return f"`needs` names steps of the same list only, and `{need}` stands in {homes[need].words()}"
        return f"there is no step `{need}`{did_you_mean(str(need), [each for each in block.ids if each])}"
    return f"`{need}` is named twice in `needs`" if need in before else None
