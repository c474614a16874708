"""The bot as it is, in a practice workspace: real engine, real database, real HTTP or Socket Mode."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from bot import web
from bot.simulator import Config, Simulator
from bot.slack.app_context import AppContext
from bot.slack.client import web_client
from bot.slack.conversations import SlackConversations
from bot.slack.projector.pacing import Pace
from bot.slack.projector.projector import Projector
from bot.slack.transport.app import SlackApp
from bot.slack.transport.socket import SocketTransport
from engine import boot
from engine.access.policy import Actor
from engine.catalog import catalog, version_approval
from engine.config import settings
from engine.runtime import Runtime
from engine.steps.perform import Tools
from engine.text.redaction import Redactor
from engine.worker.worker_process import Worker
from storage import database

CHANNEL, OTHER_CHANNEL, UNHEARD = "C0INC0001", "C0GENERAL", "C0PRIVATE"
ALICE, DAVE, BOB, CAROL, OSCAR, GUEST = "U0ALICE01", "U0DAVE001", "U0BOB0001", "U0CAROL01", "U0OSCAR01", "U0GUEST01"

CHANNELS_LATER = [0.0]
"""Seconds by which the clock is ahead that says how old an answer about a channel is."""
ACCESS = """
platform_admins: [S0PLATFORM]
responders: [S0ONCALL]
teams:
  payments: {admins: [U0BOB0001], members: [S0PAYMENTS]}
"""
DRAIN = """
apiVersion: runbook/v1
id: drain
name: Drain a service
team: payments
parameters:
  type: object
  required: [service]
  properties:
    service: {type: string, enum: [checkout, basket], title: Service}
    grace: {type: integer, minimum: 0, maximum: 300, default: 30}
steps:
  - id: drain
    name: Take it out
    type: http
    with:
      method: POST
      url: "TARGET/lb/drain/{{ params.service }}"
      auth: {type: bearer, token: "{{ secrets.lb_token }}"}
      json: {grace: "{{ params.grace }}"}
    idempotent: true
"""
CAREFUL = """
apiVersion: runbook/v1
id: careful
name: Restart with care
team: payments
risk: high
steps:
  - id: sign-off
    type: approval
    with: {min_approvals: 2, approvers: {roles: [platform_admin]}, message: "Restart <!channel>?"}
    timeout: 15m
  - id: restart
    type: http
    with: {method: POST, url: "TARGET/hosts/restart/checkout"}
"""


def wait_for(condition: Callable[[], Any], seconds: float = 15.0) -> Any:
    """What `condition` returns once it is true, checked until the deadline."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)
    return value


