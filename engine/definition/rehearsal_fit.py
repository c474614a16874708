"""Whether the stubs and answers of a case fit the steps that they are for: what a kind takes, and what a form asks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from engine.definition import forms
from engine.definition.kinds import kind_of
from engine.definition.kinds.kind import Awaits, Kind, Treatment
from engine.definition.model import Runbook, Step
from engine.definition.schema import Finding, Path
from engine.errors import InvalidParameters
from storage.records import Json

_ROUND = re.compile(r"\[[0-9]+\]")
_OF_GRPC, _OF_HTTP = ("code", "message"), ("status", "text")
_BY_HAND, _AT_GATES = ("done", "could_not"), ("approve", "reject")
_TAKES_ANSWERS = ("approve", "done")


def findings(runbook: Runbook, case: Mapping[str, Json], at: Path) -> Iterator[Finding]:
    """What of a case's stubs and answers fits its step not; `at` is the path of the case."""
    for part, of_one in (("stubs", _of_stub), ("answers", _of_answer)):
        for key, said in case.get(part, {}).items():
            step = _step(runbook, key)
            if step is None:
                continue
            many = isinstance(said, list)
            for number, each in enumerate(said if many else [said]):
                place: Path = (*at, part, key, number) if many else (*at, part, key)
                yield from of_one(step, each, place)


def speaks_grpc(kind: Kind) -> bool:
    """Whether a step of this kind calls by gRPC, and not by HTTP."""
    return Treatment.TARGET in kind.treatments.values()


def _step(runbook: Runbook, key: str) -> Step | None:
    """The step of this runbook that a path names; None of an address, or of a step of a run that it starts."""
    if "/" in key or " " in key:
        return None
    undo = key.endswith(".undo")
    last = _ROUND.sub("", key).removesuffix(".undo").rpartition(".")[2]
    return runbook.by_id.get(f"{last}.undo" if undo else last)


def _of_stub(step: Step, stub: Mapping[str, Json], at: Path) -> Iterator[Finding]:
    kind = kind_of(step)
    if not kind.calls_out:
        return
    by_grpc = speaks_grpc(kind)
    for key in _OF_HTTP if by_grpc else _OF_GRPC:
        if key in stub:
            said = "gRPC: `code`, `message` and `json`" if by_grpc else "HTTP: `status`, `headers`, `json` and `text`"
            yield Finding((*at, key), f"`{step.id}` calls by {said} or `error` answer that", at_key=True)


def _of_answer(step: Step, answer: Mapping[str, Json], at: Path) -> Iterator[Finding]:
    awaits = kind_of(step).awaits
    for key in _BY_HAND if awaits is not Awaits.ASSIGNEE else _AT_GATES:
        if key in answer:
            yield Finding((*at, key), f"`{key}` is no answer to `{step.id}`: {_WANTED.get(awaits, _ANY)}", at_key=True)
            return
    if awaits in (Awaits.PEOPLE, Awaits.ASSIGNEE) and any(key in answer for key in _TAKES_ANSWERS):
        yield from _of_form(step, answer.get("answers", {}), at)


_WANTED: Mapping[Awaits | None, str] = {
    Awaits.PEOPLE: "{approve: U…}, {reject: U…} or {expire: true} answers a gate",
    Awaits.ASSIGNEE: "{done: U…}, {could_not: U…} or {expire: true} answers a manual step",
    Awaits.EVENT: "{event: …} or {expire: true} answers a wait",
}
_ANY = "it is no manual step"


def _of_form(step: Step, answers: Mapping[str, Json], at: Path) -> Iterator[Finding]:
    try:
        forms.answered(step.with_.get("form") or {}, answers)
    except InvalidParameters as wrong:
        for name, why in wrong.fields.items():
            place: Path = (*at, "answers", name) if name in answers else at
            yield Finding(place, f"the answer `{name}` to `{step.id}` {why}")
