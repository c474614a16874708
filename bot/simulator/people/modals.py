"""Sending off and closing modals."""

from __future__ import annotations

from bot.simulator.delivery import payloads
from bot.simulator.delivery.ack import Ack, Delivery
from bot.simulator.form import complaints
from bot.simulator.json_value import Json
from bot.simulator.people.clicked_elements import find_view
from bot.simulator.people.clicks import merge
from bot.simulator.people.commands import acting, outcome
from bot.simulator.people.impossible import Impossible
from bot.simulator.view_store import OpenView
from bot.simulator.web_api.errors import SlackError
from bot.simulator.web_api.views import REFUSALS, sound_view
from bot.simulator.workspace import Workspace

TROUBLE = "We had some trouble connecting. Try again?"


async def submit(
    ws: Workspace, delivery: Delivery, user: str, view_id: str, values: dict[str, Json]
) -> dict[str, Json]:
    """Sends a modal off, unless Slack's own form refuses it first, and does what the answer asks for.

    The result's `errors` are by block_id; `response_action` is what the bot answered, None for a plain close.
    """
    opened = find_view(ws, acting(user), view_id)
    if opened.view["type"] != "modal" or ws.views.stack(user)[-1] is not opened:
        raise Impossible("Only the modal on top can be submitted.", 409)
    merge(opened.view["blocks"], opened.values, values)
    refused = complaints(opened.view["blocks"], opened.values)
    if refused:
        return {"ok": False, "errors": refused, "response_action": None, "sent": False}
    sent = payloads.view_submission(user, opened.payload()) | {"trigger_id": ws.tickets.new_trigger(user)}
    ack = await delivery.send("interactive", sent)
    return outcome(ack) | {"sent": True} | _follow(ws, opened, ack)


async def close(ws: Workspace, delivery: Delivery, user: str, view_id: str) -> dict[str, Json]:
    """Closes the modal on top, and tells the bot where it asked to be told."""
    opened = find_view(ws, acting(user), view_id)
    if opened not in ws.views.stack(user):
        raise Impossible("A Home tab cannot be closed.", 409)
    clears = bool(opened.view["clear_on_close"])
    ws.views.close(user, all_of_them=clears)
    if not opened.view["notify_on_close"]:
        return {"ok": True, "sent": False}
    ack = await delivery.send("interactive", payloads.view_closed(user, opened.payload(), cleared=clears))
    if ack.error:
        ws.journal.problem("ack", f"The closing of a view was not acknowledged: {ack.error}", ms=ack.ms)
    return outcome(ack) | {"sent": True}


def _follow(ws: Workspace, opened: OpenView, ack: Ack) -> dict[str, Json]:
    if ack.error:
        return _trouble(ws, opened, f"was not acknowledged: {ack.error}")
    if ack.body in (None, "", {}):
        return _closed(ws, opened)
    action = ack.body.get("response_action") if isinstance(ack.body, dict) else None
    if action == "errors":
        return _errors(ws, opened, ack.body.get("errors"))
    if action == "clear":
        ws.views.close(opened.user, all_of_them=True)
        return {"response_action": "clear"}
    if action in ("update", "push"):
        return _change(ws, opened, str(action), ack.body.get("view"))
    return _trouble(ws, opened, f"was answered with something that is no response action: {ack.body!r}")


def _closed(ws: Workspace, opened: OpenView) -> dict[str, Json]:
    # The bot may have changed the stack while it answered; what was submitted is closed only where it is still on top.
    stack = ws.views.stack(opened.user)
    if stack and stack[-1] is opened:
        ws.views.close(opened.user)
    return {"response_action": None}


def _errors(ws: Workspace, opened: OpenView, errors: Json) -> dict[str, Json]:
    inputs = {block["block_id"] for block in opened.view["blocks"] if block["type"] == "input"}
    if not isinstance(errors, dict) or not errors or not inputs.issuperset(errors):
        return _trouble(ws, opened, f"was answered with errors that name no input block: {errors!r}")
    return {"ok": False, "response_action": "errors", "errors": errors}


def _change(ws: Workspace, opened: OpenView, action: str, view: Json) -> dict[str, Json]:
    try:
        sound = sound_view(view, "modal")
        changed = ws.views.update(opened, sound) if action == "update" else ws.views.push(opened.user, sound)
    except (SlackError, *REFUSALS) as refusal:
        return _trouble(ws, opened, f"was answered with a view that Slack refuses: {refusal}")
    return {"response_action": action, "view_id": changed.id}


def _trouble(ws: Workspace, opened: OpenView, what: str) -> dict[str, Json]:
    ws.journal.problem("ack", f"The submission of {opened.view['callback_id'] or opened.id} {what}")
    ws.notify(opened.user, TROUBLE)
    return {"ok": False, "response_action": None, "errors": {}, "trouble": TROUBLE}
