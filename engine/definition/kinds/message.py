"""The kind `message`: something is said in a channel."""

from __future__ import annotations

from collections.abc import Iterator

from engine.definition.kinds.kind import Effect, Kind, Treatment
from engine.definition.markup_cautions import AS_TEXT, in_markup, shown
from engine.definition.model import Step
from engine.definition.schema import Finding, Path
from engine.expressions import has_template, written_in
from engine.text import mrkdwn


def _caution(step: Step, _path: Path, with_path: Path) -> Iterator[Finding]:
    """Markup that rings everybody, that is none, or that a file does not have."""
    where, written = (*with_path, "text"), written_in(str(step.with_["text"]))
    if step.with_.get("as") == "file":
        for token in mrkdwn.markup(written):
            yield Finding(where, f"`{shown(token)}` is only text in a file, which rings nobody", rule=AS_TEXT)
        return
    yield from in_markup(written, where)


KIND = Kind(
    name="message",
    effect=Effect.ROWS,
    defaults={"thread": True},
    treatments={"text": Treatment.MARKUP, "channel": Treatment.TEXT},
    timeout_ms=None,
    shown=("channel", "as", "text"),
    gives=("text",),
    caution=_caution,
)


def channel_is_value(step: Step) -> bool:
    """Whether a step is a message to a channel that its author did not choose by writing its id.

    A direct message is somebody's, whoever wrote down its id.
    """
    channel = str(step.with_.get("channel") or "") if step.kind == KIND.name else ""
    return has_template(channel) or channel.startswith("D")
