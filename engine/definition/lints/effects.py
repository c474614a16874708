"""Which steps change something outside."""

from __future__ import annotations

from engine.definition import gate_graph
from engine.definition.kinds import Effect, Treatment, kind_of
from engine.definition.model import Step

_READS = frozenset({"GET", "HEAD", "OPTIONS"})


def changes_something(step: Step) -> bool:
    """Whether a step by itself may change something outside: a call that does not only read, or another runbook."""
    kind = kind_of(step)
    reads = kind.treatment("url") is Treatment.URL and step.with_.get("method") in _READS
    return kind.effect is Effect.RUN or (kind.effect is Effect.CALL and not reads)


def holds_change(step: Step) -> bool:
    """Whether a step or one inside it may change something outside."""
    return any(changes_something(each) for each in gate_graph.with_inner(step))
