"""The one way to the engine from the command line: the REST API, on a server or served to itself.

On the bot's host no web process is needed: the API is served over a private socket from this process, on the database
that the settings name. So each verb is written once, and both ways ask the same policy as the same person.
"""

from __future__ import annotations

import logging
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from httpx_sse import EventSource

from bot.api import PREFIX
from bot.cli.options import Usage
from engine.config.settings import Settings
from storage.records import Json

TIMEOUT = httpx.Timeout(30.0, connect=10.0)
"""As long as the server waits for a reader (`bot/serving/server_limits.py`); who is there lets one in within 10 s."""
TRIES = 4
"""With a pause of 0.4, 0.8 and 1.6 s between them a server that is started anew is back."""
_SILENT_S = 60.0
"""A stream says at least every 15 s that it is alive: after four such spans in silence it is not."""
_WAIT_AT_MOST_S = 20.0
"""Whoever is told to come back later than this is better told so: they look at a terminal."""
_START_S = 15.0
"""The API is up in well under a second; more is for a machine that is busy."""
_GROUPS_OLD_MS = 10 * 60_000
"""Twice the span in which a bot that runs asks Slack for its groups: none does, so they are asked for here."""


class Refused(Exception):
    """The API said no. `code` is for programs, `fields` names each value that does not fit."""

    def __init__(self, status: int, problem: Mapping[str, Json]) -> None:
        self.status = status
        self.code = str(problem.get("code", "error"))
        self.fields: dict[str, str] = problem.get("fields") or {}
        self.problem = dict(problem)
        super().__init__(str(problem.get("detail") or f"the server answered {status}"))


class Unreachable(Exception):
    """No answer came, or none of this API; the message says from where and why."""


@dataclass(frozen=True, slots=True)
class Happened:
    """One event of a run: its number, its kind, and the rest."""

    seq: int
    data: dict[str, Json]


class Events:
    """What happens in a run, as it happens, until the stream ends. `close` ends it from any thread."""

    def __init__(self, answer: httpx.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[Happened]:
        if self._answer.status_code == httpx.codes.NO_CONTENT:
            return
        for told in EventSource(self._answer).iter_sse():
            if told.data and told.event != "end":  # what says that the stream is alive has no data, and the last id
                yield Happened(int(told.id), told.json())

    def close(self) -> None:
        """Whoever reads is at the end, or is told that the connection is lost."""
        stream = self._answer.extensions["network_stream"]
        with suppress(OSError):  # it is closed already
            stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)


class Api:
    """Asks and answers in JSON. A request that got no answer is made again, under the same idempotency key."""

    def __init__(self, http: httpx.Client, where: str) -> None:
        self._http = http
        self.where = where

    def get(self, path: str, **query: Json) -> Json:
        return self._ask("GET", path, params={name: value for name, value in query.items() if value is not None})

    def post(self, path: str, body: Json = None) -> Json:
        return self._ask("POST", path, json=body or {}, headers={"Idempotency-Key": str(uuid.uuid4())})

    def look(self, path: str, body: Json) -> Json:
        """A question whose body is too long for an address; it changes nothing, and so has no key."""
        return self._ask("POST", path, json=body)

    def look_once(self, path: str, body: Json) -> Json:
        """A question that has others called: where its answer gets lost, it is not asked again by itself."""
        return self._ask("POST", path, 1, json=body)

    def patch(self, path: str, body: Json) -> Json:
        return self._ask("PATCH", path, json=body)

    def put(self, path: str, body: Json) -> Json:
        return self._ask("PUT", path, json=body)

    def delete(self, path: str) -> Json:
        return self._ask("DELETE", path)

    def all_of(self, path: str, most: int = 1000, **query: Json) -> list[Json]:
        """The items of a list, page after page."""
        found: list[Json] = []
        cursor = None
        while len(found) < most:
            page = self.get(path, cursor=cursor, **query)
            found += page["items"]
            cursor = page.get("next")
            if not cursor:
                break
        return found[:most]

    def lines(self, path: str, **query: Json) -> Iterator[str]:
        """The lines of a text, as they come. Raises `Refused`, and `Unreachable` when it breaks off."""
        asked = {name: value for name, value in query.items() if value is not None}
        try:
            with self._http.stream("GET", path, params=asked) as answer:
                if answer.status_code >= 400:
                    answer.read()
                    raise _refusal(answer)
                yield from answer.iter_lines()
        except httpx.TransportError as error:
            raise self._away(error) from error

    @contextmanager
    def events(self, run: str, after: int) -> Iterator[Events]:
        """The events of a run behind number `after`. Raises `Refused`, and `Unreachable` when it breaks off."""
        headers = {"Last-Event-ID": str(after), "Accept": "text/event-stream"}
        timeout = httpx.Timeout(_SILENT_S, connect=TIMEOUT.connect)
        try:
            with self._http.stream("GET", f"executions/{run}/events", headers=headers, timeout=timeout) as answer:
                if answer.status_code >= 400:
                    answer.read()
                    raise _refusal(answer)
                yield Events(answer)
        except httpx.TransportError as error:
            raise self._away(error) from error

    def _ask(self, method: str, path: str, tries: int = TRIES, **more: Json) -> Json:
        for tried in range(1, tries + 1):
            try:
                answer = self._http.request(method, path, **more)
            except httpx.TransportError as error:
                if tried == tries or isinstance(error, httpx.UnsupportedProtocol):
                    raise self._away(error) from error
                time.sleep(0.2 * 2**tried)
                continue
            if answer.status_code in (429, 503) and tried < tries and "retry-after" in answer.headers:
                time.sleep(min(float(answer.headers["retry-after"]), _WAIT_AT_MOST_S))
                continue
            if answer.status_code >= 400:
                raise _refusal(answer)
            return _json(answer) if answer.content else None
        raise AssertionError("every try returns or raises")

    def _away(self, error: Exception) -> Unreachable:
        return Unreachable(f"{self.where} does not answer: {str(error) or type(error).__name__}")


