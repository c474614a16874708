"""The grammar of expressions: which part of Jinja a runbook may use, checked on the parsed tree.

No calls but `duration(…)`, no assignments, no `**`, no macros, includes or private names; loops at most two deep.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Literal

from jinja2 import TemplateSyntaxError, nodes
from jinja2.parser import Parser
from jinja2.visitor import NodeTransformer

from engine.expressions.arguments import filter_faults
from engine.expressions.arguments import unknown as _unknown
from engine.expressions.filters import FILTERS
from engine.expressions.numbers import is_number
from engine.expressions.sandbox import LOOP_FACTS, SANDBOX
from engine.expressions.values import TESTS, describe
from engine.text.words import listed

Syntax = Literal["template", "expression"]

MAX_SOURCE = 16_384
"""Characters in one template or expression."""
MAX_NODES = 1_000
MAX_DEPTH = 40
MAX_LOOPS = 2
DURATION = "duration"
"""The one thing that is called: `duration(params.for)`."""

ALLOWED: tuple[type[nodes.Node], ...] = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.For,
    nodes.Const, nodes.Name, nodes.Getattr, nodes.Getitem, nodes.Slice, nodes.List, nodes.Dict, nodes.Pair,
    nodes.Filter, nodes.Test, nodes.Keyword, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not,
    nodes.CondExpr, nodes.Concat, nodes.Add, nodes.Sub, nodes.Div, nodes.Mul, nodes.FloorDiv, nodes.Mod, nodes.Neg,
    nodes.Pos,
)  # fmt: skip

_REFUSED: dict[type[nodes.Node], str] = {
    nodes.Call: "calling something, as in `f()`,",
    nodes.Pow: "`**`",
    nodes.Assign: "`{% set %}`",
    nodes.AssignBlock: "`{% set %}`",
    nodes.Macro: "`{% macro %}`",
    nodes.Include: "`{% include %}`",
    nodes.Import: "`{% import %}`",
    nodes.FromImport: "`{% from %}`",
    nodes.Extends: "`{% extends %}`",
    nodes.Block: "`{% block %}`",
    nodes.With: "`{% with %}`",
    nodes.CallBlock: "`{% call %}`",
    nodes.FilterBlock: "`{% filter %}`",
    nodes.Tuple: "a list in round brackets",
}


def parse(source: str, syntax: Syntax) -> nodes.Template | nodes.Expr:
    """The tree of a template (`a {{ b }} c`) or of a bare expression. Raises ValueError with a sentence."""
    if len(source) > MAX_SOURCE:
        raise ValueError(f"it is longer than {MAX_SOURCE} characters")
    try:
        tree = _parse(source, syntax)
        return _Written().visit(tree) if "null" in source or DURATION in source else tree
    except TemplateSyntaxError as error:
        raise ValueError(str(error.message).rstrip(".")) from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


class _Written(NodeTransformer):
    """`null` is the constant that JSON has; Jinja's own word for it is `none`. `duration(x)` is `x | duration`."""

    def visit_Call(self, node: nodes.Call) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        plain = not (node.kwargs or node.dyn_args or node.dyn_kwargs) and len(node.args) == 1
        if plain and isinstance(node.node, nodes.Name) and node.node.name == DURATION:
            return nodes.Filter(node.args[0], DURATION, [], [], None, None, lineno=node.lineno)
        return node

    def visit_Name(self, node: nodes.Name) -> nodes.Node:  # noqa: N802 - Jinja's name
        return nodes.Const(None, lineno=node.lineno) if (node.name, node.ctx) == ("null", "load") else node


def _parse(source: str, syntax: Syntax) -> nodes.Template | nodes.Expr:
    if re.search(r"\d{400}", source):
        raise ValueError("a number in it is too long")
    state = "variable" if syntax == "expression" else None
    parser = Parser(SANDBOX, _join_dashes(source, state), state=state)
    if syntax == "template":
        return parser.parse()
    tree = parser.parse_expression()
    if not parser.stream.eos:
        raise ValueError(f"`{parser.stream.current.value}` is not expected there")
    tree.set_environment(SANDBOX)
    return tree


_DASHED = re.compile(r"\bsteps\.\w+-")


