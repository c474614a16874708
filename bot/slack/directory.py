"""Who is who in Slack: people, the user groups that roles and gates name, and this bot itself."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from bot.slack.client import error_code
from engine.access import people
from engine.access.policy import Actor
from engine.errors import Conflict
from engine.runtime import Runtime
from storage.people_records import GroupRecord, PersonRecord

log = logging.getLogger(__name__)

PERSON_FRESH_S = 60
"""How long what users.info said is taken for true."""
PERSON_STALE_MS = 10 * 60_000
"""How long it may stand in while Slack cannot be asked; after that nobody is let in."""
ME_AGAIN_S = 2.0
"""How long nobody asks again who this bot is, where Slack did not say."""
GROUPS_EVERY_S = 300
GROUPS_SOON_S = 5
"""As long as nothing is known yet: before the first sync nobody names a group, and until then nobody is in one."""
GROUPS_STALE_S = 600
"""Groups older than this are asked for again before a decision."""
PEOPLE_EVERY_MS = 10 * 60_000
"""How old what Slack said of people whose standing matters may get before it is asked again."""
PEOPLE_AT_ONCE = 50
PEOPLE_MORE_S = 60
"""How many of them are asked about in one go, and when the next are: half of what Slack allows in a minute."""
SLACK_TROUBLE = (SlackClientError, OSError, HTTPException)
"""What a call to Slack raises: a refusal by Slack, or no answer at all."""


@dataclass(frozen=True, slots=True)
class Me:
    """This bot as Slack knows it. `enterprise_id` is "" outside Enterprise Grid, `app_id` where Slack does not say."""

    user_id: str
    name: str
    team_id: str
    enterprise_id: str = ""
    app_id: str = ""


class Directory:
    """Asks Slack and remembers for a short time; safe to use from many threads."""

    def __init__(self, rt: Runtime, client: WebClient) -> None:
        self._rt = rt
        self._client = client
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, PersonRecord]] = {}
        self._me: Me | None = None
        self._me_not_before = 0.0
        self._groups_at: float | None = None

    def me(self) -> Me:
        """This bot; the first call binds the workspace to its Slack team.

        Raises as Slack does, and Conflict when this deployment belongs to another team.
        """
        if self._me is None:
            answer = self._client.auth_test()
            me = Me(
                str(answer.get("user_id", "")),
                str(answer.get("user", "runbook")),
                str(answer.get("team_id", "")),
                str(answer.get("enterprise_id") or ""),
                self._app_id(str(answer.get("bot_id", ""))),
            )
            people.bind_workspace(self._rt, me.team_id, str(answer.get("team", "")))
            self._me = me
        return self._me

    def me_if_known(self) -> Me | None:
        """This bot; None where Slack does not say so now. Slack is asked until it has said so once."""
        if self._me is None and time.monotonic() < self._me_not_before:
            return None
        try:
            return self.me()
        except (*SLACK_TROUBLE, Conflict) as trouble:
            log.warning("Slack does not say who this bot is: %s", _said(trouble))
            self._me_not_before = time.monotonic() + ME_AGAIN_S
            return None

    def _app_id(self, bot_id: str) -> str:
        try:
            return str((self._client.bots_info(bot=bot_id).get("bot") or {}).get("app_id") or "")
        except SLACK_TROUBLE as trouble:
            log.info("bots.info: %s", _said(trouble))
            return ""

    def my_name(self) -> str:
        """This bot's handle, without asking."""
        return self._me.name if self._me is not None else "runbook"

    def my_user_id(self) -> str | None:
        return self._me.user_id if self._me is not None else None

    def identify(self, user_id: str) -> Actor:
        """Who this is. With Slack away and nothing recent known the standing is unknown, which may do nothing."""
        person = self._recent(user_id) or self._asked(user_id) or self._remembered(user_id)
        return Actor(user_id, user_id, None, "unknown", "slack") if person is None else _actor(person)

    def known(self, user_id: str) -> Actor | None:
        """Who this is by what Slack said at most `PERSON_STALE_MS` ago, without asking it; None where it said nothing.

        Good enough to show something before an ack. What is then done is judged by `identify`.
        """
        person = self._recent(user_id) or self._remembered(user_id)
        return None if person is None else _actor(person)

    def user_by_email(self, email: str) -> str | None:
        """The user id behind an e-mail address, or None where there is none or Slack cannot say."""
        try:
            user = self._client.users_lookupByEmail(email=email).get("user") or {}
        except SLACK_TROUBLE as trouble:
            log.info("users.lookupByEmail: %s", type(trouble).__name__)
            return None
        return str(user["id"]) if isinstance(user, dict) and user.get("id") else None

    def refresh_groups(self, older_than_s: float = GROUPS_STALE_S) -> None:
        """Ask for the groups that roles, gates and manual steps name, unless that was done lately.

        Trouble is only logged: the engine knows how old they are, and lets nobody in by a stale group.
        """
        if self._groups_at is not None and time.monotonic() - self._groups_at < older_than_s:
            return
        named = people.groups_named(self._rt)
        if not named:
            return
        try:
            answer = self._client.usergroups_list(include_users=True)
        except SLACK_TROUBLE as trouble:
            log.warning("The user groups could not be read: %s", _said(trouble))
            return
        found = [_group(group, people.now()) for group in answer.get("usergroups") or []]
        people.remember_groups(self._rt, [each for each in found if {each.group_id, each.handle} & named])
        self._groups_at = time.monotonic()

    def refresh_people(self, most: int = PEOPLE_AT_ONCE) -> bool:
        """Ask about those whose standing matters though they are not here now: deciders, voters, owners of tokens and
        of open runs. Those of whom nothing was heard for longest come first; ends where Slack does not answer.

        Whether there may be more of them than the `most` that were asked about.
        """
        wanted = people.due_for_refresh(self._rt, PEOPLE_EVERY_MS, most)
        return all(self._asked(user_id) is not None for user_id in wanted) and len(wanted) == most

    def watch(self, stop: threading.Event) -> None:
        """Keep groups and people fresh until `stop`; run it in a thread of its own. Never raises."""
        while not stop.is_set():
            pause = GROUPS_EVERY_S
            try:
                self.me()
                self.refresh_groups(older_than_s=GROUPS_EVERY_S - 1)
                pause = PEOPLE_MORE_S if self.refresh_people() else pause
            except Exception:
                log.exception("Keeping groups and people fresh failed; trying again")
            stop.wait(GROUPS_SOON_S if self._groups_at is None else pause)

    def _recent(self, user_id: str) -> PersonRecord | None:
        with self._lock:
            at, person = self._known.get(user_id, (0.0, None))
        return person if person is not None and time.monotonic() - at < PERSON_FRESH_S else None

    def _asked(self, user_id: str) -> PersonRecord | None:
        try:
            team_id = self.me().team_id
            user = self._client.users_info(user=user_id).get("user") or {}
        except SlackApiError as trouble:
            if error_code(trouble) in ("user_not_found", "user_not_visible"):
                stranger = PersonRecord(user_id, user_id, None, "stranger", None, people.now())
                people.remember(self._rt, stranger)  # who was a member until now is one no longer
                return stranger
            log.warning("users.info: %s", _said(trouble))
            return None
        except SLACK_TROUBLE as trouble:
            log.warning("users.info: %s", _said(trouble))
            return None
        person = read_person(user_id, user, team_id)
        people.remember(self._rt, person)
        with self._lock:
            if len(self._known) > 10_000:
                self._known.clear()
            self._known[user_id] = (time.monotonic(), person)
        return person

    def _remembered(self, user_id: str) -> PersonRecord | None:
        person = people.recall(self._rt, user_id)
        if person is None or people.now() - person.fetched_at > PERSON_STALE_MS:
            return None
        return person


