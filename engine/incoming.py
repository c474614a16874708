"""Taking in events from outside."""

from __future__ import annotations

from engine import waiting
from engine.errors import InvalidParameters
from engine.failpoints import committing
from engine.lifecycle import change
from engine.runtime import Runtime
from engine.storable import TooLarge, shallow, to_storable
from storage import steps, waits
from storage.records import Json
from storage.states import StepStatus

MAX_KEY = 256
MAX_DATA_BYTES = 64 * 1024


def deliver(rt: Runtime, key: str, event_id: str, sender: str, data: Json) -> bool:
    """Keep an event and let it end the wait that has waited longest for its key, if there is one.

    Secrets in its data are masked first. An event that comes before its wait is kept for an hour. False when this
    sender's event of this id came before: then nothing changes. Raises `InvalidParameters`.
    """
    _check(key, event_id)
    try:
        kept = to_storable(rt.redactor().redact_json(shallow(data)), MAX_DATA_BYTES)
    except TooLarge as error:
        raise InvalidParameters({"data": str(error)}) from error
    with committing("deliver"):
        waits.lock_key(rt.workspace_id, key)
        if waits.receive(rt.workspace_id, key, event_id, sender, kept) is None:
            return False
        found = waits.waiting(rt.workspace_id, key)
    for execution_id, step_run_id in found:
        if give(rt, execution_id, step_run_id, key):
            break
    return True


def give(rt: Runtime, execution_id: str, step_run_id: int, key: str) -> bool:
    """Let a kept event end this wait; False when there is none or the wait is over."""
    with change(rt, execution_id, "give") as transition:
        step = steps.by_id(step_run_id)
        taken = step is not None and step.status is StepStatus.WAITING and waiting.take_kept(transition, step, key)
    if taken:
        rt.hint([execution_id])
    return taken


def _check(key: str, event_id: str) -> None:
    wrong = {
        name: f"must be a text of 1 to {MAX_KEY} characters that can be seen"
        for name, value in (("key", key), ("event_id", event_id))
        if not isinstance(value, str) or not 0 < len(value) <= MAX_KEY or not value.isprintable()
    }
    if wrong:
        raise InvalidParameters(wrong)
