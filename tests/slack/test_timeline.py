"""The picture of a run: every step has its bar, and nothing in it hangs on colour alone."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sample_records import AT, event, step, view

from bot.slack.views import timeline as drawing
from bot.slack.views.timeline import alt_text, pauses, timeline, worth_drawing
from storage.records import EventRecord
from storage.states import ExecutionStatus, StepStatus

ENDED = {"status": ExecutionStatus.FAILED, "ended_at": AT + 60_000}


def at(kind: str, second: int) -> EventRecord:
    return EventRecord("R-7K2M9Q", 1, AT + second * 1000, kind, None, "U0CAROL01", {})


def ran(number: int, since: int, until: int, **given: Any) -> Any:
    known = {"status": StepStatus.SUCCESS, "started_at": AT + since * 1000, "ended_at": AT + until * 1000}
    return step(number, **{**known, **given})


def grey(whole: Any, events: tuple[EventRecord, ...] = ()) -> Image.Image:
    return Image.open(BytesIO(timeline(whole, events))).convert("L")


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ((), []),
        ((at("paused", 1), at("resumed", 3)), [(1, 3)]),
        ((at("paused", 1), at("paused", 2), at("resumed", 3), at("paused", 5), at("ended", 9)), [(1, 3), (5, 9)]),
        ((at("paused", 1),), [(1, 60)]),
        ((at("resumed", 1),), []),
    ],
)
def test_pauses_are_read_from_what_happened(told: tuple[EventRecord, ...], expected: list[tuple[int, int]]) -> None:
    """From the first pause to the resume, the end of the run, or the end of the picture."""
    assert [((a - AT) // 1000, (b - AT) // 1000) for a, b in pauses(told, AT + 60_000)] == expected


def test_what_became_of_a_step_shows_without_colour() -> None:
    """In grey, a bar that ran, waited, failed or was cut off looks different from each of the others."""
    looks = {
        "ran": ran(1, 0, 60),
        "waited": ran(1, 0, 60, kind="approval"),
        "failed": ran(1, 0, 60, status=StepStatus.FAILED, error={"code": "x", "message": "y"}),
        "cut off": ran(1, 0, 60, status=StepStatus.CANCELLED),
        "holds": ran(1, 0, 60, kind="loop"),
    }
    left, top = drawing._LEFT * 2 + 4, drawing._TOP * 2 + 12
    box = (left, top, left + 200, top + 24)
    seen = {name: grey(view((one, ran(2, 0, 1)), **ENDED)).crop(box).tobytes() for name, one in looks.items()}
    assert len(set(seen.values())) == len(looks)


def test_bars_lie_where_their_time_was() -> None:
    """A step of the first half ends in the middle, where that of the second half begins."""
    image = grey(view((ran(1, 0, 30), ran(2, 30, 60)), **ENDED))
    middle = drawing._LEFT + (drawing._WIDTH - drawing._LEFT - drawing._RIGHT) / 2
    rows = [drawing._TOP + drawing._ROW * row + 12 for row in (0, 1)]
    dark = [[image.getpixel((int((middle + side) * 2), y * 2)) < 128 for side in (-6, 6)] for y in rows]
    assert dark == [[True, False], [False, True]]


def test_the_words_say_what_the_picture_shows() -> None:
    """Screen readers hear every step that began, how it ended and how long it took."""
    whole = view((ran(1, 0, 20), ran(2, 20, 60, attempts=3, status=StepStatus.FAILED), step(3)), **ENDED)
    assert alt_text(whole) == "Timeline of R-7K2M9Q: step-1 done 20 s; step-2 failed 40 s, 3 tries."
    assert worth_drawing(whole)
    assert not worth_drawing(view((ran(1, 0, 20), step(2)), **ENDED))


@settings(max_examples=10, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 10**7), st.sampled_from(StepStatus)), max_size=60),
    st.text(max_size=80),
)
def test_any_run_can_be_drawn(spans: list[tuple[int, int, StepStatus]], name: str) -> None:
    """Whatever the steps are called and however long they took, there is a picture of a size that Slack shows."""
    steps = tuple(
        ran(number, since, since + took, status=status, path=name or "x")
        for number, (since, took, status) in enumerate(spans, 1)
    )
    data = timeline(view(steps, **ENDED), [event("paused"), event("resumed")])
    image = Image.open(BytesIO(data))
    assert image.height <= (drawing._TOP + drawing.ROWS * drawing._ROW + drawing._FOOT) * 2
    assert len(data) < 400_000
