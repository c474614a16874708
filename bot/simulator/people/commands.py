"""Typing: slash commands, messages, mentions, and opening the bot's Home tab."""

from __future__ import annotations

from bot.simulator.delivery import payloads
from bot.simulator.delivery.ack import Ack, Delivery
from bot.simulator.delivery.events import Events
from bot.simulator.directory import BOT_USER_ID, PEOPLE, Channel
from bot.simulator.json_value import Json
from bot.simulator.messages import Posted
from bot.simulator.people.impossible import Impossible
from bot.simulator.people.replies import answer
from bot.simulator.people.typed import encode
from bot.simulator.tickets import Hook
from bot.simulator.web_api.errors import SlackError
from bot.simulator.workspace import Workspace


def acting(user: str) -> str:
    """The user, when one can act as them. Raises Impossible for strangers, apps and deactivated accounts."""
    person = PEOPLE.get(user)
    if person is None or person.bot or person.deleted:
        raise Impossible(f"Nobody with an active account has the id {user}.")
    return user


def present(ws: Workspace, user: str, channel_id: str) -> Channel:
    """The channel, when the person is in it. Raises Impossible."""
    channel = ws.open_direct(user) if channel_id in (user, f"D{user[1:]}") else ws.channel(channel_id)
    if channel is None or user not in channel.members:
        raise Impossible(f"{PEOPLE[user].name} is in no channel with the id {channel_id}.")
    return channel


async def run_command(
    ws: Workspace, delivery: Delivery, user: str, channel_id: str, text: str, command: str
) -> dict[str, Json]:
    """Types a slash command, and shows what its ack says, or Slack's words when it failed."""
    channel = present(ws, acting(user), channel_id)
    hook = ws.tickets.new_hook(user, channel.id)
    trigger_id, response_url = ws.tickets.new_trigger(user), f"{ws.url}/response/{hook}"
    sent = payloads.slash(user, channel, command, encode(text, labels=True), trigger_id, response_url)
    ack = await delivery.send("slash_commands", sent)
    shown = _show_ack(ws, ack, Hook(user, channel.id, None, None, 0.0), command)
    ephemerals = [ws.messages.seen(posted) for posted in shown if posted.only]
    return outcome(ack) | {"trigger_id": trigger_id, "response_url": response_url, "ephemerals": ephemerals}


def outcome(ack: Ack) -> dict[str, Json]:
    return {"ok": ack.ok, "ack_ms": ack.ms, "status": ack.status, "error": ack.error}


def _show_ack(ws: Workspace, ack: Ack, hook: Hook, command: str) -> list[Posted]:
    if ack.error:
        failed = f'{command} failed with the error "{ack.error}"'
        ws.journal.problem("ack", failed, status=ack.status, ms=ack.ms, reason=ack.reason)
        return [ws.whisper(hook.user, hook.channel, failed)]
    if ack.body in (None, {}):
        return []
    try:
        posted = answer(ws, hook, ack.body)
    except SlackError as refusal:
        ws.journal.problem("refused", f"The ack of {command} cannot be shown: {refusal}", error=refusal.code)
        return [ws.whisper(hook.user, hook.channel, f'{command} failed with the error "dispatch_failed"')]
    return [posted] if posted else []


async def say(
    ws: Workspace, events: Events, user: str, channel_id: str, text: str, thread_ts: str | None = None
) -> dict[str, Json]:
    """Posts a person's message; the bot hears of it where it is mentioned, and in its direct messages."""
    channel = present(ws, acting(user), channel_id)
    if thread_ts and ws.messages.find(channel.id, thread_ts) is None:
        raise Impossible(f"There is no thread {thread_ts} in {channel.id}.")
    encoded = encode(text, labels=False)
    posted = ws.post_as_person(user, channel.id, encoded, thread_ts)
    acks = [await events.send(kind, inner) for kind, inner in _heard(channel, posted)]
    failed = [ack for ack in acks if ack is not None and not ack.ok]
    first = next((ack for ack in [*failed, *acks] if ack is not None), Ack(0))
    return outcome(first) | {"ts": posted.ts, "channel": channel.id, "heard": any(ack is not None for ack in acks)}


async def mention(
    ws: Workspace, events: Events, user: str, channel_id: str, text: str, thread_ts: str | None = None
) -> dict[str, Json]:
    """Posts a message that begins by mentioning the bot."""
    handle = f"@{PEOPLE[BOT_USER_ID].handle}"
    whole = text if handle in text.split() else f"{handle} {text}"
    return await say(ws, events, user, channel_id, whole, thread_ts)


async def open_home(ws: Workspace, events: Events, user: str) -> dict[str, Json]:
    """Opens the bot's Home tab."""
    channel = ws.open_direct(acting(user))
    home = ws.views.home(user)
    inner: dict[str, Json] = {
        "type": "app_home_opened",
        "user": user,
        "channel": channel.id,
        "tab": "home",
        "event_ts": ws.messages.new_ts(),
    }
    if home is not None:
        inner["view"] = home.payload()
    ack = await events.send("app_home_opened", inner)
    return outcome(ack or Ack(0)) | {"heard": ack is not None}


def _heard(channel: Channel, posted: Posted) -> list[tuple[str, dict[str, Json]]]:
    """The subscriptions that a message matters to, with the event each gets."""
    common: dict[str, Json] = {
        key: posted.message[key] for key in ("user", "text", "ts", "thread_ts") if key in posted.message
    }
    team = PEOPLE[posted.message["user"]].team
    common |= {"channel": channel.id, "event_ts": posted.ts, "team": team, "blocks": [_as_rich_text(posted)]}
    kind = "im" if channel.user else "channel"
    message = common | {"type": "message", "channel_type": kind}
    heard = [("message.im" if channel.user else "message.channels", message)]
    if not channel.user and channel.bot_is_member and f"<@{BOT_USER_ID}>" in posted.message["text"]:
        heard.append(("app_mention", common | {"type": "app_mention"}))
    return heard


def _as_rich_text(posted: Posted) -> dict[str, Json]:
    element = {"type": "text", "text": posted.message["text"]}
    section = {"type": "rich_text_section", "elements": [element]}
    return {"type": "rich_text", "block_id": f"r{posted.ts[-6:]}", "elements": [section]}
