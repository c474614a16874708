"""Who and what is in the workspace: people, user groups and channels, and how the Web API shows them."""

from __future__ import annotations

from dataclasses import dataclass, field

from bot.simulator.json_value import Json

TEAM_ID = "T0PRACTICE"
OTHER_TEAM_ID = "T0PARTNER1"
"""The workspace with which channels are shared."""
TEAM_NAME = "Practice"
TEAM_DOMAIN = "practice"
APP_ID = "A0RUNBOOK1"
BOT_USER_ID = "U0BOT0001"
BOT_ID = "B0BOT0001"
SLACKBOT_ID = "USLACKBOT"
CREATED = 1_700_000_000


@dataclass(frozen=True, slots=True)
class Person:
    """One member. `role` says in words what they may do in the sample set-up; Slack knows nothing of it."""

    id: str
    handle: str
    name: str
    role: str
    guest: bool = False
    deleted: bool = False
    bot: bool = False
    team: str = TEAM_ID

    @property
    def email(self) -> str:
        return f"{self.handle}@example.com"


@dataclass(frozen=True, slots=True)
class Group:
    id: str
    handle: str
    name: str
    users: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Channel:
    """One conversation. `user` is the person on the other side of a direct message with the bot, else None.

    `group` is a direct message of several. Slack Connect: `shared` with another workspace, or `pending`, an invitation
    to one.
    """

    id: str
    name: str
    topic: str = ""
    members: tuple[str, ...] = field(default=())
    user: str | None = None
    private: bool = False
    group: bool = False
    shared: bool = False
    pending: bool = False

    @property
    def bot_is_member(self) -> bool:
        return BOT_USER_ID in self.members

    @property
    def hidden(self) -> bool:
        """Whether the bot cannot know of it."""
        return (self.private or self.group or self.user is not None) and not self.bot_is_member


PEOPLE: dict[str, Person] = {
    person.id: person
    for person in (
        Person("U0ALICE01", "alice", "Alice Ahmadi", "Platform admin"),
        Person("U0DAVE001", "dave", "Dave Duarte", "Platform admin"),
        Person("U0CAROL01", "carol", "Carol Chen", "Responder, on call, team payments"),
        Person("U0BOB0001", "bob", "Bob Berger", "Admin of team payments"),
        Person("U0OSCAR01", "oscar", "Oscar Okafor", "Outsider: may look and ask for help"),
        Person("U0GUEST01", "guest", "Gus Guest", "Guest from outside the company", guest=True),
        Person("U0GONE001", "gone", "Gina Gone", "Account deactivated", deleted=True),
        Person("U0PAULA01", "paula", "Paula Partner", "Of another workspace", team=OTHER_TEAM_ID),
        Person(BOT_USER_ID, "runbook", "Runbook Bot", "App", bot=True),
    )
}

_HUMANS = tuple(p.id for p in PEOPLE.values() if not p.deleted and not p.bot and p.team == TEAM_ID)
_STAFF = tuple(user for user in _HUMANS if user != "U0GUEST01")

GROUPS: dict[str, Group] = {
    group.id: group
    for group in (
        Group("S0PLATFORM", "platform", "Platform", ("U0ALICE01", "U0DAVE001")),
        Group("S0ONCALL", "oncall", "On call", ("U0CAROL01",)),
        Group("S0PAYMENTS", "payments", "Payments", ("U0CAROL01", "U0BOB0001")),
    )
}

