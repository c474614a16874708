"""The verbs of auditors: searching and exporting the audit, and the compliance report."""

from __future__ import annotations

from itertools import islice
from typing import Any, get_args

from bot import audit_lines, report_files
from bot.moments import moment_ms
from bot.slack.verbs.invocation import Invocation
from bot.slack.verbs.queries import shared, user
from bot.slack.views.audit import MOST, audit_view
from bot.slack.views.parts import Message, said
from engine.queries import audit, audit_export, compliance
from storage.states import Severity

_PAGES = 100
"""Pages of rows that one file in Slack holds at most; the command line and the API have no such limit."""


def search(invocation: Invocation) -> Message:
    """`audit [who=] [action=] [thing=] [severity=] [since=] [until=]`: the newest rows that fit."""
    wanted = _wanted(invocation)
    found = audit.search(
        invocation.ctx.rt, invocation.actor, who=wanted.who, action=wanted.action, thing=wanted.thing,
        severity=wanted.severity, since=wanted.since, until=wanted.until, limit=MOST + 1,
    )  # fmt: skip
    return audit_view(found, invocation.invoked_as)


def export(invocation: Invocation) -> Message:
    """`audit export [format=jsonl|cef]` and the same keys: a file for the person who asked."""
    format_ = _one_of(invocation, "format", get_args(audit_lines.Format))
    pages = audit_export.export(invocation.ctx.rt, invocation.actor, _wanted(invocation))
    rows = [row for page in islice(pages, _PAGES) for row in page]
    data = "".join(audit_lines.line(row, format_) for row in rows).encode()
    if not data:
        return said("No row of the audit fits.")
    told = shared(invocation.ctx, invocation.reply_to, f"audit.{format_}", f"{len(rows):,} rows of the audit", data)
    more = next(pages, None)
    return said(f"{told.text} There are more: narrow it by `since` and `until`.") if more else told


def report(invocation: Invocation) -> Message:
    """`report [from=] [until=] [team=] [format=csv|html]`."""
    format_, rt = _one_of(invocation, "format", get_args(report_files.Format)), invocation.ctx.rt
    since, until, team = _time(invocation, "from"), _time(invocation, "until"), invocation.option("team") or None
    found = compliance.report(rt, invocation.actor, since, until, team)
    text = report_files.written(rt, found, format_)
    name = report_files.filename(found, format_)
    return shared(invocation.ctx, invocation.reply_to, name, report_files.title(found), text.encode())


def _wanted(invocation: Invocation) -> audit_export.Wanted:
    who, severity = invocation.option("who"), invocation.option("severity")
    return audit_export.Wanted(
        who=None if not who else who if who == "system" else user(invocation, who),
        action=invocation.option("action") or None,
        thing=invocation.option("thing") or None,
        severity=Severity(_one_of(invocation, "severity", tuple(Severity), severity.upper())) if severity else None,
        since=_time(invocation, "since"),
        until=_time(invocation, "until"),
    )


def _one_of(invocation: Invocation, name: str, known: tuple[Any, ...], said: str = "") -> Any:
    """What an option says, the first of what is known where it says nothing."""
    said = said or invocation.option(name).lower() or str(known[0])
    found = next((each for each in known if str(each) == said), None)
    if found is None:
        raise invocation.wrong(f"{name} is one of {', '.join(str(each).lower() for each in known)}.")
    return found


def _time(invocation: Invocation, name: str) -> int | None:
    text = invocation.option(name)
    try:
        return moment_ms(text) if text else None
    except ValueError as error:
        raise invocation.wrong(f"{name}: {error}.") from error
