"""What much history, many waiting runs and long loops cost."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from bench import workloads
from bench.rig import Rig, wait_for
from engine import boot
from engine.text.redaction import Redactor
from engine.worker.runner import Runner
from engine.worker.sweeper import Sweeper
from storage import database, workers
from storage.columns import Table, proxy
from storage.tables import Attempt, Execution, StepRun

_RUNS_AT_ONCE = 5_000
_BIG = ("execution", "step_run", "attempt")
_IDLE_S = 10.0


def of_history(rig: Rig, step_runs: int, runs: int) -> str:
    """Processor time of the worker a step before and after so many finished step runs; what is read from end to end."""
    before = _step_ms(rig, runs)
    _fill(rig, step_runs // workloads.STEPS)
    after = _step_ms(rig, runs)
    scans = _scanned(rig)
    told = ", ".join(sorted(scans)) if scans else "nothing"
    return f"{before:.2f} → {after:.2f} ms of the worker a step with {step_runs} more; read from end to end: {told}"


def of_waiting(rig: Rig, count: int) -> str:
    """The worker's threads, memory, idle processor time and a sweep's time before and after so many runs wait."""
    before = _at_rest(rig)
    for number in range(count):
        workloads.start(rig, ("gate", "hear", "nap")[number % 3])
    wait_for(lambda: workloads.resting_runs() == count, f"{count} runs to wait", every=0.2)
    after = _at_rest(rig)
    return f"{count} runs at gates, events and delays: {before} → {after}"


def of_loops(rig: Rig) -> str:
    """Milliseconds a round in loops of 10, 100 and 1,000 rounds."""
    told = [f"{1000 * workloads.one(rig, f'loop-{rounds}') / rounds:.1f} ms at {rounds}" for rounds in (10, 100, 1000)]
    return "a round costs " + ", ".join(told)


def _at_rest(rig: Rig) -> str:
    process = f"/proc/{rig.workers[0].pid}"
    spent = processor_s(rig.workers[0].pid)
    time.sleep(_IDLE_S)
    share = (processor_s(rig.workers[0].pid) - spent) / _IDLE_S
    with open(f"{process}/status") as lines:
        status = dict(line.split(":", 1) for line in lines)
    sweeper = Sweeper(rig.rt, lambda _ids: None)
    sweeper.sweep()
    began = time.perf_counter()
    sweeper.sweep()
    sweep_ms = 1000 * (time.perf_counter() - began)
    memory = int(status["VmRSS"].split()[0]) / 1024
    return (
        f"{int(status['Threads'])} threads, {memory:.0f} MB, {100 * share:.1f} % of a core, a sweep {sweep_ms:.0f} ms"
    )


def processor_s(pid: int) -> float:
    """Processor time of a process so far, user and system."""
    with open(f"/proc/{pid}/stat") as line:
        fields = line.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _step_ms(rig: Rig, runs: int) -> float:
    workloads.many(rig, "calls", runs)
    spent = processor_s(rig.workers[0].pid)
    workloads.many(rig, "calls", runs)
    return 1000 * (processor_s(rig.workers[0].pid) - spent) / (runs * workloads.STEPS)


def _fill(rig: Rig, runs: int) -> None:
    """Copy one finished run so many times, with its step runs and their attempts."""
    with database.reading():
        (model,) = proxy.obj.execute_sql("SELECT id FROM execution WHERE slug = 'calls' LIMIT 1").fetchone()
    for first in range(0, runs, _RUNS_AT_ONCE):
        numbers = (first, min(runs, first + _RUNS_AT_ONCE) - 1)
        with database.transaction():
            _copy(rig, Execution, {"id": "'F-' || n.i", "same_as": "NULL"}, f"o.id = '{model}'", numbers)
            _copy(rig, StepRun, {"execution_id": "'F-' || n.i"}, f"o.execution_id = '{model}'", numbers)
    names = [name for name in Attempt._meta.fields if name not in ("id", "step_run_id")]
    columns = ", ".join(f'"{name}"' for name in names)
    taken = ", ".join(f'a."{name}"' for name in names)
    for first in range(0, runs, _RUNS_AT_ONCE):
        with database.transaction():
            proxy.obj.execute_sql(
                f"INSERT INTO attempt (step_run_id, {columns}) SELECT s.id, {taken} "
                f"FROM step_run s, (SELECT * FROM attempt LIMIT 1) a "
                f"WHERE s.execution_id IN (SELECT 'F-' || n.i FROM {_numbers(rig, first, first + _RUNS_AT_ONCE - 1)})"
            )
    with database.reading():
        proxy.obj.execute_sql("ANALYZE")


def _copy(rig: Rig, table: type[Table], given: dict[str, str], where: str, numbers: tuple[int, int]) -> None:
    names = [name for name in table._meta.fields if name != "id" or "id" in given]
    columns = ", ".join(f'"{name}"' for name in names)
    values = ", ".join(given.get(name, f'o."{name}"') for name in names)
    source = f'"{table._meta.table_name}" o, {_numbers(rig, *numbers)}'
    proxy.obj.execute_sql(
        f'INSERT INTO "{table._meta.table_name}" ({columns}) SELECT {values} FROM {source} WHERE {where}'
    )


def _numbers(rig: Rig, first: int, last: int) -> str:
    if rig.kind == "postgresql":
        return f"generate_series({first}, {last}) n(i)"
    counting = f"WITH RECURSIVE c(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM c WHERE i < {last})"
    return f"({counting} SELECT i FROM c) n"


def _scanned(rig: Rig) -> set[str]:
    """The big tables that any statement of a run or a sweep reads from end to end, by the database's own plan."""
    rt = replace(rig.rt, hint=lambda _ids: None)
    rig.start_workers(0)
    with database.transaction():
        workers.register(rt.workspace_id, "bench-plans")
    runner = Runner(rt, "bench-plans", boot.make_tools(rt, Redactor()))
    run = workloads.start(replace(rig, rt=rt), "calls")
    with _noted() as sent:
        runner.advance(run)
        Sweeper(rt, lambda _ids: None).sweep()
    rig.start_workers(1)
    explain = "EXPLAIN" if rig.kind == "postgresql" else "EXPLAIN QUERY PLAN"
    found: set[str] = set()
    for statement, ask in sent.items():
        with database.reading():
            for line in ask(f"{explain} {statement}"):
                found |= {f"{table} by {statement[:60]}…" for table in _BIG if _is_scan(str(line), table, statement)}
    return found


