"""Calls with a certificate of their own and to servers of a private authority, against real TLS on loopback."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import certificates
import pytest
from local_server import LocalServer, answer, serving
from test_http_step import step

from engine.egress import tls
from engine.steps.outcome import Failed, Outcome, Succeeded

AUTHORITY = certificates.issue("Ours")
OTHER = certificates.issue("Theirs")
SERVER = certificates.issue("server", AUTHORITY, "127.0.0.1")
CLIENT = certificates.issue("bot", AUTHORITY)


@pytest.fixture(params=[False, True], ids=["open", "mutual"])
def mutual(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[LocalServer, bool]]:
    context = certificates.server_context(tmp_path, SERVER, AUTHORITY if request.param else None)
    with serving(answer(), context) as server:
        yield server, request.param


def called(server: LocalServer, **said: str) -> Outcome:
    url = server.url().replace("http:", "https:")
    return step(server, {"url": url, **({"tls": said} if said else {})})


def test_a_private_authority_is_trusted_where_a_step_says_so(mutual: tuple[LocalServer, bool]) -> None:
    """Not without it, and another one does not do; a server that wants a certificate gets the step's."""
    server, wants = mutual
    for said in ({}, {"ca": OTHER.cert}):
        outcome = called(server, **said)
        assert isinstance(outcome, Failed)
        assert (outcome.code, "Nothing was sent" in outcome.message) == ("tls", True)
    assert server.requests == []
    bare = called(server, ca=AUTHORITY.cert)
    assert isinstance(bare, Failed if wants else Succeeded)
    assert isinstance(called(server, ca=AUTHORITY.cert, cert=CLIENT.cert, key=CLIENT.key), Succeeded)
    stranger = certificates.issue("bot", OTHER)
    other = called(server, ca=AUTHORITY.cert, cert=stranger.cert, key=stranger.key)
    assert isinstance(other, Failed if wants else Succeeded)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"cert": CLIENT.cert, "key": OTHER.key}, "does not belong to"),
        ({"cert": CLIENT.cert, "key": CLIENT.locked("secret-word-9")}, "unencrypted key in PEM"),
        ({"cert": "no certificate", "key": CLIENT.key}, "no certificate and unencrypted key"),
        ({"cert": CLIENT.cert}, "go together"),
        ({"ca": "no certificate"}, "`tls.ca` is no certificate"),
        ({"ca": "ünicode"}, "`tls.ca` is no certificate"),
        ({"ca": CLIENT.key}, "`tls.ca` is no certificate"),
    ],
)
def test_what_cannot_be_used_is_said_without_showing_it(
    said: dict[str, str], told: str, mutual: tuple[LocalServer, bool]
) -> None:
    outcome = called(mutual[0], **said)
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.retryable) == ("bad_request", False)
    assert told in outcome.message
    for line in CLIENT.key.splitlines()[1:-1] + OTHER.key.splitlines()[1:-1]:
        assert line not in repr(outcome)
    assert mutual[0].requests == []


def test_tls_is_for_https(tmp_path: Path) -> None:
    with serving(answer()) as server:
        outcome = step(server, {"tls": {"ca": AUTHORITY.cert}})
        assert isinstance(outcome, Failed)
        assert "is for https://" in outcome.message
        assert server.connections == 0


def test_a_key_is_on_no_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenSSL reads it from a file without a name; where the kernel has none, from one that has lost its own."""
    names: list[str] = []
    opened = os.open

    def spied(path: Any, flags: int, *more: Any, **keys: Any) -> int:
        names.append(str(path))
        return opened(path, flags, *more, **keys)

    monkeypatch.setattr(os, "open", spied)
    with tls._nameless(b"k3y") as path:
        assert Path(path).read_bytes() == b"k3y"
        assert "memfd" in os.readlink(path.replace("/dev/fd", "/proc/self/fd"))
    assert not [name for name in names if "/tmp" in name]
    monkeypatch.delattr(os, "memfd_create")
    with tls._nameless(b"k3y") as path:
        assert Path(path).read_bytes() == b"k3y"
        assert os.fstat(int(path.rpartition("/")[2])).st_nlink == 0
    assert not Path(path).exists()


def test_a_redirect_elsewhere_gets_no_certificate(tmp_path: Path) -> None:
    """Another origin is called as if the step had said nothing of TLS; so a private one is not trusted there."""
    context = certificates.server_context(tmp_path, SERVER)
    with serving(answer(), context) as second:
        there = second.url("/there").replace("http:", "https:")
        with serving(answer(b"", "302 Found", f"Location: {there}"), context) as first:
            said = {"ca": AUTHORITY.cert, "cert": CLIENT.cert, "key": CLIENT.key}
            url = first.url().replace("http:", "https:")
            outcome = step(first, {"url": url, "tls": said, "redirects": 1})
        assert not isinstance(outcome, Succeeded)
        assert second.requests == []
