"""`/metrics` and `/readyz`: what whoever watches the bot can read."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from api_client import Api
from harness import CAROL, gate, http, runbook
from prometheus_client.parser import text_string_to_metric_families

from engine import health
from engine.queries import measurements
from storage import database


def figures(api: Api) -> dict[str, float]:
    """Every sample by its name and labels, as Prometheus reads them."""
    text = api.client.get("/metrics").text
    return {
        each.name + "".join(f",{key}={value}" for key, value in sorted(each.labels.items())): each.value
        for family in text_string_to_metric_families(text)
        for each in family.samples
    }


def test_runs_and_steps_are_counted_once(api: Api) -> None:
    """What is open now, what has ended and how long it took, since this process began."""
    assert figures(api)["runbook_database_up"] == 1
    api.harness.publish(runbook("gated", gate("ask")), runbook("sad", http("sad", "http://127.0.0.1:9/")))
    waiting, failed = api.harness.start("gated"), api.harness.start("sad")
    api.harness.advance(waiting)
    api.harness.clock.tick(3_000)
    api.harness.run(failed)
    api.harness.clock.tick(measurements.SETTLE_MS + 1)
    found = figures(api)
    assert (found["runbook_runs_open,status=WAITING"], found["runbook_gates_open"]) == (1, 1)
    assert found["runbook_runs_open,status=PENDING"] == 0
    assert found["runbook_run_seconds_count,status=FAILED"] == 1
    assert found["runbook_run_seconds_sum,status=FAILED"] >= 3
    assert found["runbook_step_seconds_count,kind=http"] == 1
    assert found["runbook_events_total,kind=started"] == 2
    assert found["runbook_workers_alive"] == 1
    assert figures(api)["runbook_events_total,kind=started"] == 2


def test_young_events_are_left_for_the_next_look(api: Api) -> None:
    """One with a smaller number may be about to be committed."""
    figures(api)
    api.harness.start("ping")
    assert "runbook_events_total,kind=started" not in figures(api)
    api.harness.clock.tick(measurements.SETTLE_MS + 1)
    assert figures(api)["runbook_events_total,kind=started"] == 1


def test_requests_are_counted_by_their_route(api: Api) -> None:
    """Never by what somebody made up: labels must not grow without bound."""
    run = api.harness.start("ping")
    api.harness.run(run)
    for path in (f"/executions/{run}", "/executions/R-NOSUCH", "/made/up/by/somebody"):
        api.ask("GET", path, CAROL)
    api.ask("GET", f"/executions/{run}/events", CAROL, after=2**40)
    api.client.request("BREW", "/api/v1/coffee")
    api.client.get("/livez")
    text = api.client.get("/metrics").text
    found = figures(api)
    route = "route=/api/v1/executions/{execution}"
    assert found[f"runbook_http_requests_total,method=GET,{route},status=200"] == 1
    assert found[f"runbook_http_requests_total,method=GET,{route},status=404"] == 1
    assert found["runbook_http_requests_total,method=GET,route=/livez,status=200"] == 1
    assert not re.search(r"made|coffee|NOSUCH|BREW|" + run, text)


def test_a_database_that_is_away_is_a_figure(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page still answers."""

    def away(*_: object) -> None:
        raise database.OperationalError("gone")

    monkeypatch.setattr(measurements, "snapshot", away)
    assert figures(api)["runbook_database_up"] == 0


def test_readiness_names_redis_and_goes_on_without(api: Api) -> None:
    """A Redis that is away is told, and is no reason to send the bot no work."""
    rt = api.harness.rt
    without = {check.name: check for check in health.checks(rt)}["redis"]
    assert (without.ok, without.vital) == (True, False)
    away = replace(rt, settings=replace(rt.settings, redis_url="redis://127.0.0.1:9/0"))
    found = {check.name: check for check in health.checks(away)}["redis"]
    assert (found.ok, found.vital) == (False, False)
    assert "sweeper" in found.detail
    named = api.client.get("/readyz").json()["checks"]
    assert {"database", "redis", "queue", "worker", "sync"} <= set(named)
