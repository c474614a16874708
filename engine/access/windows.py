"""When the calendar's windows are: rules and one-off times on the clocks of their time zone, as moments.

A rule says when a window begins, as a wall clock shows it; how long it lasts is real time. A time that the clocks skip
counts as if they had not been changed (02:30 becomes 03:30). Of a time that comes twice a window begins at the first,
and a one-off window ends at the second: rather too long than too short.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import chain, takewhile
from typing import Any
from zoneinfo import ZoneInfo

from engine.definition.durations import DAY_MS, parse_duration
from storage.freeze_records import CalendarRecord, FreezeRecord

LONGEST_MS = 31 * DAY_MS
LONGEST_ONCE_MS = 366 * DAY_MS
AHEAD_MS = 14 * DAY_MS
"""How far ahead windows are shown."""
_PART_MS = DAY_MS // 4
"""For so long what was worked out once is good."""
_FIRST_YEAR, _DAYS_LOOKED_AT = 2000, 40_000
"""A rule that does not fit on so many days, from its start on, is given up: it never will, or not in our time."""
_MOST_OF_A_MONTH = 5
"""How often a day of the week comes in a month."""
_KEYS = frozenset({"FREQ", "INTERVAL", "BYDAY", "BYMONTH", "BYMONTHDAY", "BYSETPOS", "UNTIL", "COUNT", "WKST"})
_FREQUENCIES = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")

Window = Mapping[str, str]


class _NeverComes(Exception):
    """A rule has looked at as many days as it may."""


class _Months(frozenset[int]):
    """The months of a rule, which it asks of each day that it looks at: the one place at which it can be stopped."""

    def __new__(cls, months: Iterable[int]) -> _Months:
        made = super().__new__(cls, months)
        made.left = _DAYS_LOOKED_AT
        return made

    left: int

    def __contains__(self, month: object) -> bool:
        self.left -= 1
        if self.left < 0:
            raise _NeverComes
        return super().__contains__(month)


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One time that a window is open, in epoch milliseconds."""

    begin: int
    end: int
    window: Window


@lru_cache(maxsize=1)
def zones() -> frozenset[str]:
    """The names of all time zones."""
    return frozenset(zoneinfo.available_timezones())


def wall(text: str, zone: ZoneInfo) -> datetime:
    """A time as it is written, on the clocks of `zone`. Raises ValueError."""
    if "T" not in text.replace(" ", "T"):
        raise ValueError("no time of day")
    found = datetime.fromisoformat(text)
    try:
        return found.astimezone(zone).replace(tzinfo=None, fold=0) if found.tzinfo else found
    except OverflowError as error:
        raise ValueError("a time of no year from 1 to 9999") from error


def in_force(calendar: CalendarRecord | None, at: int) -> list[FreezeRecord]:
    """The windows that are open then, as freezes that nobody has set."""
    if calendar is None or not calendar.content:
        return []
    found = _occurrences(calendar, at)
    return [_as_freeze(each) for each in found if each.begin <= at < each.end]


def upcoming(calendar: CalendarRecord | None, at: int) -> list[FreezeRecord]:
    """The windows that open within the next 14 days, the soonest first."""
    if calendar is None or not calendar.content:
        return []
    found = [each for each in _occurrences(calendar, at) if at < each.begin <= at + AHEAD_MS]
    return [_as_freeze(each) for each in sorted(found, key=lambda each: each.begin)]


def _as_freeze(each: Occurrence) -> FreezeRecord:
    window = each.window
    return FreezeRecord(
        f"calendar:{window['name']}", window["scope"], window["reason"].strip(), False, each.end, each.begin, ""
    )


_worked_out: dict[tuple[str, int], tuple[Occurrence, ...]] = {}


