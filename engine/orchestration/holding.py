"""Runs under way that a freeze holds: paused before their next step begins, until somebody resumes them."""

from __future__ import annotations

from collections.abc import Sequence

from engine.access import auditing
from engine.access import freezes as rules
from engine.orchestration.transition import Transition
from storage import freezes
from storage.freeze_records import FreezeRecord
from storage.states import ExecutionStatus, Severity


def pause(transition: Transition, held: Sequence[FreezeRecord]) -> bool:
    """Pause a run that one of these freezes covers; True then.

    Asked by whoever sets a freeze, of every open run, and by each claim: what is accepted or begun meanwhile does not
    slip past. A call that was sent before is recorded when it ends.
    """
    run = transition.execution
    if not held or run.status.ended or run.status is ExecutionStatus.PAUSED:
        return False
    found = rules.holding(run, held)
    if not found:
        return False
    first = found[0]
    transition.pause(f"{first.id} freezes {first.scope}: {first.reason}", first.created_by)
    freezes.note_paused(run.workspace_id, first.id, run.id)
    detail = {"freeze": first.id, "reason": first.reason, "was": run.status}
    auditing.by_bot(transition.rt, "execution.freeze", auditing.of_execution(run.id), detail, Severity.NOTICE)
    return True
