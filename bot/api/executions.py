"""Executions: asking for runs, looking at them, steering them."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Response

from bot import evidence_page
from bot.api import models, paging
from bot.api.caller import AuthenticatedCaller, Caller
from bot.api.problems import documented, file_answer, leading_to
from bot.api.reports import download
from bot.api.route import Operation, needs
from engine.access import channels, people
from engine.access.policy import Action
from engine.orchestration.admission import Wanted
from engine.queries import evidence, explain, visibility
from engine.runs import controls, executions, gate_notifications, handover, plans, replay_run, time_spent
from storage.records import ExecutionRecord, Filter
from storage.states import ExecutionStatus

router = APIRouter(prefix="/executions", tags=["executions"], route_class=Operation)
STEERED = documented(400, 403, 404, 409, 413, 415, 422)
STARTED = {
    **STEERED,
    **documented(412, 503),
    **leading_to(
        202, "execution", "execution/id", "get_execution", "pause_execution", "resume_execution", "cancel_execution",
        "replay_execution", "explain_execution", "list_steps", "get_execution_logs", "get_execution_evidence",
    ),
}  # fmt: skip


@router.get("", responses=documented(403, 422))
def list_executions(
    caller: AuthenticatedCaller,
    runbook: str | None = None,
    status: ExecutionStatus | None = None,
    team: str | None = None,
    requester: str | None = None,
    channel: str | None = None,
    open: bool | None = None,  # noqa: A002 - the filter's name
    since: models.Moment | None = None,
    limit: paging.Limit = 50,
    cursor: paging.Cursor = None,
) -> models.Page[models.Execution]:
    """The runs that you may see, the newest first."""
    statuses = (status,) if status else ()
    wanted = Filter(runbook, statuses, team, requester, channel, open, models.ms(since))
    return page(caller, wanted, limit, cursor)


def page(caller: Caller, wanted: Filter, limit: int, cursor: str | None) -> models.Page[models.Execution]:
    """A part of the list of runs."""
    before = paging.decode(cursor, int, str) if cursor else None
    found = executions.page(caller.rt, caller.actor, wanted, before=before, limit=limit + 1)
    last = found[limit - 1] if len(found) > limit else None
    more = paging.encode(last.created_at, last.id) if last else None
    return models.Page(items=[models.Execution.of(each) for each in found[:limit]], next=more)


@router.post("", status_code=202, responses=STARTED, **needs(Action.START))
def start_execution(caller: AuthenticatedCaller, wanted: models.Start, answer: Response) -> models.Started:
    """Ask for a run. When this answers, it is on record and will be run."""
    return started(caller, wanted.runbook, wanted, answer)


def started(caller: Caller, runbook: str, asked: models.Execute, answer: Response) -> models.Started:
    """Ask for the run, and say where it can be looked at."""
    slug = visibility.runbook(caller.rt, caller.actor, runbook).slug
    wanted = Wanted(
        slug,
        asked.parameters,
        caller.actor.door,
        number=asked.version,
        reason=asked.reason,
        incident=asked.incident.facts(),
    )
    accepted = plans.request(
        caller.rt,
        caller.actor,
        wanted,
        asked.plan_digest,
        force=asked.force,
        reuse_within_ms=asked.reuse_within_ms,
        key=caller.key,
    )
    answer.headers["Location"] = f"{caller.context.base}/executions/{accepted.execution.id}"
    run = accepted.execution
    warnings = gate_notifications.foreseen(caller.rt, run) if accepted.how == "started" else []
    return models.Started(how=accepted.how, execution=answer_of(caller, run), warnings=warnings)


def answer_of(caller: Caller, run: ExecutionRecord) -> models.Execution:
    """A run as who asks may see it."""
    return models.Execution.of(channels.shown(caller.rt, caller.actor, run))


@router.get("/{execution}", responses=documented(404))
def get_execution(caller: AuthenticatedCaller, execution: str) -> models.ExecutionDetail:
    """One run with its steps and gates."""
    found = seen(caller, execution)
    view = time_spent.with_spent(executions.view(caller.rt, found.id, caller.actor))
    return models.ExecutionDetail(
        **models.execution_fields(view.execution),
        steps=[models.Step.of(each, view.spent) for each in view.steps],
        gates=[models.Gate.of(each, found.team) for each in view.gates],
        tasks=[models.ManualTask.of(each, found.team) for each in view.tasks],
        behind=list(view.ahead),
        changes=[models.ParametersChanged.of(each) for each in view.changes],
    )


def seen(caller: Caller, execution: str) -> ExecutionRecord:
    """The run, if the person who asks may see it. Raises `NotFound`."""
    return visibility.execution(caller.rt, caller.actor, execution)


@router.post("/{execution}/pause", responses=STEERED, **needs(Action.PAUSE))
def pause_execution(caller: AuthenticatedCaller, execution: str, why: models.Why) -> models.Execution:
    """Start nothing more until it is resumed; what runs now finishes."""
    run = seen(caller, execution)
    return answer_of(caller, controls.pause(caller.rt, caller.actor, run.id, why.reason))


@router.post("/{execution}/resume", responses=STEERED, **needs(Action.RESUME))
def resume_execution(caller: AuthenticatedCaller, execution: str, why: models.Why) -> models.Execution:
    """Let a paused run go on."""
    run = seen(caller, execution)
    return answer_of(caller, controls.resume(caller.rt, caller.actor, run.id, why.reason))


@router.post("/{execution}/cancel", responses=STEERED, **needs(Action.CANCEL))
def cancel_execution(caller: AuthenticatedCaller, execution: str, how: models.Cancel) -> models.Execution:
    """End a run: nothing more starts, calls under way are dropped, its cleanup follows."""
    run = seen(caller, execution)
    return answer_of(caller, controls.cancel(caller.rt, caller.actor, run.id, how.reason, force=how.force))


@router.post("/{execution}/replay", status_code=202, responses={**STEERED, **documented(503)}, **needs(Action.REPLAY))
def replay_execution(
    caller: AuthenticatedCaller, execution: str, how: models.Replay, answer: Response
) -> models.Execution:
    """Run it once more with the same parameters, from the start or from a step."""
    run = seen(caller, execution)
    new = replay_run.replay(
        caller.rt, caller.actor, run.id, start_from=how.from_step, latest=how.latest, reason=how.reason, key=caller.key
    )
    answer.headers["Location"] = f"{caller.context.base}/executions/{new.id}"
    return answer_of(caller, new)


@router.post("/{execution}/handover", responses=STEERED, **needs(Action.HANDOVER))
def hand_over_execution(caller: AuthenticatedCaller, execution: str, how: models.Handover) -> models.Execution:
    """Offer it to somebody else, who answers for it from when they take it over. To oneself it is taken at once."""
    run = seen(caller, execution)
    to = people.as_known(caller.rt, how.to)
    return answer_of(caller, handover.offer(caller.rt, caller.actor, run.id, to, how.reason))


@router.post("/{execution}/handover/accept", responses=STEERED, **needs(Action.HANDOVER))
def accept_execution(caller: AuthenticatedCaller, execution: str) -> models.Execution:
    """Take over a run that is offered to you. Votes that you gave at its gates are void."""
    run = seen(caller, execution)
    return answer_of(caller, handover.accept(caller.rt, caller.actor, run.id))


@router.get("/{execution}/why", responses=documented(404))
def explain_execution(caller: AuthenticatedCaller, execution: str) -> models.Explanation:
    """What it does or waits for, since when, until when, and who can do something about it."""
    run = seen(caller, execution)
    return models.Explanation.of(explain.explain(caller.rt, run.id, caller.actor))


@router.get("/{execution}/logs", responses=documented(404, 409))
def get_execution_logs(caller: AuthenticatedCaller, execution: str, step: str | None = None) -> models.Logs:
    """The tries of its steps, with what was sent and what came back, and its events; `step` narrows it."""
    run = seen(caller, execution)
    found = evidence.logs(caller.rt, caller.actor, run.id, step)
    return models.Logs.of(found, time_spent.of_steps(found.execution, [each.step for each in found.steps]))


_EVIDENCE = file_answer("The evidence: as JSON, or as a page.", "text/html")


@router.get("/{execution}/evidence", response_model=dict[str, Any], responses={**_EVIDENCE, **documented(404, 422)})
def get_execution_evidence(
    caller: AuthenticatedCaller,
    execution: str,
    format: Literal["json", "html"] = "json",  # noqa: A002 - what callers write
) -> Any:
    """Everything on record of a run, with digests and the proof that its audit rows are in the chain.

    As JSON, or with `format=html` as one page to print that holds the same.
    """
    run = seen(caller, execution)
    found = evidence.bundle(caller.rt, caller.actor, run.id)
    return found if format == "json" else download(evidence_page.page(found), "text/html", f"evidence-{run.id}.html")
