"""The Bolt app: which request goes to which handler. A listener acks and hands over; nothing in it waits or raises."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from slack_bolt import Ack, App, BoltContext, BoltRequest, BoltResponse
from slack_bolt.authorization import AuthorizeResult
from slack_sdk import WebClient

from bot.grammar import parse
from bot.slack import home
from bot.slack.app_context import AppContext
from bot.slack.client import QUIET
from bot.slack.forms import actions, modals, shortcuts
from bot.slack.ids import Action, Shortcut
from bot.slack.payload_values import BadValue
from bot.slack.reply import Reply, ReplyTo
from bot.slack.transport import origin
from bot.slack.verbs import commands
from bot.slack.views.errors import accident_text
from bot.slack.views.form import refused_view
from bot.slack.views.text import escape
from bot.typed_hints import typed_here
from engine import database_errors
from engine.errors import EngineError

log = logging.getLogger(__name__)

KEY = "request_key"
"""Where a request's key travels in Bolt's context: whoever received it knows what makes it the same request again."""
LISTENERS = 16
"""Threads that ack: more than may wait for a system that offers choices, so that what else comes is acked at once."""
_ANY = re.compile(r".*", re.DOTALL)
_LEADING_MENTION = re.compile(r"^\s*(?:<@[A-Z0-9]+(?:\|[^>]*)?>[\s,:]*)+")


class SlackApp:
    """The Slack door as a whole: give it a parsed payload, get Bolt's answer."""

    def __init__(self, ctx: AppContext) -> None:
        self.ctx = ctx
        self._app = _app(ctx)

    def dispatch(
        self, payload: dict[str, Any], key: str | None, headers: Mapping[str, str] | None = None
    ) -> BoltResponse:
        """Let Bolt find the handler of a payload that is already verified and parsed. `key` drops redeliveries.

        What another workspace or app sent is refused here, before anything of it has an effect.
        """
        me = self.ctx.directory.me_if_known()
        if me is None:
            return origin.refusal(payload, origin.NOT_YET)
        strange = origin.foreign(payload, me)
        if strange:
            log.warning("A payload of another workspace or app was refused: its %s is not this bot's.", strange)
            return origin.refusal(payload, origin.SENTENCE)
        context = {KEY: key} if key else {}
        return self._app.dispatch(
            BoltRequest(body=payload, headers=dict(headers or {}), context=context, mode="socket_mode")
        )

    def close(self) -> None:
        """Finish what was handed over."""
        self.ctx.close()


def _app(ctx: AppContext) -> App:
    """Bolt without its own verification (done before it), token checks, and conversation helpers."""

    def authorize() -> AuthorizeResult:
        return AuthorizeResult(
            enterprise_id=None,
            team_id=None,
            bot_token=ctx.client.token,
            bot_user_id=ctx.directory.my_user_id(),
        )

    bare = WebClient(base_url=ctx.client.base_url, timeout=ctx.client.timeout, retry_handlers=[], logger=QUIET)
    app = App(
        name="runbook-bot",
        logger=QUIET,
        client=bare,
        authorize=authorize,
        signing_secret="verified-before-bolt",  # noqa: S106 Bolt wants one; the request was verified by then
        request_verification_enabled=False,
        token_verification_enabled=False,
        url_verification_enabled=False,
        ssl_check_enabled=False,
        attaching_conversation_kwargs_enabled=False,
        process_before_response=False,
        listener_executor=ThreadPoolExecutor(LISTENERS, thread_name_prefix="bolt"),
    )
    _listen(app, ctx)
    return app


def _listen(app: App, ctx: AppContext) -> None:
    @app.command(_ANY)
    def on_command(ack: Ack, body: dict[str, Any], context: BoltContext) -> None:
        ack()
        text = str(body.get("text") or "")
        reply = Reply(ctx.client, reply_to_command(body))
        ctx.run_in_background(context.get(KEY), reply, lambda reply: commands.answer(ctx, parse(text), reply))

    @app.action(_ANY)
    def on_click(ack: Ack, body: dict[str, Any], context: BoltContext) -> None:
        ack()
        clicked = (body.get("actions") or [{}])[0]
        action, value = str(clicked.get("action_id", "")).partition(":")[0], chosen_value(clicked)
        if action in set(Action):
            reply = Reply(ctx.client, reply_to_click(body))
            ctx.run_in_background(context.get(KEY), reply, lambda reply: actions.click(ctx, action, value, reply))

    @app.shortcut(_ANY)
    def on_shortcut(ack: Ack, body: dict[str, Any], context: BoltContext) -> None:
        ack()
        chosen = str(body.get("callback_id", ""))
        if chosen in set(Shortcut):
            reply = Reply(ctx.client, reply_to_click(body))
            about = str(body.get("message_ts") or "")
            ctx.run_in_background(context.get(KEY), reply, lambda reply: shortcuts.choose(ctx, about, reply))

    @app.view(_ANY)
    def on_submit(ack: Ack, body: dict[str, Any], context: BoltContext) -> None:
        ack(**_submitted(ctx, body, context.get(KEY)))

    @app.options(_ANY)
    def on_options(ack: Ack, body: dict[str, Any]) -> None:
        ack(**_suggested(ctx, body))

    @app.view_closed(_ANY)
    def on_close(ack: Ack) -> None:
        ack()

    _listen_to_events(app, ctx)


