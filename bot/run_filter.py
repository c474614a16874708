"""The words that narrow a list of runs: the same in Slack, on the command line and on the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from engine.definition.durations import parse_duration
from engine.text.words import listed, nearest
from storage.records import Filter
from storage.states import ExecutionStatus

OPEN = "open"
STATUSES = (OPEN, *(each.value.lower() for each in ExecutionStatus))
"""The words for `status`, as they are offered."""
_WHICH = ("here", "mine", OPEN, "all")
_ALSO = {"succeeded": "success", "queued": "pending"}


def of_words(
    which: str,
    options: Mapping[str, str],
    *,
    here: Callable[[], str],
    me: Callable[[], str],
    person: Callable[[str], str],
) -> Filter:
    """The filter of `[here|mine|open|all] [status=…] [runbook=…] [by=…] [since=…]`.

    `here` gives the channel, `me` and `person` the ids of who asks and of somebody who is mentioned. Raises
    `ValueError` with a sentence for people, and what these raise.
    """
    which = which.lower()
    if which not in _WHICH:
        raise ValueError(f"“{which[:40]}” is not one of {listed(_WHICH)}.")
    by = options.get("by", "")
    statuses, is_open = of_status(options.get("status", ""))
    return Filter(
        slug=options.get("runbook", "").lower() or None,
        statuses=statuses,
        requester=person(by) if by else me() if which == "mine" else None,
        channel=here() if which == "here" else None,
        open=True if which == OPEN else is_open,
        within_ms=_within(options.get("since", "")),
    )


def of_status(word: str) -> tuple[tuple[ExecutionStatus, ...], bool | None]:
    """The statuses and `open` that a word stands for. Raises `ValueError` with a sentence for people."""
    word = word.strip().lower()
    word = _ALSO.get(word, word)
    if not word:
        return (), None
    if word not in STATUSES:
        near = nearest(word, (*STATUSES, *_ALSO))
        raise ValueError(f"There is no status “{word[:40]}”." + (f" Did you mean “{near}”?" if near else ""))
    return ((), True) if word == OPEN else ((ExecutionStatus(word.upper()),), None)


def _within(since: str) -> int | None:
    try:
        return parse_duration(since) if since else None
    except ValueError as error:
        raise ValueError(f"since: {error}.") from error
