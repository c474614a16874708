"""The audit as lines: whatever is in a row, a reader of the format gets it back, and it stays on its line."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import audit_lines, report_files
from bot.moments import moment_ms
from engine.queries.compliance import RUNS, Report, Row
from engine.text.visible_characters import visible_line
from storage.records import AuditRecord
from storage.states import Severity

ROWS = st.builds(
    AuditRecord,
    id=st.integers(1, 2**40), at=st.integers(0, 2**42), actor=st.text(), action=st.text(), thing=st.text(),
    severity=st.sampled_from(Severity), detail=st.dictionaries(st.text(), st.text(), max_size=3),
    seq=st.none() | st.integers(1, 2**40), hash=st.text("0123456789abcdef"),
)  # fmt: skip
_KEY = re.compile(r"(?:^| )([A-Za-z0-9]+)=")


def read_cef(line: str) -> tuple[list[str], dict[str, str]]:
    """As the format says: an unescaped `|` ends a field of the header, an unescaped `=` a key."""
    *head, extension = _split(line)
    found, at = {}, [match for match in _KEY.finditer(extension) if not _escaped(extension, match.end() - 1)]
    for match, following in zip(at, [*at[1:], None], strict=True):
        found[match[1]] = _unescaped(extension[match.end() : following.start() if following else None])
    return [_unescaped(each) for each in head], found


def _split(line: str) -> list[str]:
    fields, start = [], 0
    for place, char in enumerate(line):
        if char == "|" and not _escaped(line, place) and len(fields) < 7:
            fields.append(line[start:place])
            start = place + 1
    return [*fields, line[start:]]


def _escaped(text: str, place: int) -> bool:
    return (place - len(text[:place].rstrip("\\"))) % 2 == 1


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def seen(text: str) -> str:
    return _unescaped(visible_line(text.replace("\\", "\\\\")))


@given(ROWS)
def test_cef_is_read_back(row: AuditRecord) -> None:
    """Header and extension, whatever separators are in them."""
    line = audit_lines.line(row, "cef")
    assert line.endswith("\n")
    assert len(line.splitlines()) == 1
    head, found = read_cef(line[:-1])
    assert head[:3] == ["CEF:0", "Runbook Bot", "Runbook Bot"]
    assert head[4] == seen(row.action)
    assert found["suser"] == seen(row.actor)
    assert found["cs1"] == seen(row.thing)
    assert json.loads(found["cs2"]) == row.detail
    assert (int(found["rt"]), int(found["externalId"])) == (row.at, row.id)
    assert int(head[6]) in range(11)


@given(ROWS)
def test_json_lines_are_read_back(row: AuditRecord) -> None:
    """Every fact, and the place in the chain."""
    line = audit_lines.line(row, "jsonl")
    assert len(line.splitlines()) == 1
    found: dict[str, Any] = json.loads(line)
    assert (found["actor"], found["thing"], found["detail"]) == (row.actor, row.thing, row.detail)
    assert moment_ms(found["at"]) == row.at


@given(st.text(), st.text())
def test_no_cell_of_a_report_is_a_formula(who: str, detail: str) -> None:
    """Nor two cells, nor two lines."""
    report = Report(0, 1, None, 1, (Row(RUNS, who=who, detail=detail),))
    text = report_files.with_names(report, "csv", {})
    (_, row) = csv.reader(io.StringIO(text))
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row)
    assert len(row) == len(report_files.COLUMNS)


@pytest.mark.parametrize("cell", ["＝1+1", "＋1", "－1", "＠SUM(1)", "x;=1+1", " =1+1", 'x; "=1+1"'])
def test_no_table_program_takes_a_cell_for_a_formula(cell: str) -> None:
    """Whatever it ends cells at, with spaces before it and in full-width characters."""
    report = Report(0, 1, None, 1, (Row(RUNS, who=cell, detail=cell),))
    text = report_files.with_names(report, "csv", {})
    for delimiter in ",;\t":
        for each in (cell for row in csv.reader(io.StringIO(text), delimiter=delimiter) for cell in row):
            assert not each.strip().startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠")), each


def test_a_team_cannot_name_a_file_as_it_likes() -> None:
    """Whatever it is called: the name goes into a header and onto disks."""
    report = Report(0, 86_400_000, '../../x"\r\nSet-Cookie: a=b', 1, ())
    assert report_files.filename(report, "csv") == "compliance-..-..-x-Set-Cookie-a-b-1970-01-01-1970-01-01.csv"


NO_TIMES = (
    "",
    "soon",
    "99999d",
    "999999999d",
    "0001-01-01",
    "9999-12-31T23:59-14:00",
    "2027-13-01",
    "2027-01-31T25:00",
)


@pytest.mark.parametrize("text", NO_TIMES)
def test_what_is_no_time_says_what_would_be(text: str) -> None:
    """Also what lies before all that is counted."""
    with pytest.raises(ValueError, match="write a date such as"):
        moment_ms(text)


def test_a_time_without_a_zone_is_in_utc() -> None:
    """A duration is as long ago."""
    assert moment_ms("2027-01-31") == moment_ms("2027-01-31T01:00+01:00") == 1_801_353_600_000
    assert moment_ms("1h30m", 10_000_000) == 10_000_000 - 5_400_000
