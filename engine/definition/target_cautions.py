"""What deserves a second look in the targets that a runbook calls: the same that a step's own `url` is asked. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from engine.definition.kinds import call
from engine.definition.model import Runbook
from engine.definition.placed import Placed, dry_run_of, every_step
from engine.definition.schema import Finding
from engine.definition.targets import FILE, Targets, named_by


def cautions(runbook: Runbook, targets: Targets) -> Iterator[Finding]:
    """Every call of a target that is not encrypted and leaves this machine, in check mode too."""
    for placed in every_step(runbook):
        own = named_by(placed.step)
        yield from _caution(placed, own, targets)
        for checked in dry_run_of(placed):
            name = named_by(checked.step)
            yield from _caution(checked, name if name != own else None, targets)


def _caution(placed: Placed, name: str | None, targets: Targets) -> Iterator[Finding]:
    url = str(targets[name]["url"]) if name is not None and name in targets else ""
    if url.startswith("http://") and not call.is_loopback(url):
        key = "target" if "target" in placed.step.with_ else "url"
        message = f"target `{name}` of {FILE} is plain http: what is sent, secrets too, can be read on the way"
        yield Finding((*placed.with_path, key), message, rule="plain-http")
