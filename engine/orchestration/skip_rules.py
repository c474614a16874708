"""When a step is skipped by itself or by a person's wish, and what is noted of that. Pure."""

from __future__ import annotations

from storage.records import Json

CONDITION_NOT_MET = "its condition was not met"
"""The note of a step that the run itself has skipped; no person's skip has it."""


def skip_agreed(skip: Json) -> bool:
    """Whether a step run's `skip` is to be done when its turn comes: nobody has to agree to it any more."""
    return bool(skip) and None not in skip["agreed"].values()


def skip_note(skip: Json) -> str:
    """The note of a step that was skipped by this wish."""
    return f"skipped by {skip['by']}: {skip['reason']}"
