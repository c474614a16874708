"""What everybody should know and no run tells: an incident's beginning, change and end, and drafts that wait."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from slack_sdk.models.blocks import Block

from bot.slack.ids import Action
from bot.slack.payload_values import VersionRef
from bot.slack.views.parts import Message, button, context, message, said, section
from bot.slack.views.text import code, code_block, duration, inline, person
from bot.slack.views.why import fact
from storage.catalog_records import VersionRecord
from storage.records import ExecutionRecord, IncidentRecord, Json

MOST = 10
"""Drafts that one message offers to review."""


def incident_notice(incident: IncidentRecord, content: Mapping[str, Json]) -> Message:
    """That an incident was opened, changed or closed, by whom, and what is known or new of it."""
    did, by = str(content["did"]), str(content["by"])
    who = "" if by == "system" else f" by {person(by)}"
    name = inline(incident.title or incident.channel_name or f"incident {incident.id}", 200)
    icon = "✅" if did == "closed" else "🚨"
    known = {**({"severity": incident.severity} if incident.severity else {}), **incident.fields}
    facts = known if did == "opened" else content["changes"]
    told = [fact(str(key), str(value)) if value else f"{code(str(key))} dropped" for key, value in facts.items()]
    told = [] if did == "closed" else told[:20]
    why = [f"Reason: {inline(incident.close_reason, 500)}"] if did == "closed" and incident.close_reason else []
    return said("\n".join([f"{icon} *Incident {did}{who}:* {name}", *([" ".join(told)] if told else []), *why]))


def head_notice(head: Json) -> Message:
    """The end of the audit's chain, as `runbook audit verify --anchor` takes it, or that rows were cut off there."""
    if "noted" in head:
        left = f"It ends at row {head['cut_off_after']:,}, and row {head['noted']:,} was noted here or elsewhere."
        return said(f"🚨 *Rows were cut off the end of the audit.* {left} `runbook audit verify` tells more.")
    title = f"🔏 *The audit has {head['seq']:,} rows.* Its head, by which rows that are cut off later are found:"
    return said(f"{title}\n{code_block(json.dumps(head))}")


def drafts_notice(drafts: Sequence[tuple[VersionRecord, bool]], command: str) -> Message:
    """Drafts that wait for a platform admin, each with a button; the flag says that its runbook does not run now."""
    are = "A runbook waits" if len(drafts) == 1 else f"{len(drafts)} runbooks wait"
    title = f"📝 *{are} for approval by a platform admin who did not write it.*"
    lines = [draft_line(version, stops=stops) for version, stops in drafts[:MOST]]
    more = f"{len(drafts) - MOST} more: {code(f'{command} admin approve')} lists them." if len(drafts) > MOST else ""
    return message(title, [section(title), *lines, *([context(more)] if more else [])])


def long_run_notice(run: ExecutionRecord, command: str) -> Message:
    """That a run takes longer than expected, for who answers for it."""
    expected = f", which is at most {duration(run.expected_ms)}" if run.expected_ms is not None else ""
    what = f"{code(run.id)} ({code(f'{run.slug}@{run.number}', 120)})"
    return said(f"🐢 {what} takes longer than expected{expected}. {code(f'{command} why {run.id}')} says what it does.")


def draft_line(version: VersionRecord, *, stops: bool = False) -> Block:
    """One draft with its Review button."""
    author = person(version.author) if version.author else inline(version.author_email or "an unknown author", 80)
    out = " · ⚠️ out of service until then" if stops else ""
    ref = VersionRef(version.slug, version.number, "")
    text = f"{code(f'{version.slug}@{version.number}', 120)} by {author}{out}"
    return section(text, button("Review…", Action.REVIEW_VERSION, ref))
