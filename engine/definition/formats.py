"""The formats a parameter's text may be asked to have, by the RFCs' own grammars and in time that grows with the text.

RE2 runs the grammars. Libraries were no choice: those for URIs backtrack or are no longer kept, and the one for e-mail
judges whether the whole internet could deliver there, which fails addresses inside a company.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, time
from functools import cache
from ipaddress import IPv4Address, IPv6Address

from jsonschema import FormatChecker

from engine.text.regex import compile_grammar

FORMATS = FormatChecker(formats=())
"""date, time, date-time, email, uri, and user and channel, which are Slack's ids.

What is not text always passes: `type` is what refuses it.
"""

_DATE = r"\d{4}-\d{2}-\d{2}"
_HOUR = r"([01]\d|2[0-3])"
_CLOCK = rf"{_HOUR}:[0-5]\d:[0-5]\d(\.\d+)?"
_ZONE = rf"([Zz]|[+-]{_HOUR}:[0-5]\d)"


@FORMATS.checks("date")
def _is_date(value: object) -> bool:
    return not isinstance(value, str) or _parses(_DATE, date.fromisoformat, value)


@FORMATS.checks("time")
def _is_time(value: object) -> bool:
    return not isinstance(value, str) or _parses(rf"({_CLOCK}|{_HOUR}:[0-5]\d){_ZONE}?", time.fromisoformat, value)


@FORMATS.checks("date-time")
def _is_date_time(value: object) -> bool:
    return not isinstance(value, str) or _parses(rf"{_DATE}[Tt]{_CLOCK}{_ZONE}", datetime.fromisoformat, value)


_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_QUOTED = r'"([ !#-\[\]-~]|\\[ -~])*"'
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_EMAIL = rf"(?P<local>{_ATOM}(\.{_ATOM})*|{_QUOTED})@({_LABEL}(\.{_LABEL})+|\[(?P<literal>[^\]]*)\])"
"""RFC 5321's Mailbox, but for a domain without a dot."""

MAX_EMAIL = 254
MAX_LOCAL = 64


@FORMATS.checks("email")
def _is_email(value: object) -> bool:
    if not isinstance(value, str):
        return True
    parts = _parts(_EMAIL, value) if len(value) <= MAX_EMAIL else None
    if parts is None:
        return False
    return len(parts["local"] or "") <= MAX_LOCAL and (parts["literal"] is None or _is_literal(parts["literal"]))


def _is_literal(text: str) -> bool:
    """What may stand in the brackets of an e-mail address."""
    return _is_ip(IPv6Address, text[5:]) if text[:5].lower() == "ipv6:" else _is_ip(IPv4Address, text)


_ESCAPED = r"%[0-9A-Fa-f]{2}"
_PLAIN = r"-A-Za-z0-9._~!$&'()*+,;="
_PATH = rf"([{_PLAIN}:@/]|{_ESCAPED})*"
_AFTER = rf"([{_PLAIN}:@/?]|{_ESCAPED})*"
_IN_BRACKETS = rf"(?P<v6>[0-9A-Fa-f:.]+)|[Vv][0-9A-Fa-f]+\.[{_PLAIN}:]+"
_AUTHORITY = (
    rf"(([{_PLAIN}:]|{_ESCAPED})*@)?(?P<host>\[({_IN_BRACKETS})\]|([{_PLAIN}]|{_ESCAPED})*)(:(?P<port>[0-9]*))?"
)
_URI = (
    rf"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(//{_AUTHORITY}(/{_PATH})?|/|/?([{_PLAIN}:@]|{_ESCAPED}){_PATH})?"
    rf"(\?{_AFTER})?(#{_AFTER})?"
)
"""RFC 3986's URI, but for one that is nothing but a scheme."""


@FORMATS.checks("uri")
def _is_uri(value: object) -> bool:
    if not isinstance(value, str):
        return True
    parts = _parts(_URI, value)
    if parts is None or value == f"{parts['scheme']}:":
        return False
    if parts["v6"] is not None and not _is_ip(IPv6Address, parts["v6"]):
        return False
    port = (parts["port"] or "").lstrip("0") or "0"
    web = (parts["scheme"] or "").lower() in {"http", "https"}
    return not web or (bool(parts["host"]) and len(port) <= 5 and int(port) <= 65535)


def _is_ip(kind: type[IPv4Address | IPv6Address], text: str) -> bool:
    try:
        kind(text)
    except ValueError:
        return False
    return True


@FORMATS.checks("user")
def _is_user(value: object) -> bool:
    return not isinstance(value, str) or re.fullmatch(r"[UW][A-Z0-9]{2,20}", value) is not None


@FORMATS.checks("channel")
def _is_channel(value: object) -> bool:
    return not isinstance(value, str) or re.fullmatch(r"[CDG][A-Z0-9]{2,20}", value) is not None


def _parses(shape: str, parse: Callable[[str], object], value: str) -> bool:
    if _parts(shape, value) is None:
        return False
    try:
        parse(value.upper())
    except ValueError:
        return False
    return True


def _parts(grammar: str, value: str) -> dict[str, str | None] | None:
    """The named parts of a text that is in a grammar; each of them here is of ASCII."""
    found = _compiled(grammar).search(value) if value.isascii() else None
    return found.groupdict() if found else None


_compiled = cache(compile_grammar)
