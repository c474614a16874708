"""What a gRPC call of a real run sent and what answered it, as a case says it. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping

from engine.rehearsal.grpc_stubs import METHOD
from engine.steps.http_request import MASKED
from storage.records import Json

CUT = "… (cut)"
"""What a text in evidence ends with that is longer than what is kept of it."""
_NOT_SENT: Mapping[str, str] = {
    "timeout": "connection_refused", "connect": "connection_refused", "dns": "dns", "tls": "tls",
}  # fmt: skip
"""By its code why a call was never begun; a server that did not even tell its types in time was as good as away."""


def stub(notes: list[str], path: str, attempt: Mapping[str, Json]) -> dict[str, Json] | None:
    """What answered it; None, which is added to `notes`, where that is not on record."""
    response = attempt["response"]
    if response is None or "code" not in response:
        error = _NOT_SENT.get((attempt["error"] or {}).get("code", ""))
        if error is None and attempt["request"]:
            notes.append(f"what answered `{path}` is not on record: write its stub")
        return {"error": error} if error else None
    headers = {key: value for key, value in response["metadata"].items() if value != MASKED and not _is_cut(value)}
    said: dict[str, Json] = {"headers": headers} if headers else {}
    if response["code"] != "OK":
        details = response.get("details", "")
        return {"code": response["code"], **({"message": details} if details else {}), **said}
    message = _message(response)
    if message is None:
        notes.append(f"an answer to `{path}` is longer than what is kept of it: write its message")
    return {"json": message or {}, **said}


def call(path: str, request: Mapping[str, Json]) -> dict[str, Json]:
    """What was sent."""
    url = f"{request['target']}/{request['service']}/{request['method']}"
    message = _message(request)
    return {"step": path, "method": METHOD, "url": url, **({} if message is None else {"json": message})}


def _message(said: Mapping[str, Json]) -> Json:
    text = said.get("message", "")
    return None if _is_cut(text) or not text else json.loads(text)


def _is_cut(text: Json) -> bool:
    return str(text).endswith(CUT)
