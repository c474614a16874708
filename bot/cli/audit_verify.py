"""`runbook audit verify`: whether the audit is what was sealed, on the bot's own host, with the keys that it has.

Exit codes: 0 it is, 1 it is not, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from bot.cli import show
from bot.cli.options import Usage
from bot.moments import moment_ms
from engine import boot
from engine.config.settings import Settings
from engine.queries import audit_chain
from engine.queries.audit_chain import Anchor, Verified
from engine.runtime import Runtime

_SILENT_S = 2.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The words after `runbook audit`."""
    what = parser.add_subparsers(title="what to do", required=True, metavar="verify", dest="what")
    verify = what.add_parser("verify", help="recompute the chain of audit rows and name the first that is wrong")
    verify.add_argument("--since", default="", metavar="TIME|SEQ", help="from this row, or the first since then, on")
    verify.add_argument("--anchor", type=Path, metavar="FILE", help="heads noted elsewhere, one JSON object a line")


def run(settings: Settings, chosen: argparse.Namespace) -> int:
    """Say whether the chain holds, and the first row that is wrong; the exit code. Raises `Usage`."""
    anchors = _anchors(chosen.anchor) if chosen.anchor else []
    rt = boot.open_engine(settings)
    found = audit_chain.verify(rt, since=_since(rt, chosen.since), anchors=anchors, told=_Progress().told)
    for each in found.troubles:
        print(show.safe([f"row {each.seq} {each.what}"]))
    print(show.safe([_summary(found, len(anchors))]))
    return 1 if found.troubles else 0


def _summary(found: Verified, anchors: int) -> str:
    head = f"its head is row {found.seq}, {found.mac or found.hash}" if found.seq else "it is empty"
    keyed = f"keyed from row {found.keyed_from} on" if found.keyed_from else "no row of it has a mac"
    of_them = f" of {anchors}" if found.compared < anchors else ""
    noted = f", {found.compared}{of_them} heads noted elsewhere were compared" if anchors else ""
    return f"{found.rows} rows{noted}, the chain is {'broken' if found.troubles else 'whole'}, {keyed}; {head}"


def _since(rt: Runtime, text: str) -> int:
    if not text:
        return 1
    if text.isascii() and text.isdigit():
        return max(1, int(text))
    try:
        at = moment_ms(text)
    except ValueError as error:
        raise Usage(f"--since: {error}, or the number of a row.") from error
    found = audit_chain.verified_since(rt, at)
    if found is None:
        raise Usage(f"--since: no row was sealed since {text[:40]}.")
    return found


def _anchors(path: Path) -> list[Anchor]:
    try:
        with path.open(encoding="utf-8") as lines:
            read = [_anchor(line, number, path) for number, line in enumerate(lines, 1) if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise Usage(f"{path} cannot be read: {error}") from error
    if not read:
        raise Usage(f"{path} holds no head of the audit.")
    return read


def _anchor(line: str, number: int, path: Path) -> Anchor:
    try:
        said: Any = json.loads(line)
        seq, digest, mac = said["seq"], said["hash"], said.get("mac")
        if not (type(seq) is int and seq > 0 and isinstance(digest, str) and isinstance(mac, str | None)):
            raise TypeError
    except (ValueError, TypeError, KeyError, AttributeError):
        how = 'one JSON object with "seq" and "hash" a line, as AUDIT_ANCHOR_FILE has them'
        raise Usage(f"{path}:{number}: is no head of the audit: it takes {how}.") from None
    return Anchor(seq, digest, mac)


class _Progress:
    """Says every few seconds how far it is, to whoever waits."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _SILENT_S

    def told(self, rows: int) -> None:
        if rows % 500 == 0 and time.monotonic() >= self._next:
            print(f"… {rows} rows", file=sys.stderr, flush=True)
            self._next = time.monotonic() + _SILENT_S
