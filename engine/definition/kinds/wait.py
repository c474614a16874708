"""The kind `wait`: nothing goes on before an event has come."""

from __future__ import annotations

from collections.abc import Iterator

from engine.definition.durations import HOUR_MS
from engine.definition.kinds.kind import Awaits, Effect, Kind, Treatment
from engine.definition.model import Step
from engine.definition.schema import Finding, Path


def _caution(step: Step, _path: Path, with_path: Path) -> Iterator[Finding]:
    """Whose word a wait takes."""
    if "from" not in step.with_:
        message = "every sender who sends for this team may end this wait: name those who may, as in `from: [ci]`"
        yield Finding((*with_path, "key"), message, rule="unnamed-sender")
    if step.with_.get("shared"):
        message = "`shared: true` takes events that are for other teams, and what is in them"
        yield Finding((*with_path, "shared"), message, rule="shared-event")


KIND = Kind(
    name="wait",
    effect=Effect.ROWS,
    awaits=Awaits.EVENT,
    treatments={"key": Treatment.TEXT},
    timeout_ms=HOUR_MS,
    shown=("key", "from", "shared"),
    gives=("data", "event_id"),
    caution=_caution,
)
