"""The web process: Slack's requests, health pages, and the watch over the runbooks folder."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from functools import partial

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import Scope

from bot.api import app as api
from bot.api import problems
from bot.incoming_webhooks import Receiver as EventReceiver
from bot.page.routes import Pages
from bot.prometheus import CountingMiddleware, Metrics
from bot.serving import server_limits
from bot.serving.connections import Connections
from bot.serving.guard import Guard
from bot.serving.server import Server
from bot.serving.streams import Streams
from bot.slack.app_context import AppContext
from bot.slack.client import web_client
from bot.slack.conversations import connected
from bot.slack.directory import SLACK_TROUBLE, Directory
from bot.slack.transport.app import SlackApp
from bot.slack.transport.http import Receiver
from bot.slack.transport.socket import SocketTransport
from bot.unauthenticated_limit import UnauthenticatedLimit
from engine import boot, database_errors, health, received_secrets
from engine.access import people
from engine.access.policy import Actor
from engine.catalog.folder_watch import FolderWatch
from engine.config import file_descriptors
from engine.config.settings import Settings, secret_key
from engine.errors import BadSettings, Conflict
from engine.runtime import Runtime
from engine.secret_watch import SecretWatch
from engine.text.redaction import Redactor

log = logging.getLogger(__name__)

SLACK_THREADS = 16
READY_FOR_S = 1.0
"""How long an answer of `/readyz` is given again: each look writes to the database."""
WAITING = 1024
"""Connections that the system holds until they are taken in, also while the web process is started anew."""
SOCKET_VARIABLE = "RUNBOOK_WEB_SOCKET"

Handler = Callable[[Request], Awaitable[Response]]


def run(settings: Settings, redactor: Redactor) -> int:
    """Serve until told to stop.

    Raises `BadSettings` where the address is taken, the schema is not this release's, or the Slack workspace is another
    than the database's.
    """
    file_descriptors.raise_limit()
    listening = inherited() or bind(settings)
    rt = connected(boot.open_engine(settings))
    watch = SecretWatch(rt, redactor)
    watch.look()
    stop = threading.Event()
    door = SlackApp(AppContext(rt, web_client(settings))) if settings.slack_mode != "none" else None
    masking = (watch.run, partial(received_secrets.watch, settings, redactor, received_secrets.ReceivedSecrets()))
    threads = _start([*_duties(rt, door), *masking], stop)
    slack = SocketTransport(door, settings) if door and settings.slack_mode == "socket" else None
    if slack is not None:
        slack.start()
    try:
        asyncio.run(_serve(application(rt, door, slack), listening))
    finally:
        stop.set()
        if slack is not None:
            slack.close()
        if door is not None:
            door.close()
        for thread in threads:
            thread.join(timeout=5)
    return 0


def _duties(rt: Runtime, door: SlackApp | None) -> list[Callable[[threading.Event], None]]:
    """What this process does beside serving; each runs in a thread of its own until it is told to stop."""
    if door is None:
        return [FolderWatch(rt).run]
    directory = door.ctx.directory
    _greet(directory)
    return [FolderWatch(rt, directory.user_by_email).run, directory.watch]


def _greet(directory: Directory) -> None:
    """Learn who the bot is in Slack. A Slack that is away now is asked again later."""
    try:
        me = directory.me()
        log.info("connected to Slack as %s", me.name)
    except Conflict as error:
        raise BadSettings([f"SLACK_BOT_TOKEN: {error}"]) from error
    except SLACK_TROUBLE as error:
        log.warning("Slack did not say who this bot is (%s); asking again later", type(error).__name__)


def _start(duties: list[Callable[[threading.Event], None]], stop: threading.Event) -> list[threading.Thread]:
    threads = [threading.Thread(target=duty, args=(stop,), daemon=True) for duty in duties]
    for thread in threads:
        thread.start()
    return threads


def inherited() -> socket.socket | None:
    """The listening socket that `runbook up` has opened for this process, so that a restart refuses nobody."""
    number = os.environ.get(SOCKET_VARIABLE)
    return socket.socket(fileno=int(number)) if number else None


def bind(settings: Settings) -> socket.socket:
    """Take the address to listen on. Raises `BadSettings` with a sentence when it can't be had."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
        listening.listen(WAITING)
    except OSError as error:
        listening.close()
        where = f"{settings.host}:{settings.port}"
        why = "is taken by another program" if error.errno == 98 else f"cannot be used: {error.strerror}"
        raise BadSettings([f"PORT: {where} {why}. Set PORT to a free one, or 0 to have one picked."]) from error
    return listening


