"""Redirects of an http step: only where allowed, each through the guard again, and no credentials elsewhere."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from local_server import Behaviour, LocalServer, answer, egress_to, serving, silence

from engine.egress import CallFailed, Resolver, Response
from engine.steps import http
from engine.steps.http_call import redirected
from engine.steps.http_request import Request
from engine.steps.oauth2 import Tokens
from engine.steps.outcome import Failed, Outcome, Succeeded, Unknown
from engine.text.redaction import Redactor


def to(url: str, status: str = "302 Found") -> Behaviour:
    return answer(b"", status, f"Location: {url}")


def routes(table: dict[str, Behaviour]) -> Behaviour:
    """Answers by path."""

    def behave(conn: socket.socket, request: bytes) -> None:
        table[request.split(b" ")[1].decode()](conn, request)

    return behave


def get(
    *servers: LocalServer, with_: dict[str, Any], idempotent: bool = True, timeout_ms: int = 3000, **how: Any
) -> Outcome:
    with egress_to(*servers, **how) as egress:
        made = http.Call(
            idempotent=idempotent,
            timeout_ms=timeout_ms,
            idempotency_key="rb-1-x",
            egress=egress,
            tokens=Tokens(Redactor()),
            redact=lambda value: value,
            abandoned=lambda: False,
        )
        return http.run({"url": servers[0].url("/a"), **with_}, made)


def test_as_many_as_allowed_are_followed() -> None:
    """Relative places are found, the evidence names each hop, and one more is the answer itself."""
    table = {"/a": to("b", "301 Moved"), "/b": to("/c?x=1", "307 Again"), "/c?x=1": answer(b"here")}
    with serving(routes(table)) as server:
        outcome = get(server, with_={"redirects": 2})
        assert isinstance(outcome, Succeeded)
        assert outcome.outputs["text"] == "here"
        assert outcome.evidence.response["redirects"] == [
            {"status": 301, "to": server.url("/b")},
            {"status": 307, "to": server.url("/c?x=1")},
        ]
        assert outcome.evidence.request["url"] == server.url("/a")
        outcome = get(server, with_={"redirects": 1})
        assert isinstance(outcome, Failed)
        assert outcome.outputs is not None
        assert outcome.outputs["status"] == 307
        assert "At most 1" in outcome.message
        assert isinstance(get(server, with_={}), Failed)


def test_never_more_than_five() -> None:
    """A circle ends, whatever the runbook says."""
    with serving(to("/a")) as server:
        assert isinstance(get(server, with_={"redirects": 50}), Failed)
        assert len(server.requests) == 6


@pytest.mark.parametrize(
    ("method", "status", "then"),
    [
        ("HEAD", "303 See Other", "HEAD"),
        ("GET", "308 Permanent", "GET"),
        ("POST", "303 See Other", "GET"),
        ("PUT", "303 See Other", "GET"),
        ("POST", "302 Found", None),
        ("POST", "307 Temporary", None),
        ("DELETE", "301 Moved", None),
    ],
)
def test_only_reading_is_redirected(method: str, status: str, then: str | None) -> None:
    """Nothing but GET and HEAD is sent a second time; a 303 is asked with GET and without the body."""
    with serving(routes({"/a": to("/b", status), "/b": answer(b"")})) as server:
        body = {} if method == "HEAD" else {"json": {"a": 1}}
        get(server, with_={"method": method, "redirects": 3, **body})
        assert [request.split(b" ")[0].decode() for request in server.requests[1:]] == ([then] if then else [])
        if status.startswith("303"):
            assert server.requests[1].endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "auth",
    [
        {"type": "basic", "username": "u", "password": "c4nary-pass"},
        {"type": "bearer", "token": "c4nary-pass"},
        {"type": "header", "name": "X-Key", "value": "c4nary-pass"},
        {"type": "hmac", "secret": "k", "header": "X-Sum"},
    ],
)
def test_another_origin_gets_no_credentials(auth: dict[str, Any]) -> None:
    """Same host, other port: no auth, no cookie and no header of the runbook's own, but the key and the user agent."""
    with serving(answer(b"other")) as other, serving(to("")) as first:
        first._behave = routes({"/a": to("/b"), "/b": to(other.url("/c"))})
        headers = {"Cookie": "s=c4nary", "X-Api-Key": "c4nary", "Accept": "text/x-wanted"}
        outcome = get(first, other, with_={"redirects": 3, "auth": auth, "headers": headers, "json": {"k": "c4nary"}})
        assert isinstance(outcome, Succeeded)
        assert b"c4nary" in first.requests[1]  # the same origin goes on with them
        told = other.requests[0].lower()
        assert b"c4nary" not in told
        assert b"authorization" not in told
        assert b"x-sum" not in told
        assert b"text/x-wanted" in told
        assert b"idempotency-key: rb-1-x" in told


def test_credentials_do_not_come_back() -> None:
    """Once a call has left its origin, returning there does not bring the credentials back."""
    with serving(to("")) as first, serving(to("")) as other:
        first._behave = routes({"/a": to(other.url("/b")), "/c": to("/d"), "/d": answer(b"")})
        other._behave = to(first.url("/c"))
        get(first, other, with_={"redirects": 3, "auth": {"type": "bearer", "token": "c4nary"}})
        assert [b"c4nary" in request for request in first.requests] == [True, False, False]


