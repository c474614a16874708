"""Numbers in expressions: arithmetic that cannot grow, and filters on lists of numbers."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from engine.expressions.values import describe, known

LARGEST_WHOLE = 2**53
"""Whole numbers beyond it lose digits in JSON."""
MAX_PRECISION = 15

_BOUNDED: dict[str, Callable[[Any, Any], Any]] = {
    "*": operator.mul,
    "//": operator.floordiv,
    "%": operator.mod,
}


def is_number(value: Any) -> bool:
    """Whether a value is a number; true and false are none."""
    return isinstance(known(value), (int, float)) and not isinstance(value, bool)


def arithmetic(sign: str, left: Any, right: Any) -> int | float:
    """`*`, `//` and `%` of two numbers. Raises TypeError for anything else, ValueError for what is too large."""
    if not (is_number(left) and is_number(right)):
        raise TypeError(f"`{sign}` goes between two numbers, not {describe(left)} and {describe(right)}")
    if sign != "*" and right == 0:
        raise ValueError(f"`{sign}` by zero")
    bounded(left), bounded(right)
    found: int | float = bounded(_BOUNDED[sign](left, right))
    return found


def bounded(number: Any) -> Any:
    """The number, once it is sure to be one that JSON carries. Raises ValueError otherwise."""
    if isinstance(number, int) and abs(number) > LARGEST_WHOLE:
        raise ValueError("the whole number is beyond 2^53, which JSON does not carry exactly")
    if isinstance(number, float) and not math.isfinite(number):
        raise ValueError("the number is too large")
    return number


def _numbers(value: Any, name: str) -> list[int | float]:
    if not isinstance(known(value), list):
        raise TypeError(f"`{name}` needs a list of numbers, not {describe(value)}")
    for item in value:
        if not is_number(item):
            raise TypeError(f"`{name}` needs a list of numbers, and {describe(item)} is in it")
        bounded(item)
    return list(value)


def total(value: Any) -> int | float:
    """The sum of a list of numbers; 0 for an empty one."""
    found: int | float = bounded(sum(_numbers(value, "sum")))
    return found


def absolute(value: Any) -> int | float:
    """The number without its sign."""
    if not is_number(value):
        raise TypeError(f"`abs` needs a number, not {describe(value)}")
    found: int | float = abs(value)
    return found


def rounded(value: Any, precision: int = 0) -> int | float:
    """The nearest number with so many decimals, a half away from zero; without decimals a whole number."""
    if not is_number(value):
        raise TypeError(f"`round` needs a number, not {describe(value)}")
    if not isinstance(precision, int) or not 0 <= precision <= MAX_PRECISION:
        raise ValueError(f"`round` takes 0 to {MAX_PRECISION} decimals")
    if isinstance(value, int) or abs(bounded(value)) >= LARGEST_WHOLE:
        return value if isinstance(value, (int, float)) else 0
    exact = Decimal(repr(value)).quantize(Decimal(1).scaleb(-precision), ROUND_HALF_UP)
    return float(exact) if precision else int(exact)
