"""Durations in words, the same at every door: running, waiting and pauses are never told as one without saying so."""

from __future__ import annotations

from collections.abc import Iterable

from bot.slack.views.text import duration
from engine.definition.kinds import KINDS

WORTH_TELLING_MS = 1_000

Part = tuple[int, str]


def parts_words(parts: Iterable[Part], usual: str) -> str:
    """`4 s running, 31 s waiting`; "" where all of it is the `usual`, which needs no word."""
    told = [(ms, word) for ms, word in parts if ms >= WORTH_TELLING_MS]
    if not told or [word for _, word in told] == [usual]:
        return ""
    return ", ".join(f"{duration(ms)} {word}" for ms, word in told)


def step_took(kind: str, tried: int, waited: int, paused: int) -> str:
    """How long a step took: `35 s (4 s running, 31 s waiting)`, or `4 s` where it did nothing but what it does."""
    known = KINDS.get(kind)
    usual = "waiting" if known and known.is_wait else "running"
    told = parts_words(((tried, "running"), (waited, "waiting"), (paused, "paused")), usual)
    return duration(tried + waited + paused) + (f" ({told})" if told else "")


def run_parts(
    created: int, started: int | None, ended: int | None, running: int, waiting: int, paused: int
) -> list[Part]:
    """What a run that has ended spent its time on.

    Running counts from the last retry on: what lay before, standing still as failed too, is told by itself.
    """
    known = [(running, "running"), (waiting, "waiting"), (paused, "paused")]
    if started is None or ended is None:
        return known
    rest = max(0, ended - created - running - waiting - paused)
    before = min(rest, started - created)
    return [*known, (before, "before it began"), (rest - before, "until its last retry")]
