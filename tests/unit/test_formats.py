"""What each `format` of a parameter takes and what it refuses."""

# ruff: noqa: E501 - the tables read better unwrapped

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.definition.formats import FORMATS

RIGHT: dict[str, tuple[str, ...]] = {
    "date": ("2026-01-31", "2024-02-29", "0001-01-01", "9999-12-31"),
    "time": (
        *("09:15", "00:00", "23:59", "09:15:30", "09:15:30.5", "23:59:59.999999999", "09:15Z", "09:15:30z"),
        *("09:15:30+02:00", "09:15-23:59", "09:15:30.123456+00:00"),
    ),
    "date-time": (
        *("2026-01-31T14:30:00Z", "2026-01-31t14:30:00z", "1970-01-01T00:00:00+00:00", "2024-02-29T23:59:59.9-23:59"),
        "2026-01-31T14:30:00.123456789012345+05:45",
    ),
    "email": (
        *("a@b.c", "first.last+tag@sub.example.co.uk", "o'neil@example.com", "!#$%&'*+-/=?^_`{|}~@example.com"),
        *("ops@build.corp.local", "a@1.2", "a@x--y.test", "a@xn--bcher-kva.example", f"{'a' * 64}@example.com"),
        *('"two words"@example.com', '"a@b"@example.com', '"a..b"@example.com', '"\\""@example.com', '""@example.com'),
        *("a@[192.0.2.1]", "a@[IPv6:2001:db8::1]", "a@[ipv6:::1]", f"a@{'b' * 63}.test"),
    ),
    "uri": (
        *("https://example.com", "https://example.com/", "HTTP://EXAMPLE.COM/a/b;c=1,2?x=1&y=%20#frag/?", "https://h:8443"),
        *("https://h:/x", "https://h:65535/", "https://h:000080/", "https://u:p%40@h/x", "https://h./x", "https://under_score/x"),
        *("http://[2001:db8::7]:80/x", "http://[::ffff:192.0.2.1]/", "ldap://[v7.a:b]/c", "http://999.1.1.1/", "ftp://h/x;type=a"),
        *("mailto:a@example.com", "urn:isbn:0451450523", "tel:+1-816-555-1212", "file:///etc/hosts", "file:/etc/hosts"),
        *("git+ssh://git@h/repo.git", "data:,hello", "s3://bucket/key//deep", "x:/", "x://", "x:?q", "x:#f", "jdbc:oracle:thin:@h:1"),
    ),
    "user": ("U0CAROL01", "W123"),
    "channel": ("C0INC0001", "G0AB", "D0AB"),
}  # fmt: skip

