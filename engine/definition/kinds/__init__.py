"""The kinds of steps: one file each, and the table that everything asks what it wants to know of a kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from engine.definition.kinds import (
    approval,
    branch,
    check,
    delay,
    grpc,
    http,
    loop,
    manual,
    message,
    poll,
    runbook,
    wait,
)
from engine.definition.kinds.kind import Awaits, Effect, Kind, Treatment

__all__ = [
    "BLOCKS",
    "CALLS_NOTHING",
    "CONTAINERS",
    "GATES",
    "KINDS",
    "Awaits",
    "Effect",
    "Kind",
    "Treatment",
    "kind_of",
]

KINDS: Mapping[str, Kind] = {
    each.KIND.name: each.KIND
    for each in (http, grpc, poll, approval, manual, wait, branch, loop, runbook, delay, message, check)
}

CONTAINERS = frozenset(name for name, kind in KINDS.items() if kind.is_container)
"""Kinds that only hold other steps."""
GATES = frozenset(name for name, kind in KINDS.items() if kind.is_gate)
"""Kinds that people decide."""
CALLS_NOTHING = frozenset(name for name, kind in KINDS.items() if not kind.calls_out)
"""Kinds that need no place among the calls."""
BLOCKS: Mapping[str, str] = {key: heading for kind in KINDS.values() for key, heading in kind.blocks.items()}
"""The keys of `with` under which steps stand, each with its heading."""


class _Step(Protocol):
    @property
    def kind(self) -> str: ...


def kind_of(step: _Step) -> Kind:
    """What is known of the kind of a step, or of a step run."""
    return KINDS[step.kind]
