"""A rehearsal told step by step: what each step called, came to and said, for whoever looks over its shoulder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from engine.definition import rehearsals
from engine.definition.rehearsals import Case
from engine.rehearsal.judge import differences
from engine.rehearsal.observed import SAID, Observed, without_ids
from engine.rehearsal.play import play
from engine.rehearsal.world import Published, World
from storage import database, events, steps
from storage.executions import family
from storage.records import Json

_MOST_EVENTS = 100_000


def walk(world: World, file: str, rehearsal: bytes, subject: Published, others: Iterable[Published]) -> dict[str, Json]:
    """Each case with its steps in the order in which they began, or what is wrong. Raises nothing."""
    found = rehearsals.load(rehearsal, file, subject.runbook)
    wrong = [{"line": each.line, "column": each.column, "message": each.message} for each in found.problems]
    known = list(others)
    return {"problems": wrong, "cases": [_case(world, subject, known, case) for case in found.cases]}


def _case(world: World, subject: Published, others: list[Published], case: Case) -> dict[str, Json]:
    got = play(world, subject, others, case)
    return {
        "name": case.name,
        "failures": list(differences(case.expect, got)),
        "outcome": got.outcome,
        "error": got.error,
        "outputs": got.outputs,
        "steps": list(_steps(world, got)),
    }


def _steps(world: World, got: Observed) -> Iterator[dict[str, Json]]:
    if not got.path:
        return
    known = _known(world, got.run_id)
    for path, status in got.path:
        calls = [each for each in got.calls if each["step"] == path]
        yield {"path": path, "status": status, "calls": calls, **known.get(path, {})}


def _known(world: World, run_id: str) -> Mapping[str, dict[str, Json]]:
    """What the tables say of each step, by its full path."""
    with database.reading():
        runs = family(run_id)
        found: dict[str, dict[str, Json]] = {}
        _gather(run_id, "", found)
    return {path: _shown(world, told, runs) for path, told in found.items()}


def _gather(run_id: str, prefix: str, found: dict[str, dict[str, Json]]) -> None:
    said: dict[str | None, list[str]] = {}
    for event in events.after(run_id, 0, _MOST_EVENTS):
        if event.kind == SAID:
            said.setdefault(event.path, []).append(event.data["text"])
    for row in steps.of_execution(run_id):
        about = {"id": row.step_id, "kind": row.kind, "outputs": row.outputs, "error": row.error, "note": row.note}
        found[f"{prefix}{row.path}"] = {**about, "messages": said.get(row.path, [])}
        if row.child is not None:
            _gather(row.child, f"{prefix}{row.path}/", found)


def _shown(world: World, told: dict[str, Json], runs: list[str]) -> dict[str, Json]:
    masked: dict[str, Json] = world.redactor.redact_json(told)
    return {key: without_ids(value, runs) for key, value in masked.items()}