def _join_dashes(source: str, state: str | None) -> str:
    """`steps.sign-off.outputs` as `steps['sign-off'].outputs`: ids have dashes, and nothing is taken from a step.

    Works on Jinja's own tokens, so that texts in quotes and outside the braces stay as they are.
    """
    if not _DASHED.search(source):
        return source
    tokens = [(kind, value) for _, kind, value in SANDBOX.lexer.tokeniter(source, None, None, state)]
    written: list[str] = []
    index = 0
    while index < len(tokens):
        written.append(tokens[index][1])
        index += 1
        if tokens[index - 1] == ("name", "steps") and tokens[index : index + 1] == [("operator", ".")]:
            end = index + 1
            while end < len(tokens) and (tokens[end][0] in {"name", "integer"} or tokens[end] == ("operator", "-")):
                end += 1
            word = "".join(value for _, value in tokens[index + 1 : end])
            written.append(f"['{word}']" if "-" in word else f".{word}")
            index = end
    return "".join(written)


def faults(tree: nodes.Node) -> list[str]:
    """Everything in a tree that a runbook may not use, as sentences; empty means that it may run."""
    found: dict[str, None] = {}
    waiting, count = [(tree, 0, 0)], 0
    while waiting:
        node, depth, loops = waiting.pop()
        count += 1
        if count > MAX_NODES:
            return [*found, f"it has more than {MAX_NODES} parts"]
        if depth > MAX_DEPTH:
            return [*found, "it is nested too deeply"]
        loops += isinstance(node, nodes.For)
        found.update(dict.fromkeys(_faults_of(node, loops)))
        if not _is_loop_fact(node):
            children = (child for child in node.iter_child_nodes() if not _is_target(node, child))
            waiting.extend((child, depth + 1, loops) for child in children)
    return list(found)


def _is_loop_fact(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name) and node.node.name == "loop"


def _is_target(node: nodes.Node, child: nodes.Node) -> bool:
    return isinstance(node, nodes.For) and child is node.target


def _faults_of(node: nodes.Node, loops: int) -> Iterator[str]:
    if not isinstance(node, ALLOWED):
        yield f"{_REFUSED.get(type(node), f'`{type(node).__name__.lower()}`')} is not allowed"
    elif isinstance(node, nodes.Filter):
        yield from _unknown("filter", node.name, FILTERS) if node.name not in FILTERS else filter_faults(node)
    elif isinstance(node, nodes.Test):
        yield from _unknown("test", node.name, TESTS)
    elif isinstance(node, nodes.For):
        yield from _loop_faults(node, loops)
    elif isinstance(node, nodes.Name) and (node.name.startswith("_") or node.name in {"self", "loop", "super"}):
        yield f"the name `{node.name}` is not allowed"
    elif isinstance(node, nodes.Getattr):
        yield from _attribute_faults(node)
    elif isinstance(node, nodes.Mul | nodes.FloorDiv | nodes.Mod):
        yield from _operand_faults(node)
    elif isinstance(node, nodes.Const):
        yield from _constant_faults(node.value)


def _loop_faults(node: nodes.For, loops: int) -> Iterator[str]:
    if loops > MAX_LOOPS:
        yield f"loops may stand at most {MAX_LOOPS} deep"
    if node.recursive:
        yield "`recursive` is not allowed"
    if not isinstance(node.target, nodes.Name) or node.target.name.startswith("_"):
        yield "a loop takes one name, as in `{% for host in params.hosts %}`"


def _attribute_faults(node: nodes.Getattr) -> Iterator[str]:
    if node.attr.startswith("__"):
        yield f"the name `{node.attr}` is not allowed"
    if _is_loop_fact(node) and node.attr not in LOOP_FACTS:
        yield f"`loop.{node.attr}` is not allowed; there is {listed('loop.' + fact for fact in LOOP_FACTS)}"


def _operand_faults(node: nodes.BinExpr) -> Iterator[str]:
    for side in (node.left, node.right):
        odd = side.value if isinstance(side, nodes.Const) else [] if isinstance(side, nodes.List) else 0
        if not is_number(odd):
            yield f"`{node.operator}` goes between two numbers, not with {describe(odd)}"


def _constant_faults(value: object) -> Iterator[str]:
    if isinstance(value, float) and not math.isfinite(value):
        yield "the number is too large"
    if isinstance(value, int) and abs(value) > 2**53:
        yield "the whole number is beyond 2^53, which JSON does not carry exactly"
    if isinstance(value, str) and any(c == "\0" or "\ud800" <= c <= "\udfff" for c in value):
        yield "the text holds a character that cannot be sent"
