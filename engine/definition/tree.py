"""The lists of steps in a file as it is written, one inside the other, before anything is known to be right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from engine.definition.kinds import KINDS
from engine.definition.kinds.loop import round_names
from engine.definition.schema import Path
from storage.records import Json

SECTIONS = ("steps", "on_failure", "finally")
"""The lists at the top of a file, in the order in which they run."""


@dataclass(frozen=True, slots=True)
class Container:
    """A branch or loop around steps. `repeats` says that it is a loop, `each` that it is one over items.

    `names` are what its steps may call its round's item and number, () where it gives them none.
    """

    id: str
    repeats: bool
    each: bool
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Block:
    """One list of steps. `within` holds the containers around it, the outermost first.

    What is no mapping in the list is an empty one here, so that places stay right.
    """

    path: Path
    steps: tuple[dict[str, Json], ...]
    within: tuple[Container, ...] = ()

    @property
    def section(self) -> str:
        """The part of the file that the list is in, one of `SECTIONS`."""
        return str(self.path[0])

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the steps in their order, "" for a step that has none."""
        return tuple(str(step.get("id", "")) for step in self.steps)

    @property
    def holder(self) -> Path:
        """The path of the container's step, or () for a section."""
        return self.path[:-2]

    def words(self) -> str:
        """How a sentence names the list: `then` of `check`, `finally`, the main steps."""
        if self.within:
            return f"`{self.path[-1]}` of `{self.within[-1].id}`"
        return "the main steps" if self.section == "steps" else f"`{self.section}`"


def blocks(data: Mapping[str, Json]) -> Iterator[Block]:
    """Every list of steps in a file, each before those inside it."""
    for section in SECTIONS:
        if isinstance(data.get(section), list):
            yield from _blocks((section,), data[section], ())


def _blocks(path: Path, items: Sequence[Json], within: tuple[Container, ...]) -> Iterator[Block]:
    block = Block(path, tuple(item if isinstance(item, dict) else {} for item in items), within)
    yield block
    for index, step in enumerate(block.steps):
        with_ = step.get("with")
        kind = KINDS.get(str(step.get("type")))
        if kind is None or not isinstance(with_, dict):
            continue
        container = Container(str(step.get("id", "")), kind.repeats, "items" in with_, round_names(with_))
        for name in kind.blocks:
            if isinstance(with_.get(name), list):
                yield from _blocks((*path, index, "with", name), with_[name], (*within, container))


def needs_in(steps: Sequence[dict[str, Json]]) -> dict[str, list[str]]:
    """Each step's needs by its id; a step that does not say follows the one above it."""
    found: dict[str, list[str]] = {}
    above: list[str] = []
    for step in steps:
        step_id, wanted = str(step.get("id", "")), step.get("needs", above)
        found.setdefault(step_id, [str(need) for need in wanted] if isinstance(wanted, list) else above)
        above = [step_id]
    return found
