"""Hosts in one spelling, and patterns of them: what is compared is what is called."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.egress.allowed_addresses import plain_host
from engine.egress.hosts import Destination, destination, parse_pattern

LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True).filter(lambda label: label[2:4] != "--")
NAMES = st.builds(lambda labels, last: ".".join([*labels, last]), st.lists(LABELS, max_size=3), st.just("example"))


@pytest.mark.parametrize(
    ("pattern", "url", "matches"),
    [
        ("lb.example.com", "https://lb.example.com/", True),
        ("lb.example.com", "http://LB.Example.COM.:8080/x", True),
        ("LB.Example.com.:443", "https://lb.example.com", True),
        ("lb.example.com:443", "http://lb.example.com", False),
        ("lb.example.com", "https://lb.example.com@evil.example/", False),
        ("lb.example.com", "https://lb.example.com.evil.example/", False),
        ("lb.example.com", "https://lb-example.com/", False),
        ("lb.example.com", "https://lb。example。com/", True),
        ("lb.example.com", "https://lb.ex%61mple.com/", False),
        ("*.example.com", "https://example.com/", False),
        ("*.example.com", "https://a.b.example.com:1/", True),
        ("*.example.com", "https://evilexample.com/", False),
        ("*.example.com:8443", "https://a.example.com/", False),
        ("bücher.example", "https://xn--bcher-kva.example/", True),
        ("bücher.example", "https://bucher.example/", False),
        ("аpple.example", "https://apple.example/", False),
        ("[2001:DB8:0::1]:8443", "https://[2001:db8::1]:8443/", True),
        ("10.0.0.1", "https://[::ffff:10.0.0.1]/", True),
        ("10.0.0.1", "https://167772161/", False),
        ("*.com", "https://10.0.0.1/", False),
        ("lb.example.com", "https://user:pw@lb.example.com/", True),
    ],
)
def test_what_a_pattern_means(pattern: str, url: str, matches: bool) -> None:
    assert parse_pattern(pattern).matches(destination(url)) is matches


@pytest.mark.parametrize(
    "text",
    ["", "*", "*.", "**.example.com", "a.*.com", "https://a.example", "a.example/x", "u@a.example", "a b", "a\\b",
     "a:0", "a:65536", "a:", "2001:db8::1", "[::1", "*.10.0.0.1", "*.0x7f", "*.[::1]", "a%2e.example", "xn--"],
)  # fmt: skip
def test_what_is_no_pattern(text: str) -> None:
    with pytest.raises(ValueError, match=r"write a host|`\*\.` stands"):
        parse_pattern(text)


@given(NAMES, st.integers(1, 65535), st.data())
def test_each_spelling_of_a_host_is_one(name: str, port: int, data: st.DataObject) -> None:
    """Case, a dot behind it and the port written or not: one destination, which its own pattern matches."""
    spelt = "".join(data.draw(st.sampled_from([letter, letter.upper()])) for letter in name)
    found = destination(f"https://{spelt}{data.draw(st.sampled_from(['', '.']))}:{port}/path?q=1")
    assert found == Destination(name, port)
    assert parse_pattern(str(found)).matches(found)
    assert not parse_pattern(f"*.{name}").matches(found)
    assert parse_pattern(f"*.{name}").matches(destination(f"http://sub.{name}/"))


@given(st.text(max_size=30))
def test_what_is_compared_is_what_the_client_calls(text: str) -> None:
    """Whatever is written, either nobody calls it or both name the same host."""
    url = f"https://{text}"
    try:
        found = destination(url)
    except ValueError:
        return
    assert found.host == plain_host(httpx.URL(url).raw_host.decode())


@given(st.ip_addresses().map(str), st.from_regex(r"[a-z0-9.]{1,20}", fullmatch=True))
def test_a_wildcard_never_means_an_address(address: str, below: str) -> None:
    try:
        pattern = parse_pattern(f"*.{below}")
        bracketed = f"[{address}]" if ":" in address else address
        found = destination(f"https://{bracketed}/")
    except ValueError:
        return
    assert not pattern.matches(found)
