"""Whom an open gate calls: those who can still decide it, and whether there are enough of them."""

from __future__ import annotations

from dataclasses import dataclass

from engine import approvals, roles
from engine.executions import ExecutionView, GateView
from engine.runtime import Runtime
from storage import database
from storage.states import Decision

NAMED = 5
"""People who are called by name; of more, their user groups are."""
_COUNTED = 50


@dataclass(frozen=True, slots=True)
class Calling:
    """Who can still decide an open gate, as ids.

    `people` are at most `NAMED`, and all of them unless there are `more`; `groups` are the user groups among the
    approvers. `how` is all, channel, direct or none. `stuck` says in words what cannot come about any more, "" where
    enough people can decide, or where Slack has not said lately who is in a group, or who is a member.
    """

    people: tuple[str, ...]
    more: bool
    groups: tuple[str, ...]
    how: str
    stuck: str = ""

    @property
    def in_channel(self) -> bool:
        return self.how in ("all", "channel")


def calling(rt: Runtime, view: ExecutionView, gate: GateView) -> Calling:
    """Whom an open gate calls as it stands."""
    team, asked = view.execution.team, gate.approval
    able = approvals.deciders(rt, gate, max(NAMED + 1, min(_COUNTED, gate.missing)))
    with database.reading():
        near = roles.approver_ids(rt, asked.approvers, team)
        groups = tuple(each for each in near if not each.startswith(("U", "W")))
        unsure = roles.are_stale(rt, groups) or approvals.somebody_unheard_of(rt, gate)
        stuck = "" if unsure else _stuck(rt, view, gate, len(able))
    return Calling(tuple(able[:NAMED]), len(able) > NAMED, groups, how(rt, view, gate), stuck)


def how(rt: Runtime, view: ExecutionView, gate: GateView) -> str:
    """How a gate calls people: as its step says, else as the settings do."""
    run_step = next((each for each in view.steps if each.id == gate.approval.step_run_id), None)
    step = view.runbook.by_id.get(run_step.step_id) if run_step is not None else None
    return (step.notify if step is not None else None) or rt.settings.gate_calls


def _stuck(rt: Runtime, view: ExecutionView, gate: GateView, able: int) -> str:
    if able < min(gate.missing, _COUNTED):
        who = {0: "nobody", 1: "only one person"}.get(able, f"only {able} people")
        return f"{gate.missing} more approval{'' if gate.missing == 1 else 's'} needed, and {who} can still decide"
    if not gate.approval.approvers.get("minima"):
        return ""
    approved = [vote.person for vote in gate.votes if vote.decision is Decision.APPROVE]
    could = [*approved, *approvals.deciders(rt, gate, _COUNTED)]
    lacking = roles.unmet(rt, gate.approval.approvers, could, view.execution.team)
    return f"nobody who can still decide makes up for {', '.join(lacking)}" if lacking else ""
