"""views.*: modals and the Home tab."""

from __future__ import annotations

import json

from bot.simulator.blocks import check_view
from bot.simulator.directory import PEOPLE
from bot.simulator.json_value import Json
from bot.simulator.tickets import TicketRefused
from bot.simulator.view_store import OpenView, ViewRefused
from bot.simulator.web_api.arguments import Arguments
from bot.simulator.web_api.errors import SlackError
from bot.simulator.workspace import Workspace

VIEW_SIZE_LIMIT = 250_000
"""Bytes of a view as JSON. Source: Slack's method reference, view_too_large."""


def open_view(ws: Workspace, args: Arguments) -> dict[str, Json]:
    """Opens a modal for the person whose trigger this is."""
    view = sound_view(args["view"], "modal")
    user = _exchange(ws, args)
    return _answer(ws.views.open(user, view))


def push_view(ws: Workspace, args: Arguments) -> dict[str, Json]:
    """Puts a modal on top of the one that is open."""
    view = sound_view(args["view"], "modal")
    user = _exchange(ws, args)
    return _answer(ws.views.push(user, view))


def update_view(ws: Workspace, args: Arguments) -> dict[str, Json]:
    """Shows other content in an open view, found by view_id or external_id."""
    view_id, external_id = args.get("view_id"), args.get("external_id")
    if not (view_id or external_id):
        raise SlackError("invalid_arguments", ["[ERROR] missing required field: view_id or external_id"])
    opened = ws.views.find(str(view_id)) if view_id else ws.views.find_external(str(external_id))
    if opened is None:
        raise SlackError("not_found")
    _same_hash(opened, args)
    view = sound_view(args["view"], opened.view["type"])
    ws.views.check_external(view, opened)
    return _answer(ws.views.update(opened, view))


def publish_view(ws: Workspace, args: Arguments) -> dict[str, Json]:
    """Sets a person's Home tab."""
    person = PEOPLE.get(args["user_id"])
    if person is None or person.bot:
        raise SlackError("invalid_arguments", ["[ERROR] unknown user [json-pointer:/user_id]"])
    view = sound_view(args["view"], "home")
    home = ws.views.home(person.id)
    if home is not None:
        _same_hash(home, args)
    return _answer(ws.views.publish_home(person.id, view))


def sound_view(view: Json, kind: str) -> dict[str, Json]:
    """The view, when Slack would take it. Raises SlackError: invalid_arguments or view_too_large."""
    problems = [str(problem) for problem in check_view(view)]
    if not problems and view["type"] != kind:
        problems = [f"[ERROR] must be a {kind} [json-pointer:/view/type]"]
    if problems:
        raise SlackError("invalid_arguments", problems)
    if len(json.dumps(view).encode()) > VIEW_SIZE_LIMIT:
        raise SlackError("view_too_large")
    return dict(view)


def _exchange(ws: Workspace, args: Arguments) -> str:
    trigger_id = args.get("trigger_id") or args.get("interactivity_pointer")
    if not trigger_id:
        raise SlackError("invalid_arguments", ["[ERROR] missing required field: trigger_id"])
    return ws.tickets.exchange(str(trigger_id))


def _same_hash(opened: OpenView, args: Arguments) -> None:
    if args.get("hash") and args["hash"] != opened.view["hash"]:
        raise SlackError("hash_conflict")


def _answer(opened: OpenView) -> dict[str, Json]:
    return {"view": opened.payload()}


REFUSALS = (TicketRefused, ViewRefused)
"""What the stores raise; its text is Slack's name for the error."""
