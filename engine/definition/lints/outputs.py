"""Outputs that a kind does not give, and secrets that are received for nobody."""

from __future__ import annotations

from collections.abc import Iterator

from engine.definition import secret_outputs
from engine.definition.kinds import kind_of
from engine.definition.model import Runbook
from engine.definition.placed import every_step, readers
from engine.definition.schema import Finding, Path
from engine.expressions import references
from engine.text.words import did_you_mean, listed, nearest

Chains = frozenset[tuple[str, ...]]


def findings(runbook: Runbook) -> Iterator[Finding]:
    """Names that no step gives, and secret outputs that no step reads.

    Any other output is shown on the run's page and by the API, so that somebody may read it there.
    """
    read: set[tuple[str, ...]] = set()
    for path, chains in _places(runbook):
        read |= chains
        yield from _unknown(runbook, path, chains)
    for placed in every_step(runbook):
        gives = kind_of(placed.step).gives
        own = references(dict(placed.step.outputs)) if gives is not None else frozenset()
        for name in sorted({chain[1] for chain in own if chain[0] == "outputs" and len(chain) > 1} - set(gives or ())):
            yield _not_given((*placed.path, "outputs"), f"outputs.{name}", name, gives or ())
        yield from _unread(placed.step.id, dict(placed.step.outputs), placed.path, frozenset(read))


def _places(runbook: Runbook) -> Iterator[tuple[Path, Chains]]:
    for name, value in runbook.outputs.items():
        yield ("outputs", name), references(value)
    for placed in every_step(runbook):
        for path, value, is_condition in readers(placed):
            yield path, references(value, "expression" if is_condition else "template")


def _unknown(runbook: Runbook, path: Path, chains: Chains) -> Iterator[Finding]:
    """A container's outputs and those that a step maps are known when the file is read, and are an error there."""
    for chain in sorted(chains):
        step = runbook.by_id.get(chain[1]) if chain[0] == "steps" and len(chain) > 3 else None
        gives = kind_of(step).gives if step is not None and not step.outputs else None
        if gives is not None and chain[3] not in gives:
            yield _not_given(path, ".".join(chain[:4]), chain[3], gives)


def _not_given(path: Path, named: str, name: str, gives: tuple[str, ...]) -> Finding:
    hint = did_you_mean(name, gives) if nearest(name, gives) else f"; there is {listed(gives)}"
    return Finding(path, f"nothing gives `{named}`{hint}", rule="unknown-output")


def _unread(step_id: str, outputs: dict[str, object], path: Path, read: Chains) -> Iterator[Finding]:
    for name in secret_outputs.templates(outputs):
        if not any(chain[:2] == ("steps", step_id) and chain[3:4] in ((), (name,)) for chain in read):
            message = f"nothing reads the secret `outputs.{name}`, and people never see it: leave it out"
            yield Finding((*path, "outputs", name), message, rule="unused-output")
