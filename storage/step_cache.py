"""What this thread's transaction knows of the step runs of a run that it has locked, and how it will leave them.

Nobody else changes the state of a step run while its run is locked. So a compare-and-set on one that was read under the
lock is decided here, and a row that is changed several times is written once, before the next statement or the commit.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from storage.records import StepRunRecord, changed
from storage.states import StepStatus, VersionStatus


@dataclass(slots=True)
class Change:
    """What one row will be given; `status`, `fence` and `blocked` are what it has to have still when it is written."""

    id: int
    status: StepStatus
    fence: int
    blocked: int
    fields: dict[str, Any] = field(default_factory=dict)


class StepCache(threading.local):
    """Empty outside a transaction. `versions` are states and notes of versions by their id."""

    def __init__(self) -> None:
        self.clear(active=False)

    def clear(self, *, active: bool) -> None:
        """Know nothing and change nothing, at a transaction's beginning (`active`) and end."""
        self.active = active
        self._rows: dict[int, StepRunRecord] = {}
        self._ids: dict[tuple[str, str], int] = {}
        self._changes: dict[int, Change] = {}
        self.versions: dict[int, tuple[VersionStatus, str]] = {}

    def forget(self) -> None:
        """Know nothing any more: something changed rows without going through here. What is to be written stays."""
        self._rows.clear()
        self.versions.clear()

    def remember(self, rows: Iterable[StepRunRecord]) -> None:
        """Know these rows, which were read under their run's lock."""
        if self.active:
            for row in rows:
                self._rows[row.id] = row
                self._ids[row.execution_id, row.path] = row.id

    def by_id(self, step_run_id: int) -> StepRunRecord | None:
        return self._rows.get(step_run_id)

    def at(self, execution_id: str, path: str) -> StepRunRecord | None:
        return self._rows.get(self._ids.get((execution_id, path), 0))

    def all_ready(self, execution_id: str, count: int) -> list[StepRunRecord] | None:
        """The execution's READY step runs, if all `count` of them are known."""
        rows = [
            row for row in self._rows.values() if row.status is StepStatus.READY and row.execution_id == execution_id
        ]
        return rows if len(rows) == count else None

    def change(self, row: StepRunRecord, fields: dict[str, Any]) -> StepRunRecord:
        """Leave a known row with these fields; the row as it is now."""
        change = self._changes.get(row.id)
        if change is None:
            change = self._changes[row.id] = Change(row.id, row.status, row.fence, row.blocked)
        change.fields.update(fields)
        now = self._rows[row.id] = changed(row, **fields)
        return now

    def take_changes(self) -> Iterator[Change]:
        """What is to be written now, in the order in which it was changed first."""
        changes, self._changes = self._changes, {}
        yield from changes.values()


cache = StepCache()
