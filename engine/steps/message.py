"""The `message` step: something to tell people. It is kept with the run, and whoever shows the run posts it."""

from __future__ import annotations

import re

from engine.steps.outcome import Failed, Posted
from engine.text import mrkdwn
from engine.text.redaction import MAX_TOLD_BYTES, Redact, outgoing
from engine.text.storable import MAX_BYTES, clean_text, json_size
from engine.text.visible_characters import visible
from storage.records import Json

MAX_CHARS = 3_000
"""What one Slack section block holds; what is longer is shared as a file."""
HEAD = 600
"""Characters of such a text that are said all the same."""

_CHANNEL = re.compile(r"[CGD][A-Z0-9]{2,20}")


def run(with_: dict[str, Json], *, redact: Redact, by_value: bool = False) -> Posted | Failed:
    """The message, secrets masked first. `text` is mrkdwn, as `engine.text.mrkdwn.composed` makes it.

    A text that is too long for a message, or is not to be one, is a file. `channel` left out is the run's own, `thread`
    is true. `by_value` says that the channel is not as an author wrote it.
    """
    marked = clean_text(str(redact(str(with_.get("text") or "")))).strip()
    text = clean_text(str(redact(mrkdwn.readable(marked)))).strip()
    channel = with_.get("channel") or None
    if not text:
        return Failed("bad_request", "There is nothing to say: the text is empty.")
    if json_size({"text": text}) > MAX_BYTES:
        most = f"a message of at most {MAX_BYTES // 1024} KiB is kept"
        return Failed("too_large", f"The text has {len(text):,} characters, and {most}.")
    if channel is not None and not (isinstance(channel, str) and _CHANNEL.fullmatch(channel)):
        shown = outgoing(str(channel), redact, MAX_TOLD_BYTES, fold=True)
        return Failed("bad_request", f"{shown} is not a channel's id: write it like C0123456789.")
    where = channel, with_.get("thread", True), by_value and channel is not None
    begins = text if len(text) <= MAX_CHARS else text[: MAX_CHARS - 1] + "…"
    if with_.get("as") == "file":
        return Posted(begins, *where, file=text)
    marked = visible(marked)
    if len(marked) > MAX_CHARS:
        return Posted(begins, *where, said=mrkdwn.head(marked, HEAD), file=text)
    return Posted(begins, *where, said=marked if mrkdwn.has_markup(marked) else "")
