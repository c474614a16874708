"""What is wrong with answers, where the form of them can show it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.slack.ids import REASON_BLOCK, parameter_block
from engine.errors import InvalidParameters


def by_block(wrong: InvalidParameters, state: Mapping[str, Any]) -> dict[str, str]:
    """Every complaint under an input that exists: Slack takes no other keys. One without goes under the note."""
    errors: dict[str, str] = {}
    for name, why in wrong.fields.items():
        block = parameter_block(name)
        here = block in state
        text = why[:1].upper() + why[1:] if here else f"{name}: {why}"
        errors.setdefault(block if here else REASON_BLOCK, text)
    return errors
