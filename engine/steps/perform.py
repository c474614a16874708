"""From a claimed step to what came of it: render its `with`, fetch its secrets, let its kind act.

No transaction is open meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from engine import context
from engine.definition.kinds import render_with
from engine.definition.model import Runbook, Step
from engine.egress import Egress
from engine.errors import EngineError
from engine.expressions import conditions
from engine.redaction import Redactor
from engine.secrets import SecretStore
from engine.steps import approval, http, poll
from engine.steps.outcome import Failed, Outcome, Unknown
from storage.records import ExecutionRecord, StepRunRecord

log = logging.getLogger(__name__)

POLL_ROUND_MS = 30_000


@dataclass(frozen=True)
class Tools:
    """What steps act with; one set a process."""

    egress: Egress
    secrets: SecretStore
    redactor: Redactor


@dataclass(frozen=True)
class Claim:
    """A step run that this worker, and nobody else, may try now.

    `step_run` is as the claim left it: `attempts` is the number of this attempt and `fence` the one its result needs.
    `visible` is what its templates can see. `time_left_ms` is how long the whole run may still go on.
    """

    execution: ExecutionRecord
    runbook: Runbook
    step: Step
    step_run: StepRunRecord
    visible: dict[str, Any]
    time_left_ms: int

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt at this step run, and for no other."""
        return f"rb-{self.execution.id}-{self.step_run.path}"


def perform(claim: Claim, tools: Tools, abandoned: Callable[[], bool]) -> Outcome:
    """Make the attempt. Never raises: whatever goes wrong is an outcome.

    `abandoned` turns true when the execution was cancelled.
    """
    try:
        return _ACTS[claim.step.kind](claim, tools, abandoned)
    except EngineError as error:
        return Failed(error.code, tools.redactor.redact(str(error)))
    except Exception as error:
        log.exception("step %s of %s broke", claim.step_run.path, claim.execution.id)
        return _broken(claim, tools.redactor.redact(f"{type(error).__name__}: {error}"))


def _broken(claim: Claim, message: str) -> Outcome:
    """A fault of ours: whether the call had been sent is not known."""
    if claim.step.idempotent:
        return Failed("internal", f"The bot itself failed: {message}", retryable=True)
    return Unknown("internal", f"The bot itself failed, and the call may have been sent: {message}")


def _call(claim: Claim, tools: Tools) -> tuple[dict[str, Any], dict[str, Any]]:
    """The rendered `with`, and what it was rendered with."""
    names = context.secret_names(context.chains_in(claim.step.with_))
    seen = {**claim.visible, "secrets": {name: tools.secrets.resolve(name) for name in sorted(names)}}
    return render_with(claim.step, seen), seen


def _http(claim: Claim, tools: Tools, abandoned: Callable[[], bool]) -> Outcome:
    with_, _ = _call(claim, tools)
    return http.run(
        with_,
        idempotent=claim.step.idempotent,
        timeout_ms=min(claim.step.timeout_ms or 0, claim.time_left_ms),
        idempotency_key=claim.idempotency_key,
        egress=tools.egress,
        redact=tools.redactor.redact_json,
        abandoned=abandoned,
    )


def _poll(claim: Claim, tools: Tools, abandoned: Callable[[], bool]) -> Outcome:
    with_, _ = _call(claim, tools)

    def until(response: dict[str, Any]) -> bool:
        return conditions.holds(with_["until"], {**claim.visible, "response": response}, missing_is_false=True)

    return poll.run(
        {key: value for key, value in with_.items() if key not in ("until", "interval_ms")},
        until,
        interval_ms=with_["interval_ms"],
        idempotent=claim.step.idempotent,
        timeout_ms=min(POLL_ROUND_MS, claim.time_left_ms),
        idempotency_key=claim.idempotency_key,
        egress=tools.egress,
        redact=tools.redactor.redact_json,
        abandoned=abandoned,
    )


def _approval(claim: Claim, _tools: Tools, _abandoned: Callable[[], bool]) -> Outcome:
    return approval.run(claim.step, claim.runbook, claim.visible)


_ACTS: Mapping[str, Callable[[Claim, Tools, Callable[[], bool]], Outcome]] = {
    "http": _http,
    "poll": _poll,
    "approval": _approval,
}
