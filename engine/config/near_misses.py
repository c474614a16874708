"""Variables that are nearly called as a setting is: what was mistyped is told of, not passed over in silence."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from engine.config.secrets import VARIABLE_PREFIX


def near_misses(given: Mapping[str, str], known: Iterable[str]) -> list[str]:
    """Only names that clearly mean one of ours: an environment is full of other programs' variables."""
    known = frozenset(known)
    ours = sorted(name for name in known if len(name) > len("PORT"))
    found = []
    for name in sorted(given):
        if name in known or name.startswith(VARIABLE_PREFIX):
            continue
        stem = VARIABLE_PREFIX if _close(name[: len(VARIABLE_PREFIX)], VARIABLE_PREFIX) else ""
        if not stem and (close := difflib.get_close_matches(name.upper(), ours, n=1, cutoff=0.85)):
            stem = close[0]
        if stem:
            meant = f"{stem}<NAME>" if stem == VARIABLE_PREFIX else stem
            found.append(f"{name} is not a setting; did you mean {meant}?")
    return found


def _close(text: str, other: str) -> bool:
    return difflib.SequenceMatcher(None, text.upper(), other).ratio() >= 0.85
