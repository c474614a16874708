"""Which values are the same in JSON, for lists without repetition, filters and choices alike."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.text.json_identity import identity

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.integers(-3, 3).map(float) | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
)


def same(one: Any, other: Any) -> bool:
    """By the words of JSON Schema."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


@given(VALUES, VALUES)
def test_values_have_one_text_where_they_are_the_same(one: Any, other: Any) -> None:
    assert (identity(one) == identity(other)) is same(one, other)
    assert identity(one) == identity(one)


def test_numbers_are_the_same_in_either_form_at_any_depth() -> None:
    assert identity({"b": [1.0], "a": 2}) == identity({"a": 2.0, "b": [1]})
    assert len({identity(each) for each in (1, True, "1", [1], None)}) == 5