@pytest.mark.parametrize(
    "place",
    ["http://169.254.169.254/latest/meta-data", "http://10.0.0.1/", "ftp://127.0.0.1/x", "http://u:p@127.0.0.1/"],
)
def test_each_hop_passes_the_guard(place: str) -> None:
    """A redirect to where no step may go ends the step for good."""
    with serving(to(place)) as server:
        outcome = get(server, with_={"redirects": 3})
        assert isinstance(outcome, Failed)
        assert (outcome.code in ("egress_refused", "bad_request"), outcome.retryable) == (True, False)
        assert "After a redirect" in outcome.message


def test_one_deadline_for_all_hops() -> None:
    """Hops that each take a while do not add up to more than the step's time."""

    def slowly(conn: socket.socket, request: bytes) -> None:
        time.sleep(0.25)
        to("/a")(conn, request)

    with serving(slowly) as server:
        started = time.monotonic()
        outcome = get(server, with_={"redirects": 5}, timeout_ms=600)
        assert time.monotonic() - started < 1.2
        assert isinstance(outcome, Failed)
        assert (outcome.code, outcome.retryable) == ("timeout", True)


def test_after_a_redirect_a_call_that_is_not_idempotent_is_not_repeated() -> None:
    """The POST had its effect: what its redirect leads to may fail, but never sends the POST again."""
    with_ = {"method": "POST", "redirects": 1}
    for behave in (answer(b"", "503 Down", "Retry-After: 1"), answer(b"", "429 Slow")):
        with serving(routes({"/a": to("/b", "303 See Other"), "/b": behave})) as server:
            outcome = get(server, with_=with_, idempotent=False)
            assert isinstance(outcome, Failed)
            assert not outcome.retryable
    with serving(routes({"/a": to("/b", "303 See Other"), "/b": silence})) as server:
        assert isinstance(get(server, with_=with_, idempotent=False, timeout_ms=500), Unknown)
    with serving(to("http://10.0.0.1/", "303 See Other")) as server:
        assert isinstance(get(server, with_=with_, idempotent=False), Unknown)


@pytest.mark.parametrize(
    "place",
    [
        *(
            "http://[::1",
            "http://[zz]/",
            "http://]/",
            "//[",
            "http://a:99999999/",
            "http://a:99999/",
            "http://a:-1/",
            "http://a:x/",
        ),
        *(
            "https://xn--a/",
            "https://xn--zzzz-/",
            "https://xn--0.test/",
            "http:///x",
            "https:",
            "HTTP:/x",
            "//",
            "///x",
            "//:0/",
            "http://%/",
        ),
        *("http://a\x01b/", "http://u:p@127.0.0.1/", "javascript:x", "http://\xff\xfe/", "http://a%0d%0ab/"),
        f"http://{'a' * 64}.test/",
        f"http://{'a.' * 200}test/",
        f"/{'x' * 70_000}",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_place_that_is_none_ends_the_step(place: str, method: str) -> None:
    """It is a failure for good that says so, and no more than a page of it; nothing else is sent."""
    with serving(answer(b"", "302 Found", "Location: " + place)) as server:
        outcome = get(server, with_={"redirects": 3, "method": method})
        assert isinstance(outcome, Failed)
        assert outcome.code in ("bad_request", "dns")
        assert outcome.message.startswith("After a redirect to ")
        assert "Nothing was sent" in outcome.message or len(place) > 4096
        assert len(outcome.message) < 5000
        assert len(server.requests) == 1


ODD = st.sampled_from(
    [
        "http://",
        "https://",
        "//",
        "/",
        "xn--",
        "%",
        "%zz",
        ":",
        "@",
        "[",
        "]",
        "?",
        "#",
        "\\",
        ".",
        "a",
        "ß",
        "а",
        "0x7f",
    ]
)
PLACES = st.lists(ODD | st.text(max_size=3), max_size=12).map("".join) | st.text(max_size=60)


@settings(deadline=None)
@given(PLACES, st.sampled_from([301, 302, 303, 307, 308]), st.sampled_from(["GET", "POST"]))
def test_any_place_is_followed_or_refused(place: str, status: int, method: str) -> None:
    """Whatever a server points to, even what no header could hold, is a request, a refusal or no redirect."""
    request = Request(method, "https://service.test/a", {}, b"")
    try:
        onward = redirected(request, Response(status, (("location", place),), b"", 1))
    except CallFailed:
        return
    if onward is not None:
        with egress_to(resolver=Resolver(no_names, threads=1)) as egress, pytest.raises(CallFailed) as refused:
            egress.send(onward.method, onward.url, deadline_ms=1000, fresh=True)
        assert not refused.value.sent


def no_names(_host: str, _port: int) -> list[str]:
    raise OSError("no such name")


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=40) | PLACES.map(lambda place: place.encode("utf-8", "surrogatepass")))
def test_any_bytes_in_a_location_give_an_outcome(place: bytes) -> None:
    """From the socket on: nothing is raised, and nobody has to decide about a GET."""

    def behave(conn: socket.socket, _request: bytes) -> None:
        conn.sendall(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + place + b"\r\n\r\n")

    with serving(behave) as server:
        outcome = get(server, with_={"redirects": 1}, resolver=Resolver(no_names, threads=1))
        assert isinstance(outcome, Failed)
