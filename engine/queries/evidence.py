"""What is on record of a run: its logs to read, and the whole of it as one file that can be checked by itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches

from engine.access import auditing, channels
from engine.access.policy import Action, Actor, authorise
from engine.catalog import catalog
from engine.errors import Conflict
from engine.queries import audit_chain
from engine.runs import executions
from engine.runtime import Runtime
from storage import approvals, attempts, audit, database, events, manual_tasks, people, runbooks, steps
from storage.records import AttemptRecord, AuditRecord, EventRecord, ExecutionRecord, Json, StepRunRecord
from storage.states import Severity

FORMAT = "runbook-evidence/v1"
_RUN_KEYS = {"pending_result": "ending", "waiting_steps": "parked", "reopened_gates": "asking"}
"""What the format calls a run's fields, where that is not their name."""
_MADE = "execution.evidence"
_PAGE = 1_000
_MOST_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class StepLog:
    """A step run with its tries and the events that name it, in order."""

    step: StepRunRecord
    attempts: tuple[AttemptRecord, ...]
    events: tuple[EventRecord, ...]


@dataclass(frozen=True, slots=True)
class RunLog:
    """What is on record of a run, or of one step and what is in it; `events` are those that name no step."""

    execution: ExecutionRecord
    steps: tuple[StepLog, ...]
    events: tuple[EventRecord, ...]


def logs(rt: Runtime, actor: Actor, execution_id: str, path: str | None = None) -> RunLog:
    """The tries of a run's steps, with what was sent and what came back, secrets masked.

    `path` narrows it to a step and what is in it. Raises `NotFound`, `NotAllowed`, and `Conflict` for a step that is
    not there.
    """
    with database.reading():
        run = executions.find(rt, execution_id)
        authorise(rt, actor, Action.VIEW, run)
        every, tries, told = steps.of_execution(run.id), attempts.of_execution(run.id), list(_events(run.id))
    wanted = [step for step in every if path is None or _within(step.path, path)]
    if path is not None and not wanted:
        near = get_close_matches(path, [step.path for step in every], n=1)
        hint = f" Did you mean {near[0]}?" if near else f" It has {', '.join(step.path for step in every[:20])}."
        raise Conflict(f"{run.id} has no step {path}.{hint}")
    by_path: dict[str | None, list[EventRecord]] = {}
    for event in told:
        by_path.setdefault(event.path, []).append(event)
    found = (StepLog(step, tuple(tries.get(step.id, ())), tuple(by_path.get(step.path, ()))) for step in wanted)
    return RunLog(run, tuple(found), tuple(by_path.get(None, ())) if path is None else ())


def _within(path: str, wanted: str) -> bool:
    return path == wanted or path.startswith((f"{wanted}.", f"{wanted}["))


def bundle(rt: Runtime, actor: Actor, execution_id: str) -> dict[str, Json]:
    """Everything on record of a run as plain JSON, secrets masked, with what is needed to check it.

    `digest` is the SHA-256 of all the rest; `audit.proof` links the audit rows into the chain they are part of. That
    it was asked for is audited, and how many rows there were, so that none is taken out of the file unseen. Raises
    `NotFound` and `NotAllowed`.
    """
    run = executions.find(rt, execution_id)
    authorise(rt, actor, Action.VIEW, run)
    with database.transaction():
        there = {"rows": audit.count_of_things(rt.workspace_id, _things(run))}
        auditing.by_actor(rt, actor, _MADE, auditing.of_execution(run.id), there, Severity.INFO)
    audit_chain.seal(rt)
    redact = rt.redactor().redact_json
    about = channels.shown(rt, actor, run).incident
    with database.reading():
        told = _of_run(replace(executions.find(rt, run.id), incident=about))
        workspace = people.the_workspace()
    about = {"format": FORMAT, "made_at": database.now(), "made_by": actor.user_id, "workspace": workspace.slack_team}
    found: dict[str, Json] = redact(_plain({**about, **told}))
    found["audit"] = _of_audit(rt, actor, run, redact)
    return {**found, "digest": digest(found)}


