"""Putting messages into Slack: within budgets, with plainer blocks where Slack refuses some, and never knowingly twice.

Every message bears a mark, as Slack's message metadata, that says which part of which run it is. Where a call's answer
was lost, or an earlier process may have posted without living to note it, Slack is asked for the mark first.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.slack import files
from bot.slack.client import error_code, retry_after
from bot.slack.directory import SLACK_TROUBLE
from bot.slack.projector.pacing import Pace
from bot.slack.reply import SAFE
from bot.slack.views.parts import Message
from engine.access import people
from engine.failpoints import failpoint

log = logging.getLogger(__name__)

Draw = Callable[[int], Message]
"""Draws a message: 0 as it should be, 1 with blocks that every workspace knows, 2 as short as can be."""

Posted = Mapping[str, Any]
"""A message as Slack shows it."""

TOO_LONG = {"msg_too_long", "msg_blocks_too_long"}
REFUSED_BLOCKS = {"invalid_blocks", "invalid_blocks_format", "unsupported_block_type"}
UNSURE = {"internal_error", "fatal_error", "request_timeout", "service_unavailable"}
"""Refusals after which the message may stand there all the same, as after a 5xx."""
EVENT_TYPE = "runbook_post"
_LOOK_BACK_S = 3_600
_LOOK_AT = 200


UPLOAD = "files.upload"
"""Uploading a file, which takes several calls, as the pace knows it: Slack's pauses of it hold no message up."""
LOCKED_OUT_S = (2.0, 60.0)
"""How long Slack is left alone where it does not let this bot in: at first, and at most; twice as long each time."""


class NotNow(Exception):
    """The budget or Slack says: later."""


class LeaseLost(Exception):
    """Another process shows now."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Which part of which run a message is: `card`, `event:7`, `gate:3`. `begun` is when the run was asked for.

    What belongs to no run, such as a notice, is one by itself each: the parts of a run are told one after the other,
    so that once the first of them is found or told none of the rest is in doubt.
    """

    run: str
    key: str
    begun: int


