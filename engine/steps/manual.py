"""The `manual` step: people are asked to do something by hand and to say what came of it, and nothing is held."""

from __future__ import annotations

from collections.abc import Mapping

from engine.definition.model import Step
from engine.steps.outcome import Assigned, Failed
from engine.text.redaction import Redact
from engine.text.storable import clean_text
from storage.records import Json


def run(step: Step, with_: Mapping[str, Json], *, redact: Redact) -> Assigned | Failed:
    """Ask for what `instructions`, rendered already, say, secrets masked."""
    instructions = clean_text(str(redact(str(with_["instructions"])))).strip()
    if not instructions:
        return Failed("bad_request", "There is nothing to do: the instructions are empty.")
    return Assigned(instructions, dict(with_["assignees"]), dict(with_["form"]), step.timeout_ms or 0)
