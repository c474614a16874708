"""Ids that people read aloud and type."""

from __future__ import annotations

import secrets

_LETTERS = "23456789ABCDEFGHJKLMNPQRSTVWXYZ"
"""No 0, 1, I, O or U: an id is read aloud at night and never spells a word."""


def short_id(kind: str) -> str:
    """A new id of a kind of thing, such as `F-7K2M9QXY`."""
    return f"{kind}-" + "".join(secrets.choice(_LETTERS) for _ in range(8))
