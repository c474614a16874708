"""The `wait` step: nothing goes on until somebody sends the event with its key, and nothing is held meanwhile."""

from __future__ import annotations

from engine.steps.outcome import Failed, Waiting
from engine.text.storable import clean_text
from storage.records import Json

MAX_KEY_CHARS = 200


def run(with_: dict[str, Json], *, timeout_ms: int) -> Waiting | Failed:
    """The key must be 1 to 200 characters, without blanks around it; both sides must spell it the same."""
    key = clean_text(str(with_.get("key") or "")).strip()
    if not 1 <= len(key) <= MAX_KEY_CHARS:
        return Failed("bad_request", f"The key of an event must have 1 to {MAX_KEY_CHARS} characters, not {len(key)}.")
    senders = tuple(with_["from"]) if "from" in with_ else None
    return Waiting(key, timeout_ms, senders, with_.get("shared", False))
