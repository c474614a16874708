"""The formats a parameter's text may be asked to have, checked in bounded time and without other libraries."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, time
from urllib.parse import urlsplit

from jsonschema import FormatChecker

FORMATS = FormatChecker(formats=())
"""date, time, date-time, email, uri, and user and channel, which are Slack's ids.

What is not text always passes: `type` is what refuses it.
"""


@FORMATS.checks("date")
def _is_date(value: object) -> bool:
    return not isinstance(value, str) or _parses(r"\d{4}-\d{2}-\d{2}", date.fromisoformat, value)


@FORMATS.checks("time")
def _is_time(value: object) -> bool:
    return not isinstance(value, str) or _parses(
        r"\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?([Zz]|[+-]\d{2}:\d{2})?", time.fromisoformat, value
    )


@FORMATS.checks("date-time")
def _is_date_time(value: object) -> bool:
    return not isinstance(value, str) or _parses(
        r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,6})?([Zz]|[+-]\d{2}:\d{2})", datetime.fromisoformat, value
    )


@FORMATS.checks("email")
def _is_email(value: object) -> bool:
    if not isinstance(value, str):
        return True
    return len(value) <= 254 and re.fullmatch(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+", value) is not None


@FORMATS.checks("uri")
def _is_uri(value: object) -> bool:
    if not isinstance(value, str):
        return True
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return bool(parts.scheme and (parts.netloc or parts.path)) and not re.search(r"[\s<>\"\\^`{|}]", value)


@FORMATS.checks("user")
def _is_user(value: object) -> bool:
    return not isinstance(value, str) or re.fullmatch(r"[UW][A-Z0-9]{2,20}", value) is not None


@FORMATS.checks("channel")
def _is_channel(value: object) -> bool:
    return not isinstance(value, str) or re.fullmatch(r"[CDG][A-Z0-9]{2,20}", value) is not None


def _parses(shape: str, parse: Callable[[str], object], value: str) -> bool:
    if not re.fullmatch(shape, value, re.ASCII):
        return False
    try:
        parse(value.upper())
    except ValueError:
        return False
    return True
