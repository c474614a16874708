"""Changed parameters in words, the same ones at every door: what each was, what it is, and by whom."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from bot.slack.views.text import as_json
from storage.records import Json

_VALUE = 60
"""Characters of one value."""
_MOST = 5
"""Parameters that are told one by one."""


def change_words(changes: Iterable[Mapping[str, Json]], by: str = "", mark: Callable[[str], str] = str) -> str:
    """`service: cellar → web, by Carol`; "" where nothing was changed.

    `mark` makes each change fit where it is shown, `by` is the person as it is shown there, "" where that is said
    beside it.
    """
    each = [mark(f"{one.get('name')}: {_value(one, 'old')} → {_value(one, 'new')}") for one in changes]
    left = len(each) - _MOST
    told = ", ".join([*each[:_MOST], f"and {left} more"] if left > 0 else each)
    return f"{told}, by {by}" if told and by else told


def _value(change: Mapping[str, Json], which: str) -> str:
    return as_json(change[which], _VALUE) if which in change else "not given"
