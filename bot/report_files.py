"""A compliance report as a file: CSV for table programs, or one HTML page to print."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

from bot import printable
from engine.access import people
from engine.queries.compliance import SECTIONS, Report, Row
from engine.runtime import Runtime
from engine.text.visible_characters import visible_line

Format = Literal["csv", "html"]
MEDIA_TYPES: Mapping[Format, str] = {"csv": "text/csv", "html": "text/html"}
COLUMNS = ("section", "at", "team", "runbook", "version", "run", "who", "what", "detail")
_FORMULA = re.compile(r"((?:^|;)[\s\"]*)(?=[=+\-@＝＋－＠])")
"""How a cell begins that a table program would run; in some countries they end cells at semicolons."""


def filename(report: Report, format_: Format) -> str:
    """What the file is called: the report's first and last day, and its team."""
    team = f"-{re.sub(r'[^A-Za-z0-9_.-]+', '-', report.team)[:60]}" if report.team else ""
    return f"compliance{team}-{_day(report.since)}-{_day(report.until - 1)}.{format_}"


def title(report: Report) -> str:
    """What the report is about."""
    of_team = f" of team {report.team}" if report.team else ""
    return f"Compliance report{of_team}, {_day(report.since)} to {_day(report.until - 1)}"


def written(rt: Runtime, report: Report, format_: Format) -> str:
    """The report in a format, people by their names where those are known."""
    return with_names(report, format_, people.names(rt, {row.who for row in report.rows}))


def with_names(report: Report, format_: Format, names: Mapping[str, str]) -> str:
    """The same with these names of people, by their ids."""
    return _html(report, names) if format_ == "html" else _csv(report, names)


def _csv(report: Report, names: Mapping[str, str]) -> str:
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow(COLUMNS)
    table.writerows([harmless(cell) for cell in _cells(row, names)] for row in report.rows)
    return out.getvalue()


def harmless(cell: str) -> str:
    """A cell that no table program takes for a formula, on one line."""
    return visible_line(_FORMULA.sub(r"\1'", cell))


def _html(report: Report, names: Mapping[str, str]) -> str:
    parts = [printable.paragraph(f"From {_time(report.since)} until before {_time(report.until)}, made at "
                                 f"{_time(report.made_at)}. All times are in UTC.")]  # fmt: skip
    for section in SECTIONS:
        rows = [_cells(row, names)[1:] for row in report.rows if row.section == section]
        parts.append(printable.heading(f"{section.capitalize()} ({len(rows)})"))
        parts.append(_table(rows) if rows else printable.paragraph("None."))
    return printable.page(title(report), parts)


def _table(rows: list[list[str]]) -> str:
    """Only the columns in which something stands."""
    used = [place for place in range(len(COLUMNS) - 1) if any(row[place] for row in rows)]
    return printable.table([COLUMNS[1:][place] for place in used], [[row[place] for place in used] for row in rows])


def _cells(row: Row, names: Mapping[str, str]) -> list[str]:
    known = names.get(row.who)
    who = f"{known} ({row.who})" if known and row.who not in known else known or row.who
    version = "" if row.version is None else str(row.version)
    at = "" if row.at is None else _time(row.at)
    return [row.section, at, row.team or "", row.runbook, version, row.run, who, row.what, row.detail]


def _time(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _day(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d")
