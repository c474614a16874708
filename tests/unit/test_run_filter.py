"""The words that narrow a list of runs."""

from __future__ import annotations

import pytest

from bot.run_filter import STATUSES, of_status, of_words
from storage.records import Filter
from storage.states import ExecutionStatus


def words(which: str, **options: str) -> Filter:
    return of_words(which, options, here=lambda: "C1", me=lambda: "U0ME", person=lambda word: word.strip("<@>"))


def test_each_word_narrows() -> None:
    """One asked for by name comes before oneself."""
    assert words("all") == Filter()
    assert words("Here") == Filter(channel="C1")
    assert words("mine") == Filter(requester="U0ME")
    assert words("open") == Filter(open=True)
    assert words("mine", by="<@U0BOB>", runbook="Demo", since="2h") == Filter(
        slug="demo", requester="U0BOB", within_ms=7_200_000
    )
    assert words("open", status="failed") == Filter(statuses=(ExecutionStatus.FAILED,), open=True)


def test_every_status_that_is_offered_is_known() -> None:
    """And what people say for two of them."""
    assert [of_status(each) for each in STATUSES] == [
        ((), True),
        *(((each,), None) for each in ExecutionStatus),
    ]
    assert of_status("succeeded") == of_status(" SUCCESS ")
    assert of_status("queued") == of_status("pending")


@pytest.mark.parametrize(
    ("which", "options", "told"),
    [
        ("theirs", {}, "“theirs” is not one of here, mine, open, all."),
        ("all", {"status": "faild"}, "There is no status “faild”. Did you mean “failed”?"),
        ("all", {"since": "soon"}, "since: `soon` is not a duration"),
    ],
)
def test_what_is_no_word_is_said(which: str, options: dict[str, str], told: str) -> None:
    """With the nearest that there is."""
    with pytest.raises(ValueError, match="is") as refused:
        words(which, **options)
    assert str(refused.value).startswith(told)
