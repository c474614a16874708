"""Starting a run from Slack: by the words alone where they say everything, else by a form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slack_sdk.errors import SlackApiError

from bot.slack.client import error_code
from bot.slack.desk import Desk
from bot.slack.directory import SLACK_TROUBLE
from bot.slack.ids import RunForm
from bot.slack.reply import Place
from bot.slack.views import form
from bot.slack.views.parts import Message, said
from bot.slack.views.text import code
from engine import executions
from engine.access import Actor
from engine.definition import parameters
from engine.definition.model import Runbook
from engine.errors import Conflict, InvalidParameters, NotAllowed
from storage.records import ExecutionRecord


def run(
    desk: Desk, actor: Actor, place: Place, slug: str, number: int | None, options: Mapping[str, str]
) -> Message | None:
    """Start a run, or open the form for what is missing and say nothing. Raises EngineError.

    Where no form can be opened (a mention), what is missing is raised as InvalidParameters or ReasonRequired.
    """
    version, runbook = executions.prepare(desk.rt, actor, slug, number)
    must_be_heard(desk, place)
    given, reason = _split(runbook, options)
    ref = RunForm(version.slug, version.number, place.channel, place.channel_name)
    try:
        values = parameters.validate(runbook.parameters, parameters.coerce(runbook.parameters, given))
    except InvalidParameters as wrong:
        if place.trigger_id is None:
            raise
        worth_saying = {name: why for name, why in wrong.fields.items() if name in given or not name}
        open_form(desk, place, runbook, ref, given, reason, worth_saying)
        return None
    if runbook.risk == "high" and not reason and place.trigger_id is not None:
        open_form(desk, place, runbook, ref, given, reason, {})
        return None
    return started(start(desk, actor, ref, values, reason), place.channel)


def must_be_heard(desk: Desk, place: Place) -> None:
    """Refuse to start a run in a channel that the bot cannot post to. When Slack cannot say, the run goes on."""
    if not place.channel:
        return
    try:
        info = desk.client.conversations_info(channel=place.channel).get("channel") or {}
    except SlackApiError as trouble:
        if error_code(trouble) not in ("channel_not_found", "not_in_channel"):
            return
        info = {"is_member": False}
    except SLACK_TROUBLE:
        return
    if isinstance(info, dict) and info.get("is_member") is False and not info.get("is_im"):
        invite = f"Type /invite @{desk.directory.my_name()} and try again."
        raise NotAllowed(f"This bot is not in this channel, so nobody would see the run. {invite}")


def open_form(
    desk: Desk,
    place: Place,
    runbook: Runbook,
    ref: RunForm,
    given: Mapping[str, Any],
    reason: str,
    problems: Mapping[str, str],
) -> None:
    """Ask for the parameters in a modal, which Slack allows for three seconds. Raises Conflict when those are over."""
    open_modal(desk, place, form.run_form(runbook, ref, given, reason, problems))


def open_modal(desk: Desk, place: Place, view: dict[str, Any]) -> None:
    """Open a modal for who clicked or typed. Raises Conflict when Slack no longer allows it."""
    assert place.trigger_id is not None
    try:
        desk.client.views_open(trigger_id=place.trigger_id, view=view)
    except SlackApiError as trouble:
        if error_code(trouble) not in ("expired_trigger_id", "trigger_expired", "exchanged_trigger_id"):
            raise
        raise Conflict("Slack took too long to open the form. Please try again.") from trouble


def start(desk: Desk, actor: Actor, ref: RunForm, values: dict[str, Any], reason: str) -> ExecutionRecord:
    """Start a run whose card belongs into the channel where it was asked for."""
    incident = {"channel": ref.channel, "channel_name": ref.channel_name} if ref.channel else None
    return executions.start(
        desk.rt, actor, ref.slug, values, number=ref.number, trigger="slack", reason=reason, incident=incident
    )


def started(execution: ExecutionRecord, channel: str) -> Message:
    """The word that a run was accepted; its card follows."""
    where = " Its card is in this channel." if channel else ""
    return said(f"Started {code(execution.id)} ({code(f'{execution.slug}@{execution.number}')}).{where}")


def _split(runbook: Runbook, options: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """The parameters and the reason; a parameter that is itself called reason gets the same text."""
    named = runbook.parameters.get("properties", {})
    given = {name: value for name, value in options.items() if name != "reason" or name in named}
    return given, options.get("reason", "").strip()
