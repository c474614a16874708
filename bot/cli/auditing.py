"""The verbs of auditors: searching and exporting the audit, and the compliance report."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from bot.cli import show_history
from bot.cli.invocation import Answer, Invocation
from bot.cli.options import Usage
from bot.moments import moment_ms
from storage.records import Json

_MOST = 50


def search(invocation: Invocation) -> Answer:
    """`audit [who=] [action=] [thing=] [severity=] [since=] [until=]`: the newest rows that fit."""
    found = invocation.api.all_of("audit", most=_MOST, **_wanted(invocation))
    return Answer(found, _shown(found))


def _shown(rows: list[Json]) -> Iterator[str]:
    for row in rows:
        kind = f"{row['severity'].lower():<8}"
        yield f"{kind}  {show_history.deed_line(row)}  ({row['action']} {row['thing']})"
    if len(rows) == _MOST:
        yield "There may be older ones: narrow it, or take all of them with `runbook audit export`."
    if not rows:
        yield "No row of the audit fits."


def export(invocation: Invocation) -> Answer:
    """`audit export [format=jsonl|cef]` and the same keys: each row as a line."""
    return _file(invocation, "audit/export", "jsonl", _wanted(invocation))


def report(invocation: Invocation) -> Answer:
    """`report [from=] [until=] [team=] [format=csv|html]`."""
    if invocation.options.json:
        found = invocation.api.get("reports/compliance", **_period(invocation))
        return Answer(found, ())
    return _file(invocation, "reports/compliance", "csv", _period(invocation))


def _period(invocation: Invocation) -> dict[str, str | None]:
    return {**_times(invocation, "from", "until"), "team": invocation.option("team") or None}


def _file(invocation: Invocation, path: str, usual: str, query: dict[str, str | None]) -> Answer:
    if invocation.options.json:
        raise Usage("This has formats of its own: format=jsonl is JSON, a row a line.")
    lines = invocation.api.lines(path, format=invocation.option("format").lower() or usual, **query)
    return Answer(None, lines, as_file=True)


def _wanted(invocation: Invocation) -> dict[str, str | None]:
    who = invocation.option("who")
    return {
        "actor": None if not who else who if who == "system" else invocation.user(who),
        "action": invocation.option("action") or None,
        "thing": invocation.option("thing") or None,
        "severity": invocation.option("severity").upper() or None,
        **_times(invocation, "since", "until"),
    }


def _times(invocation: Invocation, *names: str) -> dict[str, str | None]:
    return {name: _time(invocation, name) for name in names}


def _time(invocation: Invocation, name: str) -> str | None:
    text = invocation.option(name)
    try:
        return datetime.fromtimestamp(moment_ms(text) / 1000, UTC).isoformat() if text else None
    except ValueError as error:
        raise invocation.wrong(f"{name}: {error}.") from error
