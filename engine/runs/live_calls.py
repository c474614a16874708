"""The calls of a live plan: which of them may be made before the run, and how they are made.

A call is made as a worker makes a step's: by the same code, with the same guard, secrets, masks and certificates, but
once, and within the time that there is for all of them.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from engine.access import secret_use
from engine.definition import gate_graph, secret_outputs
from engine.definition.kinds import Treatment, kind_of
from engine.definition.model import DryRun, Step
from engine.definition.rendering import render_planned, target_as_url
from engine.errors import EngineError
from engine.runs.plan_records import inside
from engine.runs.planned_steps import Seen
from engine.runs.plans import Looked
from engine.runtime import Runtime
from engine.steps import context
from engine.text.words import shortened
from storage import database
from storage.records import Json

if TYPE_CHECKING:
    from engine.steps.outcome import Outcome
    from engine.steps.perform import Claim, Tools

ALL_MS: Final = 20_000
"""Milliseconds for all calls of a plan together; people wait for them, and the command line no longer than 30 s."""
CALL_MS: Final = 10_000
MOST_CALLS: Final = 20
MOST_PARALLEL: Final = 4
MOST_SHOWN: Final = 1_000
"""Characters of an answer's body that a plan shows."""
OUTCOMES = ("success", "failure", "unknown", "not_called")


@dataclass(frozen=True, slots=True)
class LiveCall:
    """One call that is to be made: of a step, whose call in check mode `asked` is; `shown` is its part of the plan."""

    step: Step
    asked: Step
    shown: dict[str, Json]
    seen: Seen
    host: str


def chosen(rt: Runtime, looked: Looked) -> list[LiveCall]:
    """The calls that may be made now; with every other `dry_run` the plan says why it was not asked."""
    gates = _open_gates(looked)
    before = gate_graph.before(looked.runbook)
    found: list[LiveCall] = []
    for step, shown, seen in looked.visited:
        if step.dry_run is None:
            continue
        why = _why_not(step.dry_run, shown, seen, _gate_before(looked, step, gates, before))
        why = why or (f"a plan makes at most {MOST_CALLS} calls" if len(found) >= MOST_CALLS else "")
        try:
            host = "" if why else _host(rt, looked, step.dry_run.step, seen)
        except EngineError as error:
            why, host = rt.redactor().redact(str(error)), ""
        if why:
            shown["live"] = {"outcome": "not_called", "message": why}
        else:
            found.append(LiveCall(step, step.dry_run.step, shown, seen, host))
    return found


def _why_not(check: DryRun, shown: Json, seen: Seen, gate: str) -> str:
    """Why a check is not made, "" where it is."""
    if "fails" in shown:
        return "the step would fail before its call"
    if gate and not check.before_gates:
        return f"the gate `{gate}` stands before it and is not decided; it does not say `before_gates: true`"
    if _is_open(check.step, seen):
        return "it reads what only the run will know"
    return ""


def _is_open(step: Step, seen: Seen) -> bool:
    kind = kind_of(step)
    for key, value in step.with_.items():
        treatment = kind.treatment(key)
        if treatment is Treatment.CONDITION:
            chains = {chain for chain in context.chains_in_condition(value) if chain[0] != "response"}
        else:
            chains = set() if treatment is Treatment.FIXED else context.chains_in(value)
        if seen.reads_open(chains):
            return True
    return False


def _open_gates(looked: Looked) -> frozenset[str]:
    """The ids of the gates that the run would or might come to; a run that a step starts may hold some, too."""
    lists = (looked.plan.steps, looked.plan.on_failure, looked.plan.finally_)
    planned = (each for steps in lists for step in steps for each in inside(step) if each.get("when") != "no")
    by_id = looked.runbook.by_id
    named = (each["step"] for each in planned if each["step"] in by_id)
    return frozenset(each for each in named if kind_of(by_id[each]).is_gate or kind_of(by_id[each]).starts_run)


def _gate_before(looked: Looked, step: Step, gates: frozenset[str], before: dict[str, tuple[str, ...]]) -> str:
    """A gate that stands before a step and is not known to be passed by, "" for none.

    In a loop that holds one, the rounds that come later stand behind it, too.
    """
    by_id, holder = looked.runbook.by_id, looked.runbook.container_of.get(step.id)
    stands = [by_id[each] for each in before.get(step.id, ())]
    while holder is not None:
        around = by_id[holder[0]]
        stands += [around] if kind_of(around).repeats else []
        holder = looked.runbook.container_of.get(around.id)
    return next((each.id for one in stands for each in gate_graph.holders(one) if each.id in gates), "")


