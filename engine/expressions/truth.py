"""What a condition may come to: true or false and nothing else, so that the text "false" never means yes.

`and`, `or`, `not` and `a if b else c` are looked through: what is asked in the end is each part between them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jinja2 import nodes

from engine.expressions.sandbox import SANDBOX
from engine.expressions.values import describe, known

FILTER = "_truth"
_SURELY = {
    "text": "tojson join lower upper replace trim date b64encode b64decode urlencode regex_replace",
    "a number": "length int duration sum round abs",
    "a list": "split map select reject selectattr rejectattr sort unique keys values dictsort",
}
_KINDS = {name: kind for kind, names in _SURELY.items() for name in names.split()}
_SUMS = (nodes.Add, nodes.Sub, nodes.Div, nodes.Mul, nodes.FloorDiv, nodes.Mod, nodes.Neg, nodes.Pos)


def truth(value: Any) -> bool:
    """The value where it is true or false. Raises TypeError for any other, UndefinedError where it is missing."""
    if not isinstance(known(value), bool):
        raise TypeError(f"a condition must be true or false, not {describe(value)}: compare it with something")
    return bool(value)


SANDBOX.filters[FILTER] = truth


def strict(node: nodes.Expr) -> nodes.Expr:
    """The same condition with every part that is asked checked to be true or false. Changes the tree."""
    if isinstance(node, nodes.And | nodes.Or):
        node.left, node.right = strict(node.left), strict(node.right)
    elif isinstance(node, nodes.Not):
        node.node = strict(node.node)
    elif isinstance(node, nodes.CondExpr):
        node.test, node.expr1 = strict(node.test), strict(node.expr1)
        node.expr2 = strict(node.expr2) if node.expr2 is not None else None
    elif not isinstance(node, nodes.Compare | nodes.Test):
        return nodes.Filter(node, FILTER, [], [], None, None)
    return node


def parts(node: nodes.Node | None) -> Iterator[nodes.Node]:
    """The parts of a condition that must each be true or false."""
    if isinstance(node, nodes.And | nodes.Or):
        yield from (*parts(node.left), *parts(node.right))
    elif isinstance(node, nodes.Not):
        yield from parts(node.node)
    elif isinstance(node, nodes.CondExpr):
        yield from (*parts(node.test), *parts(node.expr1), *parts(node.expr2))
    elif node is not None:
        yield node


def surely(node: nodes.Node) -> str | None:
    """What a part of a condition surely is although it must be true or false, in words; None where that is open."""
    match node:
        case nodes.Const(value=value):
            return None if isinstance(value, bool) else describe(value)
        case nodes.TemplateData() | nodes.Concat():
            return "text"
        case nodes.List():
            return "a list"
        case nodes.Dict():
            return "a mapping"
        case nodes.Filter(name="default", args=arguments):
            return surely(arguments[0]) if arguments else "text where it is missing"
        case nodes.Filter(name=name):
            return _KINDS.get(name)
        case _ if isinstance(node, _SUMS):
            return "a sum"
    return None
