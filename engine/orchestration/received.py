"""Secrets that a run has received, from the commit that records them to the one that ends it; needs the run's lock."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from engine.definition.model import Runbook, Step
from engine.definition.rendering import secret_parts
from engine.errors import Conflict, EngineError, Undecodable
from engine.expressions import held_name, held_names
from engine.orchestration.transition import Transition
from engine.runtime import Runtime
from engine.steps import context
from engine.steps.outcome import Abandoned, Again, Evidence, Failed, Later, Outcome, SecretOutput, Succeeded, Unknown
from engine.steps.received import Received, known_values
from engine.text.redaction import Redactor
from storage import secret_outputs
from storage.records import Json, StepRunRecord
from storage.secret_outputs import SealedOutput
from storage.states import StepStatus

log = logging.getLogger(__name__)

_DONE = (StepStatus.SUCCESS, StepStatus.SKIPPED)


def of_run(rt: Runtime, runbook: Runbook, execution_id: str) -> tuple[Received, ...]:
    """What the run holds now, and why what does not open does not; asks nothing where no output is secret."""
    return tuple(_opened(rt, row) for row in secret_outputs.of_execution(execution_id)) if runbook.held else ()


def _opened(rt: Runtime, row: SealedOutput) -> Received:
    try:
        return Received(row.path, row.name, rt.unsealed(row), hosts=row.host_lists)
    except EngineError as error:  # the step that reads it fails with these words
        log.error("%s", error)
        return Received(row.path, row.name, None, str(error))


def keep(transition: Transition, step: StepRunRecord, values: Mapping[str, SecretOutput]) -> None:
    """Keep what a step received, sealed for it alone, with the record of that, and where it may go."""
    rt = transition.rt
    if values:
        found = {name: rt.sealed(each.value, step.execution_id, step.path, name) for name, each in values.items()}
        hosts = {name: each.hosts for name, each in values.items()}
        secret_outputs.keep(rt.workspace_id, step.execution_id, step.path, found, hosts)


def forget(transition: Transition) -> None:
    """Drop what the run received: it ends with this change."""
    if transition.runbook.held:
        secret_outputs.forget(transition.execution.id)


def masked(transition: Transition, outcome: Outcome) -> Outcome:
    """The outcome without what the run has received by now: this attempt may have begun before that."""
    if not isinstance(outcome, Succeeded | Failed | Unknown | Abandoned | Again | Later):
        return outcome
    redactor = _redactor(transition)
    if redactor is None:
        return outcome
    changes: dict[str, Any] = {}
    for name in ("outputs", "message"):
        if getattr(outcome, name, None) is not None:
            changes[name] = redactor.redact_json(getattr(outcome, name))
    evidence = getattr(outcome, "evidence", None)
    if evidence is not None:
        changes["evidence"] = Evidence(redactor.redact_json(evidence.request), redactor.redact_json(evidence.response))
    return replace(outcome, **changes)


def mask(transition: Transition, value: Json) -> Json:
    """What an event or a child brings into the run, without what the run has received by now."""
    redactor = _redactor(transition)
    return redactor.redact_json(value) if redactor is not None else value


def _redactor(transition: Transition) -> Redactor | None:
    """One that knows what the run has received, and the runs that began it; None where that is nothing.

    A child makes its calls before its process looks at what other runs received. Only a child, and a run whose runbook
    has secret outputs, asks the database.
    """
    execution = transition.execution
    try:
        asks = execution.parent_step is not None or transition.runbook.held
    except Undecodable:  # the run was ended for that, and what comes late is dropped
        return None
    rows = secret_outputs.of_family(execution.id) if asks else ()
    known = known_values(_opened(transition.rt, row) for row in rows)
    if not known:
        return None
    redactor = Redactor()
    redactor.lend(known)
    return redactor


def forgotten(run_id: str, runbook: Runbook, rows: Iterable[StepRunRecord]) -> str:
    """Why an ended run cannot go on, as a sentence: what is left to do reads a secret that went with its end."""
    if not runbook.held:
        return ""
    by_path = {row.path: row for row in rows}
    for reader in runbook.by_id.values():
        for step_id, name in _reads(reader, runbook):
            for scope in _scopes_left(reader, by_path.values()):
                source = by_path.get(context.path_of(runbook, step_id, scope))
                if source is not None and source.status is StepStatus.SUCCESS:
                    return f"{run_id} {_said(step_id, name, reader)}: replay it from {step_id} or before."
    return ""


def must_not_be_taken(old_id: str, runbook: Runbook, kept: Iterable[str]) -> None:
    """Raise `Conflict` where a replay would take a step over whose secret a step that runs anew reads."""
    taken = set(kept)
    anew = [step for step in runbook.by_id.values() if _outermost(runbook, step.id) not in taken]
    for reader in anew:
        for step_id, name in _reads(reader, runbook):
            if step_id in taken:
                raise Conflict(f"{old_id} {_said(step_id, name, reader)}: start at {step_id} or before it.")


def _said(step_id: str, name: str, reader: Step) -> str:
    return f"has forgotten `steps.{step_id}.outputs.{name}`, a secret that {reader.id} reads, when it ended"


def _reads(step: Step, runbook: Runbook) -> list[tuple[str, str]]:
    chains = context.chains_in(secret_parts(step, runbook.held))
    named: set[str] = set().union(*(held_names(chain, runbook.held) for chain in chains))
    return sorted(each for each in runbook.held if held_name(*each) in named)


def _scopes_left(step: Step, rows: Iterable[StepRunRecord]) -> list[str]:
    """Where a step is still to be done; outermost for one that has no row yet, such as in cleanup."""
    own = [row for row in rows if row.step_id == step.id]
    return [row.scope for row in own if row.status not in _DONE] if own else [""]


def _outermost(runbook: Runbook, step_id: str) -> str:
    """The main or cleanup step that a step stands in, or takes back."""
    while (holder := runbook.container_of.get(step_id)) is not None:
        step_id = holder[0]
    return step_id
