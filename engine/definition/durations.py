"""How long things in a runbook may take, and durations as people write them."""

from __future__ import annotations

from engine.text.durations import DAY_MS, HOUR_MS, SECOND_MS, parse_duration, show_duration

__all__ = [
    "DAY_MS",
    "HOUR_MS",
    "MAX_APPROVAL_MS",
    "MAX_RUN_MS",
    "MAX_STEP_MS",
    "SECOND_MS",
    "parse_duration",
    "show_duration",
]

MAX_RUN_MS = 7 * DAY_MS
"""The longest that a run, and what may take as long as one, is given."""
MAX_STEP_MS = DAY_MS
MAX_APPROVAL_MS = 3_650 * DAY_MS
