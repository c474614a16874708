"""Everything that a run's page shows, read in a few queries and put into words; the templates only lay it out."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from bot import preview
from bot.event_text import told
from bot.page.graph_picture import Drawing, drawings
from bot.page.states import SIGNS, Look, attempt_look, attempt_words, execution_look, look_of
from bot.page.timeline import Timeline, timeline
from bot.parameter_change_text import change_words
from bot.slack.views.gate import barred_words
from bot.slack.views.parts import Person, by_name
from bot.slack.views.steps import folded, note_of, ordered, step_title
from bot.slack.views.task import doers_words, task_words
from bot.slack.views.text import duration
from bot.slack.views.words import (
    approver_words,
    error_field,
    execution_words,
    gate_words,
    spent_words,
    step_took,
    step_words,
)
from engine.access import people
from engine.access.policy import Actor
from engine.queries import events
from engine.runs import executions, time_spent
from engine.runs.executions import ExecutionView, GateView
from engine.runtime import Runtime
from engine.text.mrkdwn import readable
from storage.records import AttemptRecord, EventRecord, ExecutionRecord, Json, StepRunRecord, VoteRecord
from storage.states import ApprovalStatus, Decision, TaskStatus
from storage.task_records import TaskRecord

MAX_STEPS = 200
"""Step runs that are told one by one; of a loop with more rounds those worth looking at."""
MAX_EVENTS = 500
_VOTED = {Decision.APPROVE: "approved", Decision.REJECT: "rejected"}
_FIRST = ("method", "url", "status")
"""What needs no name in the first line of a request or response."""
_MENTION = re.compile(r"<@([UW][A-Z0-9]+)>")
_GROUP = re.compile(r"<!subteam\^(\w+)>")


@dataclass(frozen=True, slots=True)
class Moment:
    """A time for people and for programs."""

    iso: str
    text: str


@dataclass(frozen=True, slots=True)
class Message:
    """A request or a response as it was kept: masked, and cut where it was long."""

    head: str
    headers: tuple[tuple[str, str], ...]
    body: str
    digest: str


@dataclass(frozen=True, slots=True)
class Try:
    number: int
    look: Look
    words: str
    at: Moment
    took: str
    worker: str
    error: str
    request: Message | None
    response: Message | None


@dataclass(frozen=True, slots=True)
class StepStory:
    path: str
    title: str
    kind: str
    look: Look
    words: str
    note: str
    outputs: str
    took: str
    tried: int
    tries: tuple[Try, ...]


@dataclass(frozen=True, slots=True)
class VoteStory:
    who: str
    did: str
    comment: str
    at: Moment


@dataclass(frozen=True, slots=True)
class GateStory:
    path: str
    look: Look
    words: str
    message: str
    preview: str
    settled: tuple[tuple[str, str], ...]
    rejected: tuple[str, ...]
    who: str
    needed: str
    opened: Moment
    expires: Moment | None
    digest: str
    votes: tuple[VoteStory, ...]


@dataclass(frozen=True, slots=True)
class TaskStory:
    path: str
    look: Look
    words: str
    instructions: str
    who: str
    opened: Moment
    expires: Moment | None
    outcome: str
    ended: Moment | None
    answers: str


@dataclass(frozen=True, slots=True)
class Happening:
    seq: int
    at: Moment
    text: str


@dataclass(frozen=True, slots=True)
class Story:
    """One run as its page tells it."""

    run: ExecutionRecord
    name: str
    look: Look
    words: str
    trouble: str
    facts: tuple[tuple[str, str | Moment], ...]
    parameters: str
    result: str
    pictures: tuple[Drawing, ...]
    times: Timeline
    steps: tuple[StepStory, ...]
    steps_left_out: int
    gates: tuple[GateStory, ...]
    tasks: tuple[TaskStory, ...]
    happenings: tuple[Happening, ...]
    signs: dict[Look, str]


class Names:
    """People's names by their ids, each asked for once."""

    def __init__(self, rt: Runtime) -> None:
        self._rt = rt
        self._known: dict[str, str] = {}

    def __call__(self, user_id: str | None) -> str:
        if user_id is None:
            return ""
        if user_id not in self._known:
            self._known[user_id] = people.names(self._rt, [user_id]).get(user_id, user_id)
        return self._known[user_id]

    def noted(self, text: str) -> str:
        """A note with the person who gave it by name."""
        return "".join(self(part.user_id) if isinstance(part, Person) else part for part in by_name(text))

    def unmarked(self, text: str) -> str:
        """Text made for Slack as plain text, with names for its mentions."""
        named = _MENTION.sub(lambda found: self(found[1]), text)
        return html.unescape(_GROUP.sub(lambda found: f"group {found[1]}", named))


