"""Where two definitions differ."""

from __future__ import annotations

import copy

from hypothesis import given
from hypothesis import strategies as st

from engine.definition.changes import changed_keys

LEAVES = st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3)
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=3)
)


def test_the_keys_that_lead_there() -> None:
    """Steps go by their ids: one that was added changes none of the others."""
    old = {"risk": "low", "steps": [{"id": "a", "with": {"url": "x"}}, {"id": "b"}]}
    new = {"steps": [{"id": "new"}, {"id": "a", "with": {"url": "y"}}, {"id": "b"}], "tags": ["db"]}
    assert sorted(changed_keys(old, new)) == ["risk", "steps.a.with.url", "steps.new", "tags"]
    swapped = {**old, "steps": old["steps"][::-1]}
    assert changed_keys(old, swapped) == ["steps"]
    assert changed_keys(1, True) == [""]
    assert changed_keys({"body": [False, {"on": 1}]}, {"body": [0, {"on": True}]}) == ["body"]


@given(JSON, JSON)
def test_nothing_differs_but_what_is_not_the_same(old: object, new: object) -> None:
    """Whatever two things are: some key is named exactly where they are not equal."""
    assert changed_keys(old, copy.deepcopy(old)) == []
    assert bool(changed_keys(old, new)) is (repr(_ordered(old)) != repr(_ordered(new)))


def _ordered(value: object) -> object:
    """The same with the keys of mappings in order, which says nothing."""
    if isinstance(value, dict):
        return {key: _ordered(value[key]) for key in sorted(value)}
    return [_ordered(each) for each in value] if isinstance(value, list) else value
