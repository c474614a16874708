"""The REST API under `/api/v1`, and its description as OpenAPI 3.1."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from starlette.middleware.cors import CORSMiddleware

from bot.api import PREFIX as PREFIX
from bot.api import (
    audit,
    events,
    executions,
    freezes,
    incidents,
    kept_requests,
    plans,
    policy,
    problems,
    reports,
    runbooks,
    secrets,
    steps,
    tokens,
)
from bot.api.caller import ApiContext
from bot.api.reference import page
from bot.serving.headers import HEADERS
from engine.runtime import Runtime

_ABOUT = """\
Everything that Slack offers, for programs: the same services, the same policy, the same words.

Send `Authorization: Bearer rbk_…`. A refusal is problem details (RFC 9457) with a `code` for programs.
"""


def application(
    rt: Runtime,
    refresh: Callable[[str], object] | None = None,
    find_author: Callable[[str], str | None] | None = None,
) -> FastAPI:
    """The API, to be mounted at `PREFIX`.

    `refresh` asks Slack anew who somebody is and who is in groups, `find_author` whose an e-mail address is.
    """
    base = f"{rt.settings.public_url or ''}{PREFIX}"
    app = FastAPI(
        title="Runbook Bot", version="1", description=_ABOUT, openapi_url="/openapi.json", docs_url=None,
        redoc_url=None, redirect_slashes=False, separate_input_output_schemas=False,
        generate_unique_id_function=lambda route: route.name,
        responses=problems.documented(401, 429, 500, 503), servers=[{"url": base}], root_path_in_servers=False,
    )  # fmt: skip
    app.add_api_route("/docs", _reference(app, base), include_in_schema=False)
    app.state.context = ApiContext(rt, base, refresh, find_author)
    problems.install(app)
    routers = (runbooks, plans, executions, steps, events, incidents, freezes, kept_requests, tokens, secrets, audit)
    for each in (*routers, reports, policy):
        app.include_router(each.router)
    if rt.settings.cors_origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=list(rt.settings.cors_origins), allow_methods=["*"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "If-Match", "Last-Event-ID"],
            expose_headers=["ETag", "Location", "Retry-After"], max_age=600,
        )  # fmt: skip
    return app


def _reference(app: FastAPI, base: str) -> Callable[[], HTMLResponse]:
    def reference() -> HTMLResponse:
        return HTMLResponse(page(app.openapi(), base), headers=dict(HEADERS))

    return reference
