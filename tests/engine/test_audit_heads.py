"""The head of the audit is noted elsewhere every hour, by one worker, where there is something new to note."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from harness import HOUR, MINUTE, Harness, at_once, errors
from test_evidence import wrote

from engine.catalog import notices
from engine.queries import audit_chain
from engine.queries.compliance import last_month
from engine.runtime import Runtime
from engine.worker import audit_heads, audit_reports
from storage import audit_jobs, database

CHANNEL = "C0AUDIT01"


def noting(harness: Harness, **settings: Any) -> Runtime:
    return replace(harness.rt, settings=replace(harness.rt.settings, **settings))


def sealed(harness: Harness) -> None:
    wrote(harness, 2)
    audit_chain.seal(harness.rt)


def told(rt: Runtime) -> list[int]:
    return [each.content["seq"] for each in notices.pending(rt) if each.kind == notices.AUDIT_HEAD]


def test_it_is_noted_hourly_while_rows_are_added(harness: Harness) -> None:
    """Not sooner, not without a new row, and once for all the hours in which nobody was there."""
    rt = noting(harness, audit_channel=CHANNEL)
    audit_heads.note_due(rt)
    assert told(rt) == []
    sealed(harness)
    audit_heads.note_due(rt)
    sealed(harness)
    harness.clock.tick(HOUR - MINUTE)
    audit_heads.note_due(rt)
    first = told(rt)
    assert len(first) == 1
    harness.clock.tick(MINUTE)
    audit_heads.note_due(rt)
    assert len(told(rt)) == 2
    harness.clock.tick(5 * HOUR)
    audit_heads.note_due(rt)
    assert len(told(rt)) == 2
    sealed(harness)
    audit_heads.note_due(rt)
    assert len(told(rt)) == 3


def test_a_chain_that_is_shorter_than_what_was_noted_is_told(
    harness: Harness, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Every hour, in the channel and the log; the anchors stay heads alone, and verifying says it without them."""
    file = tmp_path / "heads.jsonl"
    rt = noting(harness, audit_channel=CHANNEL, audit_anchor_file=file)
    sealed(harness)
    audit_heads.note_due(rt)
    (seq,) = told(rt)
    assert audit_chain.verify(rt).troubles == ()
    with database.transaction():
        audit_jobs.note(1, audit_jobs.HEAD, harness.clock.time, seq + 3)
    for hours in (1, 2):
        harness.clock.tick(HOUR)
        audit_heads.note_due(rt)
        audit_heads.note_due(rt)
        cut = [each.content for each in notices.pending(rt) if "noted" in each.content]
        assert [(each["cut_off_after"], each["noted"]) for each in cut] == [(seq, seq + 3)] * hours
    assert len(file.read_text().splitlines()) == 1
    assert f"ends at row {seq}, and row {seq + 3} was noted" in caplog.text
    (trouble,) = audit_chain.verify(rt).troubles
    assert (trouble.seq, trouble.what) == (seq + 1, f"was cut off the end: rows up to {seq + 3} were noted")
    while audit_chain.verify(rt).seq <= seq + 3:
        sealed(harness)
    harness.clock.tick(HOUR)
    audit_heads.note_due(rt)
    assert len(file.read_text().splitlines()) == 2


def test_one_of_many_workers_notes_it(harness: Harness, tmp_path: Path) -> None:
    """However many look at once."""
    file = tmp_path / "heads.jsonl"
    rt = noting(harness, audit_channel=CHANNEL, audit_anchor_file=file)
    sealed(harness)
    assert errors(at_once(*[lambda: audit_heads.note_due(rt)] * 4)) == []
    assert len(told(rt)) == len(file.read_text().splitlines()) == 1


def test_the_file_is_what_verify_compares_with(harness: Harness, tmp_path: Path) -> None:
    """Each line is a head with its mac; nobody else may read the file."""
    file = tmp_path / "heads.jsonl"
    rt = noting(harness, audit_anchor_file=file)
    sealed(harness)
    audit_heads.note_due(rt)
    (head,) = map(json.loads, file.read_text().splitlines())
    found = audit_chain.verify(rt)
    assert (head["seq"], head["hash"], head["mac"]) == (found.seq, found.hash, found.mac)
    assert head["key"].startswith("local-")
    assert file.stat().st_mode & 0o077 == 0
    assert told(rt) == []


@contextmanager
def syslog() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5)
        yield server


def test_a_syslog_is_told_as_rfc_5424_says(harness: Harness) -> None:
    """Priority, version, time, host, program, process, kind, no structured data, and the head."""
    sealed(harness)
    with syslog() as server:
        audit_heads.note_due(noting(harness, audit_syslog=server.getsockname()))
        begin, at, host, program, process, kind, nothing, *head = server.recv(4096).decode().split(" ")
    assert (begin, program, kind, nothing) == ("<38>1", "runbook", "audit-head", "-")
    assert at.endswith("Z")
    assert host == socket.gethostname()
    assert process.isdigit()
    assert json.loads(" ".join(head))["seq"] >= 2


def test_what_cannot_be_written_holds_up_nothing_else(
    harness: Harness, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The channel is told all the same, and the log says what is wrong."""
    rt = noting(harness, audit_channel=CHANNEL, audit_anchor_file=tmp_path, audit_syslog=("no.such.host.invalid", 514))
    sealed(harness)
    audit_heads.note_due(rt)
    assert len(told(rt)) == 1
    assert "could not be written" in caplog.text
    assert "could not be sent" in caplog.text


def reports(rt: Runtime) -> list[tuple[int, int]]:
    found = [each for each in notices.pending(rt) if each.kind == notices.AUDIT_REPORT]
    return [(each.content["since"], each.content["until"]) for each in found]


def test_each_months_report_is_noted_once_and_those_that_were_missed_are_made_up_for(harness: Harness) -> None:
    """By one worker; none of the time before the channel was set. What Slack could not be told for long stays."""
    rt = noting(harness, audit_channel=CHANNEL)
    audit_reports.note_due(rt)
    assert reports(rt) == []
    _, first = last_month(harness.clock.time)
    harness.clock.tick(32 * 24 * HOUR)
    assert errors(at_once(*[lambda: audit_reports.note_due(rt)] * 4)) == []
    (told_first,) = reports(rt)
    assert told_first == last_month(harness.clock.time)
    assert told_first[0] == first
    harness.clock.tick(62 * 24 * HOUR)
    audit_reports.note_due(rt)
    audit_reports.note_due(rt)
    found = reports(rt)
    assert len(found) == 3
    assert [since for since, _ in found[1:]] == [until for _, until in found[:-1]]
    assert found[-1] == last_month(harness.clock.time)
