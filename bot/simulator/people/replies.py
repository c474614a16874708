"""The bot's answers that come by themselves: the body of an ack, and what is sent to a response_url."""

from __future__ import annotations

from bot.simulator.json_value import Json
from bot.simulator.messages import Posted
from bot.simulator.tickets import Hook
from bot.simulator.web_api.content import content
from bot.simulator.web_api.errors import SlackError
from bot.simulator.workspace import Workspace, bot_message

_FIELDS = frozenset(
    {
        "attachments",
        "blocks",
        "delete_original",
        "link_names",
        "markdown_text",
        "metadata",
        "mrkdwn",
        "parse",
        "replace_original",
        "response_type",
        "text",
        "thread_ts",
        "unfurl_links",
        "unfurl_media",
    }
)


def answer(ws: Workspace, hook: Hook, body: Json) -> Posted | None:
    """Shows an answer where its hook points, None when it deleted the original.

    Raises SlackError when the answer is not one that Slack would show.
    """
    if isinstance(body, str):
        body = {"text": body}
    if not isinstance(body, dict):
        raise SlackError("invalid_payload")
    unknown = sorted(body.keys() - _FIELDS)
    if unknown and ws.config.strict:
        raise SlackError("invalid_payload", [f"[ERROR] unknown field: {name}" for name in unknown])
    original = ws.messages.find_any(hook.channel, hook.origin) if hook.origin else None
    if body.get("delete_original"):
        if original is not None:
            ws.messages.remove(original)
        return None
    fresh = bot_message(**content(body), thread_ts=body.get("thread_ts") or hook.thread_ts)
    if body.get("replace_original") and original is not None:
        ws.messages.change(original, fresh)
        return original
    only = None if body.get("response_type") == "in_channel" else hook.user
    return ws.messages.add(hook.channel, fresh, only=only)
