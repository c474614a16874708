"""The pages: a run, and the catalogue beside it. For whoever holds a signed link, its cookie, or an access token."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from bot.page.catalogue import catalogue
from bot.page.links import COOKIE_S, Pass, Purpose, sign, verify
from bot.page.picture import path_of
from bot.page.story import story
from engine import executions
from engine.access import Action, Actor, authorise
from engine.errors import EngineError, NotAllowed, NotFound
from engine.runtime import Runtime
from storage.records import ExecutionRecord

LOOK_EVERY_S, HEARTBEAT_S = 0.5, 15.0
COOKIE = "runbook_page"
HEADERS: Mapping[str, str] = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
_HERE = Path(__file__).parent
_PAGES = Environment(
    loader=FileSystemLoader(_HERE / "templates"),
    autoescape=select_autoescape(default=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_PAGES.filters["line"] = path_of

Identify = Callable[[str], Actor]


class Pages:
    """Answers for the pages. `identify` says who a person is now; everything else runs in threads."""

    def __init__(self, rt: Runtime, key: bytes, identify: Identify) -> None:
        self._rt = rt
        self._key = key
        self._identify = identify

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/executions/{execution_id}", self._execution),
            Route("/executions/{execution_id}/events", self._events),
            Route("/runbooks", self._catalogue),
            Mount("/page", _Files(directory=_HERE / "static")),
        ]

    async def _execution(self, request: Request) -> Response:
        execution_id = request.path_params["execution_id"].upper()
        proof = request.query_params.get("pass")
        if proof is not None:
            return self._admitted(request, execution_id, proof)
        return await self._shown(request, lambda actor: self._run(actor, execution_id))

    async def _events(self, request: Request) -> Response:
        """Says, as server-sent events, that something happened in a run; what it was the page itself tells."""
        admitted = self._cookie(request)
        if admitted is None:
            return _trouble(401, "This page wants to know who you are.", _ASK_AGAIN)
        execution_id = request.path_params["execution_id"].upper()
        answer = StreamingResponse(self._ticks(admitted, execution_id), media_type="text/event-stream")
        answer.headers.update({**HEADERS, "x-accel-buffering": "no"})
        return answer

    async def _ticks(self, admitted: Pass, execution_id: str) -> AsyncIterator[str]:
        seen, quiet = -1, 0.0
        while time.time() < admitted.until:
            try:
                run = await run_in_threadpool(self._seen_by, admitted, execution_id)
            except EngineError:
                return
            if run.event_seq != seen:
                seen, quiet = run.event_seq, 0.0
                yield f"id: {seen}\ndata: {run.status}\n\n"
            elif quiet >= HEARTBEAT_S:
                quiet = 0.0
                yield ": still here\n\n"
            if run.status.ended:
                yield "event: end\ndata: ended\n\n"
                return
            await asyncio.sleep(LOOK_EVERY_S)
            quiet += LOOK_EVERY_S

    def _seen_by(self, admitted: Pass, execution_id: str) -> ExecutionRecord:
        run = executions.find(self._rt, execution_id)
        authorise(self._rt, self._identify(admitted.person), Action.VIEW, run)
        return run

    def _cookie(self, request: Request) -> Pass | None:
        return verify(self._key, Purpose.COOKIE, request.cookies.get(COOKIE, ""), int(time.time()))

    async def _catalogue(self, request: Request) -> Response:
        return await self._shown(request, self._runbooks)

    def _admitted(self, request: Request, execution_id: str, proof: str) -> Response:
        """Swap a link's proof for a cookie, so that it is neither in the address bar nor in the history."""
        admitted = verify(self._key, Purpose.LINK, proof, int(time.time()))
        if admitted is None or admitted.execution_id != execution_id:
            return _trouble(403, "This link has expired, or something of it is missing.", _ASK_AGAIN)
        answer = RedirectResponse(f"/executions/{execution_id}", status_code=303, headers=dict(HEADERS))
        kept = replace(admitted, until=int(time.time()) + COOKIE_S)
        secure = request.url.scheme == "https" or (self._rt.settings.public_url or "").startswith("https:")
        answer.set_cookie(
            COOKIE, sign(self._key, Purpose.COOKIE, kept), max_age=COOKIE_S, path="/", secure=secure, httponly=True,
            samesite="lax",
        )  # fmt: skip
        return answer

    async def _shown(self, request: Request, show: Callable[[Actor], str]) -> Response:
        admitted = self._cookie(request)
        if admitted is None:
            return _trouble(401, "This page wants to know who you are.", _ASK_AGAIN)
        try:
            return _page(200, await run_in_threadpool(self._for, admitted, show))
        except NotFound as error:
            return _trouble(404, str(error), "")
        except NotAllowed as error:
            return _trouble(403, str(error), "")
        except EngineError as error:
            return _trouble(409, str(error), "")

    def _for(self, admitted: Pass, show: Callable[[Actor], str]) -> str:
        return show(replace(self._identify(admitted.person), door="page"))

    def _run(self, actor: Actor, execution_id: str) -> str:
        authorise(self._rt, actor, Action.VIEW, executions.find(self._rt, execution_id))
        return _PAGES.get_template("execution.html").render(story=story(self._rt, execution_id), actor=actor)

    def _runbooks(self, actor: Actor) -> str:
        authorise(self._rt, actor, Action.VIEW, None)
        return _PAGES.get_template("catalogue.html").render(runbooks=catalogue(self._rt, actor), actor=actor)


_ASK_AGAIN = "In Slack, press “Open its page” on the card of a run, and follow the link that only you are shown."


class _Files(StaticFiles):
    """The style sheet and the script, under the same policy."""

    def file_response(self, *args: object, **more: object) -> Response:
        answer = super().file_response(*args, **more)  # type: ignore[arg-type]
        answer.headers.update({**HEADERS, "cache-control": "no-cache"})
        return answer


def _page(status: int, text: str) -> Response:
    return HTMLResponse(text, status_code=status, headers=dict(HEADERS))


def _trouble(status: int, what: str, advice: str) -> Response:
    return _page(status, _PAGES.get_template("trouble.html").render(what=what, advice=advice))
