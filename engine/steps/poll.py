"""The `poll` step: one round of asking. The runner calls it again until the step's own time is up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from engine.errors import EngineError
from engine.steps import http, http_response
from engine.steps.http import Exchange, describe, exchange, succeeded
from engine.steps.outcome import Again, Failed, Outcome
from engine.steps.secret_destinations import CODE
from engine.text.redaction import MAX_TOLD_BYTES, Redact, outgoing
from storage.records import Json

_NEVER_ANSWERED = frozenset({"egress_refused", "bad_request", CODE})
_NO_ACCESS = frozenset({401, 403})


def run(
    with_: dict[str, Json],
    until: Callable[[dict[str, Json]], bool],
    call: http.Call,
    *,
    interval_ms: int,
    shown: Mapping[str, Json] | None = None,
) -> Outcome:
    """Ask once. `until` gets {status, headers, json, text} and may raise an `EngineError`, which counts as not yet.

    True gives Succeeded with the outputs of an http step, whatever the status. Otherwise Again after `interval_ms` (or
    the server's longer Retry-After), also when no answer came, except that a refused address, a request that cannot
    be sent and 401 or 403 fail at once: asking again would not change them. The call's `timeout_ms` is for this round.
    """
    result = exchange(with_, call, shown)
    if isinstance(result, Failed) and result.code not in _NEVER_ANSWERED:
        return Again(interval_ms, result.message, result.evidence)
    if not isinstance(result, Exchange):
        return result
    return _judge(result, until, interval_ms, call.redact)


def _judge(result: Exchange, until: Callable[[dict[str, Json]], bool], interval_ms: int, redact: Redact) -> Outcome:
    answer = result.answer
    reason = ""
    try:
        if until(answer.view()):
            return succeeded(result)
    except EngineError as error:
        reason = f" ({outgoing(str(error), redact, MAX_TOLD_BYTES)})"
    if answer.status in _NO_ACCESS:
        return Failed("http_status", describe(answer, result.redirects), evidence=result.evidence)
    wait = http_response.retry_after_ms(answer.headers.get("retry-after"), datetime.now(UTC)) or 0
    told = f"Not yet{reason}. {describe(answer, result.redirects)}"
    return Again(max(interval_ms, wait), told, result.evidence)
