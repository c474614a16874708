"""The `check` step: it fails, with its author's message, unless its condition holds."""

from __future__ import annotations

from collections.abc import Mapping

from engine.expressions import conditions
from engine.steps.outcome import Failed, Succeeded
from engine.text.redaction import MAX_TOLD_BYTES, Redact, outgoing
from storage.records import Json

CODE = "check_failed"
_NO_MESSAGE = "What this check asks for does not hold."


def run(with_: Mapping[str, Json], visible: Mapping[str, Json], *, redact: Redact) -> Succeeded | Failed:
    """Ask `that`, a condition, of what the step can see; `message` is rendered already.

    Raises `ExpressionError` for a condition that cannot be asked, such as one about a value that is not there.
    """
    if conditions.holds(with_["that"], visible):
        return Succeeded({})
    return Failed(CODE, outgoing(str(with_.get("message") or _NO_MESSAGE), redact, MAX_TOLD_BYTES))
