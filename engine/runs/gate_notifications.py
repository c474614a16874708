"""Whom a gate calls: those who can still decide it, and whether there are enough of them, open or still to come."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from engine.access import roles
from engine.catalog import catalog
from engine.definition.kinds import kind_of
from engine.definition.model import KINDS_OF_APPROVERS, Step
from engine.runs import voting
from engine.runs.executions import ExecutionView, GateView
from engine.runtime import Runtime
from storage import database, people
from storage.records import ApprovalRecord, ExecutionRecord
from storage.states import ApprovalStatus, Decision

NAMED = 5
"""People who are called by name; of more, their user groups are."""
_COUNTED = 50
_FORESEEN = 20
"""Gates that are looked at when a run begins."""


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
        """Whether they are called in the run's channel, and not only one by one."""
        return self.how in ("all", "channel")


def calling(rt: Runtime, view: ExecutionView, gate: GateView) -> Calling:
    """Whom an open gate calls as it stands."""
    team, asked = view.execution.team, gate.approval
    able = voting.deciders(rt, gate, max(NAMED + 1, min(_COUNTED, gate.missing)))
    with database.reading():
        near = roles.approver_ids(rt, asked.approvers, team)
        groups = roles.group_ids(rt, filter(_is_group, near))
        stuck = _stuck(rt, view.execution, gate, groups, len(able))
    return Calling(tuple(able[:NAMED]), len(able) > NAMED, groups, how(rt, view, gate), stuck)


def how(rt: Runtime, view: ExecutionView, gate: GateView) -> str:
    """How a gate calls people: as its step says, else as the settings do."""
    return notified(rt, view, gate.approval.step_run_id)


def notified(rt: Runtime, view: ExecutionView, step_run_id: int) -> str:
    """How the step of this step run calls people: as it says, else as the settings do."""
    run_step = next((each for each in view.steps if each.id == step_run_id), None)
    step = view.runbook.by_id.get(run_step.step_id) if run_step is not None else None
    return (step.notify if step is not None else None) or rt.settings.gate_calls


def foreseen(rt: Runtime, execution: ExecutionRecord) -> list[str]:
    """Which gates of a run that has just begun, or would begin, cannot pass as things stand, each as a sentence.

    Asked by the rule for open gates, before they open. Gates of runs that it may start itself are not looked at.
    """
    gates = [step for step in catalog.definition_of(execution.version_id).by_id.values() if kind_of(step).is_gate]
    found = []
    with database.reading(), people.reads_cached():
        for step in gates[:_FORESEEN]:
            gate = GateView(_to_come(execution, step), (), step.with_["min_approvals"], foreseen_in=execution)
            groups = [
                each for each in roles.approver_ids(rt, gate.approval.approvers, execution.team) if _is_group(each)
            ]
            able = voting.deciders(rt, gate, min(_COUNTED, gate.missing))
            why = _stuck(rt, execution, gate, groups, len(able))
            found += [f"As things stand {step.id} will not pass: {why}{_own(rt, execution, gate)}."] if why else []
    return found


def _to_come(execution: ExecutionRecord, step: Step) -> ApprovalRecord:
    """A gate as it would be if it opened now, as far as who decides depends on it."""
    approvers = {kind: list(step.with_["approvers"].get(kind, ())) for kind in KINDS_OF_APPROVERS}
    return ApprovalRecord(
        id=0, execution_id=execution.id, step_run_id=0, path=step.id, status=ApprovalStatus.PENDING,
        min_approvals=step.with_["min_approvals"], approvers=approvers, allow_self=step.with_["allow_self"], message="",
        preview=None, digest="", on_timeout=step.on_timeout, opened_at=0, expires_at=0, decided_at=None,
    )  # fmt: skip


def _own(rt: Runtime, execution: ExecutionRecord, gate: GateView) -> str:
    """That an approver asked for the run and so does not count, "" where that is not why."""
    asked, approval = execution.requester, gate.approval
    among = roles.is_approver(rt, asked, roles.roles_of(rt, asked), approval.approvers, execution.team)[0]
    does_not = among and not (approval.allow_self or rt.settings.allow_self_approval)
    return ", for who asked for a run does not decide about it" if does_not else ""


def _is_group(ident: str) -> bool:
    return not ident.startswith(("U", "W"))


def _stuck(rt: Runtime, execution: ExecutionRecord, gate: GateView, groups: Collection[str], able: int) -> str:
    """What cannot come about, in words; "" also while it is not known who is in a group, or a member."""
    if roles.are_stale(rt, groups) or voting.unknown_person_may_vote(rt, gate):
        return ""
    if able < min(gate.missing, _COUNTED):
        who = {0: "nobody", 1: "only one person"}.get(able, f"only {able} people")
        return f"{gate.missing} more approval{'' if gate.missing == 1 else 's'} needed, and {who} can still decide"
    if not gate.approval.approvers.get("minima"):
        return ""
    approved = [vote.person for vote in gate.votes if vote.decision is Decision.APPROVE]
    could = [*approved, *voting.deciders(rt, gate, _COUNTED, accounts=True)]
    lacking = roles.unmet(rt, gate.approval.approvers, could, execution.team)
    return f"nobody who can still decide makes up for {', '.join(lacking)}" if lacking else ""
