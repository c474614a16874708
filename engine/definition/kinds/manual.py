"""The kind `manual`: something that a person does by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from engine.definition.durations import HOUR_MS
from engine.definition.forms import form_findings
from engine.definition.kinds.kind import Awaits, Effect, Kind, Treatment
from engine.definition.markup_cautions import in_markup
from engine.definition.model import Step
from engine.definition.schema import Finding, Path
from engine.expressions import written_in
from storage.records import Json

OUTPUTS = ("by", "at", "note")
"""What a manual step hands on beside its answers."""


def _rule(file: Mapping[str, Json], step: Mapping[str, Json], path: Path) -> Iterator[Finding]:
    with_ = step.get("with", {})
    yield from form_findings(with_.get("form"), (*path, "with", "form"), OUTPUTS)
    if step.get("on_timeout") in ("approve", "reject"):
        message = (
            f"`on_timeout`: {step['on_timeout']} is for approvals; a manual step that is not done in time fails. "
            "With `continue_on_error` the run goes on all the same"
        )
        yield Finding((*path, "on_timeout"), message)
    assignees = with_.get("assignees")
    roles = assignees.get("roles", ()) if isinstance(assignees, dict) and not file.get("team") else ()
    for index, role in enumerate(roles):
        if str(role).startswith("team_"):
            place: Path = (*path, "with", "assignees", "roles", index)
            yield Finding(place, f"`{role}` has nobody in it here: the runbook belongs to no `team`")


def _caution(step: Step, _path: Path, with_path: Path) -> Iterator[Finding]:
    yield from in_markup(written_in(str(step.with_["instructions"])), (*with_path, "instructions"))


KIND = Kind(
    name="manual",
    effect=Effect.ROWS,
    awaits=Awaits.ASSIGNEE,
    defaults={"assignees": {}, "form": {}},
    treatments={"instructions": Treatment.MARKUP},
    timeout_ms=HOUR_MS,
    form_outputs=OUTPUTS,
    shown=("instructions", "assignees", "form"),
    rule=_rule,
    caution=_caution,
)