def read_person(user_id: str, user: Mapping[str, Any], team_id: str) -> PersonRecord:
    """What users.info says about somebody; `team_id` is our own team."""
    profile = user.get("profile") or {}
    name = profile.get("display_name") or user.get("real_name") or user.get("name") or user_id
    return PersonRecord(
        user_id=user_id,
        name=str(name),
        email=profile.get("email"),
        standing=_standing(user, team_id),
        tz=user.get("tz"),
        fetched_at=people.now(),
    )


def _standing(user: Mapping[str, Any], team_id: str) -> str:
    if user.get("deleted"):
        return "deleted"
    if user.get("is_bot") or user.get("id") == "USLACKBOT":
        return "bot"
    theirs = user.get("team_id")
    if user.get("is_stranger") or (theirs and theirs != team_id):
        return "stranger"
    if user.get("is_restricted") or user.get("is_ultra_restricted"):
        return "guest"
    return "member"


def _actor(person: PersonRecord) -> Actor:
    return Actor(person.user_id, person.name, person.email, person.standing, "slack")


def _group(group: Mapping[str, Any], now: int) -> GroupRecord:
    members = group.get("users") or []
    return GroupRecord(str(group.get("id", "")), str(group.get("handle", "")), frozenset(map(str, members)), now)


def _said(trouble: Exception) -> str:
    return error_code(trouble) if isinstance(trouble, SlackApiError) else type(trouble).__name__