CHANNELS: dict[str, Channel] = {
    channel.id: channel
    for channel in (
        Channel(
            "C0INC0001",
            "inc-4711-checkout-errors",
            "Checkout answers 5xx since 09:12. Incident commander: Carol.",
            (*_HUMANS, BOT_USER_ID),
        ),
        Channel("C0GENERAL", "general", "Company-wide announcements", (*_STAFF, BOT_USER_ID)),
        Channel("C0PAYMENTS", "team-payments", "The payments team", ("U0BOB0001", "U0CAROL01", BOT_USER_ID)),
        Channel("C0PRIVATE", "leadership", "The bot is not a member here", ("U0ALICE01", "U0DAVE001")),
        Channel(
            "C0SECRET1",
            "inc-4712-breach",
            "For those who need to know",
            ("U0ALICE01", "U0CAROL01", BOT_USER_ID),
            private=True,
        ),
        Channel("C0VAULT01", "vault", "Private, without the bot", ("U0ALICE01", "U0CAROL01"), private=True),
        Channel("C0GROUP01", "mpdm-alice--carol--runbook-1", "", ("U0ALICE01", "U0CAROL01", BOT_USER_ID), group=True),
        Channel(
            "C0SHARED1",
            "partner-ops",
            "With the people of Partner",
            ("U0ALICE01", "U0CAROL01", "U0PAULA01", BOT_USER_ID),
            shared=True,
        ),
        Channel(
            "C0PENDING", "partner-soon", "Partner is invited", ("U0ALICE01", "U0CAROL01", BOT_USER_ID), pending=True
        ),
    )
}


def active_people() -> list[Person]:
    """The people of the workspace that one can act as."""
    return [PEOPLE[user] for user in _HUMANS]


def direct_channel_id(user: str) -> str:
    """The id of the direct message between a person and the bot."""
    return f"D{user[1:]}"


def direct_channel(user: str) -> Channel:
    return Channel(direct_channel_id(user), "directmessage", members=(user, BOT_USER_ID), user=user)


def user_json(person: Person) -> dict[str, Json]:
    """A person as users.info shows them."""
    first, _, last = person.name.partition(" ")
    profile = {
        "real_name": person.name,
        "display_name": person.handle,
        "first_name": first,
        "last_name": last,
        "email": person.email,
        "team": person.team,
    }
    if person.bot:
        profile |= {"api_app_id": APP_ID, "bot_id": BOT_ID}
    shown: dict[str, Json] = {
        "id": person.id,
        "team_id": person.team,
        "name": person.handle,
        "deleted": person.deleted,
        "profile": profile,
        "is_bot": person.bot,
        "is_app_user": False,
        "updated": CREATED,
    }
    if person.deleted:
        return shown
    return shown | {
        "real_name": person.name,
        "tz": "Europe/Berlin",
        "tz_label": "Central European Time",
        "tz_offset": 3600,
        "is_admin": False,
        "is_owner": False,
        "is_primary_owner": False,
        "is_restricted": person.guest,
        "is_ultra_restricted": False,
    }


def group_json(group: Group, *, users: bool) -> dict[str, Json]:
    """A user group as usergroups.list shows it; `users` adds who is in it."""
    shown: dict[str, Json] = {
        "id": group.id,
        "team_id": TEAM_ID,
        "is_usergroup": True,
        "name": group.name,
        "handle": group.handle,
        "description": "",
        "is_external": False,
        "date_create": CREATED,
        "date_update": CREATED,
        "date_delete": 0,
        "created_by": "U0ALICE01",
        "user_count": len(group.users),
    }
    return shown | ({"users": list(group.users)} if users else {})


def channel_json(channel: Channel) -> dict[str, Json]:
    """A channel as conversations.info shows it."""
    if channel.user:
        shared = PEOPLE[channel.user].team != TEAM_ID
        about = {"id": channel.id, "created": CREATED, "is_im": True, "user": channel.user, "is_archived": False}
        return {**about, "is_ext_shared": shared}
    return {
        "id": channel.id,
        "name": channel.name,
        "name_normalized": channel.name,
        "is_channel": not channel.private and not channel.group,
        "is_group": channel.private,
        "is_im": False,
        "is_mpim": channel.group,
        "is_private": channel.private or channel.group,
        "is_shared": channel.shared,
        "is_org_shared": False,
        "is_ext_shared": channel.shared,
        "is_pending_ext_shared": channel.pending,
        "pending_shared": [OTHER_TEAM_ID] if channel.pending else [],
        "is_archived": False,
        "is_general": channel.id == "C0GENERAL",
        "is_member": channel.bot_is_member,
        "created": CREATED,
        "creator": "U0ALICE01",
        "context_team_id": TEAM_ID,
        "topic": {"value": channel.topic, "creator": "U0ALICE01", "last_set": CREATED},
        "purpose": {"value": "", "creator": "", "last_set": 0},
        "num_members": len(channel.members),
    }