def _occurrences(calendar: CalendarRecord, at: int) -> Sequence[Occurrence]:
    """All that may be open or opens within 14 days of then, and somewhat more; worked out a few times a day."""
    key = (calendar.digest, at // _PART_MS)
    made = _worked_out.get(key)
    if made is None:
        begin = at // _PART_MS * _PART_MS
        found = (of_window(each, begin, begin + _PART_MS + AHEAD_MS) for each in calendar.content)
        made = tuple(chain.from_iterable(found))
        _worked_out.clear()  # other threads do so, too, so that nothing is looked for a second time
        _worked_out[key] = made
    return made


def of_window(window: Window, begin: int, end: int) -> list[Occurrence]:
    """The times that a window is open at some time between these two moments."""
    if "from" in window:
        opens, closes = once(window)
        return [Occurrence(opens, closes, window)] if opens <= end and closes > begin else []
    length = parse_duration(window["for"])
    found = (moment(each, _zone(window)) for each in _walls(window, begin - length - DAY_MS))
    until = takewhile(lambda opens: opens <= end + DAY_MS, found)
    return [
        Occurrence(opens, opens + length, window) for opens in until if opens <= end and opens + length > begin
    ]  # fmt: skip


def once(window: Window) -> tuple[int, int]:
    """When a one-off window opens and closes."""
    zone = _zone(window)
    return moment(_written(window["from"], zone), zone), moment(_written(window["until"], zone), zone, last=True)


def _written(text: str, zone: ZoneInfo) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else wall(text, zone)


def moment(at: datetime, zone: ZoneInfo, *, last: bool = False) -> int:
    """A time on the clocks of a zone as a moment; of a time that comes twice the first or the `last`."""
    if at.tzinfo:
        return round(at.timestamp() * 1000)
    both = [round(at.replace(tzinfo=zone, fold=fold).timestamp() * 1000) for fold in (0, 1)]
    skipped = both[1] < both[0]
    return both[0] if skipped or not last else both[1]


def must_come(window: Window) -> None:
    """Raise ValueError for a rule that cannot be read, comes too often, or never."""
    start = window.get("start")
    after = moment(wall(start, _zone(window)), _zone(window)) - DAY_MS if start else 0
    if next(_walls(window, after), None) is None:
        raise ValueError("it never comes")


def _walls(window: Window, after: int) -> Iterator[datetime]:
    """The times on a wall clock at which a window opens, beginning some time after this moment."""
    zone = _zone(window)
    since = datetime.fromtimestamp(max(after, 0) / 1000, UTC).astimezone(zone).replace(tzinfo=None)
    if "cron" in window:
        return _of_cron(window["cron"], since)
    return _of_rrule(window["rrule"], wall(window["start"], zone), since)


def _of_cron(text: str, since: datetime) -> Iterator[datetime]:
    from cronsim import CronSim, CronSimError

    fields = text.split()
    if len(fields) != 5:
        raise ValueError("write five fields: minute, hour, day, month, day of the week")
    if not fields[0].isdigit():
        raise ValueError("the minute has to be one number: a window opens once an hour at most")
    try:
        return CronSim(text, since - timedelta(minutes=1))
    except CronSimError as error:
        raise ValueError(str(error)) from error


def _of_rrule(text: str, start: datetime, since: datetime) -> Iterator[datetime]:
    from dateutil.rrule import rrulestr

    text = text.strip().upper().removeprefix("RRULE:")
    if len(text.split()) != 1:
        raise ValueError("write one rule, without spaces and line breaks")
    said = [part.partition("=")[::2] for part in text.split(";") if part]
    parts = dict(said)
    twice = sorted(key for key in parts if [name for name, _ in said].count(key) > 1)
    if twice:
        raise ValueError(f"`{twice[0][:20]}` stands in it twice")
    unknown = sorted(set(parts) - _KEYS)
    if unknown:
        raise ValueError(f"`{unknown[0][:20]}` is not taken; there are {', '.join(sorted(_KEYS))}")
    if parts.get("FREQ") not in _FREQUENCIES:
        raise ValueError(f"`FREQ` must be one of {', '.join(_FREQUENCIES)}")
    if not parts.get("INTERVAL", "1").isdigit() or int(parts.get("INTERVAL", "1")) == 0:
        raise ValueError("`INTERVAL` must be a whole number from 1")
    if start.year < _FIRST_YEAR:
        raise ValueError(f"`start` must be in {_FIRST_YEAR} or later")
    try:
        rule: Any = rrulestr(text, dtstart=start)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise ValueError(f"cannot be read: {error}") from error
    _must_count_in_a_month(parts, rule._bynweekday or ())
    rule._bymonth = _Months(rule._bymonth or range(1, 13))
    return _until_given_up(rule, since)


def _must_count_in_a_month(parts: Mapping[str, str], counted: Iterable[tuple[int, int]]) -> None:
    """Raise ValueError for the 6th Friday of a month, on which the library fails in some months, and for a year's."""
    if any(abs(which) > _MOST_OF_A_MONTH for _day, which in counted):
        raise ValueError(f"`BYDAY` counts the days of a month, from -{_MOST_OF_A_MONTH} to {_MOST_OF_A_MONTH}")
    if counted and parts["FREQ"] == "YEARLY" and "BYMONTH" not in parts:
        raise ValueError("a number in `BYDAY` counts within a month: say which by `BYMONTH`")


def _until_given_up(rule: Iterable[datetime], since: datetime) -> Iterator[datetime]:
    try:
        yield from (each for each in rule if each >= since)
    except _NeverComes:
        return


def _zone(window: Window) -> ZoneInfo:
    return ZoneInfo(window.get("zone", "UTC"))
