"""The file of a `message` step whose text is too long, or meant as a file: shared once, below its message."""

from __future__ import annotations

import logging
from collections import Counter

from slack_sdk.errors import SlackApiError

from bot.slack.client import error_code
from bot.slack.directory import SLACK_TROUBLE
from bot.slack.projector.poster import UNSURE, UPLOAD, Mark, NotNow, Poster
from bot.slack.views import thread
from bot.slack.views.text import clean
from engine.queries import messages, projection
from engine.runs.executions import ExecutionView
from engine.runtime import Runtime
from storage.records import EventRecord

log = logging.getLogger(__name__)

TRIES = 3
"""How often a file is tried; then the thread says that it is missing, and goes on."""


class TextFiles:
    """Used by the projector's one thread."""

    def __init__(self, rt: Runtime, poster: Poster) -> None:
        self._rt = rt
        self._poster = poster
        self._tried: Counter[Mark] = Counter()

    def share(self, view: ExecutionView, channel: str, thread_ts: str, event: EventRecord) -> None:
        """Share the text of a message as a file in a thread. Raises NotNow and LeaseLost, and as posting does.

        Where Slack does not take it, the thread says so, and where the text is to be read.
        """
        mark = Mark(view.execution.id, f"file:{event.seq}", view.execution.created_at)
        if any(post.key == mark.key for post in projection.posts(self._rt, mark.run)):
            return
        text = messages.file_text(self._rt, view, event)
        why = self._upload(mark, channel, thread_ts, event, text) if text else "nothing is kept of it"
        if why:
            self._say_missing(mark, channel, thread_ts, event, why)
        self._tried.pop(mark, None)
        projection.add_post(self._rt, mark.run, mark.key, channel, thread_ts)
        projection.settle_post(self._rt, mark.run, mark.key)

    def _say_missing(self, mark: Mark, channel: str, thread_ts: str, event: EventRecord, why: str) -> None:
        missing = thread.file_missing(event, why)
        try:
            self._poster.post(channel, lambda _: missing, mark, thread_ts)
        except SlackApiError as trouble:  # a channel that is closed by now keeps nothing else of the run back
            if error_code(trouble) in UNSURE:
                raise
            log.warning("Nor could %s be told of that (%s).", mark.run, error_code(trouble))

    def _upload(self, mark: Mark, channel: str, thread_ts: str, event: EventRecord, text: str) -> str:
        """Upload the file; why it could not be, "" where it was. Raises NotNow when it is to be tried again."""
        name, title = f"{mark.run}-{event.seq}.txt", f"What {event.path} says"
        try:
            self._poster.share(channel, thread_ts, mark, name, title, clean(text).encode(), "")
        except SLACK_TROUBLE as trouble:
            why = error_code(trouble) if isinstance(trouble, SlackApiError) else type(trouble).__name__
            log.warning("A file of %s could not be shared (%s).", mark.run, why)
            self._tried[mark] += 1
            may_pass = not isinstance(trouble, SlackApiError) or why in UNSURE
            if may_pass and self._tried[mark] < TRIES:
                self._poster.pause(UPLOAD, 2.0)
                raise NotNow from trouble
            return why
        return ""
