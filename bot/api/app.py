"""The REST API under `/api/v1`, and its description as OpenAPI 3.1."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from bot.api import executions, problems, runbooks
from bot.api.caller import House
from engine.runtime import Runtime

PREFIX = "/api/v1"
_ABOUT = """\
Everything that Slack offers, for programs: the same services, the same policy, the same words.

Send `Authorization: Bearer rbk_…`. A refusal is problem details (RFC 9457) with a `code` for programs.
"""


def application(rt: Runtime, refresh: Callable[[str], object] | None = None) -> FastAPI:
    """The API, to be mounted at `PREFIX`. `refresh` asks Slack anew who somebody is."""
    app = FastAPI(
        title="Runbook Bot", version="1", description=_ABOUT, openapi_url="/openapi.json", docs_url=None,
        redoc_url=None, redirect_slashes=False, separate_input_output_schemas=False,
        generate_unique_id_function=lambda route: route.name,
        responses=problems.documented(401, 429, 500, 503), servers=[{"url": _base(rt)}],
    )  # fmt: skip
    app.state.house = House(rt, _base(rt), refresh)
    problems.install(app)
    for each in (runbooks, executions):
        app.include_router(each.router)
    if rt.settings.cors_origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=list(rt.settings.cors_origins), allow_methods=["*"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "If-Match", "Last-Event-ID"],
            expose_headers=["ETag", "Location", "Retry-After"], max_age=600,
        )  # fmt: skip
    return app


def _base(rt: Runtime) -> str:
    return f"{rt.settings.public_url or ''}{PREFIX}"