def application(rt: Runtime, door: SlackApp | None, slack: SocketTransport | None = None) -> Starlette:
    """All routes. Everything that touches the database or Slack runs in threads, never on the event loop."""
    metrics = Metrics(rt)
    hooks = EventReceiver(rt, rt.secrets(Redactor()))
    for problem in hooks.problems():
        log.warning("%s", problem)
    routes: list[BaseRoute] = [
        Route("/hooks/events", _events(hooks), methods=["POST"]),
        Route("/", _front),
        Route("/livez", _livez),
        Route("/readyz", _ready(rt, slack)),
        Route("/healthz", _ready(rt, slack)),
        Route("/metrics", metrics.answer),
    ]
    if door is not None and rt.settings.slack_signing_secret:
        receiver = Receiver(door.dispatch, rt.settings.slack_signing_secret)
        routes.append(Route("/slack/events", _slack(receiver), methods=["POST"]))
    directory = door.ctx.directory if door is not None else None
    asked = (_refreshing(directory), directory.user_by_email) if directory is not None else ()
    rest = api.application(rt, *asked)
    connections = Connections(server_limits.within(file_descriptors.limit()))
    rest.state.context.streams = Streams(connections.limits)
    routes += Pages(rest.state.context, secret_key(rt.settings), _identifying(rt, door)).routes()
    routes.append(Mount(api.PREFIX, rest))
    guard = Middleware(Guard, connections=connections, refuse=_refused)
    around = [Middleware(CountingMiddleware, metrics=metrics), guard, Middleware(UnauthenticatedLimit)]
    app = Starlette(routes=routes, middleware=around, exception_handlers={404: _nothing_there, Exception: _accident})
    app.state.before_stop = rest.state.context.feed.close
    app.state.connections = connections
    return app


def _refreshing(directory: Directory) -> Callable[[str], None]:
    """Ask Slack anew who somebody is and, where that is old, who is in the groups that roles hang on."""

    def refresh(user_id: str) -> None:
        directory.identify(user_id)
        directory.refresh_groups()

    return refresh


async def _nothing_there(request: Request, _error: Exception) -> Response:
    """An address with a line break in it is under no mount, and has to be answered like its neighbours all the same."""
    if request.url.path.startswith(f"{api.PREFIX}/"):
        return problems.response(request, 404, "not_found", problems.NOTHING_THERE)
    return PlainTextResponse("Not Found", status_code=404)


async def _accident(_request: Request, error: Exception) -> Response:
    """What nobody foresaw, in a sentence; the server logs it."""
    sentence = database_errors.in_words(error)
    if sentence is not None:
        return PlainTextResponse(sentence, status_code=503, headers={"Retry-After": "2"})
    return PlainTextResponse("Something went wrong here. The log of the bot says what.", status_code=500)


def _refused(scope: Scope, status: int, sentence: str) -> Response | None:
    """The server's refusals in the words of the door that was asked."""
    code = {408: "timeout", 413: "too_large", 503: "unavailable"}[status]
    if scope["path"].startswith(f"{api.PREFIX}/"):
        return problems.response(Request(scope), status, code, sentence)
    if scope["path"].startswith("/hooks/"):
        return JSONResponse({"error": code, "message": sentence}, status)
    return None


def _identifying(rt: Runtime, door: SlackApp | None) -> Callable[[str], Actor]:
    """Who somebody is now; without Slack, who they were when it was last heard."""
    return door.ctx.directory.identify if door is not None else partial(people.as_known, rt)


async def _front(_request: Request) -> Response:
    """Whoever opens the bare address wants to see what there is."""
    return RedirectResponse("/runbooks")


async def _livez(_request: Request) -> Response:
    return PlainTextResponse("alive")


def _ready(rt: Runtime, slack: SocketTransport | None) -> Handler:
    latest: list[tuple[float, list[health.Check]]] = []

    async def ready(_request: Request) -> Response:
        if not latest or time.monotonic() - latest[0][0] > READY_FOR_S:
            latest[:] = [(time.monotonic(), await run_in_threadpool(health.checks, rt))]
        found = latest[0][1]
        if slack is not None:
            found = [_connected(check, slack) if check.name == "slack" else check for check in found]
        ok = all(check.ok or not check.vital for check in found)
        body = {"ready": ok, "checks": {check.name: {"ok": check.ok, "detail": check.detail} for check in found}}
        return JSONResponse(body, status_code=200 if ok else 503)

    return ready


def _connected(check: health.Check, slack: SocketTransport) -> health.Check:
    """A Slack that is away keeps nobody from being ready; a first connection that is still being made does."""
    said = "connected" if slack.connected else "not connected" if slack.tried else "connecting"
    ok = check.ok and slack.connected
    return health.Check(check.name, ok, f"{said}; {check.detail}", vital=not slack.tried)


def _slack(receiver: Receiver) -> Handler:
    """Slack's requests have threads of their own: whatever else this process does, they are acknowledged at once."""
    threads = CapacityLimiter(SLACK_THREADS)

    async def events(request: Request) -> Response:
        body = await request.body()
        given = dict(request.headers)
        status, headers, answer = await run_sync(receiver.receive, given, body, limiter=threads)
        return Response(answer, status_code=status, headers=headers)

    return events


def _events(receiver: EventReceiver) -> Handler:
    async def events(request: Request) -> Response:
        body = await request.body()
        status, headers, answer = await run_in_threadpool(receiver.receive, dict(request.headers), body)
        return JSONResponse(answer, status_code=status, headers=headers)

    return events


async def _serve(app: Starlette, listening: socket.socket) -> None:
    host, port = listening.getsockname()[:2]
    log.info("web ready on http://%s:%d", host, port)
    await Server(app, app.state.connections, app.state.before_stop).serve(sockets=[listening])
