"""What a reviewer would ask about a runbook as a whole: one file for each matter, all of them asked here."""

from __future__ import annotations

from collections.abc import Iterator

from engine.definition.lints import cleanup, dry_runs, gates, loops, outputs, parameters, reachable, secrets, times
from engine.definition.model import Runbook
from engine.definition.schema import Finding


def findings(runbook: Runbook) -> Iterator[Finding]:
    """Every warning of the rules in this package, with its path in the runbook's file."""
    for matter in (reachable, parameters, outputs, gates, loops, cleanup, times, secrets, dry_runs):
        yield from matter.findings(runbook)
