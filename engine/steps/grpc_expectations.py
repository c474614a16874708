"""What an answer to a gRPC call comes to, as its author wants it."""

from __future__ import annotations

from collections.abc import Mapping

from engine.steps import grpc_status
from engine.steps.expectations import UNEXPECTED, Expectations, judged, unexpected
from engine.steps.outcome import Failed, Outcome, Succeeded
from engine.text.redaction import Redact
from storage.records import Json


def judge(outcome: Outcome, wants: Expectations, redact: Redact) -> Outcome:
    """The outcome of a gRPC call as its author wants it; only a status that the server itself gave is an answer."""
    if isinstance(outcome, Succeeded):
        message = unexpected("The server answered OK.", redact)
        bad = Failed(UNEXPECTED, message, outputs=outcome.outputs, evidence=outcome.evidence)
        return judged(wants, _response(outcome.outputs), outcome, bad, ok=True, redact=redact)
    if isinstance(outcome, Failed) and outcome.outputs is not None and grpc_status.is_answer(outcome.outputs["code"]):
        good = Succeeded({**outcome.outputs, "json": None}, outcome.evidence)
        return judged(wants, _response(outcome.outputs), good, outcome, ok=False, redact=redact)
    return outcome


def _response(outputs: Mapping[str, Json]) -> dict[str, Json]:
    """A gRPC answer under the names that a `response` always has."""
    return {
        "status": outputs["code"], "headers": outputs["metadata"], "json": outputs.get("json"),
        "text": outputs.get("message", ""),
    }  # fmt: skip
