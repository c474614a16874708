"""Yes and no as people type them: the same words in a command, a parameter, a setting and at a prompt."""

from __future__ import annotations

YES = frozenset({"yes", "true", "on", "y", "1"})
NO = frozenset({"no", "false", "off", "n", "0"})


def yes_or_no(text: str) -> bool:
    """What was typed, in any case. Raises ValueError where it says neither."""
    word = text.strip().lower()
    if word not in YES | NO:
        raise ValueError("neither yes nor no")
    return word in YES
