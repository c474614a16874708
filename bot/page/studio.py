"""The studio: a runbook's text with its problems, picture and form, rehearsed, saved as a draft or handed out."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl

from markupsafe import escape
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from bot.api.caller import ApiContext
from bot.page import desk, form_tokens
from bot.page.desk import Desk
from bot.serving.headers import HEADERS
from engine.access.policy import Action, Actor, authorise
from engine.catalog import authoring, walking
from engine.definition import rehearsal_completion
from engine.definition.completion import complete, meaning
from engine.errors import Conflict, EngineError, InvalidDefinition, InvalidParameters, NotAllowed, Stale
from engine.queries import visibility
from engine.runtime import Runtime
from storage.catalog_records import RunbookRecord
from storage.records import Json

_MOST_FIELDS = 20
_TOO_OFTEN = "You ask too often."
_WAIT = "Wait a moment, then load the page again. What you have typed is kept in your browser."


@dataclass(frozen=True, slots=True)
class Doors:
    """What every page has: who asks, what is shown of them, and the answers to what cannot be."""

    who: Callable[[Request], Awaitable[Actor]]
    page: Callable[..., Response]
    refusal: Callable[[EngineError], Response]
    trouble: Callable[[int, str, str], Response]
    cookie: str
    admitted: Callable[[Request, str], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Told:
    """What came of the last thing that was asked for: a sentence, `diff` what somebody saved meanwhile, `walk` a
    rehearsal that was played.
    """

    sentence: str = ""
    good: bool = False
    diff: str = ""
    walk: Mapping[str, Json] | None = None


class Studio:
    """Answers for `/studio`. Whoever may see a runbook may open and check it; to save it takes the right to edit it."""

    def __init__(self, context: ApiContext, key: bytes, doors: Doors) -> None:
        self._context = context
        self._rt: Runtime = context.rt
        self._key = key
        self._doors = doors
        self._acts: Mapping[str, Callable[[Request, Actor, Mapping[str, str], RunbookRecord | None], Response]] = {
            "check": self._checked,
            "complete": self._completed,
            "explain": self._explained,
            "save": self._saved,
            "download": self._handed_out,
            "rehearse": self._rehearsed,
        }

    def routes(self) -> list[BaseRoute]:
        return [
            Route(address, answer, methods=[method])
            for address in ("/studio", "/studio/{runbook}")
            for answer, method in ((self._opened, "GET"), (self._sent, "POST"))
        ]

    async def _opened(self, request: Request) -> Response:
        proof = request.query_params.get("pass")
        if proof is not None:
            return await self._doors.admitted(request, proof)
        return await self._answered(request, lambda actor: self._open(request, actor))

    async def _sent(self, request: Request) -> Response:
        body = await request.body()
        return await self._answered(request, lambda actor: self._act(request, actor, body), writes=True)

    async def _answered(self, request: Request, act: Callable[[Actor], Response], *, writes: bool = False) -> Response:
        try:
            actor = await self._doors.who(request)
            wait = self._context.rates.take(f"studio {actor.user_id}")
            if wait:
                refused = self._doors.trouble(429, _TOO_OFTEN, _WAIT)
                refused.headers["retry-after"] = str(wait)
                return refused
            thread = self._context.in_writer_thread if writes else self._context.in_reader_thread
            return await thread(act, actor)
        except EngineError as error:
            return self._doors.refusal(error)

    def _open(self, request: Request, actor: Actor) -> Response:
        shown = self._shown(request, actor)
        text = desk.source(self._rt, shown) if shown else desk.STARTER
        laid = desk.laid_out(self._rt, actor, shown, desk.now(shown), text, walking.kept(self._rt, shown))
        saved = request.query_params.get("saved") == desk.now(shown).partition("-")[0] != ""
        sentence = f"Saved as version {shown.current_number}, a draft: it runs once others approve it." if shown else ""
        return self._page(request, actor, laid, Told(sentence, good=True) if saved else Told())

    def _act(self, request: Request, actor: Actor, body: bytes) -> Response:
        fields = _fields(body)
        cookie, public_url = request.cookies.get(self._doors.cookie, ""), self._rt.settings.public_url
        form_tokens.must_be_ours(request, self._key, cookie, fields.get(form_tokens.FIELD, ""), public_url)
        act = self._acts.get(fields.get("do", ""))
        if act is None:
            raise InvalidParameters({"do": f"say one of {', '.join(self._acts)}"})
        return act(request, actor, fields, self._shown(request, actor))

    def _shown(self, request: Request, actor: Actor) -> RunbookRecord | None:
        authorise(self._rt, actor, Action.VIEW, None)
        slug = request.path_params.get("runbook")
        return visibility.runbook(self._rt, actor, slug) if slug else None

    def _laid(self, actor: Actor, fields: Mapping[str, str], shown: RunbookRecord | None) -> Desk:
        text, rehearsal = fields.get("text", ""), fields.get("rehearsal", "")
        return desk.laid_out(self._rt, actor, shown, fields.get("was", ""), text, rehearsal)

    def _checked(
        self, request: Request, actor: Actor, fields: Mapping[str, str], shown: RunbookRecord | None
    ) -> Response:
        return self._page(request, actor, self._laid(actor, fields, shown), Told())

    def _completed(
        self, _request: Request, actor: Actor, fields: Mapping[str, str], _shown: RunbookRecord | None
    ) -> Response:
        row, before = _number(fields, "row"), fields.get("before", "")
        if _is_rehearsal(fields):
            found = rehearsal_completion.complete(fields.get("rehearsal", ""), row, before, fields.get("text", ""))
        else:
            found = complete(fields.get("text", ""), row, before, desk.names(self._rt, actor))
        said = [{"label": each.label, "puts": each.puts, "sort": each.sort, "meaning": each.meaning}
                for each in found.suggestions]  # fmt: skip
        return JSONResponse({"replaces": found.replaces, "suggestions": said}, headers=dict(HEADERS))

    def _explained(
        self, _request: Request, _actor: Actor, fields: Mapping[str, str], _shown: RunbookRecord | None
    ) -> Response:
        row, column = _number(fields, "row"), _number(fields, "column")
        if _is_rehearsal(fields):
            said = rehearsal_completion.meaning(fields.get("rehearsal", ""), row, column)
        else:
            said = meaning(fields.get("text", ""), row, column)
        return JSONResponse({"meaning": said}, headers=dict(HEADERS))

    def _saved(
        self, request: Request, actor: Actor, fields: Mapping[str, str], shown: RunbookRecord | None
    ) -> Response:
        """Leads to the page of the draft; whatever keeps it from being saved is told above the text, which stays."""
        text, note = fields.get("text", ""), fields.get("note", "")
        rehearsal = walking.written(fields.get("rehearsal", ""))
        try:
            if shown is None:
                made = authoring.create(self._rt, actor, text, note, rehearsal)
            else:
                was = fields.get("was") or "nothing"
                made = authoring.update(self._rt, actor, shown.slug, text, note, was, rehearsal)
        except EngineError as error:
            return self._not_saved(request, actor, self._laid(actor, fields, shown), error)
        address = f"/studio/{made.slug}?saved={made.number}"
        return RedirectResponse(address, status_code=303, headers=dict(HEADERS))

    def _not_saved(self, request: Request, actor: Actor, laid: Desk, error: EngineError) -> Response:
        told, status = Told(f"Not saved. {error}"), 409
        if isinstance(error, InvalidDefinition):
            told, status = Told("Not saved: the text has mistakes. See to the problems first."), 422
        elif isinstance(error, NotAllowed):
            status = 403
        elif isinstance(error, Stale):
            current = visibility.runbook(self._rt, actor, laid.slug)
            diff = desk.difference(desk.source(self._rt, current), laid.text, current.current_number)
            laid = replace(laid, was=desk.now(current))
            advice = "Take over what you need of it; to save again puts your text on top."
            told = Told(f"Not saved. {error} {advice}", diff=diff)
        answer = self._page(request, actor, laid, told)
        answer.status_code = status
        return answer

    def _handed_out(
        self, _request: Request, actor: Actor, fields: Mapping[str, str], shown: RunbookRecord | None
    ) -> Response:
        laid = self._laid(actor, fields, shown)
        headers = {**HEADERS, "content-disposition": f'attachment; filename="{laid.filename}"'}
        data = laid.text.encode("utf-8", "replace")
        return Response(data, headers=headers, media_type="application/yaml; charset=utf-8")

    def _rehearsed(
        self, request: Request, actor: Actor, fields: Mapping[str, str], shown: RunbookRecord | None
    ) -> Response:
        laid = self._laid(actor, fields, shown)
        if laid.runbook is None:
            return self._page(request, actor, laid, Told("Not rehearsed: the text has mistakes. See to them first."))
        if laid.rehearsal_problems:
            return self._page(request, actor, laid, Told("Not rehearsed: the cases have mistakes. See to them first."))
        try:
            walk = walking.walked(self._rt, actor, laid.runbook, laid.rehearsal)
        except Conflict as error:
            return self._page(request, actor, laid, Told(str(error)))
        return self._page(request, actor, laid, Told(walk=walk))

    def _page(self, request: Request, actor: Actor, laid: Desk, told: Told) -> Response:
        token = form_tokens.token(self._key, request.cookies.get(self._doors.cookie, ""))
        return self._doors.page("studio.html", actor, desk=laid, told=told, token=token, raw=escape, as_json=_as_json)


def _fields(body: bytes) -> dict[str, str]:
    """The fields of a form. Raises `InvalidParameters`."""
    try:
        given = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        raise InvalidParameters({"form": "send the fields of a form, URL-encoded, in UTF-8"}) from error
    return {name: value.replace("\r\n", "\n") for name, value in given}


def _number(fields: Mapping[str, str], name: str) -> int:
    said = fields.get(name, "")
    if not (said.isascii() and said.isdigit() and len(said) < 8):
        raise InvalidParameters({name: "must be a whole number from 0"})
    return int(said)


def _is_rehearsal(fields: Mapping[str, str]) -> bool:
    """Whether it is the rehearsal that is asked about, and not the runbook's text."""
    said = fields.get("field", "text")
    if said not in ("text", "rehearsal"):
        raise InvalidParameters({"field": "say text or rehearsal"})
    return said == "rehearsal"


def _as_json(value: Json) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
