"""From a claimed step to what came of it: render its `with`, fetch its secrets, let its kind act.

No transaction is open meanwhile.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from engine.config.secrets import SecretStore, SecretUnavailable
from engine.definition import secret_outputs
from engine.definition.kinds.message import channel_is_value
from engine.definition.model import Runbook, Step
from engine.definition.rendering import render_with, render_with_marks, render_with_secrets, secret_parts
from engine.definition.targets import OPENS
from engine.egress import Egress, parse_allow
from engine.errors import EngineError
from engine.expressions import conditions, made_of_secrets, render
from engine.received_secrets import Holding, ReceivedSecrets
from engine.steps import (
    approval,
    check,
    context,
    delay,
    grpc,
    grpc_expectations,
    http,
    manual,
    message,
    poll,
    received,
    secret_destinations,
    wait,
)
from engine.steps.expectations import Expectations
from engine.steps.grpc_channel import Channels
from engine.steps.oauth2 import Tokens
from engine.steps.outcome import Begun, Evidence, Failed, Later, Outcome, Succeeded, Unknown
from engine.steps.received import ClaimSecrets
from engine.text.redaction import MAX_TOLD_BYTES, Redact, Redactor, outgoing, worth_masking
from engine.text.storable import TooLarge, to_storable
from storage.records import ExecutionRecord, StepRunRecord
from storage.states import Phase

log = logging.getLogger(__name__)

Hold = Callable[[Iterable[Holding]], None]
"""Counts the run among the holders of these for as long as the attempt lasts."""

POLL_ROUND_MS = 30_000
"""How long one round of a poll may take, as a call by itself (`DEFAULT_ATTEMPT_TIMEOUT_MS`); the whole has its own."""


@dataclass(frozen=True)
class Tools:
    """What steps act with; one set a process. `tokens` and `channels` are what it keeps between calls.

    `received` is what `redactor` knows of secrets that runs received.
    """

    egress: Egress
    secrets: SecretStore
    redactor: Redactor
    received: ReceivedSecrets = field(default_factory=ReceivedSecrets, repr=False)
    tokens: Tokens = field(init=False, repr=False)
    channels: Channels = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tokens", Tokens(self.redactor))
        object.__setattr__(self, "channels", Channels(self.egress))

    def close(self) -> None:
        """Let go of every connection; calls under way on one fail."""
        self.channels.close()
        self.egress.close()


@dataclass(frozen=True)
class Claim:
    """A step run that this worker, and nobody else, may try now.

    `step_run` is as the claim left it: `attempts` is the number of this attempt and `fence` the one its result needs.
    `visible` is what its templates can see. `time_left_ms` is how long the whole run may still go on. A gate shows what
    is `behind` it.
    """

    execution: ExecutionRecord
    runbook: Runbook
    step: Step
    step_run: StepRunRecord
    visible: dict[str, Any]
    time_left_ms: int
    behind: approval.Behind = field(default_factory=approval.Behind)
    secrets: ClaimSecrets = field(default_factory=ClaimSecrets)

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt at this step run with the same parameters, and for no other.

        In cleanup it is the same for every attempt of the same cleanup.
        """
        changed = f"~{self.execution.revision + 1}" if self.execution.revision else ""
        cleaned = self.step_run.phase is not Phase.MAIN and self.step_run.ended_seq
        again = f"~after-{self.step_run.ended_seq}" if cleaned else ""
        return f"rb-{self.execution.id}-{self.step_run.path}{changed}{again}"


def perform(claim: Claim, tools: Tools, abandoned: Callable[[], bool]) -> Outcome:
    """Make the attempt. Never raises: whatever goes wrong is an outcome.

    `abandoned` turns true when the execution was cancelled.
    """
    with (
        tools.egress.large_answers.released_after(),
        tools.redactor.meanwhile() as also_mask,
        tools.received.meanwhile(tools.redactor) as hold,
    ):
        hold(received.holdings(claim.secrets.received))
        try:
            rendered = _rendered(claim, tools, also_mask, hold)
            outcome = ACTS[claim.step.kind](claim, rendered, tools, abandoned)
            if secret_outputs.templates(claim.step.outputs):
                return _without_received(outcome, claim, tools, hold)
            return _with_outputs(outcome, claim, tools)
        except EngineError as error:
            again = isinstance(error, SecretUnavailable)  # it is asked for before anything is sent
            return Failed(error.code, outgoing(str(error), tools.redactor.redact, MAX_TOLD_BYTES), again)
        except Exception as error:
            if secret_outputs.templates(claim.step.outputs):  # the error may hold what came, which nobody masks yet
                log.error("step %s of %s broke: %s", claim.step_run.path, claim.execution.id, type(error).__name__)
                return _broken(claim, type(error).__name__)
            log.exception("step %s of %s broke", claim.step_run.path, claim.execution.id)
            told = outgoing(f"{type(error).__name__}: {error}", tools.redactor.redact, MAX_TOLD_BYTES)
            return _broken(claim, told)


