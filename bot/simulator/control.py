"""The control interface, /control/…: people's hands and eyes for tests, the page and the terminal demo."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from bot.simulator.delivery.ack import Delivery
from bot.simulator.delivery.events import Events
from bot.simulator.delivery.http import HttpDelivery
from bot.simulator.delivery.signing import signed_headers
from bot.simulator.delivery.socket import SocketDelivery
from bot.simulator.directory import CHANNELS, GROUPS, PEOPLE, active_people, channel_json, direct_channel_id, group_json
from bot.simulator.json_value import Json
from bot.simulator.messages import Posted
from bot.simulator.people import clicks, commands, modals, shortcuts
from bot.simulator.people.impossible import Impossible
from bot.simulator.web_api.faults import Fault, Faults
from bot.simulator.workspace import Workspace

Action = Callable[[dict[str, Json]], Awaitable[dict[str, Json]]]

KEEP_ALIVE = ": the workspace is here\n\n"


class Control:
    """One workspace's control interface."""

    def __init__(self, ws: Workspace, delivery: Delivery, events: Events, faults: Faults) -> None:
        self._ws = ws
        self._delivery = delivery
        self._events = events
        self._faults = faults

    def routes(self) -> list[Route]:
        actions: dict[str, Action] = {
            "command": self._command,
            "click": self._click,
            "options": self._options,
            "shortcut": self._shortcut,
            "submit": self._submit,
            "close": self._close,
            "mention": self._mention,
            "say": self._say,
            "home": self._home,
            "faults": self._add_fault,
            "disconnect": self._disconnect,
            "send_raw": self._send_raw,
            "deliver": self._deliver,
            "reset": self._reset,
        }
        looks: dict[str, Callable[[Request], Json]] = {
            "messages": self._messages,
            "views": self._views,
            "calls": self._calls,
            "problems": self._problems,
            "people": self._people,
            "channels": self._channels,
            "faults": lambda _: {"faults": self._faults.listed()},
            "status": self._status,
        }
        return [
            *(Route(f"/control/{name}", _acting(action), methods=["POST"]) for name, action in actions.items()),
            *(Route(f"/control/{name}", _looking(look), methods=["GET"]) for name, look in looks.items()),
            Route("/control/faults", self._clear_faults, methods=["DELETE"]),
            Route("/control/stream", self._stream, methods=["GET"]),
        ]

    # What people do

    async def _command(self, body: dict[str, Json]) -> dict[str, Json]:
        command = body.get("command") or self._ws.config.command
        text = body.get("text", "").strip()
        return await commands.run_command(self._ws, self._delivery, body["user"], body["channel"], text, command)

    async def _click(self, body: dict[str, Json]) -> dict[str, Json]:
        return await clicks.click(self._ws, self._delivery, body["user"], body)

    async def _options(self, body: dict[str, Json]) -> dict[str, Json]:
        return await clicks.options(self._ws, self._delivery, body["user"], body)

    async def _shortcut(self, body: dict[str, Json]) -> dict[str, Json]:
        return await shortcuts.choose(self._ws, self._delivery, body["user"], body)

    async def _submit(self, body: dict[str, Json]) -> dict[str, Json]:
        return await modals.submit(self._ws, self._delivery, body["user"], body["view_id"], body.get("values") or {})

    async def _close(self, body: dict[str, Json]) -> dict[str, Json]:
        return await modals.close(self._ws, self._delivery, body["user"], body["view_id"])

    async def _mention(self, body: dict[str, Json]) -> dict[str, Json]:
        return await commands.mention(
            self._ws, self._events, body["user"], body["channel"], body["text"], body.get("thread_ts")
        )

    async def _say(self, body: dict[str, Json]) -> dict[str, Json]:
        return await commands.say(
            self._ws, self._events, body["user"], body["channel"], body["text"], body.get("thread_ts")
        )

    async def _home(self, body: dict[str, Json]) -> dict[str, Json]:
        return await commands.open_home(self._ws, self._events, body["user"])

    # Trouble on demand

    async def _add_fault(self, body: dict[str, Json]) -> dict[str, Json]:
        fault = Fault(body["method"], str(body["kind"]), int(body.get("times", 1)), int(body.get("retry_after", 1)))
        try:
            self._faults.add(fault)
        except ValueError as refusal:
            raise Impossible(str(refusal), 400) from refusal
        return {"ok": True, "faults": self._faults.listed()}

    async def _clear_faults(self, _request: Request) -> Response:
        self._faults.clear()
        return JSONResponse({"ok": True})

    async def _disconnect(self, body: dict[str, Json]) -> dict[str, Json]:
        if not isinstance(self._delivery, SocketDelivery):
            raise Impossible("The bot is not connected by Socket Mode.", 409)
        return {"ok": True, "told": await self._delivery.disconnect(body.get("reason", "refresh_requested"))}

    async def _send_raw(self, body: dict[str, Json]) -> dict[str, Json]:
        """Sends a body as it is, signed unless the given headers say otherwise (null leaves a header out)."""
        if not isinstance(self._delivery, HttpDelivery):
            raise Impossible("Raw requests need the HTTP mode.", 409)
        raw = body["body"].encode("utf-8", "surrogateescape")
        signed = signed_headers(self._ws.config.signing_secret, raw)
        headers = {"Content-Type": "application/json", **signed, **(body.get("headers") or {})}
        kept = {name: value for name, value in headers.items() if value is not None}
        acks = [await self._delivery.post(raw, kept) for _ in range(int(body.get("times", 1)))]
        return {"ok": True, "answers": [commands.outcome(ack) | {"body": ack.body} for ack in acks]}

    async def _deliver(self, body: dict[str, Json]) -> dict[str, Json]:
        """Sends a payload as it is, as one of a kind: slash_commands, interactive or events_api."""
        ack = await self._delivery.send(body["kind"], body["payload"])
        return commands.outcome(ack) | {"body": ack.body}

    async def _reset(self, _body: dict[str, Json]) -> dict[str, Json]:
        self._ws.reset()
        self._faults.clear()
        return {"ok": True}

    # What people see

    def _messages(self, request: Request) -> Json:
        query = request.query_params
        channel, user, thread_ts = query["channel"], query.get("user"), query.get("thread_ts")
        seen = self._ws.messages.seen_by(user, channel)
        return {"ok": True, "messages": [self._ws.messages.seen(each) for each in seen if _belongs(each, thread_ts)]}

    def _views(self, request: Request) -> Json:
        user = request.query_params["user"]
        home = self._ws.views.home(user)
        stack = [opened.payload() for opened in self._ws.views.stack(user)]
        return {"ok": True, "views": stack, "home": home.payload() if home else None}

    def _calls(self, request: Request) -> Json:
        query = request.query_params
        method, since = query.get("method"), float(query.get("since", 0))
        calls = [call for call in self._ws.journal.calls if method in (None, call["method"]) and call["time"] >= since]
        return {"ok": True, "calls": calls}

    def _problems(self, _request: Request) -> Json:
        return {"ok": True, "problems": self._ws.journal.problems}

    def _people(self, _request: Request) -> Json:
        active = {person.id for person in active_people()}
        people = [
            {
                "id": person.id,
                "handle": person.handle,
                "name": person.name,
                "role": person.role,
                "bot": person.bot,
                "can_act": person.id in active,
                "direct": direct_channel_id(person.id),
            }
            for person in PEOPLE.values()
        ]
        groups = [group_json(group, users=True) for group in GROUPS.values()]
        config = self._ws.config
        offered = [{"kind": kind, "callback_id": callback, "name": name} for kind, callback, name in config.shortcuts]
        typing = {"command": config.command, "hints": config.hints, "shortcuts": offered}
        return {"ok": True, "people": people, "groups": groups, **typing}

    def _channels(self, _request: Request) -> Json:
        channels = [channel_json(channel) | {"members": list(channel.members)} for channel in CHANNELS.values()]
        return {"ok": True, "channels": channels}

    def _status(self, _request: Request) -> Json:
        socket = self._delivery.connections if isinstance(self._delivery, SocketDelivery) else None
        return {"ok": True, "socket_mode": socket is not None, "connections": socket, "url": self._ws.url}

    async def _stream(self, request: Request) -> Response:
        user = request.query_params.get("user")
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(self._event_messages(user), media_type="text/event-stream", headers=headers)

    async def _event_messages(self, user: str | None) -> AsyncIterator[str]:
        yield KEEP_ALIVE
        async for event in self._ws.feed.listen(user):
            yield f"data: {json.dumps(event)}\n\n"


def _belongs(posted: Posted, thread_ts: str | None) -> bool:
    if thread_ts == "*":
        return True
    return not posted.is_reply if thread_ts is None else thread_ts in (posted.ts, posted.thread_ts)


def _acting(action: Action) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            return JSONResponse(await action(await _json(request)))
        except Impossible as refusal:
            return JSONResponse({"ok": False, "error": str(refusal)}, status_code=refusal.status)
        except KeyError as missing:
            return JSONResponse({"ok": False, "error": f"Say {missing}."}, status_code=400)

    return endpoint


def _looking(look: Callable[[Request], Json]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            return JSONResponse(look(request))
        except KeyError as missing:
            return JSONResponse({"ok": False, "error": f"Say {missing}."}, status_code=400)

    return endpoint


async def _json(request: Request) -> dict[str, Json]:
    """The body. Only JSON is taken: another site's page cannot send that without being asked."""
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise Impossible("Send JSON, with Content-Type: application/json.", 415)
    try:
        body = json.loads(await request.body())
    except ValueError as refusal:
        raise Impossible(f"This is no JSON: {refusal}", 400) from refusal
    if not isinstance(body, dict):
        raise Impossible("Send a JSON object.", 400)
    return body
