"""The `message` step: something to tell people. It is kept with the run, and whoever shows the run posts it."""

from __future__ import annotations

import re

from engine.steps.outcome import Failed, Posted
from engine.text.redaction import MAX_TOLD_BYTES, Redact, outgoing
from engine.text.storable import clean_text
from storage.records import Json

MAX_CHARS = 3_000
"""What one Slack section block holds."""

_CHANNEL = re.compile(r"[CGD][A-Z0-9]{2,20}")


def run(with_: dict[str, Json], *, redact: Redact, by_value: bool = False) -> Posted | Failed:
    """The message, secrets masked first and then cut. `channel` left out is the run's own, `thread` is true.

    `by_value` says that the channel is not as an author wrote it.
    """
    text = clean_text(str(redact(str(with_.get("text") or "")))).strip()
    channel = with_.get("channel") or None
    if not text:
        return Failed("bad_request", "There is nothing to say: the text is empty.")
    if channel is not None and not (isinstance(channel, str) and _CHANNEL.fullmatch(channel)):
        shown = outgoing(str(channel), redact, MAX_TOLD_BYTES, fold=True)
        return Failed("bad_request", f"{shown} is not a channel's id: write it like C0123456789.")
    cut = text if len(text) <= MAX_CHARS else text[: MAX_CHARS - 1] + "…"
    return Posted(cut, channel, with_.get("thread", True), by_value and channel is not None)
