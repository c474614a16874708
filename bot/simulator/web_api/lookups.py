"""auth.test, users.*, usergroups.* and conversations.*: who and what there is, and what was said."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import TypeVar

from bot.simulator.directory import (
    APP_ID,
    BOT_ID,
    BOT_USER_ID,
    CHANNELS,
    GROUPS,
    PEOPLE,
    TEAM_ID,
    TEAM_NAME,
    Channel,
    channel_json,
    group_json,
    user_json,
)
from bot.simulator.json_value import Json
from bot.simulator.messages import Posted
from bot.simulator.web_api.arguments import Arguments, truth, whole
from bot.simulator.web_api.errors import SlackError
from bot.simulator.workspace import Workspace

T = TypeVar("T")
MOST = 999


def api_test(_ws: Workspace, args: Arguments) -> dict[str, Json]:
    """Answers what it was asked, or fails as it was asked to."""
    if args.get("error"):
        raise SlackError(str(args["error"]))
    return {"args": args}


def auth_test(ws: Workspace, _args: Arguments) -> dict[str, Json]:
    """Who the token belongs to."""
    return {
        "url": f"{ws.url}/",
        "team": TEAM_NAME,
        "user": PEOPLE[BOT_USER_ID].handle,
        "team_id": TEAM_ID,
        "user_id": BOT_USER_ID,
        "bot_id": BOT_ID,
        "is_enterprise_install": False,
    }


def bots_info(_ws: Workspace, args: Arguments) -> dict[str, Json]:
    """The bot's own entry."""
    if args.get("bot", BOT_ID) != BOT_ID:
        raise SlackError("bot_not_found")
    name = PEOPLE[BOT_USER_ID].name
    return {"bot": {"id": BOT_ID, "app_id": APP_ID, "user_id": BOT_USER_ID, "name": name, "deleted": False}}


def users_info(_ws: Workspace, args: Arguments) -> dict[str, Json]:
    """One member, deactivated ones too."""
    person = PEOPLE.get(args["user"])
    if person is None:
        raise SlackError("user_not_found")
    return {"user": user_json(person)}


def users_list(_ws: Workspace, args: Arguments) -> dict[str, Json]:
    """All members, in pages."""
    return _page(args, list(PEOPLE.values()), "members", user_json)


def users_lookup_by_email(_ws: Workspace, args: Arguments) -> dict[str, Json]:
    """The active member with this address."""
    email = str(args["email"]).lower()
    found = [person for person in PEOPLE.values() if person.email == email and not (person.deleted or person.bot)]
    if not found:
        raise SlackError("users_not_found")
    return {"user": user_json(found[0])}


def usergroups_list(_ws: Workspace, args: Arguments) -> dict[str, Json]:
    """All user groups, with their members when asked."""
    users = truth(args.get("include_users"))
    return {"usergroups": [group_json(group, users=users) for group in GROUPS.values()]}


def usergroups_users_list(_ws: Workspace, args: Arguments) -> dict[str, Json]:
    """The members of one group."""
    group = GROUPS.get(args["usergroup"])
    if group is None:
        raise SlackError("no_such_subteam")
    return {"users": list(group.users)}


def conversations_info(ws: Workspace, args: Arguments) -> dict[str, Json]:
    """One channel."""
    return {"channel": channel_json(_channel(ws, args))}


def conversations_list(_ws: Workspace, args: Arguments) -> dict[str, Json]:
    """The channels that the bot can know of, in pages."""
    return _page(args, [each for each in CHANNELS.values() if not each.hidden], "channels", channel_json)


def conversations_members(ws: Workspace, args: Arguments) -> dict[str, Json]:
    """Who is in a channel, in pages."""
    return _page(args, list(_channel(ws, args).members), "members", lambda user: user)


def conversations_open(ws: Workspace, args: Arguments) -> dict[str, Json]:
    """Opens the direct message with one person."""
    users = [user.strip() for user in str(args.get("users") or "").split(",") if user.strip()]
    if args.get("channel"):
        channel = _channel(ws, args)
    elif not users:
        raise SlackError("users_list_not_supplied")
    elif any(user not in PEOPLE for user in users):
        raise SlackError("user_not_found")
    elif any(PEOPLE[user].deleted for user in users):
        raise SlackError("user_disabled")
    elif len(users) > 1:
        raise SlackError("method_not_supported_for_channel_type")
    else:
        channel = ws.open_direct(users[0])
    shown = channel_json(channel) if truth(args.get("return_im")) else {"id": channel.id}
    return {"no_op": False, "already_open": False, "channel": shown}


def conversations_history(ws: Workspace, args: Arguments) -> dict[str, Json]:
    """A channel's messages, the newest first, replies left out."""
    channel = _readable(ws, args)
    window = _window(args, ws.messages.top_level(channel.id))
    return _page(args, window[::-1], "messages", ws.messages.shown)


def conversations_replies(ws: Workspace, args: Arguments) -> dict[str, Json]:
    """A thread, its parent first and then the replies, the oldest first."""
    channel = _readable(ws, args)
    parent = ws.messages.find(channel.id, str(args["ts"]))
    if parent is None:
        raise SlackError("thread_not_found")
    replies = _window(args, ws.messages.replies(channel.id, parent.ts))
    return _page(args, [parent, *replies], "messages", ws.messages.shown)


def _channel(ws: Workspace, args: Arguments) -> Channel:
    channel = ws.channel(str(args["channel"]))
    if channel is None or channel.hidden:
        raise SlackError("channel_not_found")
    return channel


def _readable(ws: Workspace, args: Arguments) -> Channel:
    channel = _channel(ws, args)
    if not channel.bot_is_member:
        raise SlackError("not_in_channel")
    return channel


def _window(args: Arguments, messages: list[Posted]) -> list[Posted]:
    oldest, latest = _moment(args, "oldest", 0.0), _moment(args, "latest", float("inf"))
    if truth(args.get("inclusive")):
        return [posted for posted in messages if oldest <= float(posted.ts) <= latest]
    return [posted for posted in messages if oldest < float(posted.ts) < latest]


def _moment(args: Arguments, name: str, default: float) -> float:
    try:
        return float(args.get(name) or default)
    except (TypeError, ValueError):
        raise SlackError(f"invalid_ts_{name}") from None


def _page(args: Arguments, items: Sequence[T], name: str, shown: Callable[[T], Json]) -> dict[str, Json]:
    limit = min(whole(args, "limit", 100) or 100, MOST)
    start = _cursor(args.get("cursor"))
    more = start + limit < len(items)
    following = base64.b64encode(f"next:{start + limit}".encode()).decode() if more else ""
    page = {name: [shown(item) for item in items[start : start + limit]]}
    return page | {"has_more": more, "response_metadata": {"next_cursor": following}}


def _cursor(cursor: Json) -> int:
    if not cursor:
        return 0
    try:
        return int(base64.b64decode(str(cursor), validate=True).decode().removeprefix("next:"))
    except (binascii.Error, ValueError):
        raise SlackError("invalid_cursor") from None