def digest(found: Json) -> str:
    """The SHA-256 of an evidence file without its `digest`: its JSON with sorted keys, no spaces, in ASCII."""
    rest = {key: value for key, value in found.items() if key != "digest"}
    return "sha256:" + hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def check(found: Json) -> list[str]:
    """What is wrong with an evidence file; needs nothing but the file. An empty list says that it is whole."""
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        return [f"this is no evidence file of the format {FORMAT}"]
    try:
        wrong = [] if found["digest"] == digest(found) else ["the file was changed after it was made"]
        rows = found["audit"]["rows"]
        return wrong + audit_chain.check(rows, found["audit"]["proof"]) + _taken_out(rows, found["run"]["id"])
    except (KeyError, TypeError, AttributeError):
        return ["the file is not whole: parts of it are missing"]


def _taken_out(rows: Sequence[Json], run_id: str) -> list[str]:
    """What says that audit rows are missing: the row of the file's making, or how many that says there were before."""
    made = [row for row in rows if (row["action"], row["thing"]) == (_MADE, auditing.of_execution(run_id))]
    if not made:
        return ["the audit row that says that this file was made is not in it"]
    last = max(made, key=lambda row: row["seq"])
    before = len({row["seq"] for row in rows if row["seq"] < last["seq"]})
    said = last["detail"].get("rows", 0)  # files of older releases do not say
    return [f"audit rows were taken out: {said} were there, {before} are in the file"] if before < said else []


def cautions(found: Json) -> list[str]:
    """What of an evidence file that is whole cannot be proved by it: what rows say in which something is masked."""
    masked = [str(row["seq"]) for row in found["audit"]["rows"] if row.get("masked")]
    rows = f"row{'s' if len(masked) > 1 else ''} {', '.join(masked)}"
    return (
        [f"audit {rows} of the chain cannot be proved to say what stands here: something is masked"] if masked else []
    )


def _of_run(run: ExecutionRecord) -> dict[str, Json]:
    version = runbooks.version_by_id(run.version_id)
    assert version is not None
    tries = attempts.of_execution(run.id)
    return {
        "run": _run(run),
        "runbook": {**asdict(version), "name": catalog.definition_of(version.id).name},
        "steps": [
            {**asdict(step), "tries": [asdict(each) for each in tries.get(step.id, ())]}
            for step in steps.of_execution(run.id)
        ],
        "manual_tasks": [asdict(task) for task in manual_tasks.of_execution(run.id)],
        "gates": [
            {**asdict(gate), "votes": [asdict(vote) for vote in approvals.votes(gate.id)]}
            for gate in approvals.of_execution(run.id)
        ],
        "events": [asdict(event) for event in _events(run.id)],
    }


def _run(run: ExecutionRecord) -> dict[str, Json]:
    fields = asdict(run)
    del fields["same_as"]  # by it a channel can be guessed
    return {_RUN_KEYS.get(key, key): value for key, value in fields.items()}


def _of_audit(rt: Runtime, actor: Actor, run: ExecutionRecord, redact: Callable[[Json], Json]) -> Json:
    """The rows about this run and its version, as they are hashed, and the proof that they are in the chain.

    A row in which a secret had to be masked, or facts had to be left out, says so: its content cannot be hashed again.
    """
    with database.reading():
        every = [row for thing in _things(run) for row in audit.of_thing(rt.workspace_id, thing, _MOST_ROWS)]
    rows = sorted((row for row in every if row.seq is not None), key=lambda row: row.seq or 0)
    told = [_audit_row(row, channels.shown_row(rt, actor, row), redact) for row in rows]
    return {"rows": told, "proof": audit_chain.proof(rt, rows)}


def _things(run: ExecutionRecord) -> tuple[str, str]:
    return auditing.of_execution(run.id), auditing.of_version(run.slug, run.number)


def _audit_row(row: AuditRecord, for_them: AuditRecord, redact: Callable[[Json], Json]) -> dict[str, Json]:
    said = _plain(audit_chain.as_json(row))
    shown = redact(_plain(audit_chain.as_json(for_them)))
    if shown == said:
        return {**said, "seq": row.seq, "hash": row.hash}
    shown.pop("tag", None)  # with it the hash would confirm what somebody guesses to be masked
    return {**shown, "seq": row.seq, "hash": row.hash, "masked": True}


def _events(execution_id: str) -> Iterator[EventRecord]:
    """All events of a run in order. Needs a connection."""
    seq = 0
    while True:
        found: Sequence[EventRecord] = events.after(execution_id, seq, _PAGE)
        yield from found
        if len(found) < _PAGE:
            return
        seq = found[-1].seq


def _plain(value: Json) -> Json:
    """The same as JSON writes it: states as their words, numbers and texts as they are."""
    return json.loads(json.dumps(value))
