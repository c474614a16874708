"""Noting the head of the audit's chain elsewhere, hourly: in a channel of Slack, a file and a syslog.

Only by such a head are rows found that were cut off the end. One that is lost, because a process died or a syslog was
away, is made up for by the next: a head covers every row before it.
"""

from __future__ import annotations

import json
import logging
import os
import socket
from datetime import UTC, datetime
from logging.handlers import SysLogHandler
from pathlib import Path

from engine.catalog import notices
from engine.config.audit_settings import LOCAL
from engine.runtime import Runtime
from storage import audit, audit_jobs, database
from storage.records import Head, Json

log = logging.getLogger(__name__)

EVERY_MS = 3_600_000
_DEVICES = ("/dev/log", "/var/run/syslog")


def note_due(rt: Runtime) -> None:
    """Note the head elsewhere if that was not done for an hour and rows were added since; one worker does.

    Where the chain is shorter than the head that was noted last, the channel, the syslog and the log are told that
    instead, every hour until it is as long again: its end was cut off.
    """
    settings = rt.settings
    if not (settings.audit_channel or settings.audit_anchor_file or settings.audit_syslog):
        return
    with database.reading():
        if _due(rt) is None:
            return
    with database.transaction():
        audit_jobs.lock(rt.workspace_id, audit_jobs.HEAD)
        due = _due(rt)
        if due is None:
            return
        head, noted = due
        said = _said(head, noted)
        audit_jobs.note(rt.workspace_id, audit_jobs.HEAD, database.now(), max(head.seq if head else 0, noted))
        if settings.audit_channel:
            notices.of_head(rt, said)
    is_head = "seq" in said  # what is no head has no place among the anchors, where the last one speaks for itself
    _write(settings.audit_anchor_file if is_head else None, settings.audit_syslog, said)


def _due(rt: Runtime) -> tuple[Head | None, int] | None:
    """The head to be told of and the number of the last that was noted, 0 for none; None where nothing is due."""
    head, last = audit.head(rt.workspace_id), audit_jobs.last(rt.workspace_id, audit_jobs.HEAD)
    if last is None:
        return (head, 0) if head is not None else None
    at, noted = last
    is_new = (head.seq if head else 0) != noted
    return (head, noted) if is_new and database.now() >= at + EVERY_MS else None


def _said(head: Head | None, noted: int) -> dict[str, Json]:
    """The head as it is noted, or where rows up to `noted` should be there, how many are left."""
    at = datetime.fromtimestamp(database.now() / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    seq = head.seq if head else 0
    if seq < noted:
        log.critical("the audit's chain ends at row %s, and row %s was noted: its end was cut off", seq, noted)
        return {"at": at, "cut_off_after": seq, "noted": noted}
    assert head is not None
    return {"at": at, "seq": seq, "hash": head.hash, "mac": head.mac, "key": head.mac_key}


def _write(file: Path | None, address: str | tuple[str, int] | None, said: dict[str, Json]) -> None:
    line = json.dumps(said)
    try:
        if file is not None:
            _append(file, line)
    except OSError as error:
        log.error("the head of the audit could not be written to %s: %s", file, error.strerror)
    try:
        if address is not None:
            _send(address, line, str(said["at"]))
    except OSError as error:
        log.error("the head of the audit could not be sent to the syslog: %s", error.strerror or error)


def _append(file: Path, line: str) -> None:
    """One write, so that lines of several hosts on a shared disk do not mix."""
    handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(handle, f"{line}\n".encode())
        os.fsync(handle)
    finally:
        os.close(handle)


class _Syslog(SysLogHandler):
    append_nul = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, ARG002 - as the library calls it
        raise


def _send(address: str | tuple[str, int], line: str, at: str) -> None:
    """One message of RFC 5424."""
    device = next((each for each in _DEVICES if os.path.exists(each)), _DEVICES[0])
    handler = _Syslog(device if address == LOCAL else address, SysLogHandler.LOG_AUTH)
    try:
        text = f"1 {at} {socket.gethostname()} runbook {os.getpid()} audit-head - {line}"
        handler.emit(logging.LogRecord("audit", logging.INFO, "", 0, text, None, None))
    finally:
        handler.close()