def _json(answer: httpx.Response) -> Json:
    try:
        return answer.json()
    except ValueError as error:
        what = answer.headers.get("content-type", "something else")
        raise Unreachable(f"{answer.url} answered {what}, not JSON: is this the bot's address?") from error


def _refusal(answer: httpx.Response) -> Exception:
    if "json" not in answer.headers.get("content-type", ""):
        return Unreachable(f"{answer.url} answered {answer.status_code}, and not as this API does: is it the bot's?")
    return Refused(answer.status_code, answer.json())


@contextmanager
def to_server(url: str, token: str) -> Iterator[Api]:
    """A server's API. `url` is the bot's address, with or without the API's path."""
    base = url.rstrip("/").removesuffix(PREFIX)
    if not base.startswith(("http://", "https://")):
        raise Usage(f"--url takes an address such as https://runbook.example.com, not {url!r}.")
    own = urlsplit(base).hostname in ("127.0.0.1", "localhost", "::1")
    with httpx.Client(base_url=f"{base}{PREFIX}/", headers=_headers(token), timeout=TIMEOUT, trust_env=not own) as http:
        yield Api(http, base)


@contextmanager
def on_this_host(settings: Settings, token: str) -> Iterator[Api]:
    """The database that the settings name. Raises `BadSettings` where that cannot be used."""
    with tempfile.TemporaryDirectory(prefix="runbook-") as folder:
        path = Path(folder) / "api"
        with (
            _served(settings, path),
            httpx.Client(
                transport=httpx.HTTPTransport(uds=str(path)), base_url=f"http://localhost{PREFIX}/",
                headers=_headers(token), timeout=TIMEOUT,
            ) as http,
        ):  # fmt: skip
            yield Api(http, "the bot's API")


def _headers(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", "User-Agent": "runbook-cli"}


@contextmanager
def _served(settings: Settings, path: Path) -> Iterator[None]:
    """The API on a socket that only this person can reach, in a thread, for as long as the block."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.routing import Mount

    from bot.api import app as api
    from bot.slack.client import web_client
    from bot.slack.conversations import connected
    from bot.slack.directory import Directory
    from engine import boot
    from engine.access import people

    hints = boot.open_hints(settings)
    rt = connected(boot.open_engine(settings, hints))
    directory = None
    if settings.slack_mode != "none":
        directory = Directory(rt, web_client(settings))
        age = people.groups_age_ms(rt)
        if age is None or age > _GROUPS_OLD_MS:
            directory.refresh_groups()
    rest = api.application(rt, *((directory.identify, directory.user_by_email) if directory else ()))
    rest.state.context.door = "cli"
    served = Starlette(routes=[Mount(PREFIX, rest)])
    config = uvicorn.Config(
        served, log_config=None, access_log=False, lifespan="off", ws="none", timeout_graceful_shutdown=1
    )
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # it tells of streams that end with the process
    server = uvicorn.Server(config)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    path.chmod(0o600)
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    until = time.monotonic() + _START_S
    while not server.started:
        if not thread.is_alive() or time.monotonic() > until:
            raise Unreachable("The bot's API did not start on this host.")
        time.sleep(0.005)
    try:
        yield
    finally:
        server.should_exit = server.force_exit = True  # nothing is under way but streams that nobody reads any more
        thread.join(timeout=5)
        hints.close()
