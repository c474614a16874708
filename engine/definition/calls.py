"""The rules of an outgoing call: its headers and metadata, and how it proves who it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from engine.definition.schema import Finding, Path, subject_in_step
from engine.expressions import has_template
from engine.expressions.urls import parse_url
from storage.records import Json

OUR_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection", "idempotency-key"})
"""Headers that the bot sets itself, and that would break or fool the call otherwise."""

AUTH_HEADERS = {
    "basic": "authorization",
    "bearer": "authorization",
    "oauth2": "authorization",
    "aws_sigv4": "authorization",
}
"""The header that a kind of `auth` sets, in lower case; `header` and `hmac` name theirs."""

DEFAULT_SIGNATURE_HEADER = "X-Signature"


def findings(with_: Mapping[str, Json], path: Path) -> Iterator[Finding]:
    """Everything wrong with the headers, metadata and auth of a call whose `with` has a sound shape."""
    auth = with_.get("auth")
    auth = auth if isinstance(auth, dict) else {}
    taken, named_by = _auth_header(auth)
    yield from _header_findings(with_.get("headers"), path, taken)
    if taken in OUR_HEADERS:
        location = (*path, "auth", named_by)
        yield Finding(location, f"{subject_in_step(location)} cannot be a header that the bot sets itself")
    if auth.get("type") == "oauth2":
        yield from _token_url_findings(auth.get("token_url"), (*path, "auth", "token_url"))
        yield from _token_tls_findings(auth, (*path, "auth", "tls"))
    yield from _metadata_findings(with_.get("metadata"), path)


def _auth_header(auth: Mapping[str, Json]) -> tuple[str, str]:
    """The header that `auth` sets, in lower case, and the key that names it."""
    match auth.get("type"):
        case "header":
            return str(auth.get("name", "")).lower(), "name"
        case "hmac":
            return str(auth.get("header", DEFAULT_SIGNATURE_HEADER)).lower(), "header"
        case other:
            return AUTH_HEADERS.get(str(other), ""), "type"


def _header_findings(headers: Json, path: Path, taken: str) -> Iterator[Finding]:
    seen: set[str] = set()
    for name in headers if isinstance(headers, dict) else ():
        location, lower = (*path, "headers", name), name.lower()
        named = subject_in_step(location)
        if lower in OUR_HEADERS:
            yield Finding(location, f"{named} is set by the bot itself; leave it out", at_key=True)
        elif lower == taken:
            yield Finding(location, f"{named} cannot stand beside `auth`, which sets it", at_key=True)
        elif lower in seen:
            yield Finding(location, f"{named} is here twice", at_key=True)
        seen.add(lower)


def _token_url_findings(url: Json, location: Path) -> Iterator[Finding]:
    """Where the client's secret is sent is written out: no parameter decides it."""
    if not isinstance(url, str):
        return
    named = subject_in_step(location)
    if has_template(url):
        yield Finding(location, f"{named} must be written out, without values: the client's secret is sent there")
        return
    try:
        parse_url(url)
    except ValueError as error:
        yield Finding(location, f"{named}: {error}")


def _token_tls_findings(auth: Mapping[str, Json], location: Path) -> Iterator[Finding]:
    if "tls" in auth and not str(auth.get("token_url")).lower().startswith("https://"):
        named = subject_in_step(location)
        yield Finding(location, f"{named} is for a `token_url` that begins with https://, and this one does not")


def _metadata_findings(metadata: Json, path: Path) -> Iterator[Finding]:
    for name in metadata if isinstance(metadata, dict) else ():
        location = (*path, "metadata", name)
        named = subject_in_step(location)
        if name in OUR_HEADERS or name.startswith("grpc-"):
            yield Finding(location, f"{named} is set by the bot itself; leave it out", at_key=True)
