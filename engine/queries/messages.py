"""What a `message` step has to say that is too long for a message, or meant as a file."""

from __future__ import annotations

from engine.runs import executions
from engine.runs.executions import ExecutionView
from engine.runtime import Runtime
from storage.records import EventRecord


def file_text(rt: Runtime, view: ExecutionView, event: EventRecord) -> str:
    """The whole text that the event of a message shares as a file, secrets masked; "" where it shares none."""
    if not event.data.get("file"):
        return ""
    ids = [step.id for step in view.steps if step.path == event.path]
    kept = (each for tries in executions.attempts(rt, ids).values() for each in tries)
    said = next((each.request for each in kept if each.number == event.data["attempt"]), None)
    return str((said or {}).get("body", ""))
