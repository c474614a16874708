"""A value as it may be shown: what a template made of a secret is hidden where it stands, whatever it came to.

An expression that reads a secret is hidden whole, and a `{% %}` block that does, too. The rest is rendered as ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial

from jinja2 import nodes

from engine.expressions.grammar import parse
from engine.expressions.templates import (
    CACHED,
    Compiled,
    Variables,
    chains_of,
    compile_text,
    compile_value,
    has_template,
    render,
    run,
)
from engine.expressions.values import as_text
from engine.text.redaction import mark
from storage.records import Json


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of a template, with the names of the secrets that it reads."""

    compute: Compiled
    secrets: tuple[str, ...]

    @property
    def shown(self) -> str:
        return mark(*self.secrets)


Held = frozenset[tuple[str, str]]
"""Outputs of steps that are secret, each as its step's id and its own name."""
NONE: Held = frozenset()
_ROOT = "secrets"


def render_shown(value: Json, context: Variables, held: Held = NONE) -> Json:
    """What `render` gives, with marks instead of whatever was made of secrets; `context` need not hold any.

    Raises as `render` does.
    """
    if isinstance(value, dict):
        return {key: render_shown(item, context, held) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [render_shown(item, context, held) for item in value]
    if not isinstance(value, str) or not reads_secrets(value, held):
        return render(value, context)
    return run(value, partial(_shown, held=held), context)


def made_of_secrets(value: Json, context: Variables, held: Held = NONE) -> Iterator[tuple[tuple[str, ...], str]]:
    """Each text that the templates in `value` make of secrets, with the secrets' names. Raises as `render` does."""
    if isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from made_of_secrets(item, context, held)
    elif isinstance(value, str) and reads_secrets(value, held):
        yield from run(value, partial(_made, held=held), context)


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, dict | list):
        for item in [*value, *value.values()] if isinstance(value, dict) else value:
            yield from _texts(item)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def reads_secrets(value: Json, held: Held = NONE) -> bool:
    """Whether a template somewhere in `value` reads a secret, or an output that is `held` as one."""
    if isinstance(value, dict | list | tuple):
        return any(reads_secrets(item, held) for item in (value.values() if isinstance(value, dict) else value))
    if not isinstance(value, str) or not has_template(value) or not (held or _ROOT in value):
        return False  # without compiling each part of what names no secret
    return any(piece.secrets for piece in _pieces(value, held))


def secrets_read(value: Json) -> set[str]:
    """The names of the secrets that templates somewhere in `value` read."""
    if isinstance(value, dict | list | tuple):
        return set().union(*map(secrets_read, value.values() if isinstance(value, dict) else value))
    if not isinstance(value, str) or not has_template(value) or _ROOT not in value:
        return set()
    return {name for piece in _pieces(value, NONE) for name in piece.secrets}


def held_names(chain: tuple[str, ...], held: Held) -> set[str]:
    """The names of the secret outputs that a chain reads, as "step.output": one, or all of a step's read as a whole."""
    if not held or chain[0] != "steps" or len(chain) < 2:
        return set()
    read = chain[2:4]
    return {held_name(step, key) for step, key in held if step == chain[1] and ("outputs", key)[: len(read)] == read}


def held_name(step: str, key: str) -> str:
    """What a secret output is called where a mark stands for it."""
    return f"{step}.{key}"


def _shown(source: str, held: Held) -> Compiled:
    pieces = _pieces(source, held)
    return lambda context: "".join(each.shown if each.secrets else as_text(each.compute(context)) for each in pieces)


def _made(source: str, held: Held) -> Compiled:
    pieces = [piece for piece in _pieces(source, held) if piece.secrets]
    return lambda context: [(each.secrets, text) for each in pieces for text in _texts(each.compute(context))]


@lru_cache(maxsize=CACHED)
def _pieces(source: str, held: Held) -> tuple[_Piece, ...]:
    """The parts of a template, in order; none for one that cannot be read."""
    try:
        tree = parse(source, "template")
    except ValueError:
        return ()
    return tuple(_piece(node, held) for node in _nodes(tree))


def _nodes(tree: nodes.Node) -> Iterator[nodes.Node]:
    for node in tree.iter_child_nodes():
        yield from node.nodes if isinstance(node, nodes.Output) else (node,)


def _piece(node: nodes.Node, held: Held) -> _Piece:
    if isinstance(node, nodes.TemplateData):
        return _Piece(_always(node.data), ())
    chains = chains_of(node)
    names = sorted(
        {chain[1] if len(chain) > 1 else "?" for chain in chains if chain[0] == _ROOT}.union(
            *(held_names(chain, held) for chain in chains)
        )
    )
    whole = compile_value(node) if isinstance(node, nodes.Expr) else compile_text(nodes.Template([node], lineno=1))
    return _Piece(whole, tuple(names))


def _always(text: str) -> Compiled:
    return lambda _: text
