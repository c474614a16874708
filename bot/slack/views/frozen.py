"""The sentence of a freeze in Slack: who set it as a mention, until when in each reader's own time zone."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from bot.slack.views.text import code, escape, person, when

_SENTENCE = re.compile(
    r"(?P<id>F-\w+) freezes (?P<scope>\S+) until (?P<until>\d{4}-\d\d-\d\d \d\d:\d\d) UTC: "
    r"(?P<reason>.*) \(set by (?P<by>@[UW][A-Z0-9]+|the calendar)\)\. (?P<lift>Only .*)",
    re.ASCII | re.DOTALL,
)
"""As `engine.access.freezes.sentence` says it. People wrote the reason alone, and it ends at the last `(set by`."""


def frozen_words(sentence: str, limit: int) -> str:
    """The sentence as mrkdwn, its reason at most `limit` characters; any other sentence as text."""
    found = _SENTENCE.fullmatch(sentence)
    if found is None:
        return escape(sentence, limit)
    until = datetime.strptime(found["until"], "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
    by = person(found["by"][1:]) if found["by"].startswith("@") else found["by"]
    return (
        f"{code(found['id'])} freezes {code(found['scope'])} until {when(int(until.timestamp()) * 1000)}: "
        f"{escape(found['reason'], limit)} (set by {by}). {escape(found['lift'], 500)}"
    )
