"""The calendar's windows: rules, time zones, clocks that are changed, and files that are wrong."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.access import calendar_file, windows
from storage.freeze_records import CalendarRecord

COMMON = {"name": "w", "scope": "everything", "reason": "x", "zone": "Europe/Berlin"}


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def shown(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, tz=datetime.fromisoformat("2026-01-01T00:00Z").tzinfo).isoformat()[:16]


NIGHTLY = {"rrule": "FREQ=DAILY", "start": "2026-01-01T02:30", "for": "2h"}
CASES = [
    # the clocks are put forward on 29 March: 02:30 is skipped, and counts as 03:30
    (NIGHTLY, "2026-03-28T00:00Z", "2026-03-30T12:00Z",
     ["2026-03-28T01:30", "2026-03-29T01:30", "2026-03-30T00:30"]),
    ({"cron": "30 2 * * *", "for": "2h"}, "2026-03-28T00:00Z", "2026-03-30T12:00Z",
     ["2026-03-28T01:30", "2026-03-29T01:30", "2026-03-30T00:30"]),
    # they are put back on 25 October: 02:30 comes twice, and counts once, the first time
    (NIGHTLY, "2026-10-24T00:00Z", "2026-10-26T12:00Z",
     ["2026-10-24T00:30", "2026-10-25T00:30", "2026-10-26T01:30"]),
    ({"cron": "30 2 * * *", "for": "2h"}, "2026-10-24T00:00Z", "2026-10-26T12:00Z",
     ["2026-10-24T00:30", "2026-10-25T00:30", "2026-10-26T01:30"]),
    # 18:00 stays 18:00 for those who live there
    ({"rrule": "FREQ=WEEKLY;BYDAY=FR", "start": "2026-01-02T18:00", "for": "62h"}, "2026-03-24T00:00Z",
     "2026-04-05T00:00Z", ["2026-03-27T17:00", "2026-04-03T16:00"]),
    ({"rrule": "FREQ=MONTHLY;BYDAY=-1FR", "start": "2026-01-01T09:00", "for": "1d"}, "2026-01-01T00:00Z",
     "2026-03-01T00:00Z", ["2026-01-30T08:00", "2026-02-27T08:00"]),
    ({"from": "2026-12-24T00:00", "until": "2027-01-02T00:00"}, "2026-12-01T00:00Z", "2027-02-01T00:00Z",
     ["2026-12-23T23:00"]),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "begin", "end", "opens"), CASES)
def test_windows_open_by_the_clocks_of_their_zone(rule: dict[str, str], begin: str, end: str, opens: list[str]) -> None:
    found = windows.of_window({**COMMON, **rule}, ms(begin), ms(end))
    assert [shown(each.begin) for each in found] == opens


def test_a_window_lasts_in_real_time_over_a_change_of_clocks() -> None:
    (only,) = windows.of_window({**COMMON, **NIGHTLY}, ms("2026-10-25T00:40Z"), ms("2026-10-25T00:50Z"))
    assert shown(only.end) == "2026-10-25T02:30"


def test_a_one_off_window_to_a_time_that_comes_twice_ends_at_the_second() -> None:
    window = {**COMMON, "from": "2026-10-25T01:00", "until": "2026-10-25T02:30"}
    assert [shown(each) for each in windows.once(window)] == ["2026-10-24T23:00", "2026-10-25T01:30"]


def test_what_is_open_is_in_force_and_what_opens_soon_is_upcoming() -> None:
    calendar = CalendarRecord("d", [{**COMMON, **NIGHTLY}])
    (now,) = windows.in_force(calendar, ms("2026-06-01T01:00Z"))
    assert (now.id, now.created_by, shown(now.until)) == ("calendar:w", "", "2026-06-01T02:30")
    assert windows.in_force(calendar, ms("2026-06-01T02:30Z")) == []
    assert len(windows.upcoming(calendar, ms("2026-06-01T02:30Z"))) == 14


WRONG = [
    ({"cron": "* * * * *", "for": "1h"}, "the minute has to be one number"),
    ({"cron": "0 0 30 2 *", "for": "1h"}, "`cron`: "),
    ({"cron": "0 0", "for": "1h"}, "five fields"),
    ({"rrule": "FREQ=SECONDLY", "start": "2026-01-01T00:00", "for": "1h"}, "`FREQ` must be one of"),
    ({"rrule": "FREQ=DAILY;BYSECOND=1", "start": "2026-01-01T00:00", "for": "1h"}, "`BYSECOND` is not taken"),
    ({"rrule": "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "start": "2026-01-01T00:00", "for": "1h"}, "it never comes"),
    ({"rrule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "start": "2026-01-01T00:00", "for": "1h"}, "it never comes"),
    ({"rrule": "FREQ=DAILY;INTERVAL=0", "start": "2026-01-01T00:00", "for": "1h"}, "`INTERVAL`"),
    ({"rrule": "FREQ=DAILY", "start": "1900-01-01T00:00", "for": "1h"}, "2000 or later"),
    ({"rrule": "FREQ=DAILY;X", "start": "2026-01-01T00:00", "for": "1h"}, "`X` is not taken"),
    ({"rrule": "FREQ=DAILY;BYDAY=XX", "start": "2026-01-01T00:00", "for": "1h"}, "cannot be read"),
    ({"rrule": "FREQ=MONTHLY;BYDAY=-60FR", "start": "2026-01-01T00:00", "for": "1h"}, "`BYDAY` counts"),
    ({"rrule": "FREQ=MONTHLY;BYDAY=+1MO,+8FR", "start": "2026-01-01T00:00", "for": "1h"}, "`BYDAY` counts"),
    ({"rrule": "FREQ=YEARLY;BYDAY=-1FR", "start": "2026-01-01T00:00", "for": "1h"}, "say which by `BYMONTH`"),
    ({"rrule": "FREQ=DAILY", "start": "0001-01-01T00:00+14:00", "for": "1h"}, "must be a time such as"),
    ({"from": "2026-01-02T00:00", "until": "0001-01-01T00:00+14:00"}, "must be a time such as"),
    ({"rrule": "FREQ=DAILY", "for": "1h"}, "needs `start`"),
    ({"rrule": "FREQ=DAILY", "start": "2026-01-01T00:00", "for": "40d"}, "from 1s to 31d"),
    ({"rrule": "FREQ=DAILY", "start": "soon", "for": "1h"}, "must be a time such as"),
    ({"rrule": "FREQ=DAILY", "cron": "0 1 * * *", "start": "2026-01-01T00:00", "for": "1h"}, "say when by one of"),
    ({"from": "2026-01-02T00:00", "until": "2026-01-01T00:00"}, "later than `from`"),
    ({"from": "2026-01-02T00:00", "until": "2026-01-03T00:00", "zone": "Europe/Berlinn"}, "no time zone"),
    ({"from": "2026-01-02T00:00", "until": "2026-01-03T00:00", "scope": "planet:x"}, "is no scope"),
    ({"from": "2026-01-02T00:00", "until": "2026-01-03T00:00", "nam": "x"}, "unknown key `nam`"),
    ({"from": "2026-01-02T00:00", "until": "2026-01-03T00:00", "reason": ""}, "say why"),
]


@pytest.mark.parametrize(("rule", "needle"), WRONG)
def test_what_is_wrong_is_said_where_it_stands_and_soon(tmp_path: Path, rule: dict[str, str], needle: str) -> None:
    """Also what would never come, or come all the time: a rule is looked at for a bounded time."""
    file = tmp_path / "_calendar.yaml"
    lines = "\n".join(f"    {key}: {value!r}" for key, value in {**COMMON, **rule}.items())
    file.write_text(f"windows:\n  -\n{lines}\n")
    began = time.perf_counter()
    found, problems = calendar_file.read(file)
    assert time.perf_counter() - began < 3
    assert found is None
    assert needle in str(problems[0]), problems
    assert problems[0].line > 1


WHICH = st.integers(-60, 60).filter(bool)
DAYS = st.lists(st.tuples(st.none() | WHICH, st.sampled_from(["MO", "FR", "SU"])), min_size=1, max_size=3)


@settings(deadline=None, max_examples=40)
@given(
    freq=st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]), days=DAYS,
    month=st.none() | st.sampled_from([1, 2, 12]), at=st.integers(0, 36),
)  # fmt: skip
def test_a_rule_that_is_taken_can_be_asked_about_at_any_time(freq: str, days: list, month: int | None, at: int) -> None:
    """One that fails only in some month would keep every run from beginning then."""
    named = ",".join(f"{which or ''}{day}" for which, day in days)
    text = f"FREQ={freq};BYDAY={named}" + (f";BYMONTH={month}" if month else "")
    window = {**COMMON, "rrule": text, "start": "2026-01-01T00:00", "for": "1h"}
    with suppress(ValueError):
        windows.must_come(window)
        begin = ms("2026-01-01T00:00Z") + at * 30 * 86_400_000
        windows.of_window(window, begin, begin + windows.AHEAD_MS)


def test_what_is_in_force_is_told_though_others_work_out_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept for the next who ask may be gone before who worked it out has read it."""

    class Forgetful(dict):
        def __setitem__(self, key: object, value: object) -> None:
            pass

    monkeypatch.setattr(windows, "_worked_out", Forgetful())
    calendar = CalendarRecord("d", [{**COMMON, **NIGHTLY}])
    assert windows.in_force(calendar, ms("2026-06-01T01:00Z"))


def test_too_many_windows_and_a_name_twice_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "_calendar.yaml"
    one = "  - {name: w, scope: everything, reason: x, from: '2026-01-02T00:00', until: '2026-01-03T00:00'}\n"
    file.write_text("windows:\n" + one * 2)
    assert "one of its own" in str(calendar_file.read(file)[1][0])
    file.write_text("windows:\n" + one * 201)
    assert "at most 200" in str(calendar_file.read(file)[1][0])
    file.write_text("windows:\n" + one)
    assert len(calendar_file.read(file)[0] or ()) == 1
    file.write_text("windows: []\n")
    assert calendar_file.read(file) == ([], [])


def test_the_calendar_of_the_guide_is_faultless(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
    text = page.partition("### The freeze calendar")[2].partition("```yaml\n")[2].partition("```")[0]
    file = tmp_path / "_calendar.yaml"
    file.write_text(text)
    found, problems = calendar_file.read(file)
    assert (len(found or ()), problems) == (3, [])
