"""Choosing a shortcut of the app, anywhere or on a message."""

from __future__ import annotations

from bot.simulator.delivery import payloads
from bot.simulator.delivery.ack import Delivery
from bot.simulator.json_value import Json
from bot.simulator.people.clicked_elements import find_message
from bot.simulator.people.clicks import NO_ANSWER
from bot.simulator.people.commands import acting, outcome, present
from bot.simulator.people.impossible import Impossible
from bot.simulator.workspace import Workspace


async def choose(ws: Workspace, delivery: Delivery, user: str, wish: dict[str, Json]) -> dict[str, Json]:
    """Chooses the shortcut with this callback_id; one for messages needs channel and message_ts."""
    kinds = {callback_id: kind for kind, callback_id, _ in ws.config.shortcuts}
    kind = kinds.get(wish["callback_id"])
    if kind is None:
        raise Impossible(f"The app has no shortcut {wish['callback_id']}.")
    sent = _payload(ws, acting(user), kind, wish) | {"trigger_id": ws.tickets.new_trigger(user)}
    ack = await delivery.send("interactive", sent)
    if ack.error:
        message = f"The shortcut {wish['callback_id']} was not acknowledged: {ack.error}"
        ws.journal.problem("ack", message, status=ack.status, ms=ack.ms, reason=ack.reason)
        ws.notify(user, NO_ANSWER)
    elif ack.body:
        ws.journal.problem("ack", f"The ack of {wish['callback_id']} had a body, which Slack ignores", body=ack.body)
    return outcome(ack)


def _payload(ws: Workspace, user: str, kind: str, wish: dict[str, Json]) -> dict[str, Json]:
    if kind == "global":
        return payloads.global_shortcut(user, wish["callback_id"])
    posted = find_message(ws, user, wish)
    if posted.only is not None:
        raise Impossible("A message that only one person sees has no shortcuts.")
    channel = present(ws, user, posted.channel)
    hook = ws.tickets.new_hook(user, channel.id, None, posted.thread_ts)
    shown = payloads.message_shortcut(user, wish["callback_id"], channel, ws.messages.shown(posted))
    return shown | {"response_url": f"{ws.url}/response/{hook}"}
