"""Rows of the audit, as who searched it sees them."""

from __future__ import annotations

import json
from collections.abc import Sequence

from bot.audit_text import action_words, why_of
from bot.slack.views.parts import Message, message, said, sections
from bot.slack.views.text import code, inline, person, when
from storage.records import AuditRecord
from storage.states import Severity

MOST = 20
"""Rows that one message shows."""
_SIGNS = {Severity.WARNING: "⚠️ ", Severity.CRITICAL: "🚨 "}


def audit_view(rows: Sequence[AuditRecord], command: str) -> Message:
    """The newest rows that fit, and how to see more where there are more than these."""
    if not rows:
        return said("No row of the audit fits.")
    more = f"Older ones fit too: narrow it, or take all of them with {code(f'{command} audit export')}."
    lines = ["*The audit, the newest first*", *map(_line, rows[:MOST]), *([more] if len(rows) > MOST else [])]
    return message("The audit", sections(lines))


def _line(row: AuditRecord) -> str:
    who = person(row.actor) if row.actor != "system" else "The bot"
    why = why_of(row.detail)
    facts = row.detail if isinstance(row.detail, dict) else {}
    door = f" · {inline(str(facts['door']), 20)}" if facts.get("door") else ""
    did = action_words(row.action, row.detail)
    told = f"{code(row.action)} {inline(did, 60)}" if did != row.action else code(row.action)
    reason = f": {inline(why, 200)}" if why else f" {code(json.dumps(facts), 150)}" if set(facts) - {"door"} else ""
    return f"• {_SIGNS.get(row.severity, '')}{when(row.at)} {who} {told} {code(row.thing, 80)}{door}{reason}"
