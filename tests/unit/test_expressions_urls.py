"""URLs: a value fills a piece of a path or a query and never decides where the call goes."""

from __future__ import annotations

from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.expressions import ExpressionError, render_url


def fill(template: str, value: object) -> str:
    return render_url(template, {"params": {"x": value}})


@pytest.mark.parametrize(
    ("template", "value", "url"),
    [
        ("https://h/a", None, "https://h/a"),
        ("https://h/{{ params.x }}", "a b/c?d#e&f=ü", "https://h/a%20b%2Fc%3Fd%23e%26f%3D%C3%BC"),
        ("https://h/a?q={{ params.x }}&r=1", "x&y=1", "https://h/a?q=x%26y%3D1&r=1"),
        ("https://h?q={{ params.x }}", "", "https://h?q="),
        ("https://h/{{ params.x }}/y", 7, "https://h/7/y"),
        ("https://h/{{ params.x }}", True, "https://h/true"),
        ("https://{{ params.x }}.example.com:8443/", "eu-1", "https://eu-1.example.com:8443/"),
        ("https://{{ params.x }}/p", "h.example.com", "https://h.example.com/p"),
        ("https://h/v{{ params.x | upper }}", "a", "https://h/vA"),
        ("http://[::1]:80/{{ params.x }}", "a", "http://[::1]:80/a"),
        ("https://h/a?b=/../{{ params.x }}", "..", "https://h/a?b=/../.."),
    ],
)
def test_values_are_encoded_for_their_place(template: str, value: object, url: str) -> None:
    """Path and query values are percent-encoded whole; a host value is checked letter by letter."""
    assert fill(template, value) == url


@pytest.mark.parametrize(
    ("template", "value", "why"),
    [
        ("{{ params.x }}", "https://evil", "starts with http:// or https://"),
        ("{{ params.x }}://h/", "https", "starts with http:// or https://"),
        ("ftp://h/", "", "starts with http:// or https://"),
        ("//h/", "", "starts with http:// or https://"),
        ("https://{{ params.x }}/", "evil.com/", "lower-case letters, digits, dots and dashes"),
        ("https://{{ params.x }}.example.com/", "evil.com:1@", "lower-case letters, digits, dots and dashes"),
        ("https://{{ params.x }}/", "", "lower-case letters, digits, dots and dashes"),
        ("https://user:pw@h/", "", "without a user name"),
        ("https://h:99999999/", "", "an optional port"),
        ("https:///path", "", "the URL's host"),
        ("https://h/a#b", "", "behind `#`"),
        ("https://h/a b", "", "percent-encoded"),
        ("https://h\\evil/", "", "percent-encoded"),
        ("https://h/../x", "", "`.` or `..`"),
        ("https://h/{{ params.x }}/x", "..", "`.` or `..`"),
        ("https://h/.{{ params.x }}/x", ".", "`.` or `..`"),
        ("https://h/{{ params.x }}", "", "empty"),
        ("https://h/{{ params.x }}", None, "null cannot stand in a URL"),
        ("https://h/{{ params.x }}", ["a"], "a list cannot stand in a URL"),
        ("https://h/{{ params.gone }}", "", "`gone` is not there"),
        ("https://h/{% if params.x %}a{% endif %}", "", "no {% %} blocks"),
        ("https://h/{{ params.x ** 2 }}", "", "`**` is not allowed"),
        ("https://h/{{ params.x }}", "y" * 5_000, "longer than 4096"),
    ],
)
def test_what_a_url_may_not_be(template: str, value: object, why: str) -> None:
    """A value cannot be the scheme, change the host or walk up the path, and the sentence says so."""
    with pytest.raises(ExpressionError) as caught:
        fill(template, value)
    assert why in str(caught.value)


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_no_value_changes_where_a_call_goes(value: str) -> None:
    """Any text in path and query leaves host and shape as written, and is read back whole."""
    try:
        url = fill("https://h.example.com/a/{{ params.x }}/b?q={{ params.x }}&end=1", value)
    except ExpressionError:
        assert value in {"", ".", ".."}
        return
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc, parts.fragment) == ("https", "h.example.com", "")
    assert [unquote(piece) for piece in parts.path.split("/")] == ["", "a", value, "b"]
    assert parse_qs(parts.query, keep_blank_values=True) == {"q": [value], "end": ["1"]}


@settings(deadline=None)
@given(st.text(max_size=30))
def test_no_value_breaks_out_of_the_host(value: str) -> None:
    """Any text inside a host name either is refused or stays a piece of the name."""
    try:
        url = fill("https://{{ params.x }}.example.com/p", value)
    except ExpressionError:
        return
    assert urlsplit(url).netloc == f"{value}.example.com"
