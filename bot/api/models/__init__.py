"""What the API says and takes, as data."""

from bot.api.models.base import Cancel, Page, Why, ms
from bot.api.models.executions import (
    Agree,
    Attempt,
    Ballot,
    Event,
    Execute,
    Execution,
    ExecutionDetail,
    Explanation,
    Gate,
    Handover,
    LeaveOut,
    Logs,
    Replay,
    Resolve,
    Retry,
    Start,
    Started,
    Step,
    StepDetail,
    execution_fields,
    step_fields,
)
from bot.api.models.records import (
    AuditRow,
    Chain,
    EditedIncident,
    Incident,
    NewIncident,
    Ruling,
    Story,
    Token,
)
from bot.api.models.runbooks import (
    Approve,
    Changes,
    Deprecate,
    Diff,
    RollBack,
    Runbook,
    RunbookDetail,
    SyncChange,
    Synced,
    Version,
    VersionDetail,
    Written,
    runbook_fields,
)

__all__ = [
    "Agree", "Approve", "Attempt", "AuditRow", "Ballot", "Cancel", "Chain", "Changes", "Deprecate", "Diff",
    "EditedIncident", "Event", "Execute", "Execution", "ExecutionDetail", "Explanation", "Gate", "Handover",
    "Incident", "LeaveOut", "Logs", "NewIncident", "Page", "Replay", "Resolve", "Retry", "RollBack", "Ruling",
    "Runbook", "RunbookDetail", "Start", "Started", "Step", "StepDetail", "Story", "SyncChange", "Synced", "Token",
    "Version", "VersionDetail", "Why", "Written", "execution_fields", "ms", "runbook_fields", "step_fields",
]  # fmt: skip
