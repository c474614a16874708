"""What a sentence of the engine says could be typed, as it is typed where the sentence is read."""

from __future__ import annotations

import re

from bot.verbs import VERBS

_HINT = re.compile(rf"`((?:{'|'.join(verb.name for verb in VERBS)})(?: [^`]*)?)`")
"""A verb in code, as the engine writes what could be typed: it does not know what reaches this bot."""


def typed_here(sentence: str, command: str) -> str:
    """A sentence of the engine with `command` before each verb that it says could be typed."""
    return _HINT.sub(lambda hint: f"`{command} {hint[1]}`", sentence)
