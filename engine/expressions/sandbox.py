"""The environment that runs expressions: Jinja's sandbox over JSON and nothing else.

Two walls. The first is the grammar, checked before anything is compiled. The second is this environment: every lookup
is replaced, so that `a.b` reads a key of a mapping and never an attribute of a Python object (there is nothing to
escape to), no global is defined, and sums, joins and loops are bounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jinja2 import Undefined, nodes, pass_context
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from engine.expressions.budget import Budget
from engine.expressions.filters import FILTERS
from engine.expressions.numbers import arithmetic
from engine.expressions.times import reckoned
from engine.expressions.values import MAX_TEXT, TESTS, Missing, as_text, describe, known

_BOUNDED_SIGNS = frozenset({"*", "//", "%"})
LOOP_FACTS = ("index", "index0", "first", "last")


@pass_context
def _rounds(context: Context, items: Any) -> Iterator[Any]:
    """What a `for` loops over: the items of a list or the keys of a mapping, counted against the rendering's budget."""
    if not isinstance(known(items), (list, dict)):
        raise TypeError(f"`for` needs a list or a mapping, not {describe(items)}")
    budget: Budget = context["_budget"]
    for item in items:
        budget.take()
        yield item


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja that sees JSON and nothing else."""

    intercepted_binops = frozenset({"+", "-", "/", "*", "//", "%"})

    def __init__(self) -> None:
        super().__init__(undefined=Missing, finalize=as_text, keep_trailing_newline=True, cache_size=0)
        self.globals.clear()
        self.filters = {**FILTERS, "_rounds": _rounds}
        self.tests = dict(TESTS)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """As `getitem`: `a.b` is the key b of a, never an attribute."""
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """A key of a mapping or a place in a list or text; never an attribute of a Python object."""
        if isinstance(obj, Undefined):
            return obj
        if isinstance(obj, dict) and isinstance(argument, str) and argument in obj:
            return obj[argument]
        if isinstance(obj, (list, str)) and type(argument) is int and -len(obj) <= argument < len(obj):
            return obj[argument]
        if isinstance(obj, LoopContext) and argument in LOOP_FACTS:
            return getattr(obj, argument)
        return self.undefined(obj=obj, name=known(argument))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Arithmetic of numbers and of times, and the sum of two texts or lists.

        Raises TypeError, and ValueError for a sum too long or a number too large.
        """
        if operator in _BOUNDED_SIGNS:
            return arithmetic(operator, left, right)
        if all(isinstance(known(side), (int, float)) for side in (left, right)):
            return super().call_binop(context, operator, left, right)
        if not (isinstance(left, str) and isinstance(right, str) and operator == "+"):
            moved = reckoned(operator, left, right)
            if moved is not None:
                return moved
        if operator == "+" and type(left) is type(right) and isinstance(left, (str, list)):
            if len(left) + len(right) > MAX_TEXT:
                raise ValueError(f"the sum grows beyond {MAX_TEXT} characters or items")
            return left + right
        raise TypeError(f"`{operator}` does not go between {describe(left)} and {describe(right)}; `~` joins texts")


SANDBOX = Sandbox()


def _picked(value: Any, key: Any) -> Any:
    """What a look-up gives whose key may be made of a secret: when nothing is there, the key is not told."""
    found = SANDBOX.getitem(value, key)
    return Missing(hint="what a secret was to pick is not there") if isinstance(found, Undefined) else found


SANDBOX.filters["_picked"] = _picked


class _Hardened(NodeTransformer):
    def __init__(self, *, secretive: bool) -> None:
        self._secretive = secretive

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return nodes.Filter(nodes.List(node.nodes), "join", [], [], None, None)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        if not self._secretive or isinstance(node.arg, nodes.Const | nodes.Slice):
            return node
        return nodes.Filter(node.node, "_picked", [node.arg], [], None, None)


def hardened(tree: nodes.Node) -> nodes.Node:
    """The tree with `~` as our bounded join, every loop counted, and no key told that a secret may have made.

    Call it once, after `faults` found nothing.
    """
    secretive = any(name.name == "secrets" for name in tree.find_all(nodes.Name))
    for loop in tree.find_all(nodes.For):
        loop.iter = nodes.Filter(loop.iter, "_rounds", [], [], None, None)
    changed: nodes.Node = _Hardened(secretive=secretive).visit(tree)
    return changed.set_environment(SANDBOX)