class Stage:
    """The bot and the workspace it is in; methods are what people do and see."""

    def __init__(self, sim: Simulator, rt: Runtime, door: SlackApp) -> None:
        self.sim = sim
        self.rt = rt
        self.door = door
        self.url = sim.config.bot_url.removesuffix("/slack/events")
        self.http = httpx.Client(base_url=f"{sim.url}/control/", trust_env=False, timeout=30.0)

    def post(self, what: str, **body: Any) -> dict[str, Any]:
        return self.http.post(what, json=body).json()

    def get(self, what: str, **query: str) -> Any:
        answer = self.http.get(what, params=query).json()
        return answer.get(what, answer)

    def command(self, text: str, user: str = CAROL, channel: str = CHANNEL) -> dict[str, Any]:
        return self.post("command", user=user, channel=channel, text=text)

    def say(self, text: str, user: str = CAROL, channel: str = CHANNEL) -> str:
        """Type a command and return what the person is told in private."""
        before = len(self.private(user, channel))
        outcome = self.command(text, user, channel)
        assert outcome["ok"], outcome
        return shown(wait_for(lambda: self.private(user, channel)[before:])[0])

    def messages(self, user: str = CAROL, channel: str = CHANNEL, thread_ts: str = "*") -> list[dict[str, Any]]:
        return self.get("messages", channel=channel, user=user, thread_ts=thread_ts)

    def private(self, user: str = CAROL, channel: str = CHANNEL) -> list[dict[str, Any]]:
        return [message for message in self.messages(user, channel) if is_private(message)]

    def card(self, run: str, channel: str = CHANNEL) -> dict[str, Any]:
        """The card of a run, once it is there."""
        return wait_for(
            lambda: self.find(lambda m: not is_private(m) and not in_thread(m) and run in shown(m), channel)
        )

    def find(self, wanted: Callable[[dict[str, Any]], bool], channel: str = CHANNEL) -> dict[str, Any] | None:
        return next((message for message in self.messages(channel=channel) if wanted(message)), None)

    def gate(self, card_ts: str) -> dict[str, Any]:
        """The message of the open gate in a card's thread, once it is there."""

        def opened(message: dict[str, Any]) -> bool:
            here = in_thread(message) and message["thread_ts"] == card_ts
            return here and "Waiting for approval" in shown(message)

        return wait_for(lambda: self.find(opened))

    def in_thread(self, ts: str, channel: str = CHANNEL) -> list[str]:
        """What the thread under a message says, the message itself left out."""
        return [shown(m) for m in self.messages(channel=channel, thread_ts=ts) if m["ts"] != ts]

    def click(self, action: str, user: str, message_ts: str, **more: Any) -> dict[str, Any]:
        return self.post("click", user=user, channel=CHANNEL, message_ts=message_ts, action_id=action, **more)

    def form(self, user: str = CAROL) -> dict[str, Any]:
        """The modal that is open before somebody, once it is."""
        return wait_for(lambda: self.get("views", user=user))[-1]

    def start(self, text: str, user: str = CAROL) -> str:
        """Start a run by command and return its id."""
        told = self.say(text, user)
        assert "Started" in told, told
        return "R-" + told.split("R-")[1][:6]


def is_private(message: dict[str, Any]) -> bool:
    return bool(message.get("is_ephemeral") or message.get("ephemeral"))


def in_thread(message: dict[str, Any]) -> bool:
    return message.get("thread_ts") not in (None, message["ts"])


def shown(message: dict[str, Any]) -> str:
    """Every text in a message's blocks, in order."""
    return "\n".join(texts(message.get("blocks") or [])) or message.get("text", "")


def texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value[key] for key in ("text", "title") if isinstance(value.get(key), str)]
        return own + [text for part in value.values() if isinstance(part, dict | list) for text in texts(part)]
    if isinstance(value, list):
        return [text for part in value for text in texts(part)]
    return []


@contextmanager
def stage(folder: Path, *, socket_mode: bool, pages: bool = False, shows: bool = True, **more: str) -> Iterator[Stage]:
    """Everything of one deployment, the worker and the projector in threads of this process.

    `pages` says that people reach its pages: PUBLIC_URL is set. Unless it `shows` there is no projector. `more` are
    other settings.
    """
    base = settings.load({"HOST": "127.0.0.1", "PORT": "0", "DATABASE_URL": f"sqlite:///{folder}/test.db"}, folder)
    listening = web.bind(base)
    bot_url = f"http://127.0.0.1:{listening.getsockname()[1]}/slack/events"
    sim = Simulator(Config(bot_url=bot_url, socket_mode=socket_mode, target_port=0, event_retry_delays=(0.0,)))
    sim.start()
    stop = threading.Event()
    threads: list[threading.Thread] = []
    rt, tools, worker, door = _engine(folder, sim, base, bot_url.removesuffix("/slack/events") if pages else "", more)
    connection = SocketTransport(door, rt.settings) if socket_mode else None
    server = _serve(rt, door, listening, threads)
    projector = Projector(rt, web_client(rt.settings), pace=Pace(lambda: 30 * time.monotonic()))
    if shows:
        threads.append(threading.Thread(target=projector.run, args=(stop,), daemon=True))
        threads[-1].start()
    if connection is not None:
        connection.start()
        wait_for(lambda: connection.connected and sim.delivery.connections)
    running = Stage(sim, rt, door)
    try:
        yield running
        mistakes = [each for each in sim.workspace.journal.problems if each["mistake"]]
        assert not mistakes, f"Slack takes no such calls, whatever the workspace is like: {mistakes}"
    finally:
        stop.set()
        running.http.close()
        if connection is not None:
            connection.close()
        server.should_exit = True
        door.close()
        worker.stop()
        tools.egress.close()
        for thread in threads:
            thread.join(10)
        sim.stop()
        catalog.forget_definitions()
        database.close_database()


