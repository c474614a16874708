"""Group commit: shared transactions, errors that undo one change alone, and trouble that undoes all."""

from __future__ import annotations

import threading
import time

import pytest

from engine.runtime import Runtime
from storage import database, group_commit, sql, workers
from storage.connections import LostRow
from storage.tables import Lease


@pytest.fixture
def database_kind() -> str:
    """PostgreSQL puts commits together by itself."""
    return "sqlite"


def _lease(name: str) -> str:
    assert workers.acquire_lease(name, "me", 1_000)
    return name


def _held() -> set[str]:
    with database.reading():
        return {row.name for row in Lease.select()}


def _in_company(*acts, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Do these so that they share one transaction: all wait while the one before them is being committed."""
    transactions: list[int] = []
    original = database.transaction
    monkeypatch.setattr(database, "transaction", lambda: transactions.append(1) or original())
    results: list[object] = [None] * len(acts)

    def run(number: int) -> None:
        try:
            results[number] = group_commit.commit(f"key-{number}", acts[number])
        except Exception as error:
            results[number] = error

    threads = [threading.Thread(target=run, args=[number]) for number in range(len(acts))]
    with group_commit._committing:
        for thread in threads:
            thread.start()
        until = time.monotonic() + 10
        while len(group_commit._waiting) < len(acts):
            assert time.monotonic() < until
            time.sleep(0.001)
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert len(transactions) == 1
    return results


def test_changes_that_wait_share_a_transaction(rt: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each thread gets the result of its own change."""
    names = ["a", "b", "c", "d"]
    done = _in_company(*[lambda name=name: _lease(name) for name in names], monkeypatch=monkeypatch)
    assert done == names
    assert _held() == set(names)


def test_a_lost_row_undoes_one_change_alone(rt: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a bug of whoever lost it, and no trouble that its neighbours would share."""

    def broken() -> None:
        _lease("broken")
        sql.set_locked(Lease, {"until": 1}, "name = ? AND holder = ?", "broken", "somebody else")

    first, second, third = _in_company(
        lambda: _lease("a"), broken, lambda: _lease("c"), monkeypatch=monkeypatch
    )  # fmt: skip
    assert (first, third) == ("a", "c")
    assert isinstance(second, LostRow)
    assert _held() == {"a", "c"}


def test_an_error_undoes_one_change_alone(rt: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others of its transaction stay."""

    def broken() -> None:
        _lease("broken")
        raise LookupError("no")

    first, second, third = _in_company(
        lambda: _lease("a"), broken, lambda: _lease("c"), monkeypatch=monkeypatch
    )  # fmt: skip
    assert (first, third) == ("a", "c")
    assert isinstance(second, LookupError)
    assert _held() == {"a", "c"}


def test_trouble_with_the_database_undoes_all(rt: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is told that a change was made which was not."""

    def trouble() -> None:
        raise database.OperationalError("the connection is gone")

    done = _in_company(lambda: _lease("a"), trouble, lambda: _lease("c"), monkeypatch=monkeypatch)
    assert all(isinstance(each, database.OperationalError) for each in done)
    assert _held() == set()


def test_no_change_inside_a_change(rt: Runtime) -> None:
    """It would be committed with somebody else's, or wait for itself."""
    with database.transaction(), pytest.raises(RuntimeError, match="one change, one transaction"):
        group_commit.commit("a", lambda: _lease("a"))
