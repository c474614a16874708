"""What `http` and `poll` steps have in common."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from engine.definition.kinds.kind import Treatment
from engine.definition.model import Step
from engine.definition.schema import Finding, Path

TREATMENTS = {
    "url": Treatment.URL,
    "target": Treatment.SITE,
    "path": Treatment.PATH,
    "headers": Treatment.DATA,
    "query": Treatment.DATA,
    "auth": Treatment.DATA,
    "json": Treatment.DATA,
    "text": Treatment.TEXT,
    "form": Treatment.DATA,
    "multipart": Treatment.DATA,
    "tls": Treatment.DATA,
}
SECRET_KEYS = frozenset({"headers", "query", "auth", "json", "text", "form", "multipart", "tls"})
SHOWN = ("method", "url", "target", "path", "query", "headers", "json", "text", "form", "multipart")
GIVES = ("status", "headers", "json", "text", "xml", "lines", "bytes", "warning")
"""What an answer hands on."""

SAFE_TWICE = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
"""HTTP methods whose repetition changes nothing more (RFC 9110, 9.2.2)."""

_BODIES = ("text", "payload")


def readable_on_the_way(step: Step, _path: Path, with_path: Path) -> Iterator[Finding]:
    """A call that is not encrypted and leaves this machine."""
    url = step.with_.get("url", "")
    if url.startswith("http://") and not is_loopback(url):
        message = "`url` is plain http: what is sent, secrets too, can be read on the way"
        yield Finding((*with_path, "url"), message, rule="plain-http")


def breakable_json(step: Step, with_path: Path) -> Iterator[Finding]:
    """JSON written as text, into which values are put as they are."""
    for key in _BODIES:
        body = step.with_.get(key)
        if isinstance(body, str) and body.lstrip().startswith(("{", "[")) and _has_bare_value(body):
            message = (
                f"`{key}` is JSON written as text: a quote in a value breaks it unless `| tojson` stands behind it"
            )
            yield Finding((*with_path, key), message, rule="unquoted-json")


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this machine itself, as far as its text says."""
    return re.sub(r":[0-9]+$", "", urlsplit(url).netloc) in {"127.0.0.1", "localhost", "[::1]"}


def _has_bare_value(body: str) -> bool:
    expressions = re.findall(r"\{\{(.*?)\}\}", body, re.DOTALL)
    whole = re.fullmatch(r"\s*\{\{.*\}\}\s*", body, re.DOTALL) and len(expressions) == 1
    return not whole and any("tojson" not in expression for expression in expressions)
