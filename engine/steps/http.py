"""The `http` step: one guarded call, and what its answer means by promise G3."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from engine.egress import CallFailed, Egress, Response
from engine.egress.allowed_addresses import Allowed
from engine.egress.client import DEFAULT_MAX_BYTES
from engine.steps import http_call, http_request, http_response
from engine.steps.expectations import UNEXPECTED, Expectations, judged, unexpected
from engine.steps.http_call import Credential, Hop, Line
from engine.steps.http_request import MAX_EVIDENCE_BYTES, BadRequest
from engine.steps.http_response import Answer
from engine.steps.oauth2 import NoToken, Tokens
from engine.steps.outcome import Abandoned, Evidence, Failed, Outcome, Succeeded, Unknown
from engine.steps.secret_destinations import CODE, Carried
from engine.text.redaction import MAX_TOLD_BYTES, Redact, cut, outgoing
from engine.text.storable import TooLarge
from storage.records import Json

MAX_FAILED_TEXT = 16 * 1024
"""How much is kept of the text of an answer that is no success, or that could not be unpacked to its end."""
MAX_MAPPED_BYTES = 8 * 1024 * 1024
_FINAL = frozenset({"egress_refused", "bad_request", CODE})  # another attempt would end the same way


@dataclass(frozen=True, slots=True)
class Call:
    """What a step's call is made with.

    `timeout_ms` is for all of it, token and redirects included; `redact` masks secrets in any JSON value, and
    `redact_again` those that may not be a secret output, where the step has any; `abandoned` turns True when the
    execution was cancelled. `carried` are its secrets, and where they may go. `mapped` says that
    the step's own `outputs` choose what is kept, so that more may be read; `allowed` is what its target opens.
    """

    idempotent: bool
    timeout_ms: int
    idempotency_key: str
    egress: Egress
    tokens: Tokens
    redact: Redact
    abandoned: Callable[[], bool]
    carried: Carried = field(default_factory=Carried)
    mapped: bool = False
    allowed: tuple[Allowed, ...] = ()
    redact_again: Redact | None = None

    @property
    def max_bytes(self) -> int:
        """How much of an answer is read, as it comes and once it is unpacked."""
        return MAX_MAPPED_BYTES if self.mapped else DEFAULT_MAX_BYTES


@dataclass(frozen=True, slots=True)
class Exchange:
    """One call that was answered, with the evidence of it.

    `redirects` is how many the step allows; `redirected` says that the answer is not the first request's. `reread` is
    as in `Succeeded`.
    """

    answer: Answer
    truncated: bool
    evidence: Evidence
    redirects: int = 0
    redirected: bool = False
    mapped: bool = False
    reread: Callable[[], dict[str, Json]] | None = field(default=None, repr=False)


def run(
    with_: dict[str, Json],
    call: Call,
    shown: Mapping[str, Json] | None = None,
    wants: Expectations = Expectations(),  # noqa: B008 - it is frozen
) -> Outcome:
    """Make the call of a rendered `with`, secrets already in it; nothing in the outcome shows a secret.

    `shown` is the same with marks instead of what templates made of secrets; left out, it is masked by value alone.
    `wants` says which answers are success; those of 200 to 299 where its author did not.
    """
    result = exchange(with_, call, shown)
    if not isinstance(result, Exchange):
        return result
    answer = result.answer
    if answer.ok and wants.expect is None:
        return succeeded(result)
    bad = _answered_badly(result, call.idempotent)
    if answer.ok:
        bad = replace(bad, code=UNEXPECTED, message=unexpected(bad.message, call.redact), retryable=False)
    return judged(wants, answer.view(), succeeded(result), bad, ok=answer.ok, redact=call.redact)


def exchange(
    with_: dict[str, Json], call: Call, shown: Mapping[str, Json] | None = None
) -> Exchange | Failed | Unknown | Abandoned:
    """Send and read the answer, whatever its status; without an answer, the outcome that follows."""
    redact = call.redact
    line = Line(
        call.egress, call.timeout_ms, fresh=not call.idempotent, abandoned=call.abandoned, carried=call.carried,
        max_bytes=call.max_bytes, allowed=call.allowed,
    )  # fmt: skip
    try:
        request = http_request.build(with_, call.idempotency_key)
        credential = Credential(with_.get("auth") or {}, call.tokens, line)
        tls = http_request.tls_of(with_)
    except BadRequest as error:
        return Failed("bad_request", outgoing(f"Nothing was sent: {error}.", redact, MAX_TOLD_BYTES))
    redirects = with_.get("redirects") or 0

    def sent() -> dict[str, Json]:
        return http_request.request_evidence(credential.first or request, with_ if shown is None else shown, redact)

    try:
        response, hops = http_call.send(request, credential, line, redirects, tls)
    except BadRequest as error:
        return Failed("bad_request", outgoing(f"Nothing was sent: {error}.", redact, MAX_TOLD_BYTES))
    except NoToken as error:
        told = outgoing(f"Nothing was sent: {error}", redact, MAX_TOLD_BYTES, fold=True)
        return Failed("no_token", told, retryable=error.retryable)
    except CallFailed as error:
        return _no_answer(error, Evidence(sent()), redact, call.idempotent)
    hidden = (credential.first or request).credentials
    form = str(with_.get("response_format") or "")
    answer = http_response.read(response, redact, form, call.max_bytes)
    received = _received(answer, hops, line.elapsed_ms(), redact, hidden)
    evidence = Evidence(sent(), received)
    reread = _rereading(response, form, call)
    return Exchange(answer, response.truncated, evidence, redirects, bool(hops), call.mapped, reread)


def _rereading(response: Response, form: str, call: Call) -> Callable[[], dict[str, Json]] | None:
    redact = call.redact_again
    if redact is None:
        return None
    return lambda: http_response.read(response, redact, form, call.max_bytes).everything()


def succeeded(result: Exchange) -> Succeeded | Failed:
    """The outputs of an answer that counts as success; Failed when they cannot be kept."""
    answer = result.answer
    try:
        if result.truncated:
            raise TooLarge(answer.size, answer.size)
        if result.mapped:
            return Succeeded(answer.everything(), result.evidence, reread=result.reread)
        return Succeeded(answer.outputs(None if answer.whole else MAX_FAILED_TEXT), result.evidence)
    except TooLarge:
        made = f"The call was made and the server answered {http_response.status_name(answer.status)}"
        most = "its `outputs` read at most 8 MiB" if result.mapped else "a step keeps at most 256 KiB of it"
        return Failed("too_large", f"{made}, but the response is too large: {most}.", evidence=result.evidence)


def _received(
    answer: Answer, hops: Sequence[Hop], elapsed_ms: int, redact: Redact, hidden: Collection[str]
) -> dict[str, Json]:
    body = json.dumps(answer.value, ensure_ascii=False) if answer.has_json else answer.text
    received = {
        "status": answer.status,
        "headers": http_request.headers_shown(answer.headers, hidden),
        **http_request.body_evidence(body),
        "bytes": answer.size,
        "elapsed_ms": elapsed_ms,
        **({"warning": answer.warning} if answer.warning else {}),
    }
    if hops:
        received["redirects"] = [
            {"status": hop.status, "to": outgoing(hop.to, redact, MAX_EVIDENCE_BYTES)} for hop in hops
        ]
    return received


def _no_answer(error: CallFailed, evidence: Evidence, redact: Redact, idempotent: bool) -> Failed | Unknown | Abandoned:
    message = outgoing(error.message, redact, MAX_TOLD_BYTES)
    if error.code == "abandoned":
        return Abandoned(message, evidence)
    if error.sent and not idempotent:
        return Unknown(error.code, f"{message} Whether it took effect is not known.", evidence)
    return Failed(error.code, message, retryable=error.code not in _FINAL, evidence=evidence)


def _answered_badly(result: Exchange, idempotent: bool) -> Failed:
    answer = result.answer
    wait = http_response.retry_after_ms(answer.headers.get("retry-after"), datetime.now(UTC))
    return Failed(
        "http_status",
        describe(answer, result.redirects),
        # What was redirected has had its effect already: asking to come back does not undo that.
        retryable=may_retry(answer.status, wait, idempotent) and (idempotent or not result.redirected),
        retry_after_ms=wait,
        outputs=_failed_outputs(answer),
        evidence=result.evidence,
    )


def may_retry(status: int, retry_after_ms: int | None, idempotent: bool) -> bool:
    """Promise G3 for an answered call that did not succeed."""
    asked_to_come_back = status == 429 or (status == 503 and retry_after_ms is not None)
    return asked_to_come_back or (idempotent and (status >= 500 or status in (408, 425)))


def describe(answer: Answer, redirects: int = 0) -> str:
    """One sentence on an answer, with the telling part of its body; `redirects` is how many the step allows."""
    start = f"The server answered {http_response.status_name(answer.status)}"
    if 300 <= answer.status < 400 and "location" in answer.headers:
        target = cut(answer.headers["location"], http_response.MAX_TELLING_CHARS)
        rule = (
            f"At most {redirects} are followed, and only with GET and HEAD"
            if redirects
            else "Redirects are not followed"
        )
        return f"{start} and pointed to {target}. {rule}: write the final address in the runbook."
    told = http_response.telling_part(answer)
    return f"{start}: {told}" if told else f"{start}."


def _failed_outputs(answer: Answer) -> dict[str, Json]:
    try:
        kept = answer.outputs()
    except TooLarge:
        return {"status": answer.status, "headers": answer.headers, "bytes": answer.size}
    if "text" in kept:
        kept["text"] = cut(kept["text"], MAX_FAILED_TEXT)
    return kept
