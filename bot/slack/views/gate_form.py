"""The form in which somebody who approves a gate answers what it asks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bot.slack.ids import Form
from bot.slack.payload_values import RejectForm
from bot.slack.views import fields, form
from bot.slack.views.parts import context
from bot.slack.views.text import code
from engine.definition.model import Runbook
from storage.records import ApprovalRecord


def approve_form(runbook: Runbook, gate: ApprovalRecord, ref: RejectForm) -> dict[str, Any]:
    """Asks for the gate's answers and, if there is one, a comment."""
    known = fields.properties(as_runbook(runbook, gate))
    required = set(gate.form.get("required", ()))
    told = context(
        f"Approve {code(gate.path, 120)} in {code(gate.execution_id)}. Approvals with the same answers count."
    )
    asked = [fields.field(name, known[name], name in required, known[name].get("default")) for name in known]
    return form.noted_form(Form.APPROVE, ref, "Approve", [told, *asked], "Comment", optional=True)


def as_runbook(runbook: Runbook, gate: ApprovalRecord) -> Runbook:
    """The runbook as if its parameters were what a gate's form asks for: one set of inputs serves both."""
    return replace(runbook, parameters=gate.form or {"type": "object", "properties": {}})
