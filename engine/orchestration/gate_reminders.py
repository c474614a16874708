"""When people are reminded of an open gate. Pure."""

from __future__ import annotations

REMINDERS = (0.5, 0.9)
"""How much of a gate's time has passed when people are reminded of it."""

WORTH_REMINDING_MS = 120_000
"""A gate that is open for less is not worth a reminder."""


def next_reminder(opened_at: int, expires_at: int, after: int) -> int | None:
    """When people are next reminded of a gate: the first of its reminders that comes later than `after`."""
    span = expires_at - opened_at
    if span < WORTH_REMINDING_MS:
        return None
    return next((at for part in REMINDERS if (at := opened_at + round(span * part)) > after), None)