def _host(rt: Runtime, looked: Looked, asked: Step, seen: Seen) -> str:
    """The host that is called. Raises `EngineError` where the call cannot be rendered."""
    shown = render_planned(asked, seen.context, lambda _: False, looked.runbook.held)
    url = shown.get("url") or target_as_url(str(shown.get("target", "")))
    return rt.redactor().redact(urlsplit(str(url)).netloc.rpartition("@")[2])


def make(rt: Runtime, looked: Looked, calls: Sequence[LiveCall]) -> None:
    """Make them, several at once, and note with each step what came of it."""
    from engine.steps.own_tools import open_tools

    until = time.monotonic() + ALL_MS / 1000
    tools = open_tools(rt)
    claims = list(_claims(rt, looked, calls))
    try:
        with ThreadPoolExecutor(min(MOST_PARALLEL, looked.execution.max_concurrent), "live-plan") as pool:
            told = list(pool.map(lambda each: _made(each, tools, until), claims))
    finally:
        tools.close()
    for call, each in zip(calls, told, strict=True):
        call.shown["live"] = tools.redactor.redact_json(each if not _hides(call.step) else _hidden(each))


def _claims(rt: Runtime, looked: Looked, calls: Sequence[LiveCall]) -> Iterator[Claim]:
    """What each is performed with. Its id is no run's, so that no key of a run's call is used up by it."""
    from engine.orchestration import step_runs
    from engine.steps.perform import Claim
    from engine.steps.received import ClaimSecrets

    run = replace(looked.execution, id=f"plan-{uuid.uuid4().hex}")
    for number, call in enumerate(calls):
        with database.reading():
            rules = secret_use.rules_for(rt, call.asked)
        secrets = ClaimSecrets(
            rules, looked.runbook.team, looked.runbook.held, (), secret_use.received_rules(rt, looked.runbook)
        )
        row = step_runs.blocked(run.id, number, call.asked, path=f"{call.step.id}~{number}")
        yield Claim(run, looked.runbook, call.asked, row, dict(call.seen.context), CALL_MS, secrets=secrets)


def _made(claim: Claim, tools: Tools, until: float) -> dict[str, Json]:
    from engine.steps.perform import perform

    left_ms = int((until - time.monotonic()) * 1000)
    if left_ms <= 0:
        return {"outcome": "not_called", "message": f"the {ALL_MS // 1000} s for all calls of a plan were over"}
    timed = replace(claim, time_left_ms=min(CALL_MS, left_ms))
    return _told(perform(timed, tools, lambda: time.monotonic() > until))


def _told(outcome: Outcome) -> dict[str, Json]:
    """What a plan shows of an outcome, which is masked already."""
    from engine.steps.outcome import Abandoned, Failed, Succeeded, Unknown

    assert isinstance(outcome, Succeeded | Failed | Unknown | Abandoned), outcome
    if isinstance(outcome, Succeeded):
        word, message = "success", ""
    else:
        word, message = "failure" if isinstance(outcome, Failed) else "unknown", outcome.message
    sent, came = outcome.evidence.request or {}, outcome.evidence.response or {}
    answer = {key: came[key] for key in ("status", "code", "elapsed_ms") if key in came}
    if body := came.get("body") or came.get("message"):  # an http answer has the one, that of gRPC the other
        answer["body"] = shortened(str(body), MOST_SHOWN)
    call = {key: sent[key] for key in ("method", "url", "target", "service") if key in sent}
    return {"outcome": word, "message": message, "call": call, "answer": answer}


def _hides(step: Step) -> bool:
    """Whether what the step is answered may hold a secret that nobody masks yet."""
    return bool(secret_outputs.templates(step.outputs))


def _hidden(told: dict[str, Json]) -> dict[str, Json]:
    """Without what was answered, but for how."""
    if told["outcome"] == "not_called":
        return told
    answer = {key: value for key, value in told.get("answer", {}).items() if key != "body"}
    message = "" if told["outcome"] == "success" else "what was answered is not shown: a secret may be in it"
    return {**told, "answer": answer, "message": message}
