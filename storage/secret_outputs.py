"""Secrets that runs received, sealed, from the commit that records them to the one that ends the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from storage import sql
from storage.database import now
from storage.secret_tables import SecretOutput

_FAMILY = (
    "WITH RECURSIVE family(id, parent_step) AS (SELECT id, parent_step FROM execution WHERE id = ? UNION ALL "
    "SELECT execution.id, execution.parent_step FROM family JOIN step_run ON step_run.id = family.parent_step "
    "JOIN execution ON execution.id = step_run.execution_id) SELECT id FROM family"
)


@dataclass(frozen=True, slots=True)
class SealedOutput:
    """A secret output of the step at `path` of a run."""

    id: int
    workspace_id: int
    execution_id: str
    path: str
    name: str
    sealed: str

    @property
    def belongs_to(self) -> tuple[str, str, str, str]:
        """What it was sealed with."""
        return str(self.workspace_id), self.execution_id, self.path, self.name

    @property
    def shown_as(self) -> str:
        """The name that a mark shows."""
        return f"{self.path.rpartition('.')[2]}.{self.name}"


def keep(workspace_id: int, execution_id: str, path: str, sealed: Mapping[str, str]) -> None:
    """Keep what a step received, instead of what an earlier try of it did."""
    earlier = (SecretOutput.execution_id == execution_id) & (SecretOutput.path == path)
    SecretOutput.delete().where(earlier).execute()
    about = {"workspace_id": workspace_id, "execution_id": execution_id, "path": path, "at": now()}
    for name, value in sealed.items():
        SecretOutput.insert(**about, name=name, sealed=value).execute()


def of_execution(execution_id: str) -> list[SealedOutput]:
    """Everything that a run has received so far."""
    return sql.ask(sql.Query(SecretOutput, SealedOutput, "execution_id = ? ORDER BY id", (execution_id,)))


def of_family(execution_id: str) -> list[SealedOutput]:
    """Everything that a run has received so far, and the runs that began it, one through the other."""
    return sql.ask(sql.Query(SecretOutput, SealedOutput, f"execution_id IN ({_FAMILY}) ORDER BY id", (execution_id,)))


def forget(execution_id: str) -> None:
    """Drop everything that a run received: it has ended."""
    SecretOutput.delete().where(SecretOutput.execution_id == execution_id).execute()


def forget_ended() -> None:
    """Drop what runs received that have ended, should any be left."""
    ended = "SELECT 1 FROM execution WHERE execution.id = secret_output.execution_id AND ended_at IS NOT NULL"
    sql.run(f"DELETE FROM secret_output WHERE EXISTS ({ended})")  # noqa: S608 - both are written here


def changed_since(seen: tuple[int, ...]) -> tuple[tuple[int, ...], list[SealedOutput] | None]:
    """What tells whether any came or went, and all there are; None where nothing did since `seen`."""
    counted = "SELECT COUNT(*), COALESCE(MAX(id), 0), COALESCE(SUM(id), 0) FROM secret_output"
    (found,) = sql.run(counted).fetchall()
    state = tuple(int(each) for each in found)
    if state == seen:
        return state, None
    return state, sql.ask(sql.Query(SecretOutput, SealedOutput, "1 = 1 ORDER BY id", ()))