def _without_received(outcome: Outcome, claim: Claim, tools: Tools, hold: Hold) -> Outcome:
    """The outcome with the step's secret outputs apart, and without the answer that they came in."""

    def mapped(wanted: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
        return mapped_outputs(replace(claim.step, outputs=wanted), claim.visible, answer)

    holders = received.Holders(claim.secrets.received_rules, tools.received.held_for, hold)
    return received.taken(outcome, claim.step, mapped, tools.redactor.redact_json, holders)


def _with_outputs(outcome: Outcome, claim: Claim, tools: Tools) -> Outcome:
    """The outcome with what the step's own `outputs` make of its kind's, if it has any."""
    if not isinstance(outcome, Succeeded | Later) or not claim.step.outputs:
        return outcome
    try:
        return replace(outcome, outputs=mapped_outputs(claim.step, claim.visible, outcome.outputs))
    except (EngineError, TooLarge) as error:
        evidence = outcome.evidence if isinstance(outcome, Succeeded) else Evidence()
        told = f"The step was done, but its outputs could not be worked out: {error}"
        told = outgoing(told, tools.redactor.redact, MAX_TOLD_BYTES)
        return Failed("outputs", told, evidence=evidence)


def mapped_outputs(step: Step, visible: Mapping[str, Any], outputs: Mapping[str, Any]) -> dict[str, Any]:
    """The step's `outputs`, rendered over what its kind gave: `outputs`, and `response` for a call.

    Without any the kind's own. Raises `ExpressionError` and `TooLarge`.
    """
    if not step.outputs:
        return dict(outputs)
    seen = {**visible, "outputs": outputs, "response": _response(outputs)}
    mapped: dict[str, Any] = to_storable(render(dict(step.outputs), seen))
    return mapped


def _response(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """A call's answer as templates know it: every name is always there, and JSON is also text."""
    value = outputs.get("json")
    text = outputs.get("text", json.dumps(value, ensure_ascii=False) if "json" in outputs else "")
    status = outputs.get("status", outputs.get("code"))
    return {
        "status": status,
        "headers": outputs.get("headers", outputs.get("metadata", {})),
        "json": value,
        "xml": outputs.get("xml"),
        "lines": outputs.get("lines"),
        "text": text,
    }


def _broken(claim: Claim, message: str) -> Outcome:
    """A fault of ours: whether the call had been sent is not known."""
    if claim.step.idempotent:
        return Failed("internal", f"The bot itself failed: {message}", retryable=True)
    return Unknown("internal", f"The bot itself failed, and the call may have been sent: {message}")


@dataclass(frozen=True, slots=True)
class Rendered:
    """A step's `with`, rendered, its secrets in it; and the same as it may be shown, with marks in their place."""

    with_: dict[str, Any]
    shown: dict[str, Any]


def _rendered(
    claim: Claim, tools: Tools, also_mask: Callable[[Iterable[tuple[str, str]]], None], hold: Hold
) -> Rendered:
    """Fetch the secrets that the step reads, have what its templates make of them masked too, and render."""
    held = claim.secrets.held
    parts = secret_parts(claim.step, held)
    if not parts:
        with_ = render_with(claim.step, claim.visible)
        return Rendered(with_, with_)
    chains = context.chains_in(parts)
    values = {name: tools.secrets.resolve(name) for name in sorted(context.secret_names(chains))}
    steps = claim.secrets.steps_seen(claim.runbook, claim.step_run, claim.visible, chains)
    seen = {**claim.visible, "secrets": values, "steps": steps}
    known = {**values, **dict(received.known_values(claim.secrets.received))}
    made = made_of_secrets(parts, seen, held)
    worth = [
        (read, text) for read, text in made if worth_masking(text, [known[name] for name in read if name in known])
    ]
    also_mask((", ".join(read), text) for read, text in worth if not claim.secrets.are_received(read))
    hold(claim.secrets.made_of(read, text) for read, text in worth if claim.secrets.are_received(read))
    with_ = render_with_secrets(claim.step, claim.visible, seen, held)
    return Rendered(with_, render_with_marks(claim.step, claim.visible, held))


def _call(claim: Claim, tools: Tools, timeout_ms: int, abandoned: Callable[[], bool]) -> http.Call:
    return http.Call(
        idempotent=claim.step.idempotent,
        timeout_ms=min(timeout_ms, claim.time_left_ms),
        idempotency_key=claim.idempotency_key,
        egress=tools.egress,
        tokens=tools.tokens,
        redact=tools.redactor.redact_json,
        redact_again=_redact_again(claim, tools),
        abandoned=abandoned,
        carried=_carried(claim, tools),
        mapped=bool(claim.step.outputs),
        allowed=parse_allow(",".join(claim.step.with_.get(OPENS, ()))),
    )


def _redact_again(claim: Claim, tools: Tools) -> Redact | None:
    """What masks an answer that is read again for the step's secret outputs; None where it has none."""
    return tools.redactor.redact_but_received if secret_outputs.templates(claim.step.outputs) else None


def _carried(claim: Claim, tools: Tools) -> secret_destinations.Carried:
    def shows(text: str) -> bool:
        return tools.redactor.redact(text) != text

    received_rules = claim.secrets.rules_seen(claim.runbook, claim.step_run)
    return secret_destinations.carried(claim.step, claim.secrets, received_rules, shows)


def _http(claim: Claim, rendered: Rendered, tools: Tools, abandoned: Callable[[], bool]) -> Outcome:
    call = _call(claim, tools, claim.step.timeout_ms or 0, abandoned)
    return http.run(rendered.with_, call, rendered.shown, _expectations(claim))


def _expectations(claim: Claim) -> Expectations:
    retry_if = claim.step.retry.condition if claim.step.retry is not None else None
    return Expectations(claim.step.with_.get("expect"), retry_if, claim.visible)


def _poll(claim: Claim, rendered: Rendered, tools: Tools, abandoned: Callable[[], bool]) -> Outcome:
    with_ = rendered.with_

    def until(response: dict[str, Any]) -> bool:
        return conditions.holds(with_["until"], {**claim.visible, "response": response}, missing_is_false=True)

    return poll.run(
        {key: value for key, value in with_.items() if key not in ("until", "interval_ms")},
        until,
        _call(claim, tools, POLL_ROUND_MS, abandoned),
        interval_ms=with_["interval_ms"],
        shown=rendered.shown,
    )


def _grpc(claim: Claim, rendered: Rendered, tools: Tools, abandoned: Callable[[], bool]) -> Outcome:
    outcome = grpc.run(
        rendered.with_,
        shown=rendered.shown,
        idempotent=claim.step.idempotent,
        timeout_ms=min(claim.step.timeout_ms or 0, claim.time_left_ms),
        idempotency_key=claim.idempotency_key,
        channels=tools.channels,
        redact=tools.redactor.redact_json,
        redact_again=_redact_again(claim, tools),
        abandoned=abandoned,
        carried=_carried(claim, tools),
    )
    return grpc_expectations.judge(outcome, _expectations(claim), tools.redactor.redact_json)


def _delay(_claim: Claim, rendered: Rendered, _tools: Tools, _abandoned: Callable[[], bool]) -> Outcome:
    return delay.run(rendered.with_)


def _message(claim: Claim, rendered: Rendered, tools: Tools, _abandoned: Callable[[], bool]) -> Outcome:
    return message.run(rendered.with_, redact=tools.redactor.redact_json, by_value=channel_is_value(claim.step))


def _check(claim: Claim, rendered: Rendered, tools: Tools, _abandoned: Callable[[], bool]) -> Outcome:
    return check.run(rendered.with_, claim.visible, redact=tools.redactor.redact_json)


def _wait(claim: Claim, rendered: Rendered, _tools: Tools, _abandoned: Callable[[], bool]) -> Outcome:
    return wait.run(rendered.with_, timeout_ms=claim.step.timeout_ms or 0)


def _approval(claim: Claim, _rendered: Rendered, tools: Tools, _abandoned: Callable[[], bool]) -> Outcome:
    return approval.run(claim.step, claim.runbook, claim.visible, claim.behind, redact=tools.redactor.redact_json)


def _manual(claim: Claim, rendered: Rendered, tools: Tools, _abandoned: Callable[[], bool]) -> Outcome:
    return manual.run(claim.step, rendered.with_, redact=tools.redactor.redact_json)


def _runbook(_claim: Claim, rendered: Rendered, _tools: Tools, _abandoned: Callable[[], bool]) -> Outcome:
    return Begun(rendered.with_["id"], rendered.with_.get("params") or {})


ACTS: Mapping[str, Callable[[Claim, Rendered, Tools, Callable[[], bool]], Outcome]] = {
    "http": _http,
    "poll": _poll,
    "approval": _approval,
    "manual": _manual,
    "grpc": _grpc,
    "delay": _delay,
    "message": _message,
    "check": _check,
    "wait": _wait,
    "runbook": _runbook,
}
"""What does a step, by its kind; a container has nothing to do itself."""
