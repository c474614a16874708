"""What a process is doing right now, known to all its threads."""

from __future__ import annotations

import threading

from storage.records import StepRunRecord

Key = tuple[int, int]


class InFlight:
    """The attempts under way in this process, each a step run under one fence. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._executions: dict[Key, str] = {}
        self._abandoned: set[Key] = set()
        self._begun: set[Key] = set()

    def add(self, step: StepRunRecord) -> None:
        """Note an attempt before its claim is committed, so that what is claimed is always known here."""
        with self._lock:
            self._executions[_key(step)] = step.execution_id

    def drop(self, step: StepRunRecord) -> None:
        """Note that no thread has this attempt any more: it ended, or its claim was not committed."""
        with self._lock:
            self._executions.pop(_key(step), None)
            self._abandoned.discard(_key(step))

    def begin(self, step: StepRunRecord) -> None:
        """Note that this attempt is about to be made: from now on something may have been sent."""
        with self._lock:
            self._begun.add(_key(step))

    def settle(self, step: StepRunRecord) -> None:
        """Note that what came of this attempt is recorded, or was dropped because it came too late."""
        with self._lock:
            self._begun.discard(_key(step))

    def was_begun(self, step: StepRunRecord) -> bool:
        """Whether this process has made this attempt, with a result that was not recorded."""
        with self._lock:
            return _key(step) in self._begun

    def __contains__(self, step: StepRunRecord) -> bool:
        with self._lock:
            return _key(step) in self._executions

    def __len__(self) -> int:
        with self._lock:
            return len(self._executions)

    def executions(self) -> set[str]:
        """The executions that these attempts belong to."""
        with self._lock:
            return set(self._executions.values())

    def abandon(self, execution_ids: set[str]) -> None:
        """Have every attempt of these executions dropped."""
        with self._lock:
            self._abandoned |= {key for key, execution in self._executions.items() if execution in execution_ids}

    def is_abandoned(self, step: StepRunRecord) -> bool:
        """Whether nobody wants this attempt's result any more; asked again and again during its call."""
        return _key(step) in self._abandoned


def _key(step: StepRunRecord) -> Key:
    return step.id, step.fence
