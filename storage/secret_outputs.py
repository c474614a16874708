"""Secrets that runs received, sealed, from the commit that records them to the one that ends the run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field

from storage import sql
from storage.database import is_postgresql, now
from storage.secret_records import KeyInUse, Sealed
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
    key_id: str
    wrapped_key: str = field(repr=False)
    ciphertext: str = field(repr=False)
    key_check: str
    hosts: list[list[str] | None] | None

    @property
    def sealed(self) -> Sealed:
        """The value as it is kept."""
        return Sealed(self.key_id, self.wrapped_key, self.ciphertext, self.key_check)

    @property
    def host_lists(self) -> frozenset[tuple[str, ...] | None] | None:
        """The lists of hosts that all have to allow where it goes; None for one that was kept before they were."""
        if self.hosts is None:
            return None
        return frozenset(None if each is None else tuple(each) for each in self.hosts)

    @property
    def shown_as(self) -> str:
        """The name that a mark shows."""
        return f"{self.path.rpartition('.')[2]}.{self.name}"


HostLists = Collection[tuple[str, ...] | None]


def keep(
    workspace_id: int, execution_id: str, path: str, sealed: Mapping[str, Sealed], hosts: Mapping[str, HostLists]
) -> None:
    """Keep what a step received, instead of what an earlier try of it did; `hosts` are the lists for each by name."""
    earlier = (SecretOutput.execution_id == execution_id) & (SecretOutput.path == path)
    SecretOutput.delete().where(earlier).execute()
    about = {"workspace_id": workspace_id, "execution_id": execution_id, "path": path, "at": now()}
    for name, value in sealed.items():
        SecretOutput.insert(**about, name=name, **asdict(value), hosts=sorted(hosts[name], key=_empty_first)).execute()


def _empty_first(hosts: tuple[str, ...] | None) -> tuple[bool, tuple[str, ...]]:
    return hosts is not None, hosts or ()


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


def keys_in_use() -> dict[KeyInUse, list[str]]:
    """The runs that hold something under each key."""
    found: dict[KeyInUse, list[str]] = {}
    columns = "key_id, key_check, execution_id"
    for key_id, check, run in sql.run(f"SELECT DISTINCT {columns} FROM secret_output ORDER BY {columns}").fetchall():  # noqa: S608
        found.setdefault(KeyInUse(key_id, check), []).append(run)
    return found


def lock_kept(workspace_id: int, after: int, limit: int) -> list[SealedOutput]:
    """Those with an id above `after`, held until this transaction ends, but for what somebody else holds right now.

    That is about to go with its run. Who waited for it could keep the run's end waiting in turn.
    """
    where = "workspace_id = ? AND id > ? ORDER BY id LIMIT ?"
    where += " FOR UPDATE SKIP LOCKED" if is_postgresql() else ""
    return sql.ask(sql.Query(SecretOutput, SealedOutput, where, (workspace_id, after, limit)))


def rewrap(before: SealedOutput, after: Sealed) -> bool:
    """Keep a value's data key under another key; False where it went or was rewrapped meanwhile."""
    under = {"key_id": after.key_id, "wrapped_key": after.wrapped_key, "key_check": after.key_check}
    same = (SecretOutput.id == before.id) & (SecretOutput.wrapped_key == before.wrapped_key)
    return bool(SecretOutput.update(**under).where(same).execute())


def changed_since(seen: tuple[int, ...]) -> tuple[tuple[int, ...], list[SealedOutput] | None]:
    """What tells whether any came or went, and all there are; None where nothing did since `seen`."""
    counted = "SELECT COUNT(*), COALESCE(MAX(id), 0), COALESCE(SUM(id), 0) FROM secret_output"
    (found,) = sql.run(counted).fetchall()
    state = tuple(int(each) for each in found)
    if state == seen:
        return state, None
    return state, sql.ask(sql.Query(SecretOutput, SealedOutput, "1 = 1 ORDER BY id", ()))
