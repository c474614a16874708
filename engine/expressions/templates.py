"""Templates and expressions: checked when a runbook is loaded, compiled once, run in microseconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from jinja2 import Template, TemplateError, UndefinedError, nodes

from engine.errors import EngineError
from engine.expressions.budget import Budget
from engine.expressions.error_texts import in_words
from engine.expressions.grammar import Syntax, faults, parse
from engine.expressions.sandbox import SANDBOX, hardened
from engine.expressions.truth import parts, strict, surely
from engine.expressions.values import MAX_TEXT, as_text, plain
from engine.text.words import shortened
from storage.records import Json

Variables = Mapping[str, Json]
Compiled = Callable[[Variables], Json]

CACHED = 2_048
"""Compiled templates and expressions kept, each; the least recently used make room."""


class ExpressionError(EngineError):
    """An expression is wrong or could not be worked out; the sentence names it and says why."""

    code = "expression"


class MissingValue(ExpressionError):
    """An expression used a value that is not there (yet)."""

    code = "missing_value"


def has_template(text: str) -> bool:
    """Whether a text holds anything to render; any other text stays exactly as it is."""
    return "{{" in text or "{%" in text or "{#" in text


def check(source: str, kind: Syntax = "template") -> list[str]:
    """What is wrong with a template or a bare expression, one sentence each; empty when it may run."""
    return list(_study(source, kind)[0])


def references(source: Json, kind: Syntax = "template") -> frozenset[tuple[str, ...]]:
    """What a source reads, as chains of names: `("params", "service")`, `("steps", "drain", "outputs", "status")`.

    `source` is any JSON value, and every text in it counts: as a template, or with kind "expression" as a condition
    (a bare expression, or a condition as data). A chain ends before the first index that is not a literal name, so
    `params[x]` is `("params",)`; loop variables are not in it. Raises ExpressionError when a text
    cannot be parsed; one that may not run reads nothing.
    """
    if isinstance(source, str):
        if kind == "template" and not has_template(source):
            return frozenset()
        problems, chains = _study(source, kind)
        if chains is None:
            raise ExpressionError(f"`{shortened(source)}`: {problems[0]}")
        return chains
    if isinstance(source, dict) and kind == "expression":
        bare = [part for word in ("all", "any") for part in source.get(word, ())]
        bare += [source[word] for word in ("not", "field") if word in source]
        found = (references(part, "expression") for part in bare)
        return references(source.get("value")).union(*found)
    items = source.values() if isinstance(source, dict) else source if isinstance(source, (list, tuple)) else ()
    return frozenset().union(*(references(item, kind) for item in items))


def certain(source: str) -> Json:
    """A value of the type that a sound template comes to, whatever it reads: more than one expression is text.

    Raises MissingValue where the type depends on values, ExpressionError where it cannot be worked out.
    """
    chains = references(source)
    if has_template(source) and only_expression(parse(source, "template")) is None:
        return source
    if chains:
        raise MissingValue(f"`{shortened(source)}` depends on values")
    return render(source, {})


@lru_cache(maxsize=CACHED)
def _study(source: str, kind: Syntax) -> tuple[tuple[str, ...], frozenset[tuple[str, ...]] | None]:
    """What is wrong with a source, and what it reads: None when it cannot be parsed."""
    try:
        tree = parse(source, kind)
    except ValueError as error:
        return (str(error),), None
    problems = tuple(faults(tree))
    return problems, frozenset() if problems else chains_of(tree)


def chains_of(node: nodes.Node) -> frozenset[tuple[str, ...]]:
    """What a part of a parsed source reads, as chains of names."""
    return frozenset(_chains(node, frozenset()))


def _chains(node: nodes.Node, local: frozenset[str]) -> Iterator[tuple[str, ...]]:
    if isinstance(node, nodes.For) and isinstance(node.target, nodes.Name):
        yield from _chains(node.iter, local)
        inner = local | {node.target.name, "loop"}
        for child in (*node.body, *node.else_, *filter(None, [node.test])):
            yield from _chains(child, inner)
    elif isinstance(node, (nodes.Getattr, nodes.Getitem, nodes.Name)):
        yield from _chain(node, local)
    else:
        for child in node.iter_child_nodes():
            yield from _chains(child, local)


def _chain(node: nodes.Node, local: frozenset[str]) -> Iterator[tuple[str, ...]]:
    path: list[str] = []
    while isinstance(node, (nodes.Getattr, nodes.Getitem)):
        if isinstance(node, nodes.Getattr):
            path.append(node.attr)
        elif isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
            path.append(node.arg.value)
        else:
            path.clear()
            yield from _chains(node.arg, local)
        node = node.node
    if not isinstance(node, nodes.Name):
        yield from _chains(node, local)
    elif node.name not in local:
        yield (node.name, *reversed(path))


def asked(source: str) -> Iterator[tuple[str | None, tuple[str, ...]]]:
    """What must be true or false in a sound condition, part by part.

    For each: what it surely is although it may not be that, None where that is open, and the names that it reads where
    it is nothing but them.
    """
    for part in parts(parse(source, "expression")):
        chains = list(_chain(part, frozenset())) if isinstance(part, (nodes.Getattr, nodes.Getitem, nodes.Name)) else []
        yield surely(part), chains[0] if len(chains) == 1 else ()


def evaluate(source: str, context: Variables) -> Json:
    """The value of a bare expression. Raises MissingValue or ExpressionError, naming the expression."""
    return run(source, _expression, context)


def decide(source: str, context: Variables) -> bool:
    """Whether a bare condition holds. Raises as `evaluate`, and ExpressionError where it is neither true nor false."""
    return run(source, _condition, context) is True


def render(value: Json, context: Variables) -> Json:
    """A JSON value with every text in it rendered, once; a text that is exactly one `{{ expression }}` keeps its type.

    Keys are not rendered, and what comes out is never rendered again or parsed. Raises as `evaluate` does.
    """
    if isinstance(value, str):
        return run(value, _template, context) if has_template(value) else value
    if isinstance(value, dict):
        return {key: render(item, context) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [render(item, context) for item in value]
    return value


def render_text(template: str, context: Variables) -> str:
    """A template as text, whatever its value: JSON for anything that is not text. Raises as `evaluate` does."""
    value = render(template, context)
    try:
        return as_text(value)
    except ValueError as error:
        raise ExpressionError(f"`{shortened(template)}`: {error}") from None


def run(source: str, compiler: Callable[[str], Compiled], context: Variables) -> Json:
    """Compile (or take from the cache) and run, with every failure told as an ExpressionError that names the source."""
    try:
        return compiler(source)(context)
    except UndefinedError as error:
        raise MissingValue(f"`{shortened(source)}`: {error.message}") from None
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
        raise ExpressionError(f"`{shortened(source)}`: {in_words(error)}") from None


@lru_cache(maxsize=CACHED)
def _expression(source: str) -> Compiled:
    return compile_value(_sound(parse(source, "expression")))


@lru_cache(maxsize=CACHED)
def _condition(source: str) -> Compiled:
    tree = _sound(parse(source, "expression"))
    assert isinstance(tree, nodes.Expr)
    return compile_value(strict(tree))


@lru_cache(maxsize=CACHED)
def _template(source: str) -> Compiled:
    tree = _sound(parse(source, "template"))
    expression = only_expression(tree)
    return compile_value(expression) if expression else compile_text(tree)


def _sound(tree: nodes.Node) -> nodes.Node:
    found = faults(tree)
    if found:
        raise ValueError("; ".join(found))
    return tree


def only_expression(tree: nodes.Node) -> nodes.Expr | None:
    """The expression of a template that is exactly one `{{ expression }}`, else None."""
    match tree:
        case nodes.Template(body=[nodes.Output(nodes=[nodes.Expr() as expression])]):
            return None if isinstance(expression, nodes.TemplateData) else expression
    return None


def compile_value(expression: nodes.Node) -> Compiled:
    """A sound expression as a function from the context to plain JSON."""
    body = [nodes.Assign(nodes.Name("result", "store"), hardened(expression), lineno=1)]
    template = SANDBOX.from_string(nodes.Template(body, lineno=1))

    def value(variables: Variables) -> Json:
        context = template.new_context({**variables, "_budget": Budget()})
        for _ in template.root_render_func(context):
            pass
        return plain(context.vars["result"])

    return value


def compile_text(tree: nodes.Node) -> Compiled:
    """A sound template as a function from the context to text."""
    hard = hardened(tree)
    if not isinstance(hard, nodes.Template):
        raise TypeError("a template's tree is needed")
    template: Template = SANDBOX.from_string(hard)

    def text(variables: Variables) -> str:
        pieces: list[Any] = []
        size = 0
        for piece in template.root_render_func(template.new_context({**variables, "_budget": Budget()})):
            size += len(piece)
            if size > MAX_TEXT:
                raise ValueError(f"the text grows beyond {MAX_TEXT} characters")
            pieces.append(piece)
        return "".join(pieces)

    return text
