"""Which answers a call's author wants, and which unwanted ones may be asked for again: `expect` and `retry.if`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from engine.expressions import ExpressionError, holds
from engine.steps.outcome import Failed, Succeeded
from engine.text.redaction import MAX_TOLD_BYTES, Redact, outgoing
from storage.records import Json

UNEXPECTED = "unexpected_answer"
"""The code of a call that was answered, but not as `expect` wants."""


@dataclass(frozen=True, slots=True)
class Expectations:
    """What is asked of every answer that was seen, in the context of the step; None where nothing was said."""

    expect: Json = None
    retry_if: Json = None
    visible: Mapping[str, Any] | None = None

    def wanted(self, response: Mapping[str, Json], *, otherwise: bool) -> bool:
        """Whether this answer is success; `otherwise` where the author did not say. Raises `ExpressionError`."""
        return otherwise if self.expect is None else self._holds(self.expect, response)

    def may_retry(self, response: Mapping[str, Json], *, otherwise: bool) -> bool:
        """Whether this unwanted answer may be asked for again: the author has seen it coming, so their word counts.

        Raises `ExpressionError`.
        """
        return otherwise if self.retry_if is None else self._holds(self.retry_if, response)

    def _holds(self, condition: Json, response: Mapping[str, Json]) -> bool:
        return holds(condition, {**(self.visible or {}), "response": response}, missing_is_false=True)


def judged(
    wants: Expectations,
    response: Mapping[str, Json],
    good: Succeeded | Failed,
    bad: Failed,
    *,
    ok: bool,
    redact: Redact,
) -> Succeeded | Failed:
    """What an answer comes to: `good` where it is wanted, else `bad`; `ok` says that it is one of success by itself.

    A condition that cannot be asked of the answer fails the step, and is no reason to send anything again.
    """
    try:
        if wants.wanted(response, otherwise=ok):
            return good
        retryable = wants.may_retry(response, otherwise=bad.retryable)
    except ExpressionError as error:
        told = f"The server answered, but whether that is wanted cannot be worked out: {error}. {bad.message}"
        message = outgoing(told, redact, MAX_TOLD_BYTES)
        return replace(bad, code="expectation", message=message, retryable=False)
    return replace(bad, retryable=retryable)


def unexpected(message: str, redact: Redact) -> str:
    """The sentence for an answer of success that `expect` does not want."""
    return outgoing(f"The answer is not what `expect` asks for. {message}", redact, MAX_TOLD_BYTES)