WRONG: dict[str, tuple[str, ...]] = {
    "date": (
        *("2026-02-30", "2025-02-29", "2026-13-01", "2026-1-1", "20260131", "2026-W05-6", "2026-01-31T00:00:00Z"),
        *("0000-01-01", "+2026-01-31", "２０２６-01-31", " 2026-01-31", "2026-01-31\n", "", "31.01.2026"),
    ),
    "time": (
        *("24:00", "09:60", "09:15:60", "23:59:60Z", "9:15", "0915", "09", "09:15:30+10:60", "09:15:30+24:00"),
        *("09:15:30+0200", "09:15:30+02", "09:15:30 Z", "09:15:30ZZ", "09:15:30.", "09:15:30,5", "09:15.5", "٠٩:15", ""),
    ),
    "date-time": (
        *("2026-01-31T14:30:00", "2026-01-31 14:30:00Z", "2026-01-31T14:30Z", "2026-02-30T14:30:00Z"),
        *("2026-01-31T24:00:00Z", "2026-01-31T14:60:00Z", "1998-12-31T23:59:60Z", "2026-01-31T14:30:00+10:60"),
        *("2026-01-31T14:30:00-24:00", "2026-01-31T14:30:00+01:00Z", "2026-01-31T14:30:00.Z", "2026-031T14:30:00Z", ""),
    ),
    "email": (
        *(".a@example.com", "a.@example.com", "a..b@example.com", "a@.example.com", "a@example.com.", "a@example..com"),
        *("a@b", "a@-b.com", "a@b-.com", "a@b=c.com", "a@b_c.com", "a b@example.com", "a@b@example.com", "@example.com"),
        *("a@", "a", "", "a@example.com\n", " a@example.com", "a@example.com, b@example.com", "A <a@example.com>"),
        *('"a"b@example.com', '"a@example.com', 'a"@example.com', "a,b@example.com", "a(c)@example.com", "a\\@b@example.com"),
        *("a@[1.2.3]", "a@[1.2.3.256]", "a@[IPv6:1]", "a@[]", "a@[x]", "a@b[1.2.3.4]", "é@example.com", "a@é.com"),
        *(f"{'a' * 65}@example.com", f"a@{'b' * 64}.test", f"a@{'b.' * 126}c", "a\t@example.com", "\x7f@example.com"),
    ),
    "uri": (
        *("example.com", "/x", "//h/x", "x", "", ":", "1http://h", "ht_tp://h", "h,t:x", "http:", "mailto:", "http:/x"),
        *("http://", "https:///x", "http://:80", "http://u@", "http://h:80a/", "http://h:http/", "http://h:8:0", "http://h::"),
        *("http://h:65536/", "http://h:999999999", "http://h:-1/", "http://h/%", "http://h/%6", "http://h/%6G", "http://%zz/"),
        *("http://h/?%", "http://h/#%a", "http://h/#a#b", "http://h/a b", "http://h /", "http://h/\\x", "http://h/<x>"),
        *("http://h/{x}", "http://h/|", "http://h/^", "http://h/`", 'http://h/"', "http://h/[x]", "http://[::1", "http://::1/"),
        *("http://[::g]/", "http://[1.2.3.4]/", "http://[::1%25lo]/", "http://[::1]x/", "http://[x@h/", "http://h/é", "http://é/"),
        *("http://h/\x00", "http://h/\n", "http://h\n", "\thttp://h", "http://h/x ", "http://a@b@c/"),
    ),
    "user": ("C0INC0001", "u0carol01", "U0", "U0CAROL01\n", "<@U0CAROL01>", ""),
    "channel": ("U0CAROL01", "c0inc0001", "#general", "C", ""),
}  # fmt: skip


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in RIGHT.items() for text in texts])
def test_what_a_format_takes(name: str, text: str) -> None:
    """By RFC 3339, 5321 and 3986, with what the documentation names as other."""
    assert FORMATS.conforms(text, name)


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in WRONG.items() for text in texts])
def test_what_a_format_refuses(name: str, text: str) -> None:
    """Also where most readers would let it pass."""
    assert not FORMATS.conforms(text, name)


@pytest.mark.parametrize("value", [None, True, 5, 1.5, [], {}])
@pytest.mark.parametrize("name", RIGHT)
def test_what_is_no_text_has_no_format(name: str, value: object) -> None:
    """A type is refused by `type`."""
    assert FORMATS.conforms(value, name)


@settings(deadline=None)
@given(st.sampled_from(sorted(RIGHT)), st.text() | st.text('a@.:/%[]-09TZ+"\\', max_size=30))
def test_any_text_conforms_or_does_not(name: str, text: str) -> None:
    """Nothing is raised, for half characters either, and what conforms is one line of ASCII."""
    if FORMATS.conforms(text, name):
        assert text.isascii()
        assert text.isprintable()


@pytest.mark.parametrize("name", RIGHT)
def test_formats_take_bounded_time(name: str) -> None:
    """Long texts that nearly conform do not take longer than their length."""
    for text in (
        "a@" + "b." * 30_000,
        "http://" + "a%20" * 15_000 + "%",
        "1" * 60_000,
        "http://[" + ":" * 60_000 + "]",
    ):
        started = time.thread_time()
        assert not FORMATS.conforms(text, name)
        assert time.thread_time() - started < 0.1
