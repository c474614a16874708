"""Records as they come from the engine, for views that only need to be looked at."""

from __future__ import annotations

from typing import Any

from engine.definition.gate_graph import holders
from engine.definition.model import Runbook, Step
from engine.runs.executions import ExecutionView, GateView
from storage.catalog_records import RunbookRecord, VersionRecord
from storage.records import ApprovalRecord, EventRecord, ExecutionRecord, StepRunRecord, VoteRecord
from storage.states import ApprovalStatus, Decision, ExecutionStatus, Phase, StepStatus, VersionStatus

AT = 1_795_000_000_000


def make(record: type, /, **given: Any) -> Any:
    """A record with plain values wherever none are given."""
    plain = {"int": 1, "str": "text", "bool": False}
    fields = {name: field.type for name, field in record.__dataclass_fields__.items() if field.init}
    return record(**{name: given.get(name, plain.get(type_)) for name, type_ in fields.items()})


def execution(**given: Any) -> ExecutionRecord:
    known = {
        "id": "R-7K2M9Q",
        "slug": "restart",
        "number": 3,
        "status": ExecutionStatus.RUNNING,
        "requester": "U0CAROL01",
        "reason": "",
        "parameters": {"service": "api"},
        "created_at": AT,
        "event_seq": 5,
        "phase": Phase.MAIN,
        "slot": None,
        "running_ms": 0,
        "waiting_ms": 0,
        "paused_ms": 0,
    }
    return make(ExecutionRecord, **{**known, **given})


def step(number: int = 1, **given: Any) -> StepRunRecord:
    known = {
        "id": number,
        "execution_id": "R-7K2M9Q",
        "path": f"step-{number}",
        "step_id": f"step-{number}",
        "position": number,
        "kind": "http",
        "status": StepStatus.BLOCKED,
        "attempts": 0,
        "note": "",
        "phase": Phase.MAIN,
        "scope": "",
    }
    return make(StepRunRecord, **{**known, **given})


def gate(
    status: ApprovalStatus = ApprovalStatus.PENDING,
    votes: tuple[VoteRecord, ...] = (),
    unmet: tuple[str, ...] = (),
    **given: Any,
) -> GateView:
    known = {
        "execution_id": "R-7K2M9Q",
        "path": "sign-off",
        "status": status,
        "min_approvals": 2,
        "approvers": {"roles": ["platform_admin"], "groups": ["S0ONCALL", "oncall"], "users": ["U0ALICE01"]},
        "message": "Restart?",
        "preview": [{"step": "restart", "kind": "http", "method": "POST", "url": "https://a.example/restart"}],
        "digest": "sha256:abc",
        "on_timeout": "fail",
        "expires_at": AT + 900_000,
        "decided_at": AT if status is not ApprovalStatus.PENDING else None,
    }
    return GateView(make(ApprovalRecord, **{**known, **given}), votes, 2, unmet)


def vote(person: str = "U0ALICE01", decision: Decision = Decision.APPROVE, comment: str = "") -> VoteRecord:
    return VoteRecord(1, person, decision, comment, AT)


def runbook(parameters: dict[str, Any] | None = None, **given: Any) -> Runbook:
    known = {
        "id": "restart",
        "name": "Restart a service",
        "description": "Drain it, restart it.",
        "team": "payments",
        "tags": ("linux",),
        "risk": "low",
        "timeout_ms": 900_000,
        "parameters": parameters or {"type": "object", "properties": {}},
        "steps": (Step("step-1", "http", (), {}, name="Drain it"),),
    }
    return Runbook(**{**known, **given})


def view(steps: tuple[StepRunRecord, ...] = (), gates: tuple[GateView, ...] = (), **given: Any) -> ExecutionView:
    steps = steps or (step(),)
    known = tuple({each.step_id: Step(each.step_id, each.kind, (), {}, name="Drain it") for each in steps}.values())
    holding = frozenset(each.id for each in known if any(inner.kind == "approval" for inner in holders(each)))
    return ExecutionView(execution(**given), runbook(steps=known), steps, gates, holding=holding)


def version(**given: Any) -> VersionRecord:
    known = {"slug": "restart", "number": 2, "digest": "sha256:abc", "status": VersionStatus.DRAFT, "created_at": AT}
    return make(VersionRecord, **{**known, **given})


def runbook_record(**given: Any) -> RunbookRecord:
    known = {"slug": "restart", "status": VersionStatus.APPROVED, "tags": ("linux",), "updated_at": AT}
    return make(RunbookRecord, **{**known, **given})


def event(kind: str, path: str | None = "restart", actor: str | None = "U0ALICE01", **data: Any) -> EventRecord:
    return EventRecord("R-7K2M9Q", 1, AT + 65_000, kind, path, actor, data)
