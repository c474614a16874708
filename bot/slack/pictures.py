"""The picture of a run that has ended, shared once below its summary."""

from __future__ import annotations

import logging
from collections import Counter

from slack_sdk.errors import SlackApiError

from bot.slack.client import error_code
from bot.slack.directory import SLACK_TROUBLE
from bot.slack.poster import Mark, NotNow, Poster
from bot.slack.views.timeline import alt_text, timeline, worth_drawing
from engine import events, projection
from engine.executions import ExecutionView
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

    def share(self, view: ExecutionView, channel: str, thread_ts: str, seq: int) -> None:
        """Share the picture of the end that event `seq` tells of, if it is worth one and was not shared.

        Raises NotNow when it is to be tried again; a picture that Slack does not take is logged and left.
        """
        execution = view.execution
        key = f"picture:{seq}"
        if not worth_drawing(view) or any(post.key == key for post in projection.posts(self._rt, execution.id)):
            return
        mark = Mark(execution.id, key, execution.created_at)
        picture = timeline(view, events.after(self._rt, execution.id, 0, MOST_EVENTS))
        name, title = f"{execution.id}-{seq}.png", f"{execution.id} step by step"
        try:
            self._poster.share(channel, thread_ts, mark, name, title, picture, alt_text(view))
        except SlackApiError as trouble:
            log.warning("The picture of %s could not be shared (%s).", execution.id, error_code(trouble))
        except SLACK_TROUBLE as trouble:
            self._again(execution.id, trouble)
        self._tried.pop(execution.id, None)
        projection.add_post(self._rt, execution.id, key, channel, thread_ts)
        projection.settle_post(self._rt, execution.id, key)

    def _again(self, run: str, trouble: Exception) -> None:
        self._tried[run] += 1
        if self._tried[run] < TRIES:
            self._poster.rest("chat.postMessage", 2.0)
            raise NotNow from trouble
        log.warning("The picture of %s could not be shared (%s).", run, type(trouble).__name__)
