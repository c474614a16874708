"""Times and durations in expressions: a time is text as RFC 3339 has it, a duration a number of seconds.

So both are plain JSON, and what a step hands on, a parameter or `execution.started_at` is reckoned with like `now`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from engine.expressions.values import describe, known
from engine.text.durations import written_duration

_TIME = re.compile(r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d:\d\d)(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d))?", re.ASCII)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_ISO = "%Y-%m-%dT%H:%M:%S%:z"

_PARTS: dict[str, Callable[[datetime], str]] = {
    "Y": lambda at: f"{at.year:04d}",
    "y": lambda at: f"{at.year % 100:02d}",
    "m": lambda at: f"{at.month:02d}",
    "d": lambda at: f"{at.day:02d}",
    "H": lambda at: f"{at.hour:02d}",
    "I": lambda at: f"{(at.hour + 11) % 12 + 1:02d}",
    "p": lambda at: "AM" if at.hour < 12 else "PM",
    "M": lambda at: f"{at.minute:02d}",
    "S": lambda at: f"{at.second:02d}",
    "j": lambda at: f"{at.timetuple().tm_yday:03d}",
    "a": lambda at: _DAYS[at.weekday()][:3],
    "A": lambda at: _DAYS[at.weekday()],
    "b": lambda at: _MONTHS[at.month - 1][:3],
    "B": lambda at: _MONTHS[at.month - 1],
    "u": lambda at: str(at.isoweekday()),
    "G": lambda at: f"{at.isocalendar().year:04d}",
    "V": lambda at: f"{at.isocalendar().week:02d}",
    "s": lambda at: str(int((at - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() // 1)),
    "z": lambda at: _offset(at).replace(":", ""),
    ":z": lambda at: _offset(at),
    "Z": lambda at: at.tzname() or "",
    "%": lambda _: "%",
}
"""What `date` writes for each letter behind a `%`: those of strftime, always in English."""
_PART = re.compile(r"%(:z|.|$)", re.DOTALL)
MAX_FORMAT = 200


def duration(value: Any) -> int | float:
    """A duration as people write it, or a number of seconds, as a number of seconds."""
    if isinstance(known(value), (int, float)) and not isinstance(value, bool):
        return value if isinstance(value, int) else _number(value)
    if not isinstance(value, str):
        raise TypeError(f"`duration` needs text such as 30s, 15m or 1h30m, not {describe(value)}")
    found = written_duration(value)
    if found is None:
        raise ValueError("`duration` was given text that is no duration; it is written like 30s, 15m, 1h30m or 500ms")
    return _number(found / 1000)


def date(value: Any, format: str = _ISO, zone: str = "UTC") -> str:  # noqa: A002 - the word that runbooks use
    """A time in words and figures of the author's choice, in a time zone. Raises TypeError, ValueError."""
    fault = format_fault(format)
    if fault:
        raise ValueError(fault)
    local = _in_zone(value, zone)
    return _PART.sub(lambda found: _PARTS[found[1]](local), format)


def _in_zone(value: Any, zone: str) -> datetime:
    at = instant(value)
    if at is None:
        raise TypeError(f"`date` needs a time such as 2026-01-31T14:30:00Z, not {describe(value)} that is none")
    fault = zone_fault(zone)
    if fault:
        raise ValueError("`date` was given a time zone that is not known; it is written like Europe/Berlin")
    return at.astimezone(ZoneInfo(zone))


def format_fault(form: object) -> str | None:
    """What is wrong with what `date` is to write, in a sentence; None where nothing is."""
    if not isinstance(form, str) or len(form) > MAX_FORMAT:
        return f"`date` takes a format, as in '%Y-%m-%d %H:%M', of at most {MAX_FORMAT} characters"
    for found in _PART.finditer(form):
        if found[1] not in _PARTS:
            return f"`date` does not know `%{found[1]}`; there is {', '.join(f'%{each}' for each in _PARTS)}"
    return None


@lru_cache(maxsize=256)
def zone_fault(zone: object) -> str | None:
    """What is wrong with the name of a time zone, in a sentence; None where nothing is."""
    try:
        ZoneInfo(str(zone) if isinstance(zone, str) else "")
    except (KeyError, ValueError, OSError):
        return f"there is no time zone `{str(zone)[:40]}`; it is written like Europe/Berlin"
    return None


def instant(value: Any) -> datetime | None:
    """The moment that a text names, or a date's beginning in UTC; None for anything else."""
    match = _TIME.fullmatch(value) if isinstance(known(value), str) else None
    if match is None:
        return None
    day, clock, fraction, zone = match.groups()
    offset = "+00:00" if zone is None or zone in "Zz" else zone
    exact = f"{fraction[:7]:0<7}" if fraction else ""
    try:
        return datetime.fromisoformat(f"{day}T{clock or '00:00:00'}{exact}{offset}")
    except ValueError:
        return None


def written(at: datetime) -> str:
    """A moment as text: UTC, with milliseconds where there are any."""
    exact = "milliseconds" if at.microsecond else "seconds"
    return at.astimezone(UTC).isoformat(timespec=exact).replace("+00:00", "Z")


def at_milliseconds(milliseconds: int) -> str:
    """A moment in milliseconds since 1970 as text, to the second."""
    return written(datetime.fromtimestamp(milliseconds // 1000, UTC))


def reckoned(operator: str, left: Any, right: Any) -> Any:
    """A time moved by seconds, or the seconds between two times; None where the two sides are nothing like that."""
    moved = instant(left)
    if moved is None:
        later = instant(right) if operator == "+" and _is_number(left) else None
        return None if later is None else written(later + timedelta(seconds=left))
    if _is_number(right) and operator in "+-":
        return written(moved + timedelta(seconds=right if operator == "+" else -right))
    other = instant(right) if operator == "-" else None
    return None if other is None else _number((moved - other).total_seconds())


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _number(seconds: float) -> int | float:
    return int(seconds) if seconds.is_integer() else seconds


def _offset(at: datetime) -> str:
    minutes = int((at.utcoffset() or timedelta()).total_seconds() // 60)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
