"""The pages: runs, the catalogue, freezes, secrets and the audit. For holders of a link, its cookie, or a token."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from bot import audit_lines
from bot.api.audit import lines
from bot.api.caller import ApiContext
from bot.api.event_feed import AccessTimer
from bot.page import audit, plans, secrets
from bot.page.catalogue import catalogue
from bot.page.freezes import covering, freezes
from bot.page.graph_picture import path_of
from bot.page.runs import runs
from bot.page.signed_links import COOKIE_S, Pass, Purpose, sign, verify
from bot.page.states import SIGNS
from bot.page.story import story
from bot.page.studio import Doors, Studio
from bot.serving.headers import HEADERS
from bot.serving.streams import EventStream
from engine.access.policy import Action, Actor, authorise, ruled
from engine.errors import EngineError, NotAllowed, NotAuthenticated, NotFound
from engine.queries import audit_export, visibility
from engine.text.visible_characters import visible
from storage.records import ExecutionRecord

COOKIE = "runbook_page"
_HERE = Path(__file__).parent
_PAGES = Environment(
    loader=FileSystemLoader(_HERE / "templates"),
    autoescape=select_autoescape(default=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    finalize=lambda value: visible(value) if type(value) is str else value,
)
_PAGES.filters["line"] = path_of

Identify = Callable[[str], Actor]


class Pages:
    """Answers for the pages. `identify` says who a person is; `context` has the tokens, the threads and the feed."""

    def __init__(self, context: ApiContext, key: bytes, identify: Identify) -> None:
        self._context = context
        self._rt = context.rt
        self._key = key
        self._identify = identify

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/executions", self._runs),
            Route("/executions/{execution_id}", self._execution),
            Route("/executions/{execution_id}/events", self._events),
            Route("/runbooks", self._catalogue),
            Route("/freezes", self._freezes),
            Route("/secrets", self._secrets),
            Route("/secrets/{secret}", self._secret),
            Route("/plans/{draft}", self._plan),
            Route("/audit", self._audit),
            Route("/audit/export", self._audit_file),
            *Studio(
                self._context,
                self._key,
                Doors(self._who, self._page, _refusal, _trouble, COOKIE, self._admitted_to_studio),
            ).routes(),
            Mount("/page", _Files(directory=_HERE / "static")),
        ]

    async def _execution(self, request: Request) -> Response:
        execution_id = request.path_params["execution_id"].upper()
        proof = request.query_params.get("pass")
        if proof is not None:
            return await self._admitted(request, execution_id, proof)
        return await self._answered(request, lambda actor: self._run(actor, execution_id))

    async def _catalogue(self, request: Request) -> Response:
        asked = dict(request.query_params)
        return await self._answered(request, lambda actor: self._runbooks(actor, asked))

    async def _runs(self, request: Request) -> Response:
        asked = dict(request.query_params)
        return await self._answered(
            request, lambda actor: self._page("runs.html", actor, found=runs(self._rt, actor, asked))
        )

    async def _freezes(self, request: Request) -> Response:
        return await self._answered(
            request, lambda actor: self._page("freezes.html", actor, found=freezes(self._rt, actor))
        )

    async def _secrets(self, request: Request) -> Response:
        return await self._answered(
            request, lambda actor: self._page("secrets.html", actor, found=secrets.secrets(self._rt, actor))
        )

    async def _secret(self, request: Request) -> Response:
        name = request.path_params["secret"]
        return await self._answered(
            request, lambda actor: self._page("secret.html", actor, found=secrets.story(self._rt, actor, name))
        )

    async def _plan(self, request: Request) -> Response:
        proof = request.query_params.get("pass")
        if proof is not None:
            return await self._admitted_by_path(request, proof, _ASK_FOR_PLAN)
        draft = request.path_params["draft"]
        return await self._answered(
            request, lambda actor: self._page("plan.html", actor, found=plans.found(self._rt, actor, draft))
        )

    async def _audit(self, request: Request) -> Response:
        asked = dict(request.query_params)
        return await self._answered(
            request, lambda actor: self._page("audit.html", actor, found=audit.found(self._rt, actor, asked))
        )

    async def _audit_file(self, request: Request) -> Response:
        """Every row that fits, as a file; that it was taken is audited, as at every door."""
        asked = dict(request.query_params)
        return await self._answered(request, lambda actor: self._exported(actor, asked))

    async def _events(self, request: Request) -> Response:
        """Says, as server-sent events, that something happened in a run; what it was the page itself tells."""
        execution_id = request.path_params["execution_id"].upper()
        return await self._answered(request, lambda actor: self._stream(request, actor, execution_id))

    async def _admitted(self, request: Request, execution_id: str, proof: str) -> Response:
        """Swap a link's proof for a cookie, so that it is neither in the address bar nor in the history.

        Nobody gets one who may not see the run now.
        """
        admitted = verify(self._key, Purpose.LINK, proof, int(time.time()))
        if admitted is None or admitted.execution_id != execution_id:
            return _trouble(403, "This link has expired, or something of it is missing.", _ASK_AGAIN)
        try:
            await self._context.in_reader_thread(self._seen, await self._identified(admitted.person), execution_id)
        except EngineError as error:
            return _refusal(error)
        return self._with_cookie(request, admitted, f"/executions/{execution_id}")

    async def _admitted_to_studio(self, request: Request, proof: str) -> Response:
        return await self._admitted_by_path(request, proof, _ASK_FOR_STUDIO)

    async def _admitted_by_path(self, request: Request, proof: str, advice: str) -> Response:
        """As `_admitted`, for a link to what is no run."""
        path = request.url.path.strip("/")
        admitted = verify(self._key, Purpose.LINK, proof, int(time.time()))
        if admitted is None or admitted.execution_id != path:
            return _trouble(403, "This link has expired, or something of it is missing.", advice)
        try:
            actor = await self._identified(admitted.person)
            await self._context.in_reader_thread(authorise, self._rt, actor, Action.VIEW, None)
        except EngineError as error:
            return _refusal(error)
        return self._with_cookie(request, admitted, f"/{path}")

    def _with_cookie(self, request: Request, admitted: Pass, address: str) -> Response:
        answer = RedirectResponse(address, status_code=303, headers=dict(HEADERS))
        kept = replace(admitted, until=int(time.time()) + COOKIE_S)
        secure = request.url.scheme == "https" or (self._rt.settings.public_url or "").startswith("https:")
        answer.set_cookie(
            COOKIE, sign(self._key, Purpose.COOKIE, kept), max_age=COOKIE_S, path="/", secure=secure, httponly=True,
            samesite="lax",
        )  # fmt: skip
        return answer

    async def _answered(self, request: Request, answer: Callable[[Actor], Response]) -> Response:
        try:
            actor = await self._who(request)
            return await self._context.in_reader_thread(answer, actor)
        except EngineError as error:
            return _refusal(error)

    async def _who(self, request: Request) -> Actor:
        """Who asks, by their cookie, or as a program by a token. Raises `NotAuthenticated`."""
        if "authorization" in request.headers:
            return replace((await self._context.caller(request)).actor, door="page")
        admitted = verify(self._key, Purpose.COOKIE, request.cookies.get(COOKIE, ""), int(time.time()))
        if admitted is None:
            raise NotAuthenticated("This page wants to know who you are.")
        return await self._identified(admitted.person)

    async def _identified(self, person: str) -> Actor:
        return replace(await self._context.in_reader_thread(self._identify, person), door="page")

    def _run(self, actor: Actor, execution_id: str) -> Response:
        found = self._seen(actor, execution_id)
        return self._page(
            "execution.html", actor, story=story(self._rt, found.id, actor), frozen=covering(self._rt, found)
        )

    def _runbooks(self, actor: Actor, asked: Mapping[str, str]) -> Response:
        authorise(self._rt, actor, Action.VIEW, None)
        return self._page("catalogue.html", actor, found=catalogue(self._rt, actor, asked))

    def _exported(self, actor: Actor, asked: Mapping[str, str]) -> Response:
        authorise(self._rt, actor, Action.AUDIT)
        format_ = audit.format_of(asked)
        rows = audit_export.export(self._rt, actor, audit.wanted(asked))
        headers = {**HEADERS, "content-disposition": f'attachment; filename="audit.{format_}"'}
        media_type = f"{audit_lines.MEDIA_TYPES[format_]}; charset=utf-8"
        return StreamingResponse(lines(self._context, rows, format_), headers=headers, media_type=media_type)

    def _page(self, template: str, actor: Actor, **shown: object) -> Response:
        """A page as this person sees it, with the names of those that they may open."""
        text = _PAGES.get_template(template).render(actor=actor, signs=SIGNS, pages=self._pages(actor), **shown)
        return _page(200, text)

    def _pages(self, actor: Actor) -> list[tuple[str, str, str]]:
        return [each[:3] for each in _MENU if ruled(self._rt, actor, each[3]).allowed]

    def _seen(self, actor: Actor, execution_id: str) -> ExecutionRecord:
        authorise(self._rt, actor, Action.VIEW, None)
        return visibility.execution(self._rt, actor, execution_id)

    def _stream(self, request: Request, actor: Actor, execution_id: str) -> Response:
        found = self._seen(actor, execution_id)
        headers = {**HEADERS, "x-accel-buffering": "no"}
        refusal = _trouble(429, "You follow too many runs at once.", "Close other pages of runs, then load this again.")
        return EventStream(self._ticks(request, found), headers, self._context.streams, actor.user_id, refusal)

    async def _ticks(self, request: Request, found: ExecutionRecord) -> AsyncIterator[str]:
        yield f"id: {found.event_seq}\ndata: {found.status}\n\n"
        watch = AccessTimer()
        async for batch in self._context.feed.follow(found.id, found.event_seq):
            if watch.due(batch) and not await self._may_go_on(request, found.id):
                return
            yield f"id: {batch[-1].seq}\ndata: {batch[-1].kind}\n\n" if batch else ": still here\n\n"
        yield "event: end\ndata: ended\n\n"

    async def _may_go_on(self, request: Request, execution_id: str) -> bool:
        """Whether the cookie or token still counts, and its person may still see the run."""
        try:
            actor = await self._who(request)
            await self._context.in_reader_thread(self._seen, actor, execution_id)
        except EngineError:
            return False
        return True


_MENU = (
    ("runbooks", "/runbooks", "Runbooks", Action.VIEW),
    ("studio", "/studio", "Studio", Action.VIEW),
    ("runs", "/executions", "Runs", Action.VIEW),
    ("freezes", "/freezes", "Freezes", Action.VIEW),
    ("secrets", "/secrets", "Secrets", Action.SECRETS),
    ("audit", "/audit", "Audit", Action.AUDIT),
)
"""The pages by their names, with their addresses, titles, and the right that each takes."""
_STATUS = {NotAuthenticated: 401, NotFound: 404, NotAllowed: 403}
_ASK_AGAIN = "In Slack, press “Open its page” on the card of a run, and follow the link that only you are shown."

_ASK_FOR_PLAN = "In Slack, type `/runbook plan ID`, and follow the link that only you are shown."
_ASK_FOR_STUDIO = "In Slack, type `/runbook studio`, and follow the link that only you are shown."


class _Files(StaticFiles):
    """The style sheet and the script, under the same policy; small, so that no file stays open for a slow client."""

    def file_response(self, *args: object, **more: object) -> Response:
        answer = super().file_response(*args, **more)  # type: ignore[arg-type]
        if isinstance(answer, FileResponse):
            answer = Response(Path(answer.path).read_bytes(), headers=answer.headers, media_type=answer.media_type)
        answer.headers.update({**HEADERS, "cache-control": "no-cache"})
        return answer


def _page(status: int, text: str) -> Response:
    return HTMLResponse(text, status_code=status, headers=dict(HEADERS))


def _refusal(error: EngineError) -> Response:
    status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 409)
    return _trouble(status, str(error), _ASK_AGAIN if status == 401 else "")


def _trouble(status: int, what: str, advice: str) -> Response:
    return _page(status, _PAGES.get_template("trouble.html").render(what=what, advice=advice))