def story(rt: Runtime, execution_id: str, actor: Actor | None = None) -> Story:
    """Read a run, for this person where one is named. Raises `NotFound`."""
    view = time_spent.with_spent(executions.view(rt, execution_id, actor))
    run, names = view.execution, Names(rt)
    everything = ordered(view.steps)
    shown, _ = folded(everything, MAX_STEPS)
    attempts = executions.attempts(rt, [step.id for step in shown])
    happened = events.after(rt, run.id, max(0, run.event_seq - MAX_EVENTS), MAX_EVENTS)
    return Story(
        run=run,
        name=view.runbook.name,
        look=execution_look(run.status),
        words=execution_words(run, view.steps)[1],
        trouble=names.unmarked(_trouble(view)),
        facts=tuple(_facts(view, names)),
        parameters=_pretty(run.parameters) if run.parameters else "",
        result=_pretty(run.result) if run.result else "",
        pictures=tuple(drawings(view.runbook, view.steps, ended=run.status.ended)),
        times=timeline(run, shown, attempts, happened, people.now()),
        steps=tuple(_step(view, step, attempts.get(step.id, []), names) for step in shown),
        steps_left_out=len(everything) - len(shown),
        gates=tuple(_gate(gate, names) for gate in view.gates),
        tasks=tuple(_task(task, names) for task in view.tasks),
        happenings=tuple(_happening(event, names) for event in reversed(happened)),
        signs=SIGNS,
    )


def moment(at: int) -> Moment:
    when = datetime.fromtimestamp(at / 1000, UTC)
    return Moment(when.isoformat(timespec="milliseconds"), f"{when:%Y-%m-%d %H:%M:%S} UTC")


def _trouble(view: ExecutionView) -> str:
    run = view.execution
    if run.slot == "queued":
        return f"Queued for {run.slot_group}, behind {', '.join(view.ahead) or 'nobody any more'}."
    return error_field(run.error, "message") or run.paused_reason or ""


def _facts(view: ExecutionView, names: Names) -> Iterable[tuple[str, str | Moment]]:
    run = view.execution
    yield "Version", f"{run.slug}@{run.number}"
    yield "Digest", run.digest
    yield "Asked for by", names(run.requester)
    if run.responsible != run.requester:
        yield "Answers for it", names(run.responsible)
    if run.offered_to and not run.status.ended:
        yield "Offered to", names(run.offered_to)
    if run.reason:
        yield "Because", run.reason
    yield "Door", run.trigger
    if run.team:
        yield "Team", run.team
    channel = (run.incident or {}).get("channel_name") or (run.incident or {}).get("channel")
    if channel:
        yield "Channel", f"#{channel}"
    if run.replay_of:
        yield "Replays", run.replay_of
    for each in view.changes:
        yield "Parameters changed", change_words(each.changes, names(each.by))
    yield "Asked for at", moment(run.created_at)
    if run.ended_at is not None:
        yield "Ended at", moment(run.ended_at)
        told = spent_words(run)
        yield "Took", duration(run.ended_at - run.created_at) + (f" ({told})" if told else "")
    for word, ms in (("Waiting", run.waiting_ms), ("Paused", run.paused_ms)):
        if ms >= 1000:
            yield f"{word} for", duration(ms)


def _step(view: ExecutionView, step: StepRunRecord, attempts: Sequence[AttemptRecord], names: Names) -> StepStory:
    return StepStory(
        path=step.path,
        title=step_title(view.runbook, step),
        kind=step.kind,
        look=look_of(step),
        words=step_words(step, run_ended=view.execution.status.ended)[1],
        note=names.noted(note_of(step)),
        outputs=_pretty(step.outputs) if step.outputs else "",
        took=step_took(view, step),
        tried=step.attempts,
        tries=tuple(_try(each) for each in attempts),
    )


