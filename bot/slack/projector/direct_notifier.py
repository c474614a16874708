"""Calling by direct message those who would miss something: whoever can answer a question of a run and is not in its
channel, and whom it concerns where the bot itself is not in it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.slack import questions
from bot.slack.client import error_code, retry_after
from bot.slack.directory import Directory
from bot.slack.projector.poster import Mark, NotNow, Poster
from bot.slack.questions import Question
from bot.slack.views.parts import Message
from bot.slack.views.reminder import reminded_directly, unreachable_notice
from bot.slack.views.text import is_person
from engine.access import channels
from engine.access.policy import Actor
from engine.conversations import Unasked
from engine.queries import projection
from engine.runs.executions import ExecutionView, GateView
from engine.runtime import Runtime
from storage.records import PostRecord
from storage.states import ApprovalStatus

log = logging.getLogger(__name__)

MOST = 10
"""People who are called for one question: with more of them, being called means nothing."""
_PREFIX = "call"
_UNREACHABLE = "unheard"
_MEMBERS = 1000
_MEMBERS_FRESH_S = 30.0
"""How long it is taken as known who is in a channel: many gates may open there at once."""
_CHANNELS = 100
_ASKING = "conversations"
"""What is asked of Slack around a call, as the pace knows it: Slack's pauses of it hold no other message up."""


