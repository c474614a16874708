"""The `grpc` step: one guarded unary call, JSON in and out, and what its answer means by promise G3."""

from __future__ import annotations

import base64
import binascii
import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import grpc

from engine.definition.rendering import target_as_url
from engine.egress import CallFailed, tls_trouble
from engine.steps import grpc_channel, grpc_schema, grpc_status
from engine.steps.grpc_channel import Call, Channels, Connection, Target
from engine.steps.grpc_files import SchemaProblem
from engine.steps.grpc_schema import Method, Schema
from engine.steps.grpc_weight import TooHeavy
from engine.steps.http_request import BadRequest, cut, digest, headers_shown, scalar
from engine.steps.http_response import bounded
from engine.steps.outcome import Abandoned, Evidence, Failed, Outcome, Succeeded, Unknown
from engine.steps.secret_destinations import CODE, Carried
from engine.text.redaction import MAX_TOLD_BYTES, Redact, outgoing
from engine.text.redaction import cut as cut_text
from engine.text.storable import TooLarge, to_storable
from storage.records import Json

log = logging.getLogger(__name__)

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_KEY = re.compile(r"[0-9a-z_.-]+")
_VALUE = re.compile(r"[\x20-\x7e]*")
_FINAL = frozenset({"egress_refused", "bad_request", CODE})
_TOO_LARGE = re.compile(r"(Received|Sent) message larger than max")


class _Redacts(NamedTuple):
    """What masks everything, and what masks an answer that is read again for secret outputs."""

    all: Redact
    again: Redact | None


@dataclass(frozen=True, slots=True)
class Request:
    """A rendered step, read."""

    target: Target
    service: str
    method: str
    message: Json
    metadata: tuple[tuple[str, str | bytes], ...]


