"""What is wrong with a text that is no version yet, by all that a version of it would be asked."""

from __future__ import annotations

from collections.abc import Iterable

from engine.access import secret_use, unknown_team
from engine.catalog import approved_targets
from engine.definition import target_cautions, targets
from engine.definition.load import Examined, examine
from engine.definition.model import Runbook
from engine.definition.schema import Finding
from engine.definition.step_templates import Templates
from engine.runtime import Runtime
from storage import database
from storage.catalog_records import RunbookRecord


def checked(rt: Runtime, text: str, shown: RunbookRecord | None) -> Examined:
    """The text's runbook with warnings, or its problems."""
    with database.reading():
        known, rules = approved_targets.known(rt), secret_use.rules(rt)
    teams = unknown_team.known(rt)

    def refused(runbook: Runbook) -> Iterable[Finding]:
        yield from targets.findings(runbook, known)
        yield from secret_use.findings(targets.resolved(runbook, known), rules)

    def cautions(runbook: Runbook) -> Iterable[Finding]:
        yield from target_cautions.cautions(runbook, known)
        yield from secret_use.cautions(targets.resolved(runbook, known), rules)
        yield from unknown_team.cautions(runbook, teams)

    templates = Templates(rt.settings.runbooks_dir, named="")
    name = shown.source_path or f"{shown.slug}.yaml" if shown else "runbook.yaml"
    return examine(text.encode("utf-8", "surrogatepass"), name, refused, cautions, templates=templates)


def target_names(rt: Runtime) -> list[str]:
    """The targets that a call may name."""
    with database.reading():
        return sorted(approved_targets.known(rt))
