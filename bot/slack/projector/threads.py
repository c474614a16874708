"""The thread below a run's card: what happened, told once and in order, and what is asked kept up to date."""

from __future__ import annotations

import logging
from collections import Counter

from slack_sdk.errors import SlackApiError

from bot.slack.client import error_code
from bot.slack.directory import SLACK_TROUBLE
from bot.slack.projector.direct_notifier import DirectNotifier
from bot.slack.projector.poster import UNSURE, Draw, LeaseLost, Mark, NotNow, Poster
from bot.slack.projector.question_posts import MESSAGE_GONE, QuestionPosts
from bot.slack.projector.text_files import TextFiles
from bot.slack.projector.timeline_pictures import Pictures
from bot.slack.views import thread
from bot.slack.views.parts import Message, said
from engine.orchestration import message_channels
from engine.queries import events, projection
from engine.runs import time_spent
from engine.runs.executions import ExecutionView
from engine.runtime import Runtime
from storage.records import CardRecord, EventRecord

log = logging.getLogger(__name__)

TRIES = 3
"""How often an event is tried that cannot be told for a reason of its own; then the thread goes on behind it."""
CHANNEL_GONE = {
    "channel_not_found",
    "is_archived",
    "not_in_channel",
    "restricted_action",
    "restricted_action_read_only_channel",
}
NO_ACCESS = {"token_revoked", "token_expired", "invalid_auth", "not_authed", "account_inactive", "missing_scope"}


