"""Token servers of a private authority, and such as want a certificate, against real TLS on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import certificates
import pytest
from local_server import LocalServer, answer, egress_to, serving
from test_http_auth import call, giving, oauth, wanting

from engine.definition import calls
from engine.steps.oauth2 import Tokens
from engine.steps.outcome import Failed, Outcome, Succeeded
from engine.text.redaction import Redactor

AUTHORITY, OTHER = certificates.issue("Ours"), certificates.issue("Theirs")
CLIENT = certificates.issue("bot", AUTHORITY)
OURS = {"ca": AUTHORITY.cert, "cert": CLIENT.cert, "key": CLIENT.key}


@pytest.fixture
def issuer(tmp_path: Path) -> Iterator[LocalServer]:
    """A token server that wants a certificate of our authority."""
    server = certificates.issue("server", AUTHORITY, "127.0.0.1")
    with serving(giving("t0ken-one"), certificates.server_context(tmp_path, server, AUTHORITY)) as made:
        yield made


def asked(issuer: LocalServer, service: LocalServer, tokens: Tokens | None = None, **more: Any) -> Outcome:
    auth = {**oauth(issuer, **more), "token_url": issuer.url("/token").replace("http:", "https:")}
    with egress_to(issuer, service) as egress:
        return call(egress, {"url": service.url(), "auth": auth}, tokens)


def test_a_token_comes_from_a_server_of_a_private_authority_by_a_certificate(issuer: LocalServer) -> None:
    """The step's own call goes without either: it is made in plain text here."""
    with serving(wanting("t0ken-one")) as service:
        assert isinstance(asked(issuer, service, tls=OURS), Succeeded)
        assert len(issuer.requests) == 1


@pytest.mark.parametrize("tls", [{}, {"ca": OTHER.cert}, {**OURS, "ca": OTHER.cert}])
def test_no_other_authority_does_and_neither_secret_nor_call_is_sent(issuer: LocalServer, tls: dict[str, str]) -> None:
    with serving(answer()) as service:
        outcome = asked(issuer, service, **({"tls": tls} if tls else {}))
        assert isinstance(outcome, Failed)
        assert outcome.code == "tls"
        assert "No token came from" in outcome.message
        assert (issuer.requests, service.requests) == ([], [])


def test_a_stranger_gets_no_token(issuer: LocalServer) -> None:
    stranger = certificates.issue("bot", OTHER)
    with serving(answer()) as service:
        outcome = asked(issuer, service, tls={"ca": AUTHORITY.cert, "cert": stranger.cert, "key": stranger.key})
        assert isinstance(outcome, Failed)
        assert service.requests == []


def test_the_certificates_of_the_call_are_not_those_of_its_token_server(issuer: LocalServer, tmp_path: Path) -> None:
    """What `tls` of the step says holds for its own address alone, and that of `auth` for the token server."""
    folder = tmp_path / "service"
    folder.mkdir()
    context = certificates.server_context(folder, certificates.issue("server", OTHER, "127.0.0.1"))
    with serving(wanting("t0ken-one"), context) as service, egress_to(issuer, service) as egress:
        token_url = issuer.url("/token").replace("http:", "https:")
        url = service.url().replace("http:", "https:")
        for tls, own in ((OURS, None), (OURS, OURS), (None, {"ca": OTHER.cert})):
            more = {"tls": tls} if tls else {}
            with_ = {"url": url, "auth": {**oauth(issuer, **more), "token_url": token_url}}
            assert isinstance(call(egress, {**with_, **({"tls": own} if own else {})}), Failed)
        assert service.requests == []
        auth = {**oauth(issuer, tls=OURS), "token_url": token_url}
        assert isinstance(call(egress, {"url": url, "auth": auth, "tls": {"ca": OTHER.cert}}), Succeeded)


def test_a_token_is_kept_for_its_own_certificate_alone(issuer: LocalServer) -> None:
    """Who may use another certificate, or none, gets no token that this one was given."""
    tokens = Tokens(Redactor())
    with serving(wanting("t0ken-one")) as service:
        for _ in range(2):
            assert isinstance(asked(issuer, service, tokens, tls=OURS), Succeeded)
        assert len(issuer.requests) == 1
        assert isinstance(asked(issuer, service, tokens), Failed)
        assert len(service.requests) == 2


def test_tls_of_a_token_server_is_for_https() -> None:
    token_url = "http://login.example.com/token"
    auth = {"type": "oauth2", "token_url": token_url, "client_id": "a", "client_secret": "b", "tls": {"ca": "c"}}
    (found,) = calls.findings({"url": "https://api.example.com", "auth": auth}, ("steps", 0, "with"))
    assert found.path == ("steps", 0, "with", "auth", "tls")
    assert "begins with https://" in found.message


def test_tls_of_a_token_server_in_plain_text_sends_nothing() -> None:
    with serving(giving("t0ken-one")) as issuer, serving(answer()) as service, egress_to(issuer, service) as egress:
        outcome = call(egress, {"url": service.url(), "auth": oauth(issuer, tls={"ca": AUTHORITY.cert})})
        assert isinstance(outcome, Failed)
        assert "token_url is not" in outcome.message
        assert (issuer.requests, service.requests) == ([], [])