def _engine(
    folder: Path, sim: Simulator, base: settings.Settings, public_url: str, more: dict[str, str]
) -> tuple[Runtime, Tools, Worker, SlackApp]:
    books = folder / "books"
    books.mkdir()
    target = str(sim.target_url)
    (books / "_access.yaml").write_text(ACCESS)
    for name, text in (("drain", DRAIN), ("careful", CAREFUL)):
        (books / f"{name}.yaml").write_text(text.replace("TARGET", target))
    environ = {
        "DATABASE_URL": f"sqlite:///{folder}/test.db",
        "BREAK_GLASS": "true",
        "RUNBOOKS_DIR": str(books),
        "SLACK_BOT_TOKEN": sim.config.bot_token,
        "SLACK_SIGNING_SECRET": sim.config.signing_secret,
        "SLACK_API_URL": sim.api_url,
        "EGRESS_ALLOW": target.removeprefix("http://"),
        "PUBLIC_URL": public_url,
        "RUNBOOK_SECRET_LB_TOKEN": sim.config.target_token,
        **({"SLACK_APP_TOKEN": sim.config.app_token} if sim.config.socket_mode else {}),
        **more,
    }
    known = replace(settings.load(environ, folder), port=base.port)
    boot.migrate_database(known)
    asks = SlackConversations(web_client(known), lambda: time.monotonic() + CHANNELS_LATER[0])
    opened = replace(boot.open_engine(known), conversations=asks)
    tools = boot.make_tools(opened, Redactor())
    worker = Worker(opened, "w-test", tools)
    worker.start()
    rt = replace(opened, hint=lambda ids: worker._hint(ids))
    return rt, tools, worker, SlackApp(AppContext(rt, web_client(known)))


def _serve(rt: Runtime, door: SlackApp, listening: Any, threads: list[threading.Thread]) -> uvicorn.Server:
    server = uvicorn.Server(uvicorn.Config(web.application(rt, door), log_config=None, lifespan="off", ws="none"))
    threads.append(threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True))
    threads[-1].start()
    wait_for(lambda: server.started)
    return server


def ready(running: Stage) -> None:
    """Read the folder as the bot itself does, then let an admin approve what is in it."""
    from engine.access import policy as access
    from engine.catalog import sync

    sync.sync(running.rt, access.SYSTEM)
    for slug in ("drain", "careful"):
        assert "is approved" in running.say(f"admin approve {slug}@1", ALICE)


def ready_with(running: Stage, books: dict[str, str]) -> None:
    """The same with these runbooks, each by its id without its head, and approved; TARGET is where calls may go."""
    for slug, text in books.items():
        head = f"apiVersion: runbook/v1\nid: {slug}\nname: A runbook for {slug}\nteam: payments\n"
        whole = head + text.replace("TARGET", str(running.sim.target_url))
        (running.rt.settings.runbooks_dir / f"{slug}.yaml").write_text(whole)
    ready(running)
    for slug in books:  # by the engine: what no message holds is not approved by its name
        version_approval.approve(running.rt, Actor(ALICE, standing="member"), slug, 1)


def until(bot: Stage, run: str, *words: str) -> dict[str, Any]:
    """The card of a run, once it says all of these."""
    return wait_for(lambda: (card := bot.card(run)) and all(word in shown(card) for word in words) and card)