def _is_scan(line: str, table: str, statement: str) -> bool:
    """Whether a line of a plan reads the table from end to end; SQLite calls it by its alias."""
    names = [table, *re.findall(rf'"{table}" AS "(\w+)"', statement)]
    return f"Seq Scan on {table}" in line or any(re.search(rf"SCAN {name}\b(?!.*USING)", line) for name in names)


@contextmanager
def _noted() -> Iterator[dict[str, Callable[[str], list[Any]]]]:
    """The statements that are sent meanwhile, each with a way to ask for something with its values."""
    db = proxy.obj
    sent: dict[str, Callable[[str], list[Any]]] = {}
    originals = {name: getattr(db, name) for name in ("_run", "_send", "_execute_cursor") if hasattr(db, name)}

    def note(statement: str, values: Any, name: str) -> None:
        if statement.startswith(("SELECT", "UPDATE", "WITH")):

            def ask(asked: str) -> list[Any]:
                if name == "_send":
                    return list(originals[name]([(asked, values)])[0].fetchall())
                return list(originals[name](asked, values).fetchall())

            sent[statement] = ask

    def noted(name: str, *args: Any) -> Any:
        for statement, values in args[0] if name == "_send" else [(args[0], args[1] if len(args) > 1 else ())]:
            note(statement, values, name)
        return originals[name](*args)

    for name in originals:
        setattr(db, name, lambda *args, name=name: noted(name, *args))
    try:
        yield sent
    finally:
        for name in originals:
            delattr(db, name)
