"""What a run asks of people: gates, manual steps, skips that need an approver's word, offers to take the run over.

Each is a message of its own in the run's thread, known by its key: `gate:` with the gate's id, `task:` with the task's,
`skip:` and `offer:` with the number of the event that tells of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from bot.slack.views import skip_and_handover
from bot.slack.views.gate import gate_post
from bot.slack.views.parts import Message
from bot.slack.views.reminder import direct_gate_message, direct_gate_question
from bot.slack.views.task import task_post
from bot.slack.views.text import is_person
from engine.queries import events
from engine.runs import manual_tasks, skipping, voting
from engine.runs.executions import ExecutionView, GateView
from engine.runs.gate_notifications import calling, notified
from engine.runtime import Runtime
from storage.records import EventRecord, Json
from storage.states import ApprovalStatus, TaskStatus
from storage.task_records import TaskRecord

Who = Callable[[int, Collection[str]], list[str]]
"""At most so many people who can answer, without those."""

_KINDS = {"gate_opened": "gate", "task_opened": "task", "skip_requested": "skip", "handover_offered": "offer"}


@dataclass(frozen=True, slots=True)
class Question:
    """A question as it stands. `over` says that nobody is asked any more; `direct` draws it for one person, given the
    address of its message, "" where there is none."""

    key: str
    drawn: Message
    over: bool
    who: Who
    direct: Callable[[str], Message]
    how: str = "all"
    """How those who can answer are called, as in `Calling`."""

    @property
    def calls(self) -> bool:
        """Whether those who can answer and are not there are told by direct message."""
        return self.how in ("all", "direct")


def of_event(rt: Runtime, view: ExecutionView, event: EventRecord) -> Question | None:
    """The question that an event asks, None where it asks none."""
    kind = _KINDS.get(event.kind)
    if kind == "gate":
        gate = gate_of(view, event)
        return of_gate(rt, view, gate) if gate is not None else None
    if kind == "task":
        task = task_of(view, event)
        return _of_task(rt, view, task) if task is not None else None
    if kind == "skip":
        return _of_skip(rt, view, event)
    return _of_offer(rt, view, event) if kind == "offer" and _fact(event, "to") else None


def of_key(rt: Runtime, view: ExecutionView, key: str) -> Question | None:
    """The question of this key, None where that is no question's."""
    kind, _, number = key.partition(":")
    if kind == "gate":
        gate = next((each for each in view.gates if str(each.approval.id) == number), None)
        return of_gate(rt, view, gate) if gate is not None else None
    if kind == "task":
        task = next((each for each in view.tasks if str(each.id) == number), None)
        return _of_task(rt, view, task) if task is not None else None
    if kind not in _KINDS.values() or not number.isdigit():
        return None
    told = events.after(rt, view.execution.id, int(number) - 1, 1)
    return of_event(rt, view, told[0]) if told else None


def of_gate(rt: Runtime, view: ExecutionView, gate: GateView) -> Question:
    """The question that a gate is."""
    over = gate.approval.status is not ApprovalStatus.PENDING
    called = None if over else calling(rt, view, gate)
    return Question(
        f"gate:{gate.approval.id}",
        gate_post(gate, called),
        over,
        lambda limit, beside: voting.deciders(rt, gate, limit, beside=beside),
        lambda permalink: direct_gate_message(gate, view, permalink, rt.settings.slack_command),
        called.how if called is not None else "none",
    )


def gate_of(view: ExecutionView, event: EventRecord) -> GateView | None:
    """The gate that an event is about."""
    wanted = _fact(event, "approval_id")
    return next((each for each in view.gates if each.approval.id == wanted), None)


def task_of(view: ExecutionView, event: EventRecord) -> TaskRecord | None:
    """The task that an event is about."""
    wanted = _fact(event, "task_id")
    return next((each for each in view.tasks if each.id == wanted), None)


def _of_task(rt: Runtime, view: ExecutionView, task: TaskRecord) -> Question:
    drawn, over = task_post(task), task.status is not TaskStatus.OPEN
    typed = "" if over else f"{rt.settings.slack_command} done {task.execution_id} {task.path}"
    return Question(
        f"task:{task.id}",
        drawn,
        over,
        lambda limit, beside: [] if over else manual_tasks.doers(rt, task, limit, beside=beside),
        lambda permalink: direct_gate_question(drawn, view, permalink, typed),
        "none" if over else notified(rt, view, task.step_run_id),
    )


def _of_skip(rt: Runtime, view: ExecutionView, event: EventRecord) -> Question:
    step = next((each for each in view.steps if each.path == event.path), None)
    open_now = skipping.requests(rt, view)
    request = next((each for each in open_now if each.step == step and each.step.skip["at"] == event.at), None)
    drawn = skip_and_handover.skip_post(event, step, request)
    typed = f"{rt.settings.slack_command} agree {view.execution.id} {event.path}" if request else ""
    return Question(
        f"skip:{event.seq}",
        drawn,
        request is None,
        lambda limit, beside: skipping.who_may_agree(rt, request, limit, beside=beside) if request else [],
        lambda permalink: direct_gate_question(drawn, view, permalink, typed),
    )


def _of_offer(rt: Runtime, view: ExecutionView, event: EventRecord) -> Question:
    run, to = view.execution, str(_fact(event, "to"))
    over = run.status.ended or run.offered_to != to
    drawn = skip_and_handover.offer_post(event, run, over=over)
    typed = "" if over else f"{rt.settings.slack_command} takeover {run.id}"
    return Question(
        f"offer:{event.seq}",
        drawn,
        over,
        lambda _, beside: [to] if is_person(to) and to not in beside and not over else [],
        lambda permalink: direct_gate_question(drawn, view, permalink, typed),
    )


def _fact(event: EventRecord, name: str) -> Json:
    return event.data.get(name) if isinstance(event.data, dict) else None