class NotSent(Exception):
    """The call did not begin: no connection, or the server could not say what the method looks like."""

    def __init__(self, code: str, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.code = code
        self.retryable = retryable


def run(
    with_: dict[str, Json],
    *,
    idempotent: bool,
    timeout_ms: int,
    idempotency_key: str,
    channels: Channels,
    redact: Redact,
    redact_again: Redact | None = None,
    abandoned: Callable[[], bool],
    shown: Mapping[str, Json] | None = None,
    carried: Carried | None = None,
) -> Outcome:
    """Make the call of a rendered `with`, secrets already in it; nothing in the outcome shows a secret.

    `shown` is the same with marks instead of what templates made of secrets; left out, it is masked by value alone.
    `redact_again` masks what may not be a secret output, where the step has any.
    A call that is not idempotent gets a connection of its own, proven by asking for the method's types on it just
    before, so that a stale one cannot make its outcome unknown.
    """
    try:
        request = build(with_, idempotency_key)
    except BadRequest as error:
        return Failed("bad_request", outgoing(f"Nothing was sent: {error}.", redact, MAX_TOLD_BYTES))
    call = Call(timeout_ms, abandoned)
    evidence = Evidence(_request_evidence(request, with_ if shown is None else shown, redact))
    try:
        if carried is not None:
            carried.to_address(target_as_url(str(request.target)))
        with channels.connection(request.target, call, fresh=not idempotent) as connection:
            return _call(connection, channels, request, call, evidence, _Redacts(redact, redact_again), idempotent)
    except grpc_channel.Abandoned:
        return Abandoned("The call was dropped because it is no longer wanted.", evidence)
    except CallFailed as error:
        message = outgoing(error.message, redact, MAX_TOLD_BYTES)
        if error.code == "abandoned":
            return Abandoned(message, evidence)
        return Failed(error.code, message, retryable=error.code not in _FINAL, evidence=evidence)
    except NotSent as error:
        message = outgoing(f"Nothing was sent: {error}.", redact, MAX_TOLD_BYTES, fold=True)
        return Failed(error.code, message, retryable=error.retryable, evidence=evidence)


def build(with_: Mapping[str, Json], idempotency_key: str) -> Request:
    """Raises `BadRequest`. Metadata that the runbook sets wins over the bot's own."""
    try:
        target = grpc_channel.parse_target(str(with_.get("target")), with_.get("tls", True))
    except ValueError as error:
        raise BadRequest(str(error)) from error
    service, method = scalar("service", with_.get("service")), scalar("method", with_.get("method"))
    if not _NAME.fullmatch(service) or not _NAME.fullmatch(method) or "." in method:
        raise BadRequest(f"{service}/{method} is not a service and a method, such as shop.v1.Orders and Cancel")
    given = with_.get("metadata") or {}
    if not isinstance(given, dict):
        raise BadRequest("metadata must be names with values")
    pairs = dict(_pair(str(name).lower(), value) for name, value in given.items())
    message = {} if with_.get("message") is None else with_["message"]
    return Request(target, service, method, message, tuple(({"idempotency-key": idempotency_key} | pairs).items()))


def _pair(name: str, value: Json) -> tuple[str, str | bytes]:
    if not _KEY.fullmatch(name) or name.startswith("grpc-"):
        raise BadRequest(f"{name!r} is not a name for metadata")
    text = scalar(f"metadata {name}", value)
    if name.endswith("-bin"):
        try:
            return name, base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise BadRequest(f"metadata {name} must be base64") from error
    if not _VALUE.fullmatch(text):
        raise BadRequest(f"metadata {name} must be plain ASCII text")
    return name, text.strip()


def _call(
    connection: Connection,
    channels: Channels,
    request: Request,
    call: Call,
    evidence: Evidence,
    redacts: _Redacts,
    idempotent: bool,
) -> Outcome:
    try:
        method, message = _prepared(connection, request, call)
    except NotSent:
        channels.retire(request.target)
        raise
    try:
        data, answered = connection.unary(method.path, message, request.metadata, call)
    except grpc.RpcError as error:
        if error.code() in grpc_status.NOBODY_KNOWS | {grpc.StatusCode.UNIMPLEMENTED}:
            channels.retire(request.target)
        return _failed(error, request, call, evidence, redacts.all, idempotent)
    return _succeeded(method, data, answered, call, evidence, redacts)


def _prepared(connection: Connection, request: Request, call: Call) -> tuple[Method, bytes]:
    """The method and the encoded message. Raises `NotSent`."""
    try:
        method = _schema(connection, request, call).method(request.method)
        message = method.encode(request.message)
    except SchemaProblem as error:
        raise NotSent("bad_request", str(error), retryable=False) from error
    except (NotSent, CallFailed, grpc_channel.Abandoned):
        raise
    except Exception as error:
        log.exception("what %s describes cannot be used", request.target)
        raise NotSent("internal", f"the bot itself failed ({type(error).__name__}: {error})", retryable=True) from error
    if len(message) > grpc_channel.MAX_MESSAGE_BYTES:
        raise NotSent("too_large", "the message is larger than 4 MiB", retryable=False)
    return method, message


def _schema(connection: Connection, request: Request, call: Call) -> Schema:
    if request.service not in connection.schemas:
        metadata = [pair for pair in request.metadata if pair[0] != "idempotency-key"]

        def ask(question: bytes) -> bytes:
            for path in grpc_schema.REFLECTION_PATHS:
                try:
                    return connection.unary(path, question, metadata, call)[0]
                except grpc.RpcError as error:
                    if error.code() is not grpc.StatusCode.UNIMPLEMENTED:
                        raise _unreachable(error, request) from error
            raise NotSent("no_reflection", f"{request.target} does not offer server reflection", retryable=False)

        connection.schemas[request.service] = grpc_schema.fetch(request.service, ask, call.check)
    return connection.schemas[request.service]


def _unreachable(error: grpc.RpcError, request: Request) -> NotSent:
    """Why the types could not be asked for; the step's own call had not begun."""
    code = error.code()
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return NotSent("timeout", f"{request.target} did not answer in time", retryable=True)
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and _TOO_LARGE.search(error.details() or ""):
        return NotSent("bad_request", f"{request.target} describes its types with more than 4 MiB", retryable=False)
    passing = code in grpc_status.NOBODY_KNOWS | grpc_status.WORTH_A_RETRY
    word = "connect" if code is grpc.StatusCode.UNAVAILABLE else "grpc_status"
    said = f"{request.target} could not be asked ({code.name}: {error.details()})"
    if word == "connect" and request.target.tls:
        told = tls_trouble.advice(error.details() or "")
        word = "tls" if told else word
        told = told or tls_trouble.hung_up(error.details() or "", shown=bool(request.target.given.cert))
        said += f"; {told}" if told else ""
    return NotSent(word, said, retryable=passing)


def _succeeded(
    method: Method, data: bytes, answered: grpc.Call, call: Call, evidence: Evidence,
    redacts: _Redacts,
) -> Succeeded | Failed:  # fmt: skip
    redact = redacts.all
    trailing = _trailing(answered, redact)
    received = {"code": "OK", "metadata": headers_shown(trailing), "elapsed_ms": call.elapsed_ms()}
    try:
        answer = to_storable(redact(method.decode(data)))
        received |= {**_message_evidence(answer), "bytes": len(data)}
        outputs = to_storable({"code": "OK", "json": answer, "metadata": trailing})
        reread = _rereading(method, data, answered, redacts.again)
        return Succeeded(outputs, Evidence(evidence.request, received), reread=reread)
    except SchemaProblem as error:
        told = outgoing(f"The call was made, but {error}.", redact, MAX_TOLD_BYTES, fold=True)
        return Failed("protocol", told, evidence=Evidence(evidence.request, received))
    except (TooLarge, TooHeavy) as error:
        why = "a step keeps at most 256 KiB of it" if isinstance(error, TooLarge) else error
        message = f"The call was made, but the answer is too large: {why}."
        return Failed("too_large", message, evidence=Evidence(evidence.request, received))


def _trailing(answered: grpc.Call, redact: Redact) -> dict[str, str]:
    return bounded(redact(grpc_status.metadata_json(answered.trailing_metadata() or ())))


def _rereading(
    method: Method, data: bytes, answered: grpc.Call, redact: Redact | None
) -> Callable[[], dict[str, Json]] | None:
    if redact is None:
        return None

    def reread() -> dict[str, Json]:
        found: dict[str, Json] = to_storable(
            {"code": "OK", "json": redact(method.decode(data)), "metadata": _trailing(answered, redact)}
        )
        return found

    return reread


def _failed(
    error: grpc.RpcError, request: Request, call: Call, evidence: Evidence, redact: Redact, idempotent: bool
) -> Failed | Unknown:
    code, details = error.code(), error.details() or ""
    trailing = list(error.trailing_metadata() or ())
    found = str(redact(details))
    told = cut_text(" ".join(found.split()), MAX_TOLD_BYTES)
    metadata = bounded(redact(grpc_status.metadata_json(trailing)))
    received = {
        "code": code.name,
        "details": cut(found),
        "metadata": headers_shown(metadata),
        "elapsed_ms": call.elapsed_ms(),
    }
    seen = Evidence(evidence.request, received)
    message = f"{redact(str(request.target))} answered {code.name}{f': {told}' if told else ''}."
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        message = (
            f"The call was sent, but no full answer came in time (DEADLINE_EXCEEDED{f': {told}' if told else ''})."
        )
    outputs = {"code": code.name, "message": told, "metadata": metadata}
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and _TOO_LARGE.search(details):
        return Failed("too_large", message, outputs=outputs, evidence=seen)
    wait = grpc_status.retry_after_ms(code, trailing)
    if code in grpc_status.NOBODY_KNOWS and wait is None and not idempotent:
        return Unknown(_word(code), f"{message} Whether it took effect is not known.", seen)
    retryable = grpc_status.may_retry(code, wait, idempotent)
    return Failed(_word(code), message, retryable=retryable, retry_after_ms=wait, outputs=outputs, evidence=seen)


def _word(code: grpc.StatusCode) -> str:
    return "timeout" if code is grpc.StatusCode.DEADLINE_EXCEEDED else "grpc_status"


def _request_evidence(request: Request, shown: Mapping[str, Json], redact: Redact) -> dict[str, Json]:
    given = {str(name).lower(): value for name, value in (shown.get("metadata") or {}).items()}
    sent = grpc_status.metadata_json(request.metadata)
    found = redact(
        {
            "target": str(request.target),
            "metadata": {name: _shown_value(name, given, value) for name, value in sent.items()},
            "message": {} if shown.get("message") is None else shown["message"],
        }
    )
    return {
        "target": found["target"],
        "tls": request.target.tls,
        "service": request.service,
        "method": request.method,
        "metadata": headers_shown(found["metadata"]),
        **_message_evidence(found["message"]),
    }


def _shown_value(name: str, given: Mapping[str, Json], sent: str) -> str:
    """What was sent under a name, or the mark for it."""
    return scalar(f"metadata {name}", given[name]).strip() if name in given else sent


def _message_evidence(masked: Json) -> dict[str, Json]:
    shown = json.dumps(masked, ensure_ascii=False)
    return {"message": cut(shown), "digest": digest(shown)}
