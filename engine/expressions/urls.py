"""URLs with values in them: a value can fill a piece of the path or the query, and never change where the call goes.

The scheme is written out. Inside the host name a value may hold lower-case letters, digits, dots and dashes only (and
the loader lets only a parameter with an enum stand there). Everywhere else it is percent-encoded whole, so that it
holds no `/`, `?`, `#` or `&` of its own; inside the path it may not be empty or a dot segment,
which would make another path of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from urllib.parse import quote

from jinja2 import nodes

from engine.expressions.grammar import faults, parse
from engine.expressions.templates import Compiled, Variables, compile_value, run
from engine.expressions.values import as_text, describe
from storage.records import Json

MAX_URL = 4_096
"""Characters in a URL, once rendered."""

Part = Literal["host", "path", "query"]

_SCHEME = re.compile(r"https?://")
_FORBIDDEN = re.compile(r"[\s\\<>\"^`{|}\x00-\x20\x7f]")
_PARTS = re.compile(r"https?://(?P<host>[^/?]*)(?P<path>[^?]*)")
_HOST_VALUE = re.compile(r"[a-z0-9.-]+")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s/?#@:\[\]]+)(:\d{1,5})?")


@dataclass(frozen=True, slots=True)
class Value:
    """One `{{ expression }}` of a URL. `path` is its chain of names when it is nothing but that, else None."""

    part: Part
    path: tuple[str, ...] | None
    compute: Compiled


@dataclass(frozen=True, slots=True)
class Url:
    """A URL as it stands in a runbook: plain text and expressions, in their order."""

    pieces: tuple[str | Value, ...]

    @property
    def host_values(self) -> Iterator[Value]:
        """The expressions in its host, whose values may be nothing but a part of a host name."""
        return (piece for piece in self.pieces if isinstance(piece, Value) and piece.part == "host")


def parse_url(template: str) -> Url:
    """The pieces of a URL. Raises ValueError with a sentence when it is not sound."""
    tree = parse(template, "template")
    found = faults(tree)
    if found:
        raise ValueError("; ".join(found))
    url = Url(tuple(_pieces(tree)))
    _check(url)
    return url


def render_url(template: str, context: Variables) -> str:
    """The URL with its values filled in. Raises ExpressionError for a value that may not stand where it does."""
    return str(run(template, _compiled, context))


@lru_cache(maxsize=1_024)
def _compiled(template: str) -> Compiled:
    url = parse_url(template)

    def fill(context: Variables) -> str:
        text = "".join(p if isinstance(p, str) else _ENCODE[p.part](p.compute(context)) for p in url.pieces)
        _check_rendered(text)
        return text

    return fill


def _pieces(tree: nodes.Node) -> Iterator[str | Value]:
    part: Part = "host"
    for node in _output(tree):
        if isinstance(node, nodes.TemplateData):
            part = _part_after(part, node.data)
            yield node.data
        else:
            names = _only_names(node)
            yield Value(part, names, compile_value(node))


def _output(tree: nodes.Node) -> list[nodes.Expr]:
    if isinstance(tree, nodes.Template) and len(tree.body) == 1 and isinstance(tree.body[0], nodes.Output):
        return tree.body[0].nodes
    raise ValueError("a URL may hold values, as in {{ params.service }}, and no {% %} blocks")


def _part_after(part: Part, text: str) -> Part:
    rest = _SCHEME.sub("", text, count=1) if part == "host" else text
    if part == "query" or "?" in rest:
        return "query"
    return "path" if part == "path" or "/" in rest else "host"


def _only_names(node: nodes.Node) -> tuple[str, ...] | None:
    names: list[str] = []
    while isinstance(node, nodes.Getattr):
        names.insert(0, node.attr)
        node = node.node
    return (node.name, *names) if isinstance(node, nodes.Name) else None


def _check(url: Url) -> None:
    first = url.pieces[0] if url.pieces else ""
    if not isinstance(first, str) or not _SCHEME.match(first):
        raise ValueError("a URL starts with http:// or https://, written out and not taken from a value")
    if any("#" in piece for piece in url.pieces if isinstance(piece, str)):
        raise ValueError("a URL has no part behind `#` here: it would not be sent")
    _check_rendered("".join(piece if isinstance(piece, str) else "0" for piece in url.pieces))


def _check_rendered(text: str) -> None:
    if len(text) > MAX_URL:
        raise ValueError(f"the URL is longer than {MAX_URL} characters")
    if _FORBIDDEN.search(text):
        raise ValueError("the URL holds a space or another character that must be percent-encoded")
    host, path = _PARTS.match(text).group("host", "path")  # type: ignore[union-attr]
    if not _HOST.fullmatch(host):
        raise ValueError("the URL's host must be a name or an address with an optional port, without a user name")
    if {".", ".."} & set(path.split("/")):
        raise ValueError("the URL's path holds `.` or `..`, which would be another path")


def _words(value: Json) -> str:
    if value is None or isinstance(value, (list, dict)):
        raise TypeError(f"{describe(value)} cannot stand in a URL")
    return as_text(value)


def _in_host(value: Json) -> str:
    text = _words(value)
    if not _HOST_VALUE.fullmatch(text):
        raise ValueError("a value inside the host name may hold lower-case letters, digits, dots and dashes only")
    return text


def _in_path(value: Json) -> str:
    text = _words(value)
    if not text:
        raise ValueError("a value inside the URL's path is empty, which would be another path")
    return quote(text, safe="")


def _in_query(value: Json) -> str:
    return quote(_words(value), safe="")


_ENCODE: dict[Part, Callable[[Json], str]] = {"host": _in_host, "path": _in_path, "query": _in_query}
