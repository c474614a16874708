"""The payloads Slack sends for what people do, field by field as Slack shapes them."""

from __future__ import annotations

import secrets
import time

from bot.simulator.directory import (
    APP_ID,
    BOT_USER_ID,
    PEOPLE,
    TEAM_DOMAIN,
    TEAM_ID,
    Channel,
)
from bot.simulator.json_value import Json

Payload = dict[str, Json]

VERIFICATION_TOKEN = "practice-verification-token"  # noqa: S105 - the legacy field, which proves nothing


def user_stub(user: str) -> Payload:
    person = PEOPLE[user]
    return {"id": user, "username": person.handle, "name": person.handle, "team_id": person.team}


def slash(user: str, channel: Channel, command: str, text: str, trigger_id: str, response_url: str) -> Payload:
    """A slash command, ready to be sent as a form."""
    return {
        "token": VERIFICATION_TOKEN,
        "team_id": TEAM_ID,
        "team_domain": TEAM_DOMAIN,
        "channel_id": channel.id,
        "channel_name": channel.name,
        "user_id": user,
        "user_name": PEOPLE[user].handle,
        "command": command,
        "text": text,
        "api_app_id": APP_ID,
        "is_enterprise_install": "false",
        "response_url": response_url,
        "trigger_id": trigger_id,
    }


def _interaction(kind: str, user: str) -> Payload:
    return {
        "type": kind,
        "user": user_stub(user),
        "api_app_id": APP_ID,
        "token": VERIFICATION_TOKEN,
        "team": {"id": TEAM_ID, "domain": TEAM_DOMAIN},
        "enterprise": None,
        "is_enterprise_install": False,
    }


def message_action(
    user: str, channel: Channel, message: Payload, action: Payload, state: Json, *, ephemeral: bool
) -> Payload:
    """A click in a message, without its trigger and response URL. An ephemeral message is not part of the payload."""
    container = {
        "type": "message",
        "message_ts": message["ts"],
        "channel_id": channel.id,
        "is_ephemeral": ephemeral,
    }
    if "thread_ts" in message:
        container["thread_ts"] = message["thread_ts"]
    payload = _interaction("block_actions", user) | {
        "container": container,
        "channel": {"id": channel.id, "name": channel.name},
        "state": {"values": state},
        "actions": [action],
    }
    return payload if ephemeral else payload | {"message": message}


def view_action(user: str, view: Payload, action: Payload) -> Payload:
    """A click in a view, without its trigger. It has no channel and no response URL."""
    container = {"type": "view", "view_id": view["id"]}
    return _interaction("block_actions", user) | {"container": container, "view": view, "actions": [action]}


def view_submission(user: str, view: Payload) -> Payload:
    return _interaction("view_submission", user) | {"view": view, "response_urls": []}


def view_closed(user: str, view: Payload, *, cleared: bool) -> Payload:
    return _interaction("view_closed", user) | {"view": view, "is_cleared": cleared}


def global_shortcut(user: str, callback_id: str) -> Payload:
    """A shortcut that was chosen anywhere, without its trigger. It has no channel and no response URL."""
    return _interaction("shortcut", user) | {"callback_id": callback_id, "action_ts": f"{time.time():.6f}"}


def message_shortcut(user: str, callback_id: str, channel: Channel, message: Payload) -> Payload:
    """A shortcut that was chosen on a message, without its trigger and response URL."""
    return _interaction("message_action", user) | {
        "callback_id": callback_id,
        "action_ts": f"{time.time():.6f}",
        "message_ts": message["ts"],
        "channel": {"id": channel.id, "name": channel.name},
        "message": message,
    }


def suggestion(user: str, where: Payload, block_id: str, action_id: str, value: str) -> Payload:
    """What a person has typed so far into a menu whose options come from the bot."""
    asked = {"action_id": action_id, "block_id": block_id, "value": value}
    return _interaction("block_suggestion", user) | asked | where


def event(inner: Payload) -> Payload:
    """An event as the Events API wraps it; the event_id is new."""
    return {
        "token": VERIFICATION_TOKEN,
        "team_id": TEAM_ID,
        "api_app_id": APP_ID,
        "event": inner,
        "type": "event_callback",
        "event_id": f"Ev{secrets.token_hex(5).upper()}",
        "event_time": int(time.time()),
        "authorizations": [
            {
                "enterprise_id": None,
                "team_id": TEAM_ID,
                "user_id": BOT_USER_ID,
                "is_bot": True,
                "is_enterprise_install": False,
            }
        ],
        "is_ext_shared_channel": False,
        "event_context": f"4-{secrets.token_hex(16)}",
    }
