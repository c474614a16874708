"""A run whose lock this transaction holds: what was read of it, and how its step runs will be left.

Nobody else changes the state of a step run while its run is locked. So a change of one is decided here, in memory, and
a row that is changed several times is written once, before whatever is asked of the database next or with the commit.
Whatever changes step runs takes a `RunState`, which nobody has without the lock.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from storage import executions, freezes, runbooks, sql, steps
from storage.catalog_records import RunbookRecord, VersionState
from storage.columns import proxy
from storage.connections import LostRow
from storage.database import is_postgresql, now
from storage.freeze_records import FreezeRecord
from storage.records import ExecutionRecord, StepRunRecord, changed
from storage.state_transitions import STEP_TRANSITIONS, check_transition
from storage.states import Phase, StepStatus
from storage.tables import StepRun
from storage.writes import Write

_FEW = 32
"""So many step runs that may be next are read with the lock; those of a longer run are asked for by themselves."""


_NEXT = "execution_id = ? AND status IN ('READY', 'BLOCKED') ORDER BY position LIMIT ?"


@dataclass(slots=True)
class _Change:
    """What one row will be given; `status`, `fence` and `blocked` are what it has to have still when it is written."""

    id: int
    status: StepStatus
    fence: int
    blocked: int
    fields: dict[str, Any] = field(default_factory=dict)


class RunState:
    """One run, and what was read of its steps.

    `execution` is the run as it was read under its lock; `version` is the state of its version, `runbook` its runbook
    and `holding` the freezes that pause what is under way, where they were read with it.
    """

    def __init__(self, execution: ExecutionRecord) -> None:
        self.id = execution.id
        self.execution = execution
        self.version: VersionState | None = None
        self.runbook: RunbookRecord | None = None
        self.holding: list[FreezeRecord] | None = None
        self._rows: dict[str, StepRunRecord] = {}
        self._changes: dict[int, _Change] = {}
        proxy.obj.attach(self)

    def at(self, paths: Collection[str]) -> list[StepRunRecord]:
        """The step runs at these paths, as this transaction has left them so far; paths without one are left out."""
        missing = [path for path in paths if path not in self._rows]
        if missing:
            self._remember(steps.at_paths(self.id, missing))
        return [self._rows[path] for path in paths if path in self._rows]

    def of_phase(self, phase: Phase) -> list[StepRunRecord]:
        """All step runs of a phase in order."""
        found = steps.of_phase(self.id, phase)
        self._remember(found)
        return found

    def ready(self, at: int, limit: int, count: int, kinds: Collection[str] | None = None) -> list[StepRunRecord]:
        """Those of the run's `count` READY step runs that have been due longest, or those of some kinds.

        One that was never tried is due whatever the time: the clock of the process that made it ready may be ahead.
        """
        known = [row for row in self._rows.values() if row.status is StepStatus.READY]
        if len(known) != count:
            found = steps.ready(self.id, at, limit, kinds)
            self._remember(found)
            return found
        due = [step for step in known if step.attempts == 0 or (step.due_at or 0) <= at]
        due = [step for step in due if kinds is None or step.kind in kinds]
        return sorted(due, key=lambda step: (step.due_at or 0, step.position))[:limit]

    def move(self, step: StepRunRecord, to: StepStatus, **fields: Any) -> bool:
        """Change `step` from exactly the state and fence it was read with; False when somebody else was first.

        Raises `ForbiddenTransition` for a status that may not follow.
        """
        check_transition(STEP_TRANSITIONS, step.status, to)
        now = next(iter(self.at([step.path])), None)
        if now is None or (now.status, now.fence) != (step.status, step.fence):
            return False
        self._change(now, {"status": to, **fields})
        return True

    def edit(self, step: StepRunRecord, **fields: Any) -> None:
        """Change a step run beyond its moves, whatever it is now: a loop's rounds, a gate's mark, a fresh beginning.

        Raises `LostRow` where there is none: step runs are never deleted, so that is a bug.
        """
        now = next(iter(self.at([step.path])), None)
        if now is None:
            raise LostRow(f"{self.id} has no step run {step.path}")
        self._change(now, fields)

    def count_down(self, paths: Collection[str]) -> list[StepRunRecord]:
        """Take one need off each step at `paths`, and return them."""
        return [self._change(row, {"blocked": row.blocked - 1}) for row in self.at(paths)]

    def assume(self, row: StepRunRecord) -> None:
        """Take a step run for this, which a statement has just written."""
        self._rows[row.path] = row

    def forget(self) -> None:
        """Know no step run any more: a statement is about to change many, before which what is changed is written."""
        self._rows.clear()

    def writes(self) -> list[Write]:
        """What is to be written now, in the order in which it was changed first; from now on it counts as written."""
        changes, self._changes = self._changes, {}
        if len(changes) < 2 or not is_postgresql():
            return [_write(change) for change in changes.values()]
        alike: dict[tuple[str, ...], list[_Change]] = {}
        for change in changes.values():
            alike.setdefault(tuple(sorted(change.fields)), []).append(change)
        return [_write(same[0]) if len(same) == 1 else _write_together(names, same) for names, same in alike.items()]

    def _change(self, row: StepRunRecord, fields: dict[str, Any]) -> StepRunRecord:
        change = self._changes.get(row.id)
        if change is None:
            change = self._changes[row.id] = _Change(row.id, row.status, row.fence, row.blocked)
        change.fields.update(fields)
        now = self._rows[row.path] = changed(row, **fields)
        return now

    def _remember(self, rows: Sequence[StepRunRecord]) -> None:
        for row in rows:
            self._rows[row.path] = row


def lock(execution_id: str) -> RunState | None:
    """The run of this id, held until this transaction ends; None when there is none."""
    execution = sql.first(executions.lock_query(execution_id))
    return None if execution is None else RunState(execution)


def load(execution_id: str, paths: Collection[str] = (), *, to_claim: bool = False) -> RunState | None:
    """`lock`, and in the same round trip what running it asks next: the state of its version and its steps at `paths`.

    `to_claim` reads what a first claim asks as well: its runbook, and the steps that may be next.
    """
    about = "id = (SELECT {} FROM execution WHERE id = ?)".format
    asked: list[sql.Query[Any]] = [
        executions.lock_query(execution_id), runbooks.state_query(about("version_id"), execution_id),
        freezes.holding_query(execution_id, now()),
    ]  # fmt: skip
    if paths:
        asked.append(steps.query_at(execution_id, paths))
    if to_claim:
        asked.append(steps.query(_NEXT, execution_id, _FEW))
        asked.append(runbooks.query(about("runbook_id"), execution_id))
    locked, version, holding, *others = sql.ask_each(*asked)
    if not locked:
        return None
    state = RunState(locked[0])
    (state.version,), state.holding = version, holding
    if to_claim:
        (state.runbook,) = others.pop()
    for rows in others:
        state._remember(rows)
    return state


def create(execution: ExecutionRecord) -> RunState:
    """Write a new run, which nobody else sees before this transaction is committed.

    Raises `database.IntegrityError` where its id is taken, at the latest with the commit.
    """
    executions.create(execution)
    return RunState(execution)


def _write(change: _Change) -> Write:
    where = "id = ? AND status = ? AND fence = ? AND blocked = ?"
    return sql.update_one(StepRun, change.fields, where, change.id, change.status.value, change.fence, change.blocked)


def _write_together(names: tuple[str, ...], changes: Sequence[_Change]) -> Write:
    still = [{"id": each.id, "status": each.status, "fence": each.fence, "blocked": each.blocked} for each in changes]
    return sql.update_together(StepRun, names, [each.fields for each in changes], still)