class DirectNotifier:
    """Used by the projector's one thread. What Slack refuses is logged and left: people can answer anyway."""

    def __init__(self, rt: Runtime, client: WebClient, poster: Poster) -> None:
        self._rt = rt
        self._client = client
        self._poster = poster
        self._directory = Directory(rt, client)
        self._inside: dict[str, tuple[set[str] | None, float]] = {}

    def call(self, view: ExecutionView, question: Question, channel: str, ts: str) -> None:
        """Tell those who can answer and are not in `channel`, each once. Raises NotNow, and OSError as networks do."""
        inside = self._members(channel) if question.calls else None
        if inside is not None:
            self._call(view, question, inside, lambda user: self._link(user, channel, ts))

    def report_unreachable(self, view: ExecutionView, channel: str, reason: str) -> None:
        """Tell whom it concerns of a run that its channel does not show: who answers for it, and every open gate's
        deciders, each once. Raises as `call`.
        """
        known = {post.key for post in projection.posts(self._rt, view.execution.id)}
        person = view.execution.owner or view.execution.requester
        if is_person(person) and _UNREACHABLE not in known:
            self._send(view, person, _UNREACHABLE, unreachable_notice(view, channel, reason), keep=True)
            projection.settle_post(self._rt, view.execution.id, _UNREACHABLE)
        for gate in view.gates:
            if gate.approval.status is ApprovalStatus.PENDING:
                question = questions.of_gate(self._rt, view, gate)
                if question.how != "none":
                    self._call(view, question, set(), lambda _: "")
        self.settle(view)

    def _call(self, view: ExecutionView, question: Question, inside: set[str], link: Callable[[str], str]) -> None:
        posts = projection.posts(self._rt, view.execution.id)
        called = {user for post in posts if (user := _called_person(post, question.key))}
        if len(called) >= MOST:
            return
        self.refresh_people()
        for user in question.who(MOST - len(called), inside | called):
            self._send(view, user, f"{_PREFIX}:{question.key}:{user}", question.direct(link(user)), keep=True)

    def refresh_people(self) -> None:
        """Ask Slack about those whose standing is not known now: only whom it calls a member is called, or named."""
        self._directory.refresh_people(MOST)

    def remind(self, view: ExecutionView, gate: GateView, left_ms: int, key: str) -> None:
        """Remind those who were called and have not voted. Raises as `call`."""
        voted = {vote.person for vote in gate.votes}
        posts = projection.posts(self._rt, view.execution.id)
        key_of_gate = f"gate:{gate.approval.id}"
        gate_post = next((post for post in posts if post.key == key_of_gate), None)
        for post in posts:
            user = _called_person(post, key_of_gate)
            if user and user not in voted:
                link = self._link(user, gate_post.channel, gate_post.ts) if gate_post else ""
                self._send(view, user, f"{key}:{user}", reminded_directly(gate, left_ms, link), keep=False)

    def settle(self, view: ExecutionView) -> None:
        """Replace calls whose question is answered by what came of it. Raises as `call`."""
        for post in projection.posts(self._rt, view.execution.id):
            question = questions.of_key(self._rt, view, _question_key(post)) if not post.settled else None
            if question is not None and question.over:
                self._update(post, question.direct(""))
                projection.settle_post(self._rt, view.execution.id, post.key)

    def redraw(self, view: ExecutionView, question: Question) -> None:
        """Show those who were called what is asked now. Raises as `call`."""
        posts = projection.posts(self._rt, view.execution.id)
        asked = next((post for post in posts if post.key == question.key), None)
        for post in posts:
            user = _called_person(post, question.key)
            if user and not post.settled:
                link = self._link(user, asked.channel, asked.ts) if asked else ""
                self._update(post, question.direct(link))

    def _update(self, post: PostRecord, drawn: Message) -> None:
        if not self._poster.may_update(post.channel, post.ts):
            raise NotNow
        try:
            self._poster.update(post.channel, post.ts, lambda _: drawn)
        except SlackApiError as trouble:
            log.info("A call could not be redrawn: %s", error_code(trouble))

    def _send(self, view: ExecutionView, user: str, key: str, drawn: Message, *, keep: bool) -> None:
        try:
            self._must_not_rest()
            direct = str(self._client.conversations_open(users=user)["channel"]["id"])
            if channels.outside(self._rt, direct):
                return
            ts = self._poster.post(direct, lambda _: drawn, Mark(view.execution.id, key, view.execution.created_at))
        except SlackApiError as trouble:
            self._left(trouble, f"{user} could not be told what is asked")
            return
        except Unasked as trouble:
            log.info("%s is not told of a gate. %s", user, trouble)
            return
        if keep:
            projection.add_post(self._rt, view.execution.id, key, direct, ts)

    def _members(self, channel: str) -> set[str] | None:
        """Who is in a channel, None where Slack does not say or there are too many to ask for."""
        known, until = self._inside.get(channel, (None, 0.0))
        if time.monotonic() < until:
            return known
        try:
            self._must_not_rest()
            answer = self._client.conversations_members(channel=channel, limit=_MEMBERS)
        except SlackApiError as trouble:
            self._left(trouble, "who is in a channel is not known")
            return None
        more = (answer.get("response_metadata") or {}).get("next_cursor")
        known = None if more else set(answer.get("members") or [])
        self._inside = dict(list(self._inside.items())[-_CHANNELS:])
        self._inside[channel] = (known, time.monotonic() + _MEMBERS_FRESH_S)
        return known

    def _link(self, user: str, channel: str, ts: str) -> str:
        """The address of a message for somebody, "" where they could not open it: it would say which channel it is."""
        if channel.startswith("D") or not channels.sees(self._rt, Actor(user), channel):
            return ""
        try:
            self._must_not_rest()
            return str(self._client.chat_getPermalink(channel=channel, message_ts=ts)["permalink"])
        except SlackApiError as trouble:
            self._left(trouble, "a gate has no link")
            return ""

    def _must_not_rest(self) -> None:
        if self._poster.is_paused(_ASKING):
            raise NotNow

    def _left(self, trouble: SlackApiError, what: str) -> None:
        wait = retry_after(trouble)
        if wait is not None:
            self._poster.pause(_ASKING, wait)
            raise NotNow from trouble
        log.info("%s: %s", what, error_code(trouble))


def _question_key(post: PostRecord) -> str:
    """The key of the question that this post calls to, "" where it calls to none."""
    kind, _, rest = post.key.partition(":")
    return rest.rpartition(":")[0] if kind == _PREFIX else ""


def _called_person(post: PostRecord, key: str) -> str:
    """The person whom this post called to the question of this key, "" where it did not."""
    return post.key.rpartition(":")[2] if _question_key(post) == key else ""