def _listen_to_events(app: App, ctx: AppContext) -> None:
    @app.event("app_mention")
    def on_mention(event: dict[str, Any], context: BoltContext) -> None:
        if event.get("bot_id") or not event.get("user") or event.get("edited"):
            return  # a mention is sent anew each time its message is edited, days later too: it was answered when said
        text = _behind_mention(str(event.get("text") or ""), ctx.directory.my_user_id())
        reply = Reply(ctx.client, reply_to_mention(event))
        ctx.run_in_background(context.get(KEY), reply, lambda reply: commands.answer(ctx, parse(text), reply))

    @app.event("app_home_opened")
    def on_home(event: dict[str, Any], context: BoltContext) -> None:
        if event.get("tab", "home") == "home" and event.get("user"):
            reply = Reply(ctx.client, ReplyTo(user=str(event["user"])))
            ctx.run_in_background(context.get(KEY), reply, lambda reply: home.publish(ctx, reply.reply_to.user))

    @app.event(_ANY)
    def on_other_event() -> None:
        """An event that nobody asked for is acked, so that Slack does not send it again."""


def _behind_mention(text: str, bot: str | None) -> str:
    """What follows the first mention of the bot: the words before it are for people. Without one, all but mentions."""
    mention = re.search(rf"<@{re.escape(bot)}(?:\|[^>]*)?>", text) if bot else None
    return _LEADING_MENTION.sub("", text[mention.start() :] if mention else text)


def _submitted(ctx: AppContext, body: dict[str, Any], key: str | None) -> dict[str, Any]:
    """Judge a form before the ack and hand the rest over; what cannot be judged takes the form's place."""
    try:
        if not ctx.once(key):
            return {}
        submission = modals.read(ctx, str(body["user"]["id"]), body["view"])
    except EngineError as error:
        log.info("A form was refused: %s", error)
        return _refused_form(escape(typed_here(str(error), ctx.command), 1500))
    except (BadValue, ValueError, KeyError):
        return _refused_form("This form is from an older version. Open it again.")
    except Exception as error:
        error_id = secrets.token_hex(4)
        log.exception("A form could not be read (id %s)", error_id)
        return _refused_form(accident_text(error_id, database_errors.in_words(error)))
    if submission.errors:
        return {"response_action": "errors", "errors": dict(submission.errors)}
    if submission.following is not None:
        return {"response_action": "update", "view": dict(submission.following)}
    if submission.work is not None:
        ctx.run_in_background(None, Reply(ctx.client, submission.reply_to), submission.work)
    return {"response_action": "clear"} if body["view"].get("previous_view_id") else {}


def _refused_form(text: str) -> dict[str, Any]:
    return {"response_action": "update", "view": refused_view("Not possible", text)}


def _suggested(ctx: AppContext, body: dict[str, Any]) -> dict[str, Any]:
    """Options for a menu; none where the form is not understood, which its submission will say."""
    try:
        return modals.suggest(ctx, body)
    except (EngineError, BadValue, KeyError):
        return {"options": []}
    except Exception:
        log.exception("A menu could not be filled")
        return {"options": []}


def reply_to_command(body: Mapping[str, Any]) -> ReplyTo:
    """Where a slash command was typed."""
    return ReplyTo(
        user=str(body.get("user_id", "")),
        channel=str(body.get("channel_id", "")),
        channel_name=str(body.get("channel_name", "")),
        response_url=body.get("response_url"),
        trigger_id=body.get("trigger_id"),
    )


def reply_to_click(body: Mapping[str, Any]) -> ReplyTo:
    """Where a button was clicked or a shortcut chosen."""
    container, channel = body.get("container") or {}, body.get("channel") or {}
    message, view = body.get("message") or {}, body.get("view") or {}
    return ReplyTo(
        user=str((body.get("user") or {}).get("id", "")),
        channel=str(channel.get("id") or container.get("channel_id") or ""),
        channel_name=str(channel.get("name") or ""),
        thread_ts=container.get("thread_ts") or message.get("thread_ts"),
        message_ts=container.get("message_ts"),
        response_url=body.get("response_url"),
        trigger_id=body.get("trigger_id"),
        ephemeral=bool(container.get("is_ephemeral")),
        view_id=view.get("id"),
        metadata=str(view.get("private_metadata") or ""),
        in_modal=view.get("type") == "modal",
    )


def chosen_value(clicked: Mapping[str, Any]) -> str:
    """What a button carries, or what was chosen or typed; "" for nothing."""
    option = clicked.get("selected_option")
    return str((option or {}).get("value") or "") if option else str(clicked.get("value") or "")


def reply_to_mention(event: Mapping[str, Any]) -> ReplyTo:
    """Where the bot was mentioned."""
    return ReplyTo(
        user=str(event.get("user", "")),
        channel=str(event.get("channel", "")),
        thread_ts=event.get("thread_ts"),
        mention=True,
    )
