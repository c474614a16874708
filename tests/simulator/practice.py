"""A workspace and a small Bolt bot in it, in both modes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import uvicorn
from slack_bolt import App
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_bolt.adapter.starlette import SlackRequestHandler
from slack_sdk import WebClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bot.simulator import Config, Simulator, running_simulator

CHANNEL = "C0INC0001"
ALICE, BOB, CAROL, OSCAR = "U0ALICE01", "U0BOB0001", "U0CAROL01", "U0OSCAR01"

MODAL = {
    "type": "modal",
    "callback_id": "start",
    "title": {"type": "plain_text", "text": "Start a run"},
    "submit": {"type": "plain_text", "text": "Start"},
    "blocks": [
        {
            "type": "input",
            "block_id": "service",
            "label": {"type": "plain_text", "text": "Service"},
            "element": {
                "type": "static_select",
                "action_id": "choice",
                "options": [{"text": {"type": "plain_text", "text": name}, "value": name} for name in ("api", "web")],
            },
        },
        {
            "type": "input",
            "block_id": "grace",
            "optional": True,
            "label": {"type": "plain_text", "text": "Grace"},
            "element": {
                "type": "number_input",
                "action_id": "seconds",
                "is_decimal_allowed": False,
                "min_value": "0",
                "max_value": "300",
            },
        },
    ],
}
BUTTONS = [
    {"type": "section", "block_id": "says", "text": {"type": "mrkdwn", "text": "*Run 7* waits"}},
    {
        "type": "actions",
        "block_id": "acts",
        "elements": [
            {
                "type": "button",
                "action_id": "run.pause:7",
                "text": {"type": "plain_text", "text": "Pause"},
                "value": "7",
            },
            {
                "type": "button",
                "action_id": "run.approve:7",
                "text": {"type": "plain_text", "text": "Approve"},
                "value": "7",
                "visible_to_user_ids": [ALICE],
            },
        ],
    },
]


def wait_for(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    """What `condition` returns once it is true, checked until the deadline."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.01)
    return value


class Hands:
    """The control interface as a test uses it: `post` returns the answer's JSON, whatever its status."""

    def __init__(self, sim: Simulator) -> None:
        self.sim = sim
        self.http = httpx.Client(base_url=f"{sim.url}/control/", trust_env=False, timeout=30.0)

    def post(self, what: str, **body: Any) -> dict[str, Any]:
        return self.http.post(what, json=body).json()

    def get(self, what: str, **query: str) -> Any:
        answer = self.http.get(what, params=query).json()
        return answer.get(what, answer)

    def command(self, text: str, user: str = ALICE, channel: str = CHANNEL) -> dict[str, Any]:
        return self.post("command", user=user, channel=channel, text=text)

    def client(self, token: str | None = None) -> WebClient:
        """Slack's own client, pointed at the workspace."""
        client = WebClient(token or self.sim.config.bot_token, base_url=self.sim.api_url)
        client.retry_handlers.clear()
        return client


@contextmanager
def hands_in(config: Config) -> Iterator[Hands]:
    with running_simulator(config) as sim:
        hands = Hands(sim)
        try:
            yield hands
        finally:
            hands.http.close()


def obey(ack: Any, command: dict[str, Any], client: WebClient, respond: Any) -> None:
    """Does what the first word of the command says."""
    word = command["text"].split()[0]
    if word == "slow":
        threading.Event().wait(1.5)
    if word == "form":
        client.views_open(trigger_id=command["trigger_id"], view=MODAL)
    ack(*(["pong"] if word == "ping" else []))
    if word == "respond":
        respond("*done*", response_type="in_channel")
    if word == "card":
        client.chat_postMessage(channel=command["channel_id"], text="Run 7 waits", blocks=BUTTONS)


def build_bot(sim: Simulator) -> tuple[App, list[dict[str, Any]]]:
    """A Bolt app that notes every payload, and does for each word what its name says."""
    client = WebClient(sim.config.bot_token, base_url=sim.api_url)
    app = App(client=client, signing_secret=sim.config.signing_secret, process_before_response=False)
    heard: list[dict[str, Any]] = []

    @app.middleware
    def note(body: dict[str, Any], next_: Callable[[], None]) -> None:
        heard.append(body)
        next_()

    app.command("/runbook")(obey)

    @app.action("run.pause:7")
    def pause(ack: Any, body: dict[str, Any], client: WebClient) -> None:
        ack()
        client.chat_update(channel=body["channel"]["id"], ts=body["message"]["ts"], text="Paused")

    @app.view("start")
    def start(ack: Any, view: dict[str, Any]) -> None:
        chosen = view["state"]["values"]["service"]["choice"]["selected_option"]["value"]
        if chosen == "web":
            ack(response_action="errors", errors={"service": "web is frozen"})
        else:
            ack()

    @app.event("app_mention")
    def mentioned(event: dict[str, Any], say: Any) -> None:
        say("You called?", thread_ts=event["ts"])

    @app.event("message")
    def message(event: dict[str, Any]) -> None:
        """Takes note."""

    @app.event("app_home_opened")
    def home(event: dict[str, Any], client: WebClient) -> None:
        client.views_publish(user_id=event["user"], view={"type": "home", "blocks": BUTTONS[:1]})

    return app, heard


class Bot:
    """The workspace with its bot: `hands` for people, `heard` for the payloads the bot got."""

    def __init__(self, hands: Hands, heard: list[dict[str, Any]]) -> None:
        self.hands = hands
        self.heard = heard


@contextmanager
def bot_by_socket() -> Iterator[Bot]:
    with hands_in(Config(socket_mode=True, ack_timeout=1.0, event_retry_delays=())) as hands:
        app, heard = build_bot(hands.sim)
        handler = SocketModeHandler(app, hands.sim.config.app_token, web_client=WebClient(base_url=hands.sim.api_url))
        handler.connect()
        wait_for(lambda: hands.get("status")["connections"])
        try:
            yield Bot(hands, heard)
        finally:
            handler.close()


@contextmanager
def bot_by_http() -> Iterator[Bot]:
    heard: list[dict[str, Any]] = []
    # The bot needs the workspace's address and the workspace the bot's: the bot is built on its first request.
    built: list[SlackRequestHandler] = []

    async def events(request: Request) -> Response:
        return await built[0].handle(request)

    web = Starlette(routes=[Route("/slack/events", events, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(web, port=0, log_level="error", lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_for(lambda: server.started)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/slack/events"
    try:
        with hands_in(Config(bot_url=url, ack_timeout=1.0, event_retry_delays=(0.0,))) as hands:
            app, heard = build_bot(hands.sim)
            built.append(SlackRequestHandler(app))
            yield Bot(hands, heard)
    finally:
        server.should_exit = True
        thread.join(10)
