"""What help says, by what one wants to do."""

from __future__ import annotations

from collections import Counter

from bot.help_text import GROUPS, grouped
from bot.verbs import VERBS


def test_every_verb_stands_under_one_purpose() -> None:
    """Once, and nothing else does."""
    assert Counter(name for _, names in GROUPS for name in names) == Counter(verb.name for verb in VERBS)


def test_a_purpose_without_verbs_is_left_out() -> None:
    looking = [verb for verb in VERBS if verb.name in ("why", "status")]
    assert [(title, [verb.name for verb in verbs]) for title, verbs in grouped(looking)] == [
        ("See how it goes", ["status", "why"])
    ]
