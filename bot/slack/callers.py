"""Calling by direct message those who would miss something: deciders who are not in a gate's channel, and whom it
concerns where the bot itself is not in it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.slack.client import error_code, retry_after
from bot.slack.directory import Directory
from bot.slack.poster import Mark, NotNow, Poster
from bot.slack.views.parts import Message
from bot.slack.views.reminder import reminded_directly, told_directly, unheard
from bot.slack.views.text import is_person
from engine import approvals, channels, projection
from engine.conversations import Unasked
from engine.executions import ExecutionView, GateView
from engine.runtime import Runtime
from storage.records import PostRecord
from storage.states import ApprovalStatus

log = logging.getLogger(__name__)

MOST = 10
"""People who are called for one gate: with more of them, being called means nothing."""
_PREFIX = "call"
_UNHEARD = "unheard"
_MEMBERS = 1000


class Callers:
    """Used by the projector's one thread. What Slack refuses is logged and left: the gate can be decided anyway."""

    def __init__(self, rt: Runtime, client: WebClient, poster: Poster) -> None:
        self._rt = rt
        self._client = client
        self._poster = poster
        self._directory = Directory(rt, client)

    def call(self, view: ExecutionView, gate: GateView, channel: str, ts: str) -> None:
        """Tell those deciders who are not in `channel`, each once. Raises NotNow, and OSError as a network does."""
        inside = self._members(channel)
        if inside is not None:
            self._call(view, gate, inside, lambda: self._permalink(channel, ts))

    def unheard(self, view: ExecutionView, channel: str, reason: str) -> None:
        """Tell whom it concerns of a run that its channel does not show: who answers for it, and every open gate's
        deciders, each once. Raises as `call`.
        """
        known = {post.key for post in projection.posts(self._rt, view.execution.id)}
        person = view.execution.owner or view.execution.requester
        if is_person(person) and _UNHEARD not in known:
            self._tell(view, person, _UNHEARD, unheard(view, channel, reason), keep=True)
            projection.settle_post(self._rt, view.execution.id, _UNHEARD)
        for gate in view.gates:
            if gate.approval.status is ApprovalStatus.PENDING:
                self._call(view, gate, set(), lambda: "")
        for post in projection.posts(self._rt, view.execution.id):
            if not post.settled:
                self.settle(view, post)

    def _call(self, view: ExecutionView, gate: GateView, inside: set[str], link: Callable[[], str]) -> None:
        posts = projection.posts(self._rt, view.execution.id)
        called = {user for post in posts if (user := _called(post, gate))}
        if len(called) >= MOST:
            return
        self._directory.refresh_people(MOST)  # a gate is shown only to whom Slack calls a member
        for user in approvals.deciders(self._rt, gate, MOST - len(called), beside=inside | called):
            drawn = told_directly(gate, view, link(), self._rt.settings.slack_command)
            self._tell(view, user, f"{_PREFIX}:{gate.approval.id}:{user}", drawn, keep=True)

    def remind(self, view: ExecutionView, gate: GateView, left_ms: int, key: str) -> None:
        """Remind those who were called and have not voted. Raises as `call`."""
        voted = {vote.person for vote in gate.votes}
        posts = projection.posts(self._rt, view.execution.id)
        gate_post = next((post for post in posts if post.key == f"gate:{gate.approval.id}"), None)
        link = self._permalink(gate_post.channel, gate_post.ts) if gate_post else ""
        for post in posts:
            user = _called(post, gate)
            if user and user not in voted:
                self._tell(view, user, f"{key}:{user}", reminded_directly(gate, left_ms, link), keep=False)

    def settle(self, view: ExecutionView, post: PostRecord) -> None:
        """Replace a call whose gate is decided by what was decided. Raises as `call`."""
        gate = next((each for each in view.gates if _called(post, each)), None)
        if gate is None or gate.approval.status is ApprovalStatus.PENDING:
            return
        if not self._poster.may_update(post.channel, post.ts):
            raise NotNow
        try:
            self._poster.update(post.channel, post.ts, lambda _: told_directly(gate, view, "", ""))
        except SlackApiError as trouble:
            log.info("A call could not be settled: %s", error_code(trouble))
        projection.settle_post(self._rt, view.execution.id, post.key)

    def _tell(self, view: ExecutionView, user: str, key: str, drawn: Message, *, keep: bool) -> None:
        try:
            direct = str(self._client.conversations_open(users=user)["channel"]["id"])
            if channels.outside(self._rt, direct):
                return
            ts = self._poster.post(direct, lambda _: drawn, Mark(view.execution.id, key, view.execution.created_at))
        except SlackApiError as trouble:
            self._left(trouble, f"{user} could not be told of a gate")
            return
        except Unasked as trouble:
            log.info("%s is not told of a gate. %s", user, trouble)
            return
        if keep:
            projection.add_post(self._rt, view.execution.id, key, direct, ts)

    def _members(self, channel: str) -> set[str] | None:
        """Who is in a channel, None where Slack does not say or there are too many to ask for."""
        try:
            answer = self._client.conversations_members(channel=channel, limit=_MEMBERS)
        except SlackApiError as trouble:
            self._left(trouble, "who is in a channel is not known")
            return None
        more = (answer.get("response_metadata") or {}).get("next_cursor")
        return None if more else set(answer.get("members") or [])

    def _permalink(self, channel: str, ts: str) -> str:
        """The address of a message, "" in a direct message, which nobody else can open."""
        if channel.startswith("D"):
            return ""
        try:
            return str(self._client.chat_getPermalink(channel=channel, message_ts=ts)["permalink"])
        except SlackApiError as trouble:
            self._left(trouble, "a gate has no link")
            return ""

    def _left(self, trouble: SlackApiError, what: str) -> None:
        wait = retry_after(trouble)
        if wait is not None:
            self._poster.rest("chat.postMessage", wait)
            raise NotNow from trouble
        log.info("%s: %s", what, error_code(trouble))


def _called(post: PostRecord, gate: GateView) -> str:
    """The person whom this post called to this gate, "" where it did not."""
    kind, _, rest = post.key.partition(":")
    approval, _, user = rest.partition(":")
    return user if kind == _PREFIX and approval == str(gate.approval.id) else ""
