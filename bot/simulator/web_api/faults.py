"""Trouble on demand: what a test asks the Web API to do instead of answering."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

KINDS = ("429", "500", "hang", "reset", "reset_after_commit", "slow")


@dataclass(slots=True)
class Fault:
    """One kind of trouble for one method ("*" for all), for the next `times` calls.

    `429` and `500` are answers; `slow` answers after `retry_after` seconds, `hang` never; `reset` drops the connection
    before anything happened and `reset_after_commit` right after it did; `error:<name>` is an `ok: false` of that name.
    """

    method: str
    kind: str
    times: int = 1
    retry_after: int = 1


class Faults:
    """The trouble still to come, the oldest first."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Raises ValueError for a kind there is not."""
        if fault.kind not in KINDS and not fault.kind.startswith("error:"):
            raise ValueError(f"unknown kind {fault.kind!r}: it is one of {', '.join(KINDS)} or error:<name>")
        if fault.times < 1:
            raise ValueError("times must be at least 1")
        self._waiting.append(fault)

    def take(self, method: str) -> Fault | None:
        """The fault that this call runs into, counted down."""
        fault = next((each for each in self._waiting if each.method in ("*", method)), None)
        if fault is not None:
            fault.times -= 1
            self._waiting = [each for each in self._waiting if each.times > 0]
        return fault

    def clear(self) -> None:
        self._waiting = []

    def listed(self) -> list[dict[str, Any]]:
        return [asdict(fault) for fault in self._waiting]
