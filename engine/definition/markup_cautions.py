"""Texts in which markup is no markup: what a gate asks, and what a check says."""

from __future__ import annotations

from collections.abc import Iterator

from engine.definition.model import Step
from engine.definition.schema import Finding, Path
from engine.expressions import written_in
from engine.text import mrkdwn

AS_TEXT = "markup-as-text"
_WHAT_IS_MARKUP = (
    "a mention is an id, as in `<@U0123ABC>` or `<!subteam^S0123ABC>`, or one value; a link begins with https:// and "
    "its whole host"
)


def only_text(step: Step, with_path: Path) -> Iterator[Finding]:
    """Markup in the `message` of a step, which is shown in many places and everywhere as text."""
    written = written_in(str(step.with_.get("message") or ""))
    for token in (*mrkdwn.markup(written), *mrkdwn.mistaken(written)):
        message = f"`{shown(token)}` is shown as text here: markup is for `message` steps"
        yield Finding((*with_path, "message"), message, rule=AS_TEXT)


def in_markup(written: str, where: Path) -> Iterator[Finding]:
    """Markup that rings everybody, or that is none."""
    for token in mrkdwn.calls_everybody(written):
        message = f"`{token}` rings everybody in the channel: a group, as `<!subteam^S0123ABC>`, rings fewer"
        yield Finding(where, message, rule="rings-everybody")
    for token in mrkdwn.mistaken(written):
        yield Finding(where, f"`{shown(token)}` is shown as text: {_WHAT_IS_MARKUP}", rule=AS_TEXT)


def shown(token: str) -> str:
    """Markup as its author wrote it, `…` for the values in it."""
    return token.replace(mrkdwn.HOLE, "{{ … }}")
