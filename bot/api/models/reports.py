"""The compliance report, as data."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from bot.api.models.base import Json, Named, moment
from engine.queries.compliance import Report, Row


class ReportRow(BaseModel):
    """One fact of a report. What does not apply to it is null or empty."""

    section: str
    at: datetime | None
    team: str | None
    runbook: str
    version: int | None
    run: str
    who: str
    what: str
    detail: Json

    @staticmethod
    def of(row: Row) -> ReportRow:
        return ReportRow(
            section=row.section, at=moment(row.at) if row.at is not None else None, team=row.team, runbook=row.runbook,
            version=row.version, run=row.run, who=row.who, what=row.what, detail=row.detail,
        )  # fmt: skip


class ComplianceReport(Named):
    """What ran from `since` until before `until`, who let it, what was overridden, what failed. `team` null is all."""

    since: datetime
    until: datetime
    team: str | None
    made_at: datetime
    rows: list[ReportRow]

    @staticmethod
    def of(report: Report) -> ComplianceReport:
        return ComplianceReport(
            since=moment(report.since), until=moment(report.until), team=report.team, made_at=moment(report.made_at),
            rows=[ReportRow.of(row) for row in report.rows],
        )  # fmt: skip
