"""Yes and no in the queries of pages: the same words as everywhere else."""

from __future__ import annotations

from collections.abc import Mapping

from engine.errors import InvalidParameters
from engine.text.words import shortened
from engine.text.yes_no import yes_or_no


def says_yes(asked: Mapping[str, str], name: str) -> bool:
    """Whether a query says yes to `name`; no where it says nothing. Raises `InvalidParameters` for any other word."""
    said = asked.get(name, "")
    try:
        return bool(said.strip()) and yes_or_no(said)
    except ValueError:
        raise InvalidParameters({name: f"is yes or no, not “{shortened(said)}”"}) from None
