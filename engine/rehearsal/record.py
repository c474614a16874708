"""From the evidence of a real run to a rehearsal that passes at once: pure, from JSON to JSON.

Evidence is masked already, and so is what a rehearsal compares. What a rehearsal cannot do again is told in `notes`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from engine.definition.kinds import KINDS
from engine.definition.rehearsal_fit import speaks_grpc
from engine.rehearsal import record_grpc, record_people
from engine.rehearsal.observed import RUN_ID, SAID, in_order
from engine.rehearsal.record_grpc import CUT
from engine.steps.http_request import MASKED
from storage.records import Json

_JSON = "application/json"
_ENDED = ("SUCCESS", "FAILED", "SKIPPED", "CANCELLED")
_ERRORS: Mapping[str, str] = {
    "timeout": "timeout", "connect": "connection_refused", "connection_lost": "connection_lost", "dns": "dns",
    "tls": "tls",
}  # fmt: skip
_BY_HAND: Mapping[str, str] = {
    "step_retried": "had a failed step tried again", "step_skipped": "had a step skipped",
    "paused": "paused the run",
}  # fmt: skip

FindChild = Callable[[str], Mapping[str, Json]]


@dataclass(slots=True)
class _Recorded:
    """What was gathered of a run and of those that it has started. `calls` are sorted by when they were begun."""

    stubs: dict[str, list[Json]] = field(default_factory=dict)
    answers: dict[str, list[Json]] = field(default_factory=dict)
    path: list[tuple[str, str]] = field(default_factory=list)
    calls: list[tuple[tuple[int, int], Json]] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    whole: bool = True


def record(evidence: Mapping[str, Json], find_child: FindChild) -> tuple[dict[str, Json], list[str]]:
    """The rehearsal of one case, and what of the run it cannot hold, in sentences.

    `find_child` gives the evidence of a run that this one has started.
    """
    run = evidence["run"]
    found = _Recorded()
    _gather(found, evidence, "", find_child)
    expect: dict[str, Json] = {"outcome": run["status"], "path": [_path_item(*each) for each in found.path]}
    if found.whole:
        expect["calls"] = [call for _, call in sorted(found.calls, key=lambda each: each[0])]
    outputs = _without_event_ids(run["result"], evidence["events"])
    expect |= {"outputs": outputs} if outputs else {}
    expect["messages"] = found.messages
    parts = {"stubs": _singles(found.stubs), "answers": _singles(found.answers)}
    case = {**_about(run), **{key: value for key, value in parts.items() if value}, "expect": expect}
    return {"cases": [_without(case, found.ids)]}, list(dict.fromkeys(found.notes))


def _without_event_ids(value: Json, events: Sequence[Json]) -> Json:
    """The outputs without the ids of events, which their senders make up and a rehearsal does as well."""
    if isinstance(value, list):
        return [_without_event_ids(each, events) for each in value]
    if not isinstance(value, dict):
        return value
    made_up = {event["data"]["event_id"] for event in events if event["kind"] == "event_received"}
    kept = {key: each for key, each in value.items() if not (isinstance(each, str) and each in made_up)}
    return {key: _without_event_ids(each, events) for key, each in kept.items()}


def _about(run: Mapping[str, Json]) -> dict[str, Json]:
    began = datetime.fromtimestamp((run["started_at"] or run["created_at"]) // 1000, UTC)
    about: dict[str, Json] = {"name": f"As in {run['id']}", "parameters": run["parameters"]}
    if record_people.PERSON.fullmatch(str(run["requester"])):
        about["started_by"] = run["requester"]
    about |= {"reason": run["reason"]} if run["reason"] else {}
    facts = {key: value for key, value in (run["incident"] or {}).items() if isinstance(value, str) and value}
    about |= {"incident": facts} if facts else {}
    return {**about, "at": began.isoformat().replace("+00:00", "Z")}


def _gather(found: _Recorded, evidence: Mapping[str, Json], prefix: str, find_child: FindChild) -> None:
    run, events = evidence["run"], evidence["events"]
    if run["status"] not in ("SUCCESS", "FAILED", "CANCELLED"):
        found.notes.append(f"{run['id']} has not ended yet: what is expected is how it stood")
    found.ids.append(run["id"])
    _note_by_hand(found, events)
    rows = {row["path"]: row for row in evidence["steps"]}
    found.messages += [event["data"]["text"] for event in events if event["kind"] == SAID]
    gates = evidence["gates"]
    for path in in_order({path: row["scope"] for path, row in rows.items()}, (event["path"] for event in events)):
        row = rows[path]
        if row["status"] in _ENDED:
            found.path.append((prefix + path, row["status"]))
        _calls(found, row, prefix)
        asked = [each for each in (*gates, *evidence["manual_tasks"]) if each["path"] == path]
        _answers(found, row, prefix, asked, events)
        if row["child"] is not None:
            _gather(found, find_child(row["child"]), f"{prefix}{path}/", find_child)


def _note_by_hand(found: _Recorded, events: Sequence[Json]) -> None:
    for event in events:
        did = _BY_HAND.get(event["kind"])
        if did and event["actor"] not in (None, "system"):
            found.notes.append(f"somebody {did}, which a rehearsal does not do again")


def _calls(found: _Recorded, row: Mapping[str, Json], prefix: str) -> None:
    """What a step's tries sent and what answered them."""
    if not KINDS[row["kind"]].calls_out:
        return
    path = prefix + row["path"]
    if row["attempts"] > len(row["tries"]):
        found.whole = False  # of a poll that asks often not every try is kept
    for each in row["tries"]:
        stub = _stub(found, path, row, each)
        if stub is not None:
            found.stubs.setdefault(path, []).append(stub)
        if each["request"]:
            call = record_grpc.call if speaks_grpc(KINDS[row["kind"]]) else _call
            found.calls.append(((each["started_at"], each["id"]), call(path, each["request"])))


