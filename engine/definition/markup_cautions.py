"""Texts in which markup is no markup: what a gate asks, and what a check says."""

from __future__ import annotations

from collections.abc import Iterator

from engine.definition.model import Step
from engine.definition.schema import Finding, Path
from engine.expressions import written_in
from engine.text import mrkdwn

AS_TEXT = "markup-as-text"


def only_text(step: Step, with_path: Path) -> Iterator[Finding]:
    """Markup in the `message` of a step, which is shown in many places and everywhere as text."""
    written = written_in(str(step.with_.get("message") or ""))
    for token in (*mrkdwn.markup(written), *mrkdwn.mistaken(written)):
        message = f"`{shown(token)}` is shown as text here: markup is for `message` steps"
        yield Finding((*with_path, "message"), message, rule=AS_TEXT)


def shown(token: str) -> str:
    """Markup as its author wrote it, `…` for the values in it."""
    return token.replace(mrkdwn.HOLE, "{{ … }}")
