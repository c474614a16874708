"""The `approval` step: a gate that shows people what would happen next and waits for them, holding nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.definition.kinds import BLOCKS, kind_of
from engine.definition.kinds.loop import round_names
from engine.definition.model import KINDS_OF_APPROVERS, Runbook, Step
from engine.definition.rendering import render_known, render_with
from engine.steps import context
from engine.steps.outcome import Opened, Outcome
from engine.text.redaction import Redact
from storage.records import Json

MAX_SHOWN_CHARS = 262_144
"""How much a gate keeps of what it shows, in characters, all steps together; how much more there was is said."""


@dataclass(frozen=True, slots=True)
class Behind:
    """The steps that a gate shows, and what will not be done of them, or not again.

    `instead` says why by the id of a step. Of the steps inside a branch or loop `over` names those that are not done in
    any of its rounds any more, and `inside` has what is to be said of them, by the id of the outermost container. `met`
    are the steps whose condition is known to hold; any other condition is shown.
    """

    steps: tuple[Step, ...] = ()
    instead: Mapping[str, str] = field(default_factory=dict)
    over: frozenset[str] = frozenset()
    inside: Mapping[str, list[dict[str, Json]]] = field(default_factory=dict)
    met: frozenset[str] = frozenset()


def run(step: Step, runbook: Runbook, visible: Mapping[str, Json], behind: Behind, *, redact: Redact) -> Outcome:
    """Open the gate. `visible` holds what the message and the steps `behind` the gate can see so far.

    Raises `ExpressionError` for its message.
    """
    with_ = render_with(step, visible)
    approvers = with_["approvers"]
    plan = [item for each in behind.steps for item in _planned(each, step, runbook, visible, behind)]
    return Opened(
        min_approvals=with_["min_approvals"],
        approvers={kind: list(approvers.get(kind, ())) for kind in KINDS_OF_APPROVERS},
        message=str(redact(with_["message"])),
        preview=_kept([redact(each) for each in plan]),
        plan_digest=_digest([with_["message"], plan]),
        timeout_ms=step.timeout_ms or 0,
        on_timeout=step.on_timeout,
        allow_self=with_["allow_self"],
        form=with_.get("form"),
    )


def _planned(
    step: Step, gate: Step, runbook: Runbook, visible: Mapping[str, Json], behind: Behind
) -> list[dict[str, Json]]:
    """A step behind the gate as it is planned now; `instead` says what stands in place of its own doing.

    Of steps inside it that will not be done each has an item of its own, below it.
    """
    found = preview(step, _seen_by(step, gate, runbook, visible), behind)
    if step.id in behind.instead:
        return [{**found, "instead": behind.instead[step.id]}]
    return [found, *behind.inside.get(step.id, ())]


def preview(step: Step, visible: Mapping[str, Json], behind: Behind) -> dict[str, Json]:
    """What a step would do, each part of it rendered if it can be by now, secrets masked: {step, kind, …}.

    The blocks of a branch or a loop are lists of such previews, without the steps that are over.
    """
    # A loop around the gate has an item of its own, which is not what this loop's steps will get.
    inner = _without_round(visible) if kind_of(step).repeats else visible
    blocks = {
        name: [preview(each, inner, behind) for each in block if each.id not in behind.over]
        for name, block in step.blocks.items()
    }
    shown = {name: block for name, block in blocks.items() if block}
    known = step.condition is None or step.id in behind.met
    only_if = {} if known else {"condition": step.condition}
    return {"step": step.id, "kind": step.kind, **only_if, **render_known(step, visible), **shown}


def _without_round(visible: Mapping[str, Json]) -> dict[str, Json]:
    return {key: value for key, value in visible.items() if key not in ("item", "index")}


def _seen_by(step: Step, gate: Step, runbook: Runbook, visible: Mapping[str, Json]) -> Mapping[str, Json]:
    """What a step may be shown of the rounds that its gate is in: those of the loops around both."""
    loops, others = _loops_around(runbook, gate.id), _loops_around(runbook, step.id)
    apart = [each for each in loops if each not in others]
    hidden = {name for each in apart for name in round_names(runbook.by_id[each].with_)}
    seen = {key: value for key, value in visible.items() if key not in hidden}
    return seen if loops[:1] == others[:1] else _without_round(seen)


def _loops_around(runbook: Runbook, step_id: str) -> list[str]:
    """The ids of the loops that a step stands in, the innermost first."""
    found: list[str] = []
    while (holder := runbook.container_of.get(step_id)) is not None:
        step_id = holder[0]
        if kind_of(runbook.by_id[step_id]).repeats:
            found.append(step_id)
    return found


def _digest(plan: Json) -> str:
    return hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()


def _kept(plan: list[Json]) -> list[Json]:
    """The plan whole as long as there is room; from then on each value says how long it was and what its digest is."""
    room = MAX_SHOWN_CHARS

    def kept(shown: Json) -> Json:
        if not isinstance(shown, dict):
            return shown
        return {
            key: [kept(each) for each in value] if key in BLOCKS else value if key in _NAMES else fitted(value)
            for key, value in shown.items()
        }

    def fitted(value: Json) -> Json:
        nonlocal room
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if len(text) <= room:
            room -= len(text)
            return value
        left, room = room, 0
        return f"{text[:left]}… and {len(text) - left} more characters, not kept ({_digest(value)[:16]})"

    return [kept(each) for each in plan]


_NAMES = frozenset({"step", "kind", "instead"})


def chains_of(gate: Step, behind: Behind) -> set[tuple[str, ...]]:
    """What the gate and the steps behind it read."""
    return context.chains_in(gate.with_).union(*map(_chains, behind.steps))


def _chains(step: Step) -> set[tuple[str, ...]]:
    inner = (_chains(each) for block in step.blocks.values() for each in block)
    return context.chains_in(step.with_).union(*inner)
