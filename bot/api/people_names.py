"""The names of the people in an answer, beside their ids: programs go by ids, people read names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from bot.api.models.base import Named
from engine.access import people
from engine.runtime import Runtime
from engine.text.storable import clean

_USER = re.compile(r"\b[UW][A-Z0-9]{2,20}\b", re.ASCII)
_NOT_OF_PEOPLE = frozenset({"request", "response", "outputs", "result", "parameters", "source", "definition"})
"""What programs sent and said, in which a word that looks like an id is none."""
_LONGEST = 8_000
"""A longer text is no sentence."""


def named(rt: Runtime, answer: Any) -> Any:
    """The answer, with the names of those who are known wherever it has a place for them."""
    places = [(place, set(_ids(place))) for place in _places(answer)]
    known = people.names(rt, set().union(*(ids for _, ids in places)))
    for place, ids in places:
        place.people = {each: str(clean(known[each])) for each in sorted(ids) if each in known}
    return answer


def _places(value: Any) -> Iterator[Named]:
    if isinstance(value, Named):
        yield value
    if isinstance(value, BaseModel):
        value = dict(value)
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        if isinstance(each, BaseModel | list):
            yield from _places(each)


def _ids(value: Any) -> Iterator[str]:
    """Every word in it that looks like a person's id."""
    if isinstance(value, str):
        yield from _USER.findall(value) if len(value) <= _LONGEST else ()
    elif isinstance(value, BaseModel | dict):
        for name, each in dict(value).items():
            if name not in _NOT_OF_PEOPLE:
                yield from _ids(each)
    elif isinstance(value, list):
        for each in value:
            yield from _ids(each)
