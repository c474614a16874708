"""The kind `message`: something is said in a channel."""

from __future__ import annotations

from engine.definition.kinds.kind import Effect, Kind, Treatment
from engine.definition.model import Step
from engine.expressions import has_template

KIND = Kind(
    name="message",
    effect=Effect.ROWS,
    defaults={"thread": True},
    treatments={"text": Treatment.TEXT, "channel": Treatment.TEXT},
    timeout_ms=None,
    shown=("channel", "text"),
    gives=("text",),
)


def channel_is_value(step: Step) -> bool:
    """Whether a step is a message to a channel that its author did not choose by writing its id.

    A direct message is somebody's, whoever wrote down its id.
    """
    channel = str(step.with_.get("channel") or "") if step.kind == KIND.name else ""
    return has_template(channel) or channel.startswith("D")
