"""The stated reason of a control action: what it has to say where `REASON_PATTERN` is set, at every door."""

from __future__ import annotations

from engine.access.actions import Actor
from engine.errors import ReasonRequired
from engine.runtime import Runtime
from engine.text.regex import found_in


def wanted(rt: Runtime) -> bool:
    """Whether control actions have to say why, in the way that the settings want."""
    return bool(rt.settings.reason_pattern)


def wrong(rt: Runtime, text: str) -> str:
    """The sentence for a reason that does not say what it has to, "" for one that does."""
    pattern = rt.settings.reason_pattern
    if not pattern or found_in(pattern, text) is not None:
        return ""
    expected = rt.settings.reason_hint or f"something that fits {pattern}"
    lacks = "The reason given does not have what it needs" if text.strip() else "This needs a reason"
    return f"{lacks}: {expected.rstrip('.')}."


def must_be_stated(rt: Runtime, actor: Actor, text: str, word: str = "reason") -> None:
    """Raise `ReasonRequired` where a person's reason does not say what it has to; the bot itself needs none."""
    if actor.door != "system" and (sentence := wrong(rt, text)):
        raise ReasonRequired(f'{sentence} Say it as {word}="…".')