class Poster:
    """Used by one thread. `keep` is called before each write, and raises where this process may not write any more."""

    def __init__(self, client: WebClient, pace: Pace | None = None, keep: Callable[[], None] = lambda: None) -> None:
        self._client = client
        self._pace = pace or Pace()
        self._keep = keep
        self._plan_refused = False
        self._locked_out = 0.0
        self._doubtful: set[tuple[str, str]] = set()
        self.found_existing = False
        """Whether the last `post` found its message standing already, which may show an earlier drawing."""
        self.take_over()

    def take_over(self) -> None:
        """Begin where another process may have left off: what it posted last it may not have noted."""
        self._since = people.now()
        self._sure: set[str] = set()
        """Runs from before that of which nothing is left that only an earlier process could know."""

    def may_update(self, channel: str, ts: str) -> bool:
        """Take one update of a message from the budget."""
        return self._pace.may_update(f"{channel}:{ts}")

    def pause(self, method: str, seconds: float) -> None:
        """Leave a method alone for a while, or with `*` all of them."""
        self._pace.pause(method, seconds)

    def pause_locked_out(self) -> float:
        """Leave Slack alone because it does not let this bot in; says for how many seconds."""
        first, most = LOCKED_OUT_S
        self._locked_out = min(max(first, self._locked_out * 2), most)
        self.pause("*", self._locked_out)
        return self._locked_out

    def is_paused(self, method: str) -> bool:
        """Whether a method is left alone now."""
        return self._pace.is_paused(method)

    def post(self, channel: str, draw: Draw, mark: Mark, thread_ts: str | None = None) -> str:
        """Post, and return the message's ts; or that of the same message where it stands there already.

        Raises NotNow, and as Slack does.
        """
        if not self._pace.may_post(channel):
            raise NotNow
        found = self._find_posted(channel, thread_ts, lambda each: _is(each, mark)) if self._is_doubtful(mark) else None
        self.found_existing = found is not None
        if found is None:
            metadata = {"event_type": EVENT_TYPE, "event_payload": {"run": mark.run, "key": mark.key}}
            failpoint("post.before")
            try:
                answer = self._send(
                    "chat.postMessage", draw, channel=channel, thread_ts=thread_ts, metadata=metadata, **SAFE
                )
            except SLACK_TROUBLE as trouble:
                self._doubt(mark, trouble)
                raise
            failpoint("post.after")
            found = str(answer["ts"])
        self._doubtful.discard((mark.run, mark.key))
        if mark.begun < self._since:
            self._sure.add(mark.run)
        return found

    def update(self, channel: str, ts: str, draw: Draw) -> None:
        """Change a message. Raises NotNow, and as Slack does."""
        self._send("chat.update", draw, channel=channel, ts=ts, parse="none", link_names=False)

    def share(
        self, channel: str, thread_ts: str, mark: Mark, filename: str, title: str, data: bytes, alt_text: str
    ) -> None:
        """Upload a file into a thread, unless one of this name stands there. Raises NotNow, and as Slack does."""
        if self.is_paused(UPLOAD) or not self._pace.may_post(channel):
            raise NotNow
        if not (self._is_doubtful(mark) and self._find_posted(channel, thread_ts, lambda each: _bears(each, filename))):
            self._keep()
            failpoint("share.before")
            try:
                files.upload(self._client, channel, thread_ts, filename, title, data, alt_text)
            except SLACK_TROUBLE as trouble:
                self._doubt(mark, trouble)
                if isinstance(trouble, SlackApiError):
                    self._raise_if_paused(trouble, UPLOAD)
                raise
            failpoint("share.after")
        self._doubtful.discard((mark.run, mark.key))

    def _is_doubtful(self, mark: Mark) -> bool:
        older = mark.begun < self._since and mark.run not in self._sure
        return older or (mark.run, mark.key) in self._doubtful

    def _doubt(self, mark: Mark, trouble: Exception) -> None:
        """Remember that what was to be posted may stand there although the call failed."""
        if (
            not isinstance(trouble, SlackApiError)
            or trouble.response.status_code >= 500
            or error_code(trouble) in UNSURE
        ):
            self._doubtful.add((mark.run, mark.key))

    def _find_posted(self, channel: str, thread_ts: str | None, fits: Callable[[Posted], bool]) -> str | None:
        """The ts of a recent message that fits, or None where there is none or Slack does not let us look."""
        look: Callable[..., Any] = (
            self._client.conversations_history if thread_ts is None else self._client.conversations_replies
        )
        thread = {} if thread_ts is None else {"ts": thread_ts}
        oldest = f"{time.time() - _LOOK_BACK_S:.6f}"
        try:
            answer = look(channel=channel, oldest=oldest, limit=_LOOK_AT, include_all_metadata=True, **thread)
        except SlackApiError as trouble:
            self._raise_if_paused(trouble, "chat.postMessage")
            log.info("Slack does not say what was posted before (%s).", error_code(trouble))
            return None
        return next((str(each["ts"]) for each in answer.get("messages") or [] if fits(each)), None)

    def _send(self, method: str, draw: Draw, **arguments: Any) -> Any:
        """Make the call; where Slack refuses the blocks, again with a plainer drawing, at last with text alone."""
        call = self._client.chat_update if method == "chat.update" else self._client.chat_postMessage
        tried: Message | None = None
        for level in range(1 if self._plan_refused else 0, 4):
            drawn = Message(draw(2).text) if level == 3 else draw(level)
            if drawn == tried:
                continue
            tried = drawn
            self._keep()
            try:
                answer = call(text=drawn.text, blocks=list(drawn.blocks), **arguments)
                self._locked_out = 0.0
                return answer
            except SlackApiError as trouble:
                self._plainer(method, trouble, level)
        raise NotNow

    def _plainer(self, method: str, trouble: SlackApiError, level: int) -> None:
        """Return when a plainer drawing may help; else raise what is the matter."""
        self._raise_if_paused(trouble, method)
        code = error_code(trouble)
        if code not in REFUSED_BLOCKS | TOO_LONG or level == 3:
            raise trouble
        log.warning("Slack refuses a message (%s); trying a plainer one.", code)
        self._plan_refused = self._plan_refused or (code in REFUSED_BLOCKS and level == 0)

    def _raise_if_paused(self, trouble: SlackApiError, method: str) -> None:
        wait = retry_after(trouble)
        if wait is not None:
            self._pace.pause(method, wait)
            raise NotNow from trouble


def _is(message: Posted, mark: Mark) -> bool:
    metadata = message.get("metadata") or {}
    wanted = {"run": mark.run, "key": mark.key}
    return metadata.get("event_type") == EVENT_TYPE and metadata.get("event_payload") == wanted


def _bears(message: Posted, filename: str) -> bool:
    return any(file.get("name") == filename for file in message.get("files") or [])
