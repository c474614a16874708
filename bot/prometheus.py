"""`/metrics`: figures for Prometheus. No label takes a value that somebody outside could make up."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine import health
from engine.queries import measurements, open_matters
from engine.runtime import Runtime

_SECONDS = (0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600, 14400, 86400)
_HTTP_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


class Metrics:
    """The figures of one web process."""

    def __init__(self, rt: Runtime) -> None:
        self._rt = rt
        self._tail = measurements.EventTail()
        self._registry = registry = CollectorRegistry()
        self._open = Gauge("runbook_runs_open", "Runs that have not ended.", ["status"], registry=registry)
        self._overrunning = Gauge(
            "runbook_runs_longer_than_expected", "Open runs that take longer than expected.", registry=registry
        )
        self._gates = Gauge("runbook_gates_open", "Gates that wait for a decision.", registry=registry)
        self._workers = Gauge("runbook_workers_alive", "Workers that hold a lease.", registry=registry)
        self._sweeps = Gauge("runbook_sweeps", "Rounds of all sweepers, as of their last heartbeat.", registry=registry)
        self._held = Gauge("runbook_held_requests", "Requests that wait to be released.", registry=registry)
        self._reviews = Gauge("runbook_break_glass_reviews_open", "Reviews of break-glass to close.", registry=registry)
        self._overdue = Gauge(
            "runbook_break_glass_reviews_overdue", "Those open for more than 7 days.", registry=registry
        )
        self._unreadable = Gauge(
            "runbook_secrets_unreadable", "Stored secrets, and runs with received ones, whose key is not there.",
            registry=registry,
        )  # fmt: skip
        self._queue = Gauge(
            "runbook_oldest_ready_step_seconds", "How long the oldest due step has waited.", registry=registry
        )
        self._slack = Gauge("runbook_slack_lag_seconds", "Age of the oldest event not shown yet.", registry=registry)
        self._database = Gauge("runbook_database_up", "Whether the database answers.", registry=registry)
        self._events = Counter("runbook_events", "What has happened in runs.", ["kind"], registry=registry)
        self._runs = Histogram(
            "runbook_run_seconds", "From asking to the end.", ["status"], registry=registry, buckets=_SECONDS
        )
        self._steps = Histogram(
            "runbook_step_seconds", "From a step's first try to its end.", ["kind"], registry=registry, buckets=_SECONDS
        )
        labels = ["method", "route", "status"]
        self._requests = Counter("runbook_http_requests", "Requests answered.", labels, registry=registry)
        self._times = Histogram(
            "runbook_http_request_seconds", "Time to an answer's first byte.", ["method", "route"],
            registry=registry, buckets=_HTTP_SECONDS,
        )  # fmt: skip

    async def answer(self, _request: Request) -> Response:
        text = await run_in_threadpool(self.text)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    def text(self) -> bytes:
        """All figures as Prometheus reads them; with the database away only what is known without it."""
        try:
            self._update()
            self._database.set(1)
        except Exception as error:
            if not health.is_away(error):
                raise
            self._database.set(0)
        return generate_latest(self._registry)

    def _update(self) -> None:
        found = measurements.snapshot(self._rt)
        for status, count in found.open_runs.items():
            self._open.labels(status).set(count)
        self._overrunning.set(found.overrunning)
        self._gates.set(found.open_gates)
        self._workers.set(found.workers)
        self._sweeps.set(found.sweeps)
        self._queue.set(found.oldest_ready_ms / 1000)
        self._slack.set((found.slack_lag_ms or 0) / 1000)
        matters = open_matters.of(self._rt)
        self._held.set(len(matters.held))
        self._reviews.set(len(matters.reviews))
        self._overdue.set(len(matters.overdue))
        self._unreadable.set(len(matters.unreadable))
        happened = self._tail.read()
        for kind, count in happened.events.items():
            self._events.labels(kind).inc(count)
        for histogram, ended in ((self._runs, happened.runs), (self._steps, happened.steps)):
            for each in ended:
                histogram.labels(each.how).observe(each.took_ms / 1000)

    def count_answer(self, scope: Scope, status: int, seconds: float) -> None:
        """Count one answer."""
        method = scope["method"] if scope["method"] in _METHODS else "other"
        route = _route(scope)
        self._requests.labels(method, route, str(status)).inc()
        self._times.labels(method, route).observe(seconds)


class CountingMiddleware:
    """An application whose answers are counted."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.monotonic()

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._metrics.count_answer(scope, message["status"], time.monotonic() - began)
            await send(message)

        await self._app(scope, receive, counted)


def _route(scope: Scope) -> str:
    """The pattern of the address that answered, never the address."""
    pattern = getattr(scope.get("route"), "path", None)
    if pattern is None:
        return "other"
    return f"{scope.get('root_path', '')}{pattern}" if not pattern.startswith(scope.get("root_path", "")) else pattern
