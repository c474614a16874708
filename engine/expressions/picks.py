"""Whether a template takes one value as it is, so that what comes of it tells nothing of any other."""

from __future__ import annotations

from jinja2 import nodes

from engine.expressions.grammar import parse
from engine.expressions.templates import only_expression

_CHOOSING = frozenset({"trim", "first", "last"})
"""Filters that change no letter of the value that they give."""


def is_pick(source: str) -> bool:
    """Whether a sound template is one name with written keys and places behind it, as `{{ response.json.keys[0] }}`.

    It computes, compares and combines nothing.
    """
    node: nodes.Node | None = only_expression(parse(source, "template"))
    while isinstance(node, nodes.Filter) and node.name in _CHOOSING and not node.args and not node.kwargs:
        node = node.node
    while isinstance(node, nodes.Getattr) or (isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const)):
        node = node.node
    return isinstance(node, nodes.Name)
