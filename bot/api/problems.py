"""Every refusal as RFC 9457 problem details, with the codes that the engine's errors have at every door."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from bot.api.models.plans import Plan
from engine import database_errors, errors
from engine.runs.plan_records import PlanChanged

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
STATUS: Mapping[type[errors.EngineError], int] = {
    errors.NotAuthenticated: 401,
    errors.Frozen: 403,
    errors.ChannelNotAllowed: 403,
    errors.NotAllowed: 403,
    errors.NotFound: 404,
    errors.ChannelUnknown: 503,
    errors.NotApproved: 409,
    errors.Stale: 412,
    errors.Conflict: 409,
    errors.Undecodable: 409,
    errors.ReasonRequired: 422,
    errors.InvalidParameters: 422,
    errors.InvalidDefinition: 422,
}
_TITLES = {
    400: "The request cannot be read",
    401: "Who are you?",
    403: "Not allowed",
    404: "Not found",
    405: "Not possible here",
    408: "Too slow",
    409: "Not as things are now",
    412: "Changed meanwhile",
    413: "Too large",
    415: "Send JSON",
    422: "Something does not fit",
    428: "Say which version you change",
    429: "Too many requests",
    500: "Something went wrong here",
    503: "Not available just now",
}
_CODES = {
    400: "malformed", 401: "not_authenticated", 403: "not_allowed", 404: "not_found", 405: "method_not_allowed",
    408: "timeout", 409: "conflict", 413: "too_large", 415: "unsupported_media_type", 422: "invalid_parameters",
    429: "too_many_requests", 503: "unavailable",
}  # fmt: skip


NOTHING_THERE = "There is nothing at this address. The document at /api/v1/openapi.json lists all there is."


class Problem(BaseModel):
    """What is wrong (RFC 9457). `code` is for programs; `fields` names each value that does not fit, and why."""

    type: str = Field("about:blank", description="What kind of problem it is; the code says it all.")
    title: str
    status: int
    code: str
    detail: str = Field(description="A sentence for people: what is wrong, where, and what to do.")
    instance: str | None = None
    fields: dict[str, str] | None = None
    problems: list[str] | None = Field(None, description="Every place of a runbook's definition that is wrong.")
    ask: list[str] | None = Field(None, description="The people and user groups, by id, who may do it instead.")
    changes: list[str] | None = Field(None, description="How what would run differs from what was planned.")
    plan: dict[str, Any] | None = Field(None, description="What would be done now, as `POST …/plan` answers.")
    error_id: str | None = Field(None, description="What the server's log calls this accident.")


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's entries for these answers."""
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {each: {"description": _TITLES[each], "content": {MEDIA_TYPE: schema}} for each in statuses}


def file_answer(description: str, *media_types: str) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's entry for an answer that is, or may be, a file of one of these types."""
    content = {media: {"schema": {"type": "string"}} for media in media_types}
    return {200: {"description": description, "content": content}}


def leading_to(status: int, parameter: str, pointer: str, *operations: str) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's links: what of an answer with this status goes into `parameter` of these operations."""
    links = {
        each: {"operationId": each, "parameters": {parameter: f"$response.body#/{pointer}"}} for each in operations
    }
    return {status: {"links": links}}


class Refused(HTTPException):
    """A refusal that is about HTTP, not about runbooks."""

    def __init__(self, status: int, code: str, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, detail, headers)
        self.code = code


def response(
    request: Request, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None, **more: Any
) -> JSONResponse:
    """Problem details as an answer."""
    problem = Problem(
        title=_TITLES.get(status, "Refused"), status=status, code=code, detail=detail,
        instance=request.scope.get("root_path", "").rstrip("/") + request.scope["path"].removeprefix(
            request.scope.get("root_path", "")
        ),
        **more,
    )  # fmt: skip
    body = problem.model_dump(exclude_none=True)
    return JSONResponse(body, status, dict(headers or {}), media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Let every refusal and accident of `app` be told as a problem, and its document say what a problem is."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        document = plain()
        document["components"]["schemas"]["Problem"] = Problem.model_json_schema()
        return document

    app.openapi = openapi  # type: ignore[method-assign]
    app.add_exception_handler(errors.EngineError, _refusal)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)


def accident(request: Request, error: Exception) -> JSONResponse:
    """500 with an id that is in the log, or 503 where the database is away."""
    sentence = database_errors.in_words(error)
    if sentence is not None:
        log.warning("%s %s could not be done", request.method, request.url.path, exc_info=error)
        return response(request, 503, "unavailable", sentence, {"Retry-After": "2"})
    error_id = secrets.token_hex(4)
    log.error("%s %s failed (id %s)", request.method, request.url.path, error_id, exc_info=error)
    detail = f"This was not your doing. The log of the bot calls it {error_id}."
    return response(request, 500, "error", detail, error_id=error_id)


async def _refusal(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, errors.EngineError)
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 409)
    more: dict[str, Any] = {}
    if isinstance(error, errors.InvalidParameters):
        more["fields"] = error.fields
    if isinstance(error, errors.NotAllowed) and error.ask:
        more["ask"] = list(error.ask)
    if isinstance(error, errors.InvalidDefinition):
        more["problems"] = [str(each) for each in error.problems]
    if isinstance(error, PlanChanged):
        more |= {"changes": list(error.changes), "plan": Plan.of(error.plan).model_dump(mode="json", by_alias=True)}
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return response(request, status, error.code, str(error), headers, **more)


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = error.code if isinstance(error, Refused) else _CODES.get(error.status_code, "error")
    detail = error.detail if isinstance(error, Refused) else _plain(request, error)
    return response(request, error.status_code, code, detail, error.headers)


def _plain(request: Request, error: HTTPException) -> str:
    sentences = {
        400: "The body cannot be read as JSON in UTF-8.",
        404: NOTHING_THERE,
        405: f"{request.method} is not possible at this address.",
        413: "A body may have at most 1 MiB.",
    }
    return sentences.get(error.status_code, str(error.detail))


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    if any(each["type"] == "json_invalid" for each in found):
        return response(request, 400, "malformed", "The body is no JSON.")
    fields = {_field_of(each["loc"]): _sentence_of(each) for each in found}
    sentence = "; ".join(f"{name}: {why}" for name, why in fields.items())
    return response(request, 422, "invalid_parameters", sentence, fields=fields)


def _sentence_of(error: Mapping[str, Any]) -> str:
    """What is wrong, in JSON's words: pydantic says dictionary for an object."""
    return "Input should be an object" if error["type"] in _NO_OBJECT else str(error["msg"])


_NO_OBJECT = frozenset({"dict_type", "mapping_type", "model_type", "model_attributes_type"})


def _field_of(where: Sequence[int | str]) -> str:
    """A value's place as a dotted name, without the word for what it is a part of."""
    return ".".join(map(str, where[1:])) or str(where[0])
