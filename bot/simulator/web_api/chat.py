"""chat.*: posting, changing and deleting messages, and reactions."""

from __future__ import annotations

from bot.simulator.directory import BOT_ID, BOT_USER_ID, PEOPLE, Channel
from bot.simulator.json_value import Json
from bot.simulator.messages import Posted
from bot.simulator.web_api.arguments import Arguments
from bot.simulator.web_api.content import TEXT_LIMIT, content
from bot.simulator.web_api.errors import SlackError
from bot.simulator.workspace import Workspace, bot_message


def channel_for(ws: Workspace, name: str) -> Channel:
    """The channel of an id, a #name or (its direct message) a person. Raises SlackError(channel_not_found)."""
    if name in PEOPLE and not PEOPLE[name].bot:
        return ws.open_direct(name)
    found = ws.channel(name) or ws.channel_named(name.removeprefix("#"))
    if found is None or found.hidden:
        raise SlackError("channel_not_found")
    return found


def post_message(ws: Workspace, args: Arguments) -> dict[str, Json]:
    """Posts a message to a channel, a thread or a person."""
    channel = channel_for(ws, args["channel"])
    if not channel.bot_is_member:
        raise SlackError("not_in_channel")
    message = bot_message(**content(args), thread_ts=_thread(ws, channel.id, args))
    posted = ws.messages.add(channel.id, message)
    return {"channel": channel.id, "ts": posted.ts, "message": posted.message}


def post_ephemeral(ws: Workspace, args: Arguments) -> dict[str, Json]:
    """Shows a message to one person in a channel; it can only be changed through a response_url."""
    channel = channel_for(ws, args["channel"])
    if not channel.bot_is_member:
        raise SlackError("not_in_channel")
    if args["user"] not in PEOPLE or args["user"] not in channel.members:
        raise SlackError("user_not_in_channel")
    message = bot_message(**content(args, text_limit=TEXT_LIMIT), thread_ts=_thread(ws, channel.id, args))
    posted = ws.messages.add(channel.id, message, only=args["user"])
    return {"message_ts": posted.ts}


def update(ws: Workspace, args: Arguments) -> dict[str, Json]:
    """Replaces a message of the bot's own. Text without blocks removes the blocks; metadata left out is kept."""
    posted = _own_message(ws, args, "cant_update_message")
    fresh = content(args, text_limit=TEXT_LIMIT)
    kept = {key: posted.message[key] for key in ("metadata", "thread_ts", "reactions") if key in posted.message}
    edited = {"user": BOT_USER_ID, "ts": ws.messages.new_ts()}
    message = kept | bot_message(**fresh, edited=edited)
    ws.messages.change(posted, message)
    return {"channel": posted.channel, "ts": posted.ts, "text": message["text"], "message": posted.message}


def delete(ws: Workspace, args: Arguments) -> dict[str, Json]:
    """Deletes a message of the bot's own."""
    posted = _own_message(ws, args, "cant_delete_message")
    ws.messages.remove(posted)
    return {"channel": posted.channel, "ts": posted.ts}


def get_permalink(ws: Workspace, args: Arguments) -> dict[str, Json]:
    """The address under which a message can be read."""
    posted = _message(ws, args["channel"], args["message_ts"])
    link = f"{ws.url}/archives/{posted.channel}/p{posted.ts.replace('.', '')}"
    thread = f"?thread_ts={posted.thread_ts}&cid={posted.channel}" if posted.is_reply else ""
    return {"channel": posted.channel, "permalink": link + thread}


def add_reaction(ws: Workspace, args: Arguments) -> dict[str, Json]:
    """Adds the bot's reaction to a message."""
    posted = _message(ws, args["channel"], args["timestamp"])
    name = str(args["name"]).strip(":")
    reactions = {each["name"]: each["users"] for each in posted.message.get("reactions", [])}
    if BOT_USER_ID in reactions.get(name, []):
        raise SlackError("already_reacted")
    reactions[name] = [*reactions.get(name, []), BOT_USER_ID]
    shown = [{"name": key, "users": users, "count": len(users)} for key, users in reactions.items()]
    ws.messages.change(posted, posted.message | {"reactions": shown})
    return {}


def _thread(ws: Workspace, channel: str, args: Arguments) -> str | None:
    """The parent to reply to. Slack wants the parent's ts, never that of a reply."""
    thread_ts = args.get("thread_ts")
    if not thread_ts:
        return None
    parent = ws.messages.find(channel, str(thread_ts))
    if parent is None or parent.is_reply:
        raise SlackError("cannot_reply_to_message", [f"[ERROR] {thread_ts} is no thread's parent in {channel}"])
    return parent.ts


def _message(ws: Workspace, channel_id: str, ts: Json) -> Posted:
    channel = ws.channel(channel_id)
    if channel is None:
        raise SlackError("channel_not_found")
    posted = ws.messages.find(channel.id, str(ts))
    if posted is None:
        raise SlackError("message_not_found")
    return posted


def _own_message(ws: Workspace, args: Arguments, refusal: str) -> Posted:
    posted = _message(ws, args["channel"], args["ts"])
    if posted.message.get("bot_id") != BOT_ID:
        raise SlackError(refusal)
    return posted
