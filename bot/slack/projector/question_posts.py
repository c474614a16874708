"""What a run asks of people, kept in its thread: each question is posted once, redrawn as it changes, and settled."""

from __future__ import annotations

from slack_sdk.errors import SlackApiError

from bot.slack import questions
from bot.slack.client import error_code
from bot.slack.projector.direct_notifier import DirectNotifier
from bot.slack.projector.poster import Draw, Mark, NotNow, Poster
from bot.slack.questions import Question
from bot.slack.views import task as task_views
from bot.slack.views import thread
from bot.slack.views.parts import Message, said
from bot.slack.views.reminder import reminder
from engine.orchestration import gate_reminders
from engine.queries import projection
from engine.runs.executions import ExecutionView
from engine.runs.gate_notifications import calling
from engine.runtime import Runtime
from storage.records import CardRecord, EventRecord, PostRecord
from storage.states import ApprovalStatus, TaskStatus

MESSAGE_GONE = {"message_not_found", "cant_update_message", "edit_window_closed", "thread_not_found"}


class QuestionPosts:
    """Used by the projector's one thread. Its methods raise NotNow, and as Slack does."""

    def __init__(self, rt: Runtime, poster: Poster, notifier: DirectNotifier) -> None:
        self._rt = rt
        self._poster = poster
        self._notifier = notifier
        self._shown: dict[tuple[str, str], Message] = {}
        """What this process has drawn of open questions, by run and key."""

    def catch_up(self, view: ExecutionView) -> None:
        """Redraw what has changed; what is answered for the last time, wherever it was told."""
        run = view.execution.id
        for post in projection.posts(self._rt, run):
            question = questions.of_key(self._rt, view, post.key) if not post.settled else None
            if question is None:
                continue
            if question.over or self._shown.get((run, post.key)) != question.drawn:
                self._redraw(post, question)
            if question.over:
                projection.settle_post(self._rt, run, post.key)
                self._shown.pop((run, post.key), None)
        self._notifier.settle(view)

    def post_question(self, card: CardRecord, ts: str, view: ExecutionView, event: EventRecord) -> bool:
        """Post the question that an event asks; False where it asks none. Those outside the channel are called."""
        if event.kind == "gate_opened":
            self._notifier.refresh_people()
        question = questions.of_event(self._rt, view, event)
        if question is None:
            return False
        run, key = view.execution.id, question.key
        asked_ts = next((post.ts for post in projection.posts(self._rt, run) if post.key == key), None)
        if asked_ts is None:
            mark = Mark(run, key, view.execution.created_at)
            asked_ts = self._poster.post(card.channel, _fixed(question.drawn), mark, ts)
            projection.add_post(self._rt, run, key, card.channel, asked_ts)
            if not self._poster.found_existing:
                self._shown[run, key] = question.drawn
        if question.over:
            projection.settle_post(self._rt, run, key)
        else:
            self._notifier.call(view, question, card.channel, asked_ts)
        return True

    def post_gate_change(self, card: CardRecord, ts: str, view: ExecutionView, event: EventRecord) -> None:
        """Tell that a gate asks something else than it did, after everybody who was asked is shown that."""
        gate = questions.gate_of(view, event)
        if gate is None or gate.approval.status is not ApprovalStatus.PENDING:
            return
        self._notifier.redraw(view, questions.of_gate(self._rt, view, gate))
        told = said(thread.look_again(event))
        self._poster.post(card.channel, _fixed(told), _event_mark(view, event), ts)

    def remind(self, card: CardRecord, ts: str, view: ExecutionView, event: EventRecord) -> None:
        """Say once more that a gate is open, unless it was decided meanwhile."""
        gate = questions.gate_of(view, event)
        if gate is None or gate.approval.status is not ApprovalStatus.PENDING:
            return
        left, asked = int(event.data["left_ms"]), gate.approval
        last = gate_reminders.next_reminder(asked.opened_at, asked.expires_at, event.at) is None
        drawn = reminder(gate, left, calling(self._rt, view, gate) if last else None)
        self._poster.post(card.channel, _fixed(drawn), _event_mark(view, event), ts)
        self._notifier.remind(view, gate, left, f"event:{event.seq}")

    def remind_of_task(self, card: CardRecord, ts: str, view: ExecutionView, event: EventRecord) -> None:
        """Say once more that something is to be done by hand, unless it has ended meanwhile."""
        task = questions.task_of(view, event)
        if task is not None and task.status is TaskStatus.OPEN:
            drawn = task_views.reminder(task, int(event.data["left_ms"]))
            self._poster.post(card.channel, _fixed(drawn), _event_mark(view, event), ts)

    def _redraw(self, post: PostRecord, question: Question) -> None:
        if not self._poster.may_update(post.channel, post.ts):
            raise NotNow
        try:
            self._poster.update(post.channel, post.ts, _fixed(question.drawn))
        except SlackApiError as trouble:
            if error_code(trouble) not in MESSAGE_GONE:
                raise
        self._shown[post.execution_id, post.key] = question.drawn


def _fixed(message: Message) -> Draw:
    return lambda _: message


def _event_mark(view: ExecutionView, event: EventRecord) -> Mark:
    return Mark(view.execution.id, f"event:{event.seq}", view.execution.created_at)
