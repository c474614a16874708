"""Every deed that can be typed can be asked about."""

from __future__ import annotations

from bot.verbs import FAMILIES, VERBS
from engine.access.policy import Action
from engine.queries import can

NOT_ASKED = {"help", "can", "withdraw", "token", "admin history", "admin verify"}
"""Talk about the talk itself, and what is for oneself or the admins alone."""


def test_every_verb_can_be_asked_about() -> None:
    """By its name, or its family's where that is one right; and nothing else can."""
    names = {verb.name for verb in VERBS} - NOT_ASKED
    known = {name if name in can.VERBS else name.partition(" ")[0] for name in names}
    assert known == set(can.VERBS)
    assert {name for name in known if name in FAMILIES} == {"audit", "incident"}


def test_every_right_over_a_run_has_its_word() -> None:
    """What one may do to a runbook or run can be asked in some word."""
    asked = set(can.VERBS.values())
    assert set(Action) - asked <= {Action.TOKEN, Action.TOKENS, Action.EDIT}
