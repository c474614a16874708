"""The audit and reports over REST: as files, by filters, and to nobody else."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime

import pytest
from api_client import Api, refused
from harness import ALICE, BOB, CAROL, HOUR
from test_api_roles import ACCESS


def prepared(api: Api) -> str:
    api.harness.write(_access_yaml=ACCESS)
    api.harness.sync()
    started = api.post("/executions", ALICE, {"runbook": "ping", "reason": "=cmd|' /C calc'!A0"})
    return str(started.json()["execution"]["id"])


def test_the_audit_is_exported_as_lines(api: Api) -> None:
    """In both formats, narrowed as the search is; a format or filter that is not known is refused."""
    run = prepared(api)
    answer = api.ask("GET", "/audit/export", ALICE)
    assert answer.headers["content-type"].startswith("application/jsonl")
    rows = [json.loads(line) for line in answer.text.splitlines()]
    assert "execution.start" in {row["action"] for row in rows}
    assert all(row["mac"] for row in rows)
    (line,) = api.ask("GET", "/audit/export", ALICE, format="cef", thing=f"execution:{run}").text.splitlines()
    assert line.startswith("CEF:0|Runbook Bot|Runbook Bot|")
    assert f"cs1=execution:{run}" in line
    refused(api.ask("GET", "/audit/export", ALICE, format="xml"), 422, "invalid_parameters")
    refused(api.ask("GET", "/audit/export", ALICE, actr="x"), 422, "invalid_parameters")
    refused(api.ask("GET", "/audit/export", BOB), 403, "not_allowed")


def test_the_report_is_data_a_table_or_a_page(api: Api) -> None:
    """The same facts; nothing in it is a formula or alive."""
    run = prepared(api)
    period = {"from": _iso(api.harness.clock.time - HOUR), "until": _iso(api.harness.clock.time + HOUR)}
    found = api.get("/reports/compliance", ALICE, **period)
    assert [row["run"] for row in found["rows"] if row["section"] == "runs"] == [run]
    answer = api.ask("GET", "/reports/compliance", ALICE, format="csv", **period)
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["detail"] for row in rows if row["section"] == "runs"] == ["'=cmd|' /C calc'!A0"]
    assert 'filename="compliance-' in answer.headers["content-disposition"]
    page = api.ask("GET", "/reports/compliance", ALICE, format="html", **period)
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["content-disposition"].startswith("attachment")
    assert "&#x27;!A0" in page.text
    assert "<script" not in page.text
    refused(api.ask("GET", "/reports/compliance", ALICE, until="2001-01-01", **{"from": "2002-01-01"}), 422,
            "invalid_parameters")  # fmt: skip
    refused(api.ask("GET", "/reports/compliance", CAROL, team="payments"), 403, "not_allowed")


@pytest.mark.parametrize("at", ["9999-12-31T23:59-14:00", "0001-01-01T00:00+14:00"])
@pytest.mark.parametrize("path", ["/reports/compliance", "/audit", "/audit/export", "/executions"])
def test_a_time_that_has_no_date_in_utc_is_refused(api: Api, path: str, at: str) -> None:
    name = "from" if path == "/reports/compliance" else "since"
    problem = refused(api.ask("GET", path, ALICE, **{name: at}), 422, "invalid_parameters")
    assert "from 1970 to 9999" in str(problem["fields"])


def _iso(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).isoformat()


def test_it_can_be_asked_who_may_report(api: Api) -> None:
    """On a team, which is no runbook, and on everything."""
    prepared(api)
    asked = [(BOB, "payments"), (BOB, "search"), (BOB, ""), (ALICE, "")]
    found = [api.get("/can", who, verb="report", target=team)["allowed"] for who, team in asked]
    assert found == [True, False, False, True]