def _try(attempt: AttemptRecord) -> Try:
    return Try(
        number=attempt.number,
        look=attempt_look(attempt),
        words=attempt_words(attempt),
        at=moment(attempt.started_at),
        took=duration(attempt.ended_at - attempt.started_at) if attempt.ended_at is not None else "",
        worker=attempt.worker_id,
        error=error_field(attempt.error, "message"),
        request=_message(attempt.request),
        response=_message(attempt.response),
    )


def _message(kept: Json) -> Message | None:
    """What is kept of a call: its first line, its headers, its body; whatever else a kind keeps is shown as it is."""
    if not isinstance(kept, dict) or not kept:
        return None
    rest = {name: value for name, value in kept.items() if name not in ("headers", "body", "digest")}
    headers = kept.get("headers")
    named = tuple((str(name), str(value)) for name, value in headers.items()) if isinstance(headers, dict) else ()
    body = kept.get("body")
    return Message(
        head=" ".join([*(str(rest.pop(name)) for name in _FIRST if name in rest), *map(_named, rest.items())]),
        headers=named,
        body=body if isinstance(body, str) else _pretty(body) if body is not None else "",
        digest=str(kept.get("digest", "")),
    )


def _named(pair: tuple[str, Json]) -> str:
    name, value = pair
    return f"{name}={value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"


def _gate(gate: GateView, names: Names) -> GateStory:
    approval = gate.approval
    looks = {ApprovalStatus.PENDING: Look.WAIT, ApprovalStatus.APPROVED: Look.GOOD, ApprovalStatus.CANCELLED: Look.LEFT}
    lacking = f"{gate.missing} more needed" if gate.missing else ""
    among = f", among them {', '.join(gate.unmet)}" if gate.unmet else ""
    return GateStory(
        path=approval.path,
        look=looks.get(approval.status, Look.BAD),
        words=gate_words(approval)[1],
        message=approval.message,
        preview=_pretty(approval.preview) if approval.preview else "",
        settled=tuple((step, names.noted(why)) for step, why in preview.settled(approval.preview)),
        rejected=tuple(
            f"{names(vote.person)}: {vote.comment}" if vote.comment else names(vote.person)
            for vote in gate.rejected_before
        ),
        who=names.unmarked(f"{approver_words(approval.approvers)}{barred_words(approval)}"),
        needed=f"{approval.min_approvals} needed{'; ' + lacking + among if lacking else ''}",
        opened=moment(approval.opened_at),
        expires=moment(approval.expires_at) if approval.status is ApprovalStatus.PENDING else None,
        digest=approval.digest,
        votes=tuple(
            VoteStory(names(vote.person), _VOTED[vote.decision], _commented(vote), moment(vote.at))
            for vote in gate.votes
        ),
    )


def _commented(vote: VoteRecord) -> str:
    """What somebody answered and said with their vote."""
    return "; ".join([*map(_named, (vote.answers or {}).items()), *filter(None, [vote.comment])])


def _task(task: TaskRecord, names: Names) -> TaskStory:
    looks = {TaskStatus.OPEN: Look.WAIT, TaskStatus.DONE: Look.GOOD, TaskStatus.CANCELLED: Look.LEFT}
    return TaskStory(
        path=task.path,
        look=looks.get(task.status, Look.BAD),
        words=task_words(task)[1],
        instructions=readable(task.instructions),
        who=names.unmarked(doers_words(task)),
        opened=moment(task.opened_at),
        expires=moment(task.expires_at) if task.status is TaskStatus.OPEN else None,
        outcome=": ".join(part for part in (names(task.ended_by), task.note) if part),
        ended=moment(task.ended_at) if task.ended_at else None,
        answers=_pretty(task.answers) if task.answers else "",
    )


def _happening(event: EventRecord, names: Names) -> Happening:
    said = told(event.kind, event.path, event.actor, event.data, names)
    return Happening(event.seq, moment(event.at), said)


def _pretty(value: Json) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
