"""Texts for Slack, rendered so that it stays known what an author wrote and what came from a value.

What stands outside of `{{ }}` is the author's, also between two `{% %}`; what an expression comes to is a value, even
where it is a constant.
"""

from __future__ import annotations

from functools import lru_cache

from jinja2 import nodes, pass_context
from jinja2.runtime import Context
from jinja2.visitor import NodeTransformer

from engine.expressions.grammar import faults, parse
from engine.expressions.sandbox import SANDBOX
from engine.expressions.templates import CACHED, Compiled, Variables, compile_text, has_template, run
from engine.expressions.values import MAX_VALUE, as_text
from engine.text.mrkdwn import HOLE, composed
from storage.records import Json

_ASIDE = "_aside"


class _Aside:
    """The values of one rendering, in the order in which they stand in the text."""

    __slots__ = ("room", "values")

    def __init__(self) -> None:
        self.values: list[str] = []
        self.room = MAX_VALUE

    def put(self, value: str) -> None:
        self.values.append(value)
        self.room -= len(value)
        if self.room < 0:
            raise ValueError(f"the values in the text come to more than {MAX_VALUE} characters")


def render_markup(template: str, context: Variables) -> str:
    """A template as Slack's mrkdwn in which no value begins a mention or a link. Raises as `evaluate` does."""
    if not has_template(template):
        return composed(_without_holes(template), ())
    aside = _Aside()
    written = run(template, _compiled, {**context, _ASIDE: aside})
    return composed(str(written), aside.values)


def written_in(template: str) -> str:
    """All that an author wrote in a sound template, with a `HOLE` for each value; every branch of it is in it."""
    tree = parse(template, "template")
    parts = (each for output in tree.find_all(nodes.Output) for each in output.nodes)
    return "".join(_without_holes(each.data) if isinstance(each, nodes.TemplateData) else HOLE for each in parts)


@pass_context  # which also keeps Jinja from working a constant out beforehand
def _hole(context: Context, value: Json) -> str:
    """Put a value aside, and what stands for it in its place."""
    aside: _Aside = context[_ASIDE]
    aside.put(as_text(value))
    return HOLE


SANDBOX.filters[_hole.__name__] = _hole


class _Holes(NodeTransformer):
    def visit_TemplateData(self, node: nodes.TemplateData) -> nodes.Node:  # noqa: N802 - Jinja's name
        return nodes.TemplateData(_without_holes(node.data), lineno=node.lineno)

    def visit_Output(self, node: nodes.Output) -> nodes.Node:  # noqa: N802 - Jinja's name
        self.generic_visit(node)
        node.nodes = [
            each if isinstance(each, nodes.TemplateData) else nodes.Filter(each, _hole.__name__, [], [], None, None)
            for each in node.nodes
        ]
        return node


@lru_cache(maxsize=CACHED)
def _compiled(template: str) -> Compiled:
    tree = parse(template, "template")
    found = faults(tree)
    if found:
        raise ValueError("; ".join(found))
    return compile_text(_Holes().visit(tree))


def _without_holes(text: str) -> str:
    return text.replace(HOLE, "\ufffd")
