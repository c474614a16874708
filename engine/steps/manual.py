"""The `manual` step: people are asked to do something by hand and to say what came of it, and nothing is held."""

from __future__ import annotations

from collections.abc import Mapping

from engine.definition.model import Step
from engine.steps.outcome import Assigned, Failed
from engine.text import mrkdwn
from engine.text.redaction import Redact
from engine.text.storable import clean_text
from engine.text.visible_characters import visible
from storage.records import Json


def run(step: Step, with_: Mapping[str, Json], *, redact: Redact) -> Assigned | Failed:
    """Ask for what `instructions` say, secrets masked. They are mrkdwn, as `engine.text.mrkdwn.composed` makes it."""
    instructions = visible(clean_text(str(redact(str(with_["instructions"])))).strip())
    if not mrkdwn.readable(instructions).strip():
        return Failed("bad_request", "There is nothing to do: the instructions are empty.")
    return Assigned(instructions, dict(with_["assignees"]), dict(with_["form"]), step.timeout_ms or 0)
