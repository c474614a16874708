"""Clicking: buttons, menus and pickers in messages and views."""

from __future__ import annotations

from bot.simulator.delivery import payloads
from bot.simulator.delivery.ack import Ack, Delivery
from bot.simulator.form import UnknownChoice, Values, entry_for, initial_values, stateful_elements
from bot.simulator.json_value import Json
from bot.simulator.messages import Blocks, Posted
from bot.simulator.people.clicked_elements import Found, find_element, find_message, find_view
from bot.simulator.people.commands import acting, outcome, present
from bot.simulator.people.impossible import Impossible
from bot.simulator.workspace import Workspace

NO_ANSWER = "Something went wrong: the app did not answer in time. Try again."


async def click(ws: Workspace, delivery: Delivery, user: str, wish: dict[str, Json]) -> dict[str, Json]:
    """Acts on one element. `wish` says where (view_id, ephemeral_id, or channel and message_ts), which (action_id, or
    its beginning, and maybe block_id) and, for menus and pickers, what was chosen (value or selected). With `stale`
    the element is that of the earliest version of the message which had one."""
    acting(user)
    sent = _view_payload(ws, user, wish) if wish.get("view_id") else _message_payload(ws, user, wish)
    ack = await delivery.send("interactive", sent | {"trigger_id": ws.tickets.new_trigger(user)})
    _tell(ws, user, ack, str(sent["actions"][0]["action_id"]))
    return outcome(ack) | {"action_id": sent["actions"][0]["action_id"]}


async def options(ws: Workspace, delivery: Delivery, user: str, wish: dict[str, Json]) -> dict[str, Json]:
    """Asks the bot for the options of a menu that match what was typed so far; `block_id` tells menus apart."""
    opened = find_view(ws, acting(user), str(wish.get("view_id")))
    wanted = wish.get("block_id")
    menus = [(b, e) for b, e in stateful_elements(opened.view["blocks"]) if e["action_id"] == wish["action_id"]]
    element = next(((b, e) for b, e in menus if wanted in (None, b["block_id"])), None)
    if element is None:
        raise Impossible(f"This view has no menu {wish['action_id']}.")
    view = opened.payload()
    where = {"container": {"type": "view", "view_id": opened.id}, "view": view}
    block_id = element[0]["block_id"]
    sent = payloads.suggestion(user, where, block_id, wish["action_id"], str(wish.get("value", "")))
    ack = await delivery.send("interactive", sent)
    _tell_missing_options(ws, ack, wish["action_id"])
    body = ack.body if isinstance(ack.body, dict) else {}
    grouped = [option for group in body.get("option_groups", []) for option in group["options"]]
    headings = [group["label"]["text"] for group in body.get("option_groups", [])]
    return outcome(ack) | {"options": [*body.get("options", []), *grouped], "headings": headings}


def merge(blocks: Blocks, values: Values, given: dict[str, Json]) -> None:
    """Fills in what a person entered, keyed by block_id, action_id or label. Raises Impossible for a wrong key."""
    unknown = dict(given)
    for block, element in stateful_elements(blocks):
        label = block.get("label", {}).get("text") if block["type"] == "input" else None
        for key in (block["block_id"], element["action_id"], label):
            if key in unknown:
                values[block["block_id"]][element["action_id"]] = _entry(element, unknown.pop(key))
    if unknown:
        raise Impossible(f"There is no input called {', '.join(unknown)}.", 400)


def _entry(element: dict[str, Json], given: Json) -> dict[str, Json]:
    try:
        return entry_for(element, given)
    except UnknownChoice as refusal:
        raise Impossible(str(refusal), 400) from refusal


def _view_payload(ws: Workspace, user: str, wish: dict[str, Json]) -> dict[str, Json]:
    opened = find_view(ws, user, str(wish["view_id"]))
    found = _found(opened.view["blocks"], user, wish)
    merge(opened.view["blocks"], opened.values, wish.get("values") or {})
    action = _action(ws, found, wish)
    _note(opened.values, found, action)
    return payloads.view_action(user, opened.payload(), action)


def _message_payload(ws: Workspace, user: str, wish: dict[str, Json]) -> dict[str, Json]:
    posted = find_message(ws, user, wish)
    channel = present(ws, user, posted.channel)
    blocks, found = _in_message(posted, user, wish)
    values = initial_values(blocks)
    merge(blocks, values, wish.get("values") or {})
    action = _action(ws, found, wish)
    _note(values, found, action)
    shown = ws.messages.shown(posted)
    hook = ws.tickets.new_hook(user, channel.id, posted.ts, posted.thread_ts)
    sent = payloads.message_action(user, channel, shown, action, values, ephemeral=posted.only is not None)
    return sent | {"response_url": f"{ws.url}/response/{hook}"}


def _in_message(posted: Posted, user: str, wish: dict[str, Json]) -> tuple[Blocks, Found]:
    now = posted.message.get("blocks", [])
    for blocks in [*posted.versions, now] if wish.get("stale") else [now]:
        found = find_element(blocks, str(wish["action_id"]), wish.get("block_id"), user)
        if found:
            return blocks, found
    raise Impossible(f"This message has no {wish['action_id']} for this person.")


def _found(blocks: Blocks, user: str, wish: dict[str, Json]) -> Found:
    found = find_element(blocks, str(wish["action_id"]), wish.get("block_id"), user)
    if found is None:
        raise Impossible(f"This view has no {wish['action_id']} for this person.")
    return found


def _action(ws: Workspace, found: Found, wish: dict[str, Json]) -> dict[str, Json]:
    """The entry in `actions` that tells what was done."""
    block, element = found
    kind = element["type"]
    common = {
        "type": kind,
        "action_id": element["action_id"],
        "block_id": block["block_id"],
        "action_ts": ws.messages.new_ts(),
    }
    chosen = wish.get("selected", wish.get("value"))
    if kind in ("button", "icon_button", "workflow_button"):
        kept = ("text", "value", "style", "url", "confirm")
        return common | {name: element[name] for name in kept if name in element}
    if kind == "overflow":
        return common | {"selected_option": _entry(element | {"type": "static_select"}, chosen)["selected_option"]}
    if kind == "feedback_buttons":
        return common | {"value": chosen}
    return common | _entry(element, chosen)


def _note(values: Values, found: Found, action: dict[str, Json]) -> None:
    """What was chosen is part of the state that goes along."""
    block, element = found
    entries = values.get(block["block_id"], {})
    if element["action_id"] in entries:
        names = entries[element["action_id"]]
        entries[element["action_id"]] = {name: action[name] for name in names}


def _tell(ws: Workspace, user: str, ack: Ack, action_id: str) -> None:
    if ack.error:
        message = f"The click on {action_id} was not acknowledged: {ack.error}"
        ws.journal.problem("ack", message, status=ack.status, ms=ack.ms, reason=ack.reason)
        ws.notify(user, NO_ANSWER)
    elif ack.body:
        ws.journal.problem("ack", f"The ack of {action_id} had a body, which Slack ignores for clicks", body=ack.body)


def _tell_missing_options(ws: Workspace, ack: Ack, action_id: str) -> None:
    body = ack.body if isinstance(ack.body, dict) else {}
    if ack.error or not ("options" in body or "option_groups" in body):
        message = f"The menu {action_id} got no options: {ack.error or 'the answer has none'}"
        ws.journal.problem("ack", message, status=ack.status, ms=ack.ms)
