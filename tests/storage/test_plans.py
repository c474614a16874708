"""What is looked for among many rows is found by an index, by the plans of both databases."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import peewee as pw
import psycopg
import pytest

from engine.runtime import Runtime
from storage import approvals, database, executions, orphans, waits
from storage.columns import JsonText, Table, Text, proxy
from storage.records import Filter
from storage.tables import Approval, Execution, StepRun, WaitEvent, WaitFor, WaitTaken

ROWS = 3_000
GROUP, RARE = "(i - i / 500 * 500)", "(i - i / 100 * 100 = 0)"
"""Of the number `i` of a row: one of 500 groups, and whether it is one of a hundred."""
AT = 1_800_000_000_000
BIG = ("execution", "step_run", "wait_event", "wait_for", "wait_taken", "approval")
LOOKED_FOR: dict[str, tuple[Callable[[int], Any], set[str]]] = {
    "whose runs": (
        lambda ws: executions.page(ws, Filter(requester="U7"), limit=10), {"execution_requester", "execution_owner"},
    ),
    "a runbook's runs": (lambda ws: executions.page(ws, Filter(slug="book-7"), limit=10), {"execution_slug"}),
    "a page of somebody's runs": (
        lambda ws: executions.page(ws, Filter(requester="U7"), before=(AT, "x"), limit=10),
        {"execution_requester", "execution_owner"},
    ),
    "a page of a runbook's runs": (
        lambda ws: executions.page(ws, Filter(slug="book-7"), before=(AT, "x"), limit=10), {"execution_slug"},
    ),
    "how many are open": (executions.count_open, {"execution_open"}),
    "open runs of a version": (lambda ws: executions.open_of_versions(ws, "book-7", [1]), set()),
    "long paused runs": (lambda ws: executions.paused_since(ws, AT, 10), {"execution_open"}),
    "who waits for an event": (lambda _ws: waits.waiting(1), {"step_run_wait"}),
    "an event for a wait": (lambda ws: waits.oldest_free(ws, 1, "k7", AT), {"wait_event_key"}),
    "waits that were not served": (lambda _ws: waits.served(AT, 10), {"step_run_wait|step_run_deadline"}),
    "what is kept of a sender": (lambda ws: waits.early(ws, "s7", AT), {"wait_event_sender"}),
    "what came long ago": (lambda _ws: waits.forget_old(AT - 10**8), {"wait_event_age"}),
    "gates to decide": (lambda ws: approvals.soonest_open(ws, 10), {"approval_expiry"}),
    "orphans": (lambda _ws: orphans.orphaned(AT), set()),
    "orphans of a run": (lambda _ws: orphans.of_execution("E-7", AT), set()),
}  # fmt: skip


@pytest.fixture
def many(rt: Runtime) -> Runtime:
    """So many runs, steps and events that reading them all would cost more than finding a few."""
    unchecked, checked = (
        ("SET session_replication_role = replica", "SET session_replication_role = DEFAULT")
        if database.is_postgresql()
        else ("PRAGMA foreign_keys = 0", "PRAGMA foreign_keys = 1")
    )
    with database.reading():
        proxy.obj.execute_sql(unchecked)
        _fill(
            Execution, status="'SUCCESS'", phase="'main'", id="'E-' || i", slug=f"'book-' || {GROUP}",
            requester=f"'U' || {GROUP}", owner=f"CASE WHEN {RARE} THEN 'U' || {GROUP} END", created_at="i",
            ended_at=f"CASE WHEN NOT {RARE} THEN i END",
        )  # fmt: skip
        _fill(
            StepRun, execution_id="'E-' || i", wait_key=f"'k' || {GROUP}",
            status=f"CASE WHEN {RARE} THEN 'WAITING' ELSE 'SUCCESS' END",
        )  # fmt: skip
        _fill(
            WaitEvent, key=f"'k' || {GROUP}", event_id="'e' || i", sender=f"'s' || {GROUP}", size="10",
            received_at=f"{AT} - i * 100000",
        )  # fmt: skip
        _fill(WaitFor, step_run_id="i")
        _fill(WaitTaken, event="i", step_run_id="i")
        _fill(Approval, status=f"CASE WHEN {RARE} THEN 'PENDING' ELSE 'APPROVED' END", expires_at="i")
        proxy.obj.execute_sql(checked)
        proxy.obj.execute_sql("ANALYZE")
    return rt


def _fill(table: type[Table], **given: str) -> None:
    """So many rows with these columns made of the number `i`, the others as empty as they may be."""
    columns = {"workspace_id": "1", **given}
    for field in table._meta.sorted_fields:
        if field.name not in columns and not field.null and not isinstance(field, pw.AutoField):
            columns[field.name] = _EMPTY.get(type(field), "0")
    names = ", ".join(f'"{name}"' for name in columns)
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})"
    values = ", ".join(columns.values())
    proxy.obj.execute_sql(f'INSERT INTO "{table._meta.table_name}" ({names}) {numbers} SELECT {values} FROM n')


_EMPTY = {pw.BooleanField: "FALSE", Text: "''", JsonText: "'null'"}


@contextmanager
def noted() -> Iterator[list[tuple[str, Any]]]:
    """The statements with their values that are sent meanwhile."""
    db, sent = proxy.obj, []
    names = ["_run", "_execute_cursor"] if not database.is_postgresql() else ["execute_sql", "_send"]
    originals = {name: getattr(db, name) for name in names if hasattr(db, name)}

    def noting(name: str) -> Callable[..., Any]:
        def call(first: Any, values: Any = ()) -> Any:
            sent.extend(first if name == "_send" else [(first, values)])
            return originals[name](first, values) if name != "_send" else originals[name](first)

        return call

    for name in originals:
        setattr(db, name, noting(name))
    try:
        yield sent
    finally:
        for name in originals:
            delattr(db, name)


def test_all_that_is_looked_for_is_found_by_an_index(many: Runtime) -> None:
    """No statement reads one of the big tables from end to end, and each uses the index that was made for it."""
    for what, (look, wanted) in LOOKED_FOR.items():
        with database.transaction(), noted() as sent:
            look(many.workspace_id)
        plan = "\n".join(
            line for each in sent if each[0][:6] in ("SELECT", "UPDATE", "DELETE") for line in _plan(*each)
        )
        scans = [line for line in plan.splitlines() for table in BIG if _reads_all(line, table, sent)]
        assert scans == [], f"{what}: {plan}"
        assert all(re.search(rf"\b({index})\b", plan) for index in wanted), f"{what}: {plan}"


def _plan(statement: str, values: Any) -> list[str]:
    with database.reading():
        if not database.is_postgresql():
            return [str(row) for row in proxy.obj._run(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()]
        cursor = psycopg.RawCursor(proxy.obj.connection()) if "$1" in statement else proxy.obj.connection().cursor()
        return [str(row) for row in cursor.execute(f"EXPLAIN {statement}", values).fetchall()]


def _reads_all(line: str, table: str, sent: list[tuple[str, Any]]) -> bool:
    """SQLite calls a table by its alias."""
    aliases = [table, *(name for each, _ in sent for name in re.findall(rf'"{table}" AS "(\w+)"', each))]
    return f"Seq Scan on {table}" in line or any(re.search(rf"SCAN {name}\b(?!.*USING)", line) for name in aliases)
