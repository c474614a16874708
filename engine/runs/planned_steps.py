"""The steps of a plan: each as the worker would render it, and as written where only the run will know.

What reads something that is not known yet is open: it is shown as its author wrote it, and a condition or loop that
does so is shown with every way that it may go. Nothing is guessed: a text that reads one open value is open as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from engine.definition.kinds import kind_of
from engine.definition.kinds.loop import round_names
from engine.definition.model import Runbook, Step
from engine.definition.references import BEFORE_START
from engine.definition.rendering import render_planned
from engine.errors import EngineError
from engine.expressions import ExpressionError, holds, render
from engine.expressions.values import describe
from engine.steps import context
from storage.records import Json

MAX_STEPS = 500
"""Steps that one plan shows, rounds and child runs included; rounds beyond that are shown as one that is open."""
MAX_DEPTH = 8
_KNOWN = frozenset({"params", "incident", "runbook", "secrets"})
_KNOWN_FACTS = frozenset(BEFORE_START)

Child = Callable[[str, dict[str, Json] | None, int], Json]
"""What a `runbook` step would start: asked with its id, its parameters (None: not known yet) and how deep it is."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What templates see at one place of the plan, and which names of that are known.

    `facts` are those of `execution` that are known; `params` says whether the parameters are.
    """

    context: Mapping[str, Json]
    names: frozenset[str] = _KNOWN
    facts: frozenset[str] = _KNOWN_FACTS

    def reads_open(self, chains: Iterable[tuple[str, ...]]) -> bool:
        """Whether one of these is something that only the run will know."""
        return not all(map(self._knows, chains))

    def is_open(self, value: Json) -> bool:
        """Whether a value holds a template that reads something which only the run will know."""
        return self.reads_open(context.chains_in(value))

    def in_round(self, loop: Step, item: Json, number: int) -> Seen:
        """The same in a round of a loop that is known."""
        names = ("item", "index", *round_names(loop.with_))
        values = (item, number, item, number)
        seen = {**self.context, **dict(zip(names, values, strict=False))}
        return replace(self, context=seen, names=self.names.union(names))

    def in_open_round(self, loop: Step) -> Seen:
        """The same in a round of which nothing is known."""
        hidden = {"item", "index", *round_names(loop.with_)}
        seen = {key: value for key, value in self.context.items() if key not in hidden}
        return replace(self, context=seen, names=self.names - hidden)

    def _knows(self, chain: tuple[str, ...]) -> bool:
        if chain[0] == "execution":
            return len(chain) > 1 and chain[1] in self.facts
        return chain[0] in self.names


@dataclass(slots=True)
class Planner:
    """Plans the steps of one version; `left` is how many steps may still be shown, one count for all of a plan.

    `visited` are the steps that it came to, each with what was found of it and what is seen there.
    """

    runbook: Runbook
    child: Child
    left: list[int] = field(default_factory=lambda: [MAX_STEPS])
    depth: int = 0
    visited: list[tuple[Step, Json, Seen]] = field(default_factory=list)

    def steps(self, steps: Iterable[Step], seen: Seen) -> list[Json]:
        """What would be done by these steps, in the file's order."""
        return [self._step(each, seen) for each in steps]

    def _step(self, step: Step, seen: Seen) -> Json:
        self.left[0] -= 1
        found: dict[str, Json] = {"step": step.id, "name": step.name, "kind": step.kind, **_rules(step)}
        try:
            found |= _when(step.condition, seen)
            if found.get("when") == "no":
                return found
            found["with"] = render_planned(step, seen.context, seen.is_open, self.runbook.held)
            found |= self._inside(step, seen, found["with"])
        except EngineError as error:
            found["fails"] = str(error)
        self.visited.append((step, found, seen))
        if step.undo is not None:
            found["undo"] = self._step(step.undo, seen)
        return found

    def _inside(self, step: Step, seen: Seen, shown: Mapping[str, Json]) -> dict[str, Json]:
        kind = kind_of(step)
        if kind.starts_run:
            given = None if seen.is_open(step.with_) else shown.get("params") or {}
            return {} if seen.is_open(shown["id"]) else {"child": self.child(shown["id"], given, self.depth + 1)}
        if not kind.is_container:
            return {}
        return self._rounds(step, seen) if kind.repeats else self._branch(step, seen)

    def _branch(self, step: Step, seen: Seen) -> dict[str, Json]:
        went = _decided(step.with_["if"], seen)
        taken = None if went is None else "then" if went else "else"
        blocks = [name for name in step.blocks if taken in (None, name)]
        return {
            "taken": taken or "open",
            "blocks": [{"of": name, "steps": self.steps(step.blocks[name], seen)} for name in blocks],
        }

    def _rounds(self, step: Step, seen: Seen) -> dict[str, Json]:
        """Each round where the items are known, else, or beyond what is shown, one that stands for any."""
        items = None if "items" not in step.with_ or seen.is_open(step.with_["items"]) else _items(step, seen)
        blocks = []
        for number, item in enumerate(items or ()):
            if self.left[0] <= 0:
                break
            blocks.append(
                {"of": f"[{number}]", "steps": self.steps(step.blocks["steps"], seen.in_round(step, item, number))}
            )
        if items is None or len(blocks) < len(items):
            blocks.append({"of": "[…]", "steps": self.steps(step.blocks["steps"], seen.in_open_round(step))})
        return {"rounds": "open" if items is None else len(items), "blocks": blocks}


def _items(step: Step, seen: Seen) -> list[Json]:
    items = render(step.with_["items"], seen.context)
    if not isinstance(items, list):
        raise ExpressionError(f"`items` must be a list, not {describe(items)}")
    return items


def _when(condition: Json, seen: Seen) -> dict[str, Json]:
    """Whether a step is done by its own `if`: nothing where it has none."""
    if condition is None:
        return {}
    said = {None: "open", True: "yes", False: "no"}[_decided(condition, seen)]
    return {"if": condition, "when": said}


def _decided(condition: Json, seen: Seen) -> bool | None:
    """What a condition comes to, None where only the run will know. Raises `ExpressionError`."""
    if seen.reads_open(context.chains_in_condition(condition)):
        return None
    return holds(condition, seen.context)


def _rules(step: Step) -> dict[str, Json]:
    """What holds of a step whatever its values are, as far as it says so."""
    return {key: value for key, value in _each_rule(step) if value not in (None, False, [], "")}


def _each_rule(step: Step) -> Iterator[tuple[str, Json]]:
    kind = kind_of(step)
    yield "needs", list(step.needs)
    yield "timeout_ms", step.timeout_ms
    if kind.calls_out:
        yield "idempotent", step.idempotent
        yield "attempts", step.retry.max_attempts if step.retry else None
        yield "retry_if", step.retry.condition if step.retry else None
    yield "continue_on_error", step.continue_on_error
    if kind.is_gate:
        gate = {key: step.with_[key] for key in ("min_approvals", "approvers", "allow_self") if key in step.with_}
        yield "gate", {**gate, "on_timeout": step.on_timeout}
    auth = step.with_.get("auth")
    yield "auth", str(auth.get("type", "")) if isinstance(auth, dict) else None
