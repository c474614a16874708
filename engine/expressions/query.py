"""The filter `query`: JMESPath over plain JSON, counted while it runs.

A query may double what it has with every few characters (`[@,@][]|[@,@][]|…`), so each step of it is charged for what
it makes, all that is shared in it counted as often as it stands there. What none of its steps can make too large, no
function can take too long over.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

from engine.expressions.budget import TooMuch, size_of
from engine.expressions.values import describe, known
from engine.text.words import did_you_mean

MAX_QUERY = 1_024
"""Characters in a query."""
Charge = Callable[[int], None]

_MAKING = frozenset({
    "multi_select_list", "multi_select_dict", "flatten", "function_expression", "projection", "value_projection",
    "filter_projection", "literal", "slice",
})  # fmt: skip


def query(value: Any, expression: str, charge: Charge) -> Any:
    """What the query finds in a list or mapping; null where there is nothing. `charge` is asked for all that it makes.

    Raises TypeError and ValueError, whose sentences hold no value.
    """
    if not isinstance(known(value), (dict, list)):
        raise TypeError(f"`query` needs a list or a mapping, not {describe(value)}")
    tree = _parsed(expression)
    charge(size_of(value))
    try:
        return _interpreter()(charge).visit(tree, value)
    except TooMuch:
        raise
    except (ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RecursionError):
        raise ValueError("`query`: a function in it was given what it does not take") from None


def fault(expression: object) -> str | None:
    """What is wrong with a query, in a sentence; None where nothing is."""
    if not isinstance(expression, str) or not expression:
        return "`query` takes a JMESPath expression, written out as text"
    try:
        _parsed(expression)
    except ValueError as error:
        return str(error)
    return None


@lru_cache(maxsize=512)
def _parsed(expression: str) -> Any:
    from jmespath import exceptions, parser

    if not isinstance(expression, str) or len(expression) > MAX_QUERY:
        raise ValueError(f"`query`: the expression is no text, or longer than {MAX_QUERY} characters")
    try:
        tree: Any = parser.Parser().parse(expression).parsed
    except exceptions.JMESPathError as error:
        place = getattr(error, "lex_position", None)
        where = f" at character {place + 1}" if isinstance(place, int) else ""
        raise ValueError(f"`query`: this is not JMESPath{where}") from None
    except (RecursionError, LookupError, TypeError, AttributeError, ValueError):
        raise ValueError("`query`: this is not JMESPath") from None
    _check_functions(tree)
    return tree


def _check_functions(tree: Any) -> None:
    from jmespath import functions

    known_names = functions.Functions.FUNCTION_TABLE
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if node["type"] == "function_expression" and node["value"] not in known_names:
            raise ValueError(
                f"`query`: unknown function `{node['value'][:40]}`{did_you_mean(node['value'], known_names)}"
            )
        waiting.extend(child for child in node["children"] if isinstance(child, dict))


@cache
def _interpreter() -> Callable[[Charge], Any]:
    """The class of what runs queries; made when the first one runs, since most workers run none."""
    from jmespath.visitor import TreeInterpreter

    class Counted(TreeInterpreter):
        """JMESPath's own interpreter, each of its steps charged."""

        def __init__(self, charge: Charge) -> None:
            super().__init__()
            self._charge = charge

        def visit(self, node: Any, *args: Any, **kwargs: Any) -> Any:
            """As JMESPath's, charged: where something is made, for its whole size."""
            found = super().visit(node, *args, **kwargs)
            self._charge(size_of(found) if node["type"] in _MAKING else 1)
            return found

        def visit_function_expression(self, node: Any, value: Any) -> Any:
            """As JMESPath's, charged for its arguments, and a join for the text before there is one."""
            arguments = [self.visit(child, value) for child in node["children"]]
            if node["value"] == "join" and len(arguments) == 2 and isinstance(arguments[1], list):
                self._charge(size_of(arguments[0]) * len(arguments[1]))
            self._charge(sum(map(size_of, arguments)))
            return self._functions.call_function(node["value"], arguments)  # type: ignore[attr-defined]

    return Counted
