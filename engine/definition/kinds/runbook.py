"""The kind `runbook`: a run of another runbook."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from engine.definition.kinds.kind import Awaits, Effect, Kind, Treatment
from engine.definition.model import Step
from engine.definition.schema import Finding, Path
from storage.records import Json


def _rule(file: Mapping[str, Json], step: Mapping[str, Json], path: Path) -> Iterator[Finding]:
    if step.get("with", {}).get("id") == file.get("id"):
        yield Finding((*path, "with", "id"), "a runbook cannot start itself")


def _caution(step: Step, path: Path, _with_path: Path) -> Iterator[Finding]:
    if step.continue_on_error:
        message = "`continue_on_error` does not hold where the other runbook has a gate: nothing goes on without that"
        yield Finding((*path, "continue_on_error"), message, rule="tolerated-gate")


KIND = Kind(
    name="runbook",
    effect=Effect.RUN,
    awaits=Awaits.RUN,
    defaults={"params": {}},
    treatments={"params": Treatment.DATA},
    timeout_ms=None,
    shown=("id", "params"),
    gives=("execution", "status", "outputs"),
    summary=("kind", "id"),
    rule=_rule,
    caution=_caution,
)
