"""From a step's rendered `with` to a request, and to the evidence of it. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import quote_plus, unquote_plus, urlencode, urlsplit, urlunsplit

from engine.egress.tls import Tls
from engine.steps import http_body
from engine.text.redaction import Redact, mark
from engine.text.redaction import cut as cut_text
from storage.records import Json

MAX_EVIDENCE_BYTES = 4096
"""How much of a body, or of one header, the evidence keeps."""

MASKED = "‹masked›"
_ENCODED_MARK = re.compile(quote_plus(mark("-")).replace("-", "[A-Za-z0-9_.%+2C-]+").replace("secret+", r"secret\+"))
_BODIES = ("json", "text", "form", "multipart", "payload")
_ALWAYS_HIDDEN = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})


class BadRequest(ValueError):
    """The rendered values do not make a request; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be sent. `credentials` are the lower-case names of the headers that `auth` set."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes
    credentials: frozenset[str] = frozenset()


def build(with_: Mapping[str, Json], idempotency_key: str) -> Request:
    """The request without its `auth`. A header the runbook sets wins over the bot's own. Raises `BadRequest`."""
    body, content_type = _body(with_)
    headers = {"User-Agent": "runbook-bot", "Accept": "*/*", "Idempotency-Key": idempotency_key}
    if content_type:
        headers["Content-Type"] = content_type
    given = {name: scalar(f"header {name}", value) for name, value in _mapping(with_, "headers").items()}
    written = {name.lower() for name in given}
    merged = {name: value for name, value in headers.items() if name.lower() not in written} | given
    url = _with_query(scalar("url", with_.get("url")), _mapping(with_, "query"))
    method = scalar("method", with_.get("method") or "GET").upper()
    return Request(method, url, merged, body)


def tls_of(said_of: Mapping[str, Json], url_key: str = "url") -> Tls | None:
    """How a connection to the address under `url_key` is protected, None where nothing is said of that.

    Raises `BadRequest`.
    """
    said = {name: scalar(f"tls.{name}", value) for name, value in _mapping(said_of, "tls").items()}
    if said and not str(said_of.get(url_key)).lower().startswith("https://"):
        raise BadRequest(f"`tls` is for https://, and this {url_key} is not")
    return Tls(**said) if said else None


def request_evidence(request: Request, shown: Mapping[str, Json], redact: Redact) -> dict[str, Json]:
    """The request as it may be stored and shown: with marks where `shown` has them, masked, then cut.

    `shown` is the rendered `with` in which what templates made of secrets is hidden already.
    """
    safe = build(shown, request.headers.get("Idempotency-Key", ""))
    headers = {name: safe.headers.get(name, value) for name, value in request.headers.items()}
    body = safe.body.decode("utf-8", "replace")
    body = _with_plain_marks(body) if "form" in shown else body
    url, headers, body = redact([_with_plain_marks(safe.url), headers, body])
    return {
        "method": request.method,
        "url": cut(url),
        "headers": headers_shown(headers, request.credentials),
        **body_evidence(body),
    }


def _with_plain_marks(url: str) -> str:
    """A mark in a query or form can be read as one, and not as percent-encoding."""
    return _ENCODED_MARK.sub(lambda found: unquote_plus(found.group()), url)


def body_evidence(shown: str) -> dict[str, Json]:
    """A body, masked already, as evidence: cut, and with the digest of the whole of it."""
    return {"body": cut(shown), "digest": digest(shown)}


def digest(shown: str) -> str:
    """The SHA-256 of a text that is masked already."""
    return "sha256:" + hashlib.sha256(shown.encode("utf-8", "replace")).hexdigest()


def headers_shown(headers: Mapping[str, str], hidden: Collection[str] = ()) -> dict[str, str]:
    """Headers, masked already, as the evidence has them: cut, and of those in `hidden` (lower case) only the names."""
    names = _ALWAYS_HIDDEN.union(hidden)
    return {name: MASKED if name.lower() in names else cut(value) for name, value in headers.items()}


def cut(text: str) -> str:
    """As much of a text, masked already, as the evidence keeps of a body or of one header."""
    return cut_text(text, MAX_EVIDENCE_BYTES)


def _body(with_: Mapping[str, Json]) -> tuple[bytes, str]:
    if (given := [key for key in _BODIES if with_.get(key) is not None])[1:]:
        raise BadRequest(f"give one of {' and '.join(given)}: a call has one body")
    try:
        if "form" in given:
            return http_body.form(_pairs("form", _mapping(with_, "form"))), http_body.FORM_TYPE
        if "multipart" in given:
            return http_body.multipart([_part(each) for each in with_["multipart"]])
        if "text" in given:
            return scalar("text", with_["text"]).encode(), "text/plain; charset=utf-8"
        if "payload" in given and isinstance(with_["payload"], str):
            return with_["payload"].encode(), "application/json"
        if given or "json" in with_:  # `json: null` is a body too
            value = with_[given[0] if given else "json"]
            return json.dumps(value, ensure_ascii=False, allow_nan=False).encode(), "application/json"
    except (ValueError, TypeError) as error:
        raise BadRequest(f"the body cannot be sent ({error})") from error
    return b"", ""


def _part(part: Mapping[str, Json]) -> http_body.Part:
    named = {key: scalar(f"multipart {key}", value) for key, value in part.items()}
    return http_body.Part(**named)


def _pairs(what: str, values: Mapping[str, Json]) -> list[tuple[str, str]]:
    """Names with their values as text. A list gives its name several times, None leaves it out."""
    return [
        (name, scalar(f"{what} {name}", item))
        for name, value in values.items()
        for item in (value if isinstance(value, list) else [value])
        if item is not None
    ]


def _with_query(url: str, query: Mapping[str, Json]) -> str:
    """The URL with `query` after whatever query it has."""
    pairs = _pairs("query", query)
    if not pairs:
        return url
    try:
        parts = urlsplit(url)
        return urlunsplit(parts._replace(query="&".join(filter(None, [parts.query, urlencode(pairs)]))))
    except ValueError as error:
        raise BadRequest(f"the url or query is not valid ({error})") from error


def _mapping(with_: Mapping[str, Json], key: str) -> dict[str, Json]:
    value = with_.get(key) or {}
    if not isinstance(value, dict):
        raise BadRequest(f"{key} must be names with values")
    return value


def scalar(what: str, value: Json) -> str:
    """Text as it is; numbers and booleans as JSON writes them, since a typed parameter renders as such."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    raise BadRequest(f"{what} must be text, not {_kind(value)}")


def _kind(value: Json) -> str:
    return "missing" if value is None else "a list" if isinstance(value, list) else "an object"