def _stub(found: _Recorded, path: str, row: Mapping[str, Json], each: Mapping[str, Json]) -> dict[str, Json] | None:
    response = each["response"]
    if speaks_grpc(KINDS[row["kind"]]):
        return record_grpc.stub(found.notes, path, each)
    if response is None or "status" not in response:
        error = _ERRORS.get((each["error"] or {}).get("code", ""))
        if error is None and each["request"]:
            found.notes.append(f"what answered `{path}` is not on record: write its stub")
        return {"error": error} if error else None
    if response.get("redirects"):
        found.notes.append(f"`{path}` was redirected: stub each address")
    headers = {key: value for key, value in response["headers"].items() if value != MASKED and not value.endswith(CUT)}
    stub: dict[str, Json] = {"status": response["status"]}
    body = response.get("body", "")
    if body.endswith(CUT):
        whole = (row["outputs"] or {}).get("json")
        if whole is None or each is not row["tries"][-1]:
            found.notes.append(f"an answer to `{path}` is longer than what is kept of it: write the rest")
        body = body if whole is None else json.dumps(whole)
    if not body:
        return {**stub, **({"headers": headers} if headers else {})}
    as_json = _as_json(body)
    if as_json is not None and headers.get("content-type") == _JSON:
        del headers["content-type"]  # it is what a stub with JSON has anyhow
    return {**stub, **({"headers": headers} if headers else {}), **(as_json or {"text": body})}


def _as_json(text: str) -> dict[str, Json] | None:
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        return {"json": json.loads(text)}
    except (ValueError, RecursionError):
        return None


def _call(path: str, request: Mapping[str, Json]) -> dict[str, Json]:
    call: dict[str, Json] = {"step": path, "method": request.get("method"), "url": request.get("url")}
    call = {key: value for key, value in call.items() if value and not str(value).endswith(CUT)}
    body = request.get("body", "")
    return call if not body or body.endswith(CUT) else {**call, **(_as_json(body) or {"text": body})}


def _answers(
    found: _Recorded, row: Mapping[str, Json], prefix: str, asked: Sequence[Json], events: Sequence[Json]
) -> None:
    path = prefix + row["path"]
    given = [record_people.answer(found.notes, path, each, events) for each in asked]
    for event in events:
        if event["path"] == row["path"] and event["kind"] == "step_resolved":
            given.append({"resolve": event["data"]["choice"]})
    if row["wait_key"] is not None:
        given.append(_of_wait(found, row, path, events))
    if given:
        found.answers[path] = given


def _of_wait(found: _Recorded, row: Mapping[str, Json], path: str, events: Sequence[Json]) -> Json:
    if row["status"] == "CANCELLED":
        return record_people.cancelled(events)
    if row["status"] != "SUCCESS":
        return {"expire": True}
    if "data" not in (row["outputs"] or {}):
        found.notes.append(f"what the event held that `{path}` waited for is not on record: write it")
    return {"event": (row["outputs"] or {}).get("data", {})}


def _path_item(step: str, how: str) -> Json:
    return step if how == "SUCCESS" else {step: how}


def _singles(given: Mapping[str, list[Json]]) -> dict[str, Json]:
    """A list of one as what is in it, and no answer twice at a list's end, where the last one stays."""
    found: dict[str, Json] = {}
    for key, answers in given.items():
        while len(answers) > 1 and answers[-1] == answers[-2]:
            answers.pop()
        found[key] = answers[0] if len(answers) == 1 else answers
    return found


def _without(value: Any, ids: Sequence[str]) -> Any:
    """The value with ids of runs as rehearsals show them, but for the name of the case."""
    if isinstance(value, str):
        for each in ids:
            value = value.replace(each, RUN_ID) if value != f"As in {each}" else value
        return value
    if isinstance(value, dict):
        return {_without(key, ids): _without(each, ids) for key, each in value.items()}
    return [_without(each, ids) for each in value] if isinstance(value, list) else value
