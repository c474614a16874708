"""The `approval` step: a gate that shows people what would happen next and waits for them, holding nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from engine import context
from engine.definition import graph
from engine.definition.kinds import render_known, render_with
from engine.definition.model import Runbook, Step
from engine.redaction import Redact
from engine.steps.outcome import Opened, Outcome

Json = Any

MAX_SHOWN_CHARS = 2_000
MAX_SHOWN_STEPS = 20
"""How much a gate shows of one key of a step, in characters, and of one block of a branch or loop, in steps."""


def run(step: Step, runbook: Runbook, visible: Mapping[str, Json], *, redact: Redact) -> Outcome:
    """Open the gate. `visible` holds what the message and the steps behind the gate can see so far."""
    with_ = render_with(step, visible)
    approvers = with_["approvers"]
    return Opened(
        min_approvals=with_["min_approvals"],
        approvers={kind: list(approvers.get(kind, ())) for kind in ("roles", "users", "groups", "minima")},
        message=str(redact(with_["message"])),
        preview=[preview(each, visible, redact) for each in behind(step, runbook)],
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


def preview(step: Step, visible: Mapping[str, Json], redact: Redact) -> Json:
    """What a step would do, each part of it rendered if it can be by now, secrets masked: {step, kind, …}.

    The blocks of a branch or a loop are lists of such previews; a sentence at the end says if that is not all of them.
    """
    with_ = {key: _clipped(value) for key, value in redact(render_known(step, visible)).items()}
    # A loop around the gate has an item of its own, which is not what this loop's steps will get.
    inner = {key: visible[key] for key in visible if step.kind != "loop" or key not in ("item", "index")}
    blocks = {name: _block(steps, inner, redact) for name, steps in step.blocks.items() if steps}
    return {"step": step.id, "kind": step.kind, **with_, **blocks}


def _block(steps: Sequence[Step], visible: Mapping[str, Json], redact: Redact) -> list[Json]:
    shown: list[Json] = [preview(each, visible, redact) for each in steps[:MAX_SHOWN_STEPS]]
    left = len(steps) - len(shown)
    return [*shown, f"… and {left} more, not shown here"] if left else shown


def _clipped(value: Json) -> Json:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return value if len(text) <= MAX_SHOWN_CHARS else text[:MAX_SHOWN_CHARS] + "…"


def chains_of(gate: Step, runbook: Runbook) -> set[tuple[str, ...]]:
    """What the gate and the steps behind it read."""
    return context.chains_in(gate.with_).union(*map(_chains, behind(gate, runbook)))


def _chains(step: Step) -> set[tuple[str, ...]]:
    inner = (_chains(each) for block in step.blocks.values() for each in block)
    return context.chains_in(step.with_).union(*inner)
