"""When a freeze ends, as people write it: `18:00`, `2026-11-28T18:00`, the same with an offset, or a duration."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from engine.access.freezes import at_words
from engine.definition.durations import DAY_MS, parse_duration
from engine.errors import InvalidParameters
from engine.text.moments import must_be_shown

LONGEST_MS = 31 * DAY_MS
OPTIONS: Final = "options of the freeze"
"""What is told to be wrong where a freeze cannot be set so."""
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)", re.ASCII)
_FORMS = "18:00, 2026-11-28T18:00, 2026-11-28T18:00+01:00"


def end(until: str, lasting: str, zone: str | None, now: int) -> int:
    """When a freeze ends, in epoch milliseconds. What says no offset is in the time zone `zone`, else in UTC.

    A time that the clocks skip counts as if they had not been changed, one that comes twice is the later one: a freeze
    is rather too long. Raises `InvalidParameters`.
    """
    until, lasting = until.strip(), lasting.strip()
    if bool(until) == bool(lasting):
        raise InvalidParameters(
            {"until": f"say when it ends, by until= ({_FORMS}) or by for= (2h, 3d), and only once"}, OPTIONS
        )
    name, at = ("until", _moment(until, _zone(zone), now)) if until else ("for", now + _duration(lasting))
    try:
        must_be_shown(at)
    except ValueError as error:
        raise InvalidParameters({name: str(error)}, OPTIONS) from error
    if at <= now:
        raise InvalidParameters({name: f"has to be later than now; {at_words(at)} is past"}, OPTIONS)
    if at - now > LONGEST_MS:
        raise InvalidParameters({name: f"at most 31 days from now; {at_words(at)} is later. Repeating windows are "
                                       "kept in _calendar.yaml"}, OPTIONS)  # fmt: skip
    return at


def _duration(text: str) -> int:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise InvalidParameters({"for": str(error)}, OPTIONS) from error


def _moment(text: str, zone: tzinfo, now: int) -> int:
    clock = _CLOCK.fullmatch(text)
    if clock:
        here = datetime.fromtimestamp(now / 1000, zone)
        today = here.replace(hour=int(clock[1]), minute=int(clock[2]), second=0, microsecond=0, tzinfo=None)
        return next(at for at in (_in_zone(today + timedelta(days), zone) for days in (0, 1, 2)) if at > now)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or "T" not in text.upper().replace(" ", "T"):
        raise InvalidParameters({"until": f"`{text[:40]}` is no time; write it like {_FORMS}"}, OPTIONS)
    return round(found.timestamp() * 1000) if found.tzinfo else _in_zone(found, zone)


def _in_zone(wall: datetime, zone: tzinfo) -> int:
    return max(round(wall.replace(tzinfo=zone, fold=fold).timestamp() * 1000) for fold in (0, 1))


def _zone(name: str | None) -> tzinfo:
    try:
        return ZoneInfo(name) if name else UTC
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC
