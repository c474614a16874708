r"""The audit as lines for another system: JSON lines, or the Common Event Format that a SIEM reads.

In CEF `|` is escaped in the header, `=` in the extension and `\` in both. No line holds a character that nobody sees.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version
from typing import Literal

from engine.text.visible_characters import visible_line
from storage.records import AuditRecord, Json
from storage.states import Severity

Format = Literal["jsonl", "cef"]
MEDIA_TYPES: Mapping[Format, str] = {"jsonl": "application/jsonl", "cef": "text/plain"}
_SEVERITIES = {Severity.INFO: 2, Severity.NOTICE: 4, Severity.WARNING: 7, Severity.CRITICAL: 10}
"""CEF counts from 0 to 10: up to 3 low, up to 6 medium, up to 8 high, then very high."""


def line(row: AuditRecord, format_: Format) -> str:
    """A row as one line, its end included."""
    return _FORMATS[format_](row) + "\n"


def _jsonl(row: AuditRecord) -> str:
    said = {"id": row.id, "at": iso(row.at), "actor": row.actor, "action": row.action, "thing": row.thing}
    place = {"seq": row.seq, "hash": row.hash, "mac": row.mac, "key": row.mac_key}
    return json.dumps({**said, "severity": row.severity, "detail": row.detail, **place})


def _cef(row: AuditRecord) -> str:
    head = ("Runbook Bot", "Runbook Bot", _release(), row.action, row.action, str(_SEVERITIES[row.severity]))
    labelled: dict[str, Json] = {
        "rt": row.at, "externalId": row.id, "act": row.action, "suser": row.actor, "cs1Label": "thing",
        "cs1": row.thing, "cs2Label": "detail", "cs2": json.dumps(row.detail), "cs3Label": "mac",
        "cs3": row.mac or row.hash or "", "cn1Label": "seq", "cn1": row.seq or 0,
    }  # fmt: skip
    return "|".join(["CEF:0", *map(_header, head), " ".join(f"{key}={_value(labelled[key])}" for key in labelled)])


def _header(text: str) -> str:
    return visible_line(text.replace("\\", "\\\\").replace("|", "\\|"))


def _value(value: Json) -> str:
    return visible_line(str(value).replace("\\", "\\\\").replace("=", "\\="))


@lru_cache
def _release() -> str:
    return version("runbook-bot")


def iso(at: int) -> str:
    """Epoch milliseconds as a time in UTC."""
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


_FORMATS: Mapping[Format, Callable[[AuditRecord], str]] = {"jsonl": _jsonl, "cef": _cef}