class Threads:
    """Used by the projector's one thread. Its methods raise NotNow and LeaseLost, and as Slack does."""

    def __init__(self, rt: Runtime, poster: Poster, notifier: DirectNotifier) -> None:
        self._rt = rt
        self._poster = poster
        self._questions = QuestionPosts(rt, poster, notifier)
        self._pictures = Pictures(rt, poster)
        self._files = TextFiles(rt, poster)
        self._tried: Counter[tuple[str, int]] = Counter()

    def catch_up(self, card: CardRecord, ts: str, view: ExecutionView, *, pictures: bool) -> None:
        """Redraw what is asked, and tell what happened. Where redrawing has to wait, all but the last event is told,
        so that the run keeps its turn; a question is asked all the same.
        """
        try:
            self._questions.catch_up(view)
            drawn = True
        except NotNow:
            drawn = False
        self._narrate(card, ts, view, drawn=drawn, pictures=pictures)

    def _narrate(self, card: CardRecord, ts: str, view: ExecutionView, *, drawn: bool, pictures: bool) -> None:
        """Tell what happened, in order; stops where a budget is used up and goes on from there."""
        for event in events.after(self._rt, card.execution_id, self._posted_seq(card)):
            if event.seq > view.execution.event_seq:
                return  # it came after the view was read, which therefore does not know what it tells of
            last = event.seq == view.execution.event_seq
            if last and not drawn:
                self._questions.post_question(card, ts, view, event)
                raise NotNow
            self._try_to_post(card, ts, view, event)
            if last and event.kind == "ended" and not pictures and self._pictures.wanted(view, event.seq):
                return  # its turn comes when nobody waits for words any more
            if last and pictures:
                self._pictures.share(view, card.channel, ts, event.seq)
            projection.mark_posted(self._rt, card.execution_id, event.seq)

    def _posted_seq(self, card: CardRecord) -> int:
        now = projection.card_of(self._rt, card.execution_id)
        return now.posted_seq if now is not None else card.posted_seq

    def _try_to_post(self, card: CardRecord, ts: str, view: ExecutionView, event: EventRecord) -> None:
        """Tell of one event; what cannot be told for a reason of its own keeps nothing else back for good."""
        try:
            self._post_event(card, ts, view, event)
        except Exception as trouble:
            if _concerns_whole_run(trouble):
                raise
            key = (card.execution_id, event.seq)
            self._tried[key] += 1
            if self._tried[key] < TRIES:
                raise
            log.exception("%s could not be told that %s; its thread goes on", card.execution_id, event.kind)
            self._tried.pop(key)

    def _post_event(self, card: CardRecord, ts: str, view: ExecutionView, event: EventRecord) -> None:
        if self._questions.post_question(card, ts, view, event):
            return
        if event.kind == "gate_reminder":
            self._questions.remind(card, ts, view, event)
        elif event.kind == "task_reminder":
            self._questions.remind_of_task(card, ts, view, event)
        elif event.kind == "gate_changed":
            self._questions.post_gate_change(card, ts, view, event)
        elif event.kind == "message":
            self._post_message(card, ts, view, event)
        elif event.kind == "ended":
            self._post_end(card, ts, view, event)
        elif (text := thread.line(event, view)) is not None:
            self._poster.post(card.channel, _fixed(said(text)), _mark(view, f"event:{event.seq}"), ts)

    def _post_message(self, card: CardRecord, ts: str, view: ExecutionView, event: EventRecord) -> None:
        """What a `message` step says: in the run's thread, or by itself in its channel.

        Another channel that cannot be written to, or in which the bot may not speak for who asked for the run, is said
        in the thread, and the run's own card goes on.
        """
        channel = event.data.get("channel") or card.channel
        if channel == card.channel and event.data.get("thread", True):
            self._say(view, event, thread.message(event), channel, ts)
            return
        why = message_channels.why_not(self._rt, view.execution, event.data) if channel != card.channel else ""
        if why:
            self._say(view, event, thread.unposted(event, channel, why), card.channel, ts)
            return
        try:
            self._say(view, event, thread.message(event), channel)
        except SlackApiError as trouble:
            if channel == card.channel or error_code(trouble) not in CHANNEL_GONE:
                raise
            self._say(view, event, thread.unposted(event, channel), card.channel, ts)

    def _say(self, view: ExecutionView, event: EventRecord, what: Message, channel: str, ts: str | None = None) -> None:
        """Post a message, and its file in the same thread, or else in the one that it begins."""
        key = f"event:{event.seq}"
        if not thread.has_file(event):
            self._poster.post(channel, _fixed(what), _mark(view, key), ts)
            return
        found = next((post for post in projection.posts(self._rt, view.execution.id) if post.key == key), None)
        if found is None:  # the file may have to be tried again, and its message not be posted again
            said_ts = self._poster.post(channel, _fixed(what), _mark(view, key), ts)
            projection.add_post(self._rt, view.execution.id, key, channel, said_ts)
            projection.settle_post(self._rt, view.execution.id, key)
        else:
            channel, said_ts = found.channel, found.ts
        self._files.share(view, channel, ts or said_ts, event)

    def _post_end(self, card: CardRecord, ts: str, view: ExecutionView, event: EventRecord) -> None:
        """The summary."""
        key = f"event:{event.seq}"
        if self._posted(card, key) is None:
            summary = said(thread.ended(event, time_spent.with_spent(view)))
            end_ts = self._poster.post(card.channel, _fixed(summary), _mark(view, key), ts)
            projection.add_post(self._rt, card.execution_id, key, card.channel, end_ts)
            projection.settle_post(self._rt, card.execution_id, key)

    def _posted(self, card: CardRecord, key: str) -> str | None:
        """The ts of what was posted under a key before, or None."""
        posts = projection.posts(self._rt, card.execution_id)
        return next((post.ts for post in posts if post.key == key), None)


def _concerns_whole_run(trouble: Exception) -> bool:
    """Whether trouble is not of one event's own: it is over at some time, or concerns the whole run."""
    if isinstance(trouble, SlackApiError):
        return error_code(trouble) in CHANNEL_GONE | NO_ACCESS | MESSAGE_GONE | UNSURE
    return isinstance(trouble, (LeaseLost, NotNow, *SLACK_TROUBLE))


def _fixed(message: Message) -> Draw:
    return lambda _: message


def _mark(view: ExecutionView, key: str) -> Mark:
    return Mark(view.execution.id, key, view.execution.created_at)
