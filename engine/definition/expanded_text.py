"""The text of a version without what its templates came to, which is kept behind it as comments."""

from __future__ import annotations

import re

_BEHIND = re.compile(r"\n\n(?:# What `[^`\n]+` comes to by its template:\n(?:#   .*\n)+)+\Z")


def as_written(text: str) -> str:
    """What `step_templates.shown` was given, with a line break at its end."""
    found = _BEHIND.search(text)
    return text if found is None else text[: found.start() + 1]
