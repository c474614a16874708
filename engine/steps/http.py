"""The `http` step: one guarded call, and what its answer means by promise G3."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from engine.egress import CallFailed, Egress, Response
from engine.steps import http_call, http_request, http_response
from engine.steps.http_call import Credential, Hop, Line
from engine.steps.http_request import BadRequest, Redact, Request, cut
from engine.steps.http_response import Answer
from engine.steps.oauth2 import NoToken, Tokens
from engine.steps.outcome import Abandoned, Evidence, Failed, Outcome, Succeeded, Unknown
from engine.storable import TooLarge

Json = Any

MAX_FAILED_TEXT = 16 * 1024
MAX_TOLD_BYTES = 600
_FINAL = frozenset({"egress_refused", "bad_request"})  # another attempt would end the same way


@dataclass(frozen=True, slots=True)
class Call:
    """What a step's call is made with.

    `timeout_ms` is for all of it, token and redirects included; `redact` masks secrets in any JSON value; `abandoned`
    turns True when the execution was cancelled.
    """

    idempotent: bool
    timeout_ms: int
    idempotency_key: str
    egress: Egress
    tokens: Tokens
    redact: Redact
    abandoned: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One call that was answered, with the evidence of it.

    `redirects` is how many the step allows; `redirected` says that the answer is not the first request's.
    """

    answer: Answer
    truncated: bool
    evidence: Evidence
    redirects: int = 0
    redirected: bool = False


def run(with_: dict[str, Json], call: Call) -> Outcome:
    """Make the call of a rendered `with`, secrets already in it; nothing in the outcome shows a secret."""
    result = exchange(with_, call)
    if not isinstance(result, Exchange):
        return result
    if result.answer.ok:
        return succeeded(result, call.redact)
    return _answered_badly(result, call.redact, call.idempotent)


def exchange(with_: dict[str, Json], call: Call) -> Exchange | Failed | Unknown | Abandoned:
    """Send and read the answer, whatever its status; without an answer, the outcome that follows."""
    redact = call.redact
    line = Line(call.egress, call.timeout_ms, fresh=not call.idempotent, abandoned=call.abandoned)
    try:
        request = http_request.build(with_, call.idempotency_key)
        credential = Credential(with_.get("auth") or {}, call.tokens, line)
    except BadRequest as error:
        return Failed("bad_request", str(redact(f"Nothing was sent: {error}.")))
    redirects = with_.get("redirects") or 0
    try:
        response, hops = http_call.send(request, credential, line, redirects)
    except BadRequest as error:
        return Failed("bad_request", str(redact(f"Nothing was sent: {error}.")))
    except NoToken as error:
        message = cut(str(redact(f"Nothing was sent: {error}")), MAX_TOLD_BYTES)
        return Failed("no_token", message, retryable=error.retryable)
    except CallFailed as error:
        sent = http_request.request_evidence(credential.first or request, redact)
        return _no_answer(error, Evidence(sent), redact, call.idempotent)
    return _read(credential.first or request, response, hops, redirects, line.elapsed_ms(), redact)


def succeeded(result: Exchange, redact: Redact) -> Succeeded | Failed:
    """The outputs of an answer that counts as success; Failed when they cannot be kept."""
    answer = result.answer
    made = f"The call was made and the server answered {http_response.status_name(answer.status)}"
    if answer.encoding not in ("", "identity"):
        message = f"{made}, but encoded as {answer.encoding}, although an unencoded answer was asked for."
        return Failed("protocol", str(redact(message)), evidence=result.evidence)
    try:
        if result.truncated:
            raise TooLarge(answer.size, answer.size)
        return Succeeded(redact(answer.outputs()), result.evidence)
    except TooLarge:
        message = f"{made}, but the response is too large: a step keeps at most 256 KiB of it."
        return Failed("too_large", message, evidence=result.evidence)


def _read(
    request: Request, response: Response, hops: Sequence[Hop], redirects: int, elapsed_ms: int, redact: Redact
) -> Exchange:
    answer = http_response.read(response)
    body = json.dumps(redact(answer.json), ensure_ascii=False) if answer.has_json else str(redact(answer.text))
    received = {
        "status": answer.status,
        "headers": http_request.headers_evidence(answer.headers, redact, request.credentials),
        **http_request.body_evidence(body),
        "bytes": answer.size,
        "elapsed_ms": elapsed_ms,
    }
    if hops:
        received["redirects"] = [{"status": hop.status, "to": cut(str(redact(hop.to)))} for hop in hops]
    evidence = Evidence(http_request.request_evidence(request, redact), received)
    return Exchange(answer, response.truncated, evidence, redirects, redirected=bool(hops))


def _no_answer(error: CallFailed, evidence: Evidence, redact: Redact, idempotent: bool) -> Failed | Unknown | Abandoned:
    message = cut(str(redact(error.message)))
    if error.code == "abandoned":
        return Abandoned(message, evidence)
    if error.sent and not idempotent:
        return Unknown(error.code, f"{message} Whether it took effect is not known.", evidence)
    return Failed(error.code, message, retryable=error.code not in _FINAL, evidence=evidence)


def _answered_badly(result: Exchange, redact: Redact, idempotent: bool) -> Failed:
    answer = result.answer
    wait = http_response.retry_after_ms(answer.headers.get("retry-after"), datetime.now(UTC))
    return Failed(
        "http_status",
        describe(answer, redact, result.redirects),
        # What was redirected has had its effect already: asking to come back does not undo that.
        retryable=may_retry(answer.status, wait, idempotent) and (idempotent or not result.redirected),
        retry_after_ms=wait,
        outputs=_failed_outputs(answer, redact),
        evidence=result.evidence,
    )


def may_retry(status: int, retry_after_ms: int | None, idempotent: bool) -> bool:
    """Promise G3 for an answered call that did not succeed."""
    asked_to_come_back = status == 429 or (status == 503 and retry_after_ms is not None)
    return asked_to_come_back or (idempotent and (status >= 500 or status in (408, 425)))


def describe(answer: Answer, redact: Redact, redirects: int = 0) -> str:
    """One sentence on an answer, with the telling part of its body; `redirects` is how many the step allows."""
    start = f"The server answered {http_response.status_name(answer.status)}"
    if 300 <= answer.status < 400 and "location" in answer.headers:
        target = cut(str(redact(answer.headers["location"])), http_response.MAX_TELLING_CHARS)
        rule = (
            f"At most {redirects} are followed, and only with GET and HEAD"
            if redirects
            else "Redirects are not followed"
        )
        return f"{start} and pointed to {target}. {rule}: write the final address in the runbook."
    # Masked before it is cut, so that no half of a secret stays.
    told = cut(str(redact(http_response.telling_part(answer))), http_response.MAX_TELLING_CHARS)
    return f"{start}: {told}" if told else f"{start}."


def _failed_outputs(answer: Answer, redact: Redact) -> dict[str, Json]:
    try:
        kept: dict[str, Json] = redact(answer.outputs())
    except TooLarge:
        return {"status": answer.status, "headers": redact(answer.headers), "bytes": answer.size}
    if "text" in kept:
        kept["text"] = cut(kept["text"], MAX_FAILED_TEXT)
    return kept
