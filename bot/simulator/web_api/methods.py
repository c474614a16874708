"""Which methods there are: their arguments, whether they take JSON, and how often they may be called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bot.simulator.json_value import Json
from bot.simulator.web_api import chat, files, lookups, views
from bot.simulator.web_api.arguments import Arguments
from bot.simulator.workspace import Workspace

Handler = Callable[[Workspace, Arguments], dict[str, Json]]

PER_MINUTE = {1: 1, 2: 20, 3: 50, 4: 100}
"""Calls a minute by tier. Source: Slack's rate limit tiers. Tier 0 stands for a special or generous limit."""


@dataclass(frozen=True, slots=True)
class Method:
    """One method. `required` and `optional` name its arguments; `json` says whether it takes a JSON body."""

    handler: Handler
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    json: bool = False
    tier: int = 0


def _method(handler: Handler, required: str = "", optional: str = "", *, json: bool = False, tier: int = 0) -> Method:
    return Method(handler, tuple(required.split()), tuple(optional.split()), json, tier)


_PAGES = "cursor limit"
_LOOKS = "as_user icon_emoji icon_url username"
_CONTENT = "attachments blocks link_names markdown_text metadata parse text"
_POST = f"{_CONTENT} {_LOOKS} mrkdwn reply_broadcast thread_ts unfurl_links unfurl_media current_draft_last_updated_ts"
_UPDATE = f"{_CONTENT} as_user file_ids reply_broadcast unfurled_attachments"
_TRIGGER = "trigger_id interactivity_pointer"
_HISTORY = f"{_PAGES} include_all_metadata inclusive latest oldest"
_SHARE = "blocks channel_id channels icon_emoji icon_url initial_comment thread_ts username"


def _open_connection(ws: Workspace, _args: Arguments) -> dict[str, Json]:
    """The address of a new Socket Mode connection; the ticket in it opens one."""
    address = ws.url.replace("http://", "ws://", 1)
    return {"url": f"{address}/link/?ticket={ws.socket_ticket()}&app_id=A0RUNBOOK1"}


METHODS: dict[str, Method] = {
    "api.test": _method(lookups.api_test, "", "error foo", json=True, tier=4),
    "apps.connections.open": _method(_open_connection, json=True, tier=3),
    "auth.test": _method(lookups.auth_test, json=True),
    "bots.info": _method(lookups.bots_info, "", "bot", tier=3),
    "chat.delete": _method(chat.delete, "channel ts", "as_user", json=True, tier=3),
    "chat.getPermalink": _method(chat.get_permalink, "channel message_ts"),
    "chat.postEphemeral": _method(
        chat.post_ephemeral, "channel user", f"{_CONTENT} {_LOOKS} thread_ts", json=True, tier=4
    ),
    "chat.postMessage": _method(chat.post_message, "channel", _POST, json=True),
    "chat.update": _method(chat.update, "channel ts", _UPDATE, json=True, tier=3),
    "conversations.history": _method(lookups.conversations_history, "channel", _HISTORY, json=True, tier=3),
    "conversations.info": _method(lookups.conversations_info, "channel", "include_locale include_num_members", tier=3),
    "conversations.list": _method(lookups.conversations_list, "", f"{_PAGES} exclude_archived types", tier=2),
    "conversations.members": _method(lookups.conversations_members, "channel", _PAGES, tier=4),
    "conversations.open": _method(
        lookups.conversations_open, "", "channel prevent_creation return_im users", json=True, tier=3
    ),
    "conversations.replies": _method(lookups.conversations_replies, "channel ts", _HISTORY, tier=3),
    "files.completeUploadExternal": _method(files.complete_upload, "files", _SHARE, json=True, tier=4),
    "files.getUploadURLExternal": _method(files.get_upload_url, "filename length", "alt_txt snippet_type", tier=4),
    "reactions.add": _method(chat.add_reaction, "channel name timestamp", json=True, tier=3),
    "usergroups.list": _method(lookups.usergroups_list, "", "include_count include_disabled include_users", tier=2),
    "usergroups.users.list": _method(lookups.usergroups_users_list, "usergroup", "include_disabled", tier=2),
    "users.info": _method(lookups.users_info, "user", "include_locale", tier=4),
    "users.list": _method(lookups.users_list, "", f"{_PAGES} include_locale", tier=2),
    "users.lookupByEmail": _method(lookups.users_lookup_by_email, "email", tier=3),
    "views.open": _method(views.open_view, "view", _TRIGGER, json=True, tier=4),
    "views.publish": _method(views.publish_view, "user_id view", "hash interactivity_pointer", json=True, tier=4),
    "views.push": _method(views.push_view, "view", _TRIGGER, json=True, tier=4),
    "views.update": _method(views.update_view, "view", "external_id hash view_id", json=True, tier=4),
}
