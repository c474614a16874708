"""gRPC connections that lead nowhere: the stubs of a case answer, whatever messages the real server would know.

A stub says JSON, so that no types are asked for: what is sent and what is answered go through as they are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import grpc

from engine.egress import CallFailed
from engine.rehearsal.stubs import FAILURES, NO_STUB, Made, Script
from engine.steps.grpc_channel import Call, Channels, Connection, Metadata, Target
from engine.steps.grpc_schema import Method, Schema
from engine.steps.grpc_status import metadata_json
from engine.steps.perform import Tools
from storage.records import Json

METHOD = "GRPC"
"""What stands before the address of such a call, as GET before that of another."""
_LOST = {"timeout": grpc.StatusCode.DEADLINE_EXCEEDED, "connection_lost": grpc.StatusCode.UNAVAILABLE}
"""What a call looks like that may have arrived; where the others of `FAILURES` happen, nothing was sent."""
_NO_TYPES: Any = None


class StubbedTools(Tools):
    """The tools of steps, but that calls by gRPC are answered by `script` too."""

    def answer_by(self, script: Callable[[], Script], tick: Callable[[int], object]) -> None:
        """Take the stubs from here; `tick` lets as many milliseconds pass as a timeout takes."""
        object.__setattr__(self, "channels", StubbedChannels(script, tick))


class StubbedChannels(Channels):
    """Connections that are never made."""

    def __init__(self, script: Callable[[], Script], tick: Callable[[int], object]) -> None:
        self._script = script
        self._tick = tick

    @contextmanager
    def connection(self, target: Target, call: Call, *, fresh: bool) -> Iterator[Connection]:  # noqa: ARG002
        """Something that answers by the script."""
        yield _StubbedConnection(self._script(), self._tick, target)

    def retire(self, target: Target) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing was opened."""


class _AnyService(dict[str, Schema]):
    """Knows every service."""

    def __contains__(self, _service: object) -> bool:
        return True

    def __missing__(self, service: str) -> Schema:
        return _AnySchema(service, _NO_TYPES)


class _AnySchema(Schema):
    def method(self, name: str) -> Method:
        return _AnyMethod(f"/{self.service}/{name}", _NO_TYPES, _NO_TYPES)


class _AnyMethod(Method):
    def encode(self, value: Json) -> bytes:
        return json.dumps(value, ensure_ascii=False).encode()

    def decode(self, data: bytes) -> Json:
        return json.loads(data)


class _StubbedConnection(Connection):
    def __init__(self, script: Script, tick: Callable[[int], object], target: Target) -> None:
        super().__init__(_NO_TYPES, schemas=_AnyService())
        self._script = script
        self._tick = tick
        self._target = target

    def unary(self, path: str, message: bytes, metadata: Metadata, call: Call) -> tuple[bytes, grpc.Call]:
        """Answer by the script."""
        url = f"{self._target}{path}"
        stub = self._script.answer(METHOD, url)
        if stub is None:
            raise CallFailed("egress_refused", NO_STUB)
        self._script.made.append(Made(self._script.step, METHOD, url, metadata_json(metadata), message.decode()))
        if "error" in stub:
            self._fail(stub["error"], call)
        trailing = tuple(stub.get("headers", {}).items())
        code = grpc.StatusCode[stub.get("code", "OK")]
        if code is not grpc.StatusCode.OK:
            raise _Answered(code, stub.get("message", ""), trailing)
        answered = cast("grpc.Call", _Answered(code, "", trailing))
        return json.dumps(stub.get("json", {}), ensure_ascii=False).encode(), answered

    def _fail(self, error: str, call: Call) -> None:
        left = call.remaining()
        code, message, sent = FAILURES[error]
        if not sent:
            raise CallFailed(code, message)
        if error == "timeout":
            self._tick(round(left * 1000))
        raise _Answered(_LOST[error], message.format(seconds=round(left, 1)), ())


class _Answered(grpc.RpcError):
    """How a call ended, as the library says it."""

    def __init__(self, code: grpc.StatusCode, details: str, trailing: tuple[tuple[str, str], ...]) -> None:
        super().__init__(details)
        self._code = code
        self._details = details
        self._trailing = trailing

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._details

    def trailing_metadata(self) -> Any:
        return self._trailing
