"""The picture of a run that has ended, shared once below its summary."""

from __future__ import annotations

import logging
from collections import Counter

from slack_sdk.errors import SlackApiError

from bot.slack.client import error_code
from bot.slack.directory import SLACK_TROUBLE
from bot.slack.projector.poster import UPLOAD, Mark, NotNow, Poster
from bot.slack.views.timeline import alt_text, timeline, worth_drawing
from engine.queries import events, projection
from engine.runs import time_spent
from engine.runs.executions import ExecutionView
from engine.runtime import Runtime

log = logging.getLogger(__name__)

TRIES = 3
"""How often a picture is tried while Slack is in trouble; then the run is told without one."""
MOST_EVENTS = 2_000
"""Events that are read for a picture."""


class Pictures:
    """Used by the projector's one thread."""

    def __init__(self, rt: Runtime, poster: Poster) -> None:
        self._rt = rt
        self._poster = poster
        self._tried: Counter[str] = Counter()

    def wanted(self, view: ExecutionView, seq: int) -> bool:
        """Whether the end that event `seq` tells of is worth a picture, and has none."""
        known = (post.key for post in projection.posts(self._rt, view.execution.id))
        return worth_drawing(view) and _key(seq) not in known

    def share(self, view: ExecutionView, channel: str, thread_ts: str, seq: int) -> None:
        """Share the picture of the end that event `seq` tells of, where it is wanted.

        Raises NotNow when it is to be tried again; a picture that cannot be drawn, or that Slack does not take, is
        logged and left: the words are there.
        """
        if not self.wanted(view, seq):
            return
        view = time_spent.with_spent(view)
        run, picture = view.execution.id, self._drawn(view)
        try:
            if picture:
                self._upload(view, channel, thread_ts, seq, picture)
        except SlackApiError as trouble:
            log.warning("The picture of %s could not be shared (%s).", run, error_code(trouble))
        except SLACK_TROUBLE as trouble:
            self._again(run, trouble)
        self._tried.pop(run, None)
        projection.add_post(self._rt, run, _key(seq), channel, thread_ts)
        projection.settle_post(self._rt, run, _key(seq))

    def _drawn(self, view: ExecutionView) -> bytes:
        """The picture, b"" where drawing it fails, which is a bug and no reason to keep a thread waiting."""
        try:
            return timeline(view, events.after(self._rt, view.execution.id, 0, MOST_EVENTS))
        except Exception:
            log.exception("The picture of %s could not be drawn", view.execution.id)
            return b""

    def _upload(self, view: ExecutionView, channel: str, thread_ts: str, seq: int, picture: bytes) -> None:
        execution = view.execution
        mark = Mark(execution.id, _key(seq), execution.created_at)
        name, title = f"{execution.id}-{seq}.png", f"{execution.id} step by step"
        self._poster.share(channel, thread_ts, mark, name, title, picture, alt_text(view))

    def _again(self, run: str, trouble: Exception) -> None:
        self._tried[run] += 1
        if self._tried[run] < TRIES:
            self._poster.pause(UPLOAD, 2.0)
            raise NotNow from trouble
        log.warning("The picture of %s could not be shared (%s).", run, type(trouble).__name__)


def _key(seq: int) -> str:
    return f"picture:{seq}"
