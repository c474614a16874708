"""gRPC calls with a certificate of their own and to servers of a private authority, against real TLS on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import certificates
import pytest
from certificates import Pair
from grpc_server import OrderService, order_service
from test_grpc_step import channels_to, run

from engine.definition.load import examine
from engine.steps.outcome import Failed, Outcome, Succeeded

AUTHORITY = certificates.issue("Ours")
OTHER = certificates.issue("Theirs")
SERVER = certificates.issue("server", AUTHORITY, "127.0.0.1")
CLIENT = certificates.issue("bot", AUTHORITY)
STRANGER = certificates.issue("bot", OTHER)
EXPIRED = certificates.issue("bot", AUTHORITY, valid_for=timedelta(hours=-1))


def serving(server: Pair, clients: Pair | None = None) -> Any:
    return order_service(tls=(server.key.encode(), server.cert.encode()), clients=clients and clients.cert.encode())


@pytest.fixture(scope="module")
def mutual() -> Iterator[OrderService]:
    with serving(SERVER, AUTHORITY) as service:
        yield service


def called(service: OrderService, tls: Any, **more: Any) -> Outcome:
    with channels_to(service.port) as channels:
        return run(channels, service.target, tls=tls, **more)


def ours(pair: Pair = CLIENT, ca: Pair = AUTHORITY) -> dict[str, str]:
    return {"ca": ca.cert, "cert": pair.cert, "key": pair.key}


def failed(outcome: Outcome) -> Failed:
    assert isinstance(outcome, Failed), outcome
    assert outcome.message.startswith("Nothing was sent: 127.0.0.1:")
    assert "PRIVATE KEY" not in repr(outcome)
    assert "BEGIN CERTIFICATE" not in repr(outcome)
    return outcome


@pytest.mark.parametrize("idempotent", [True, False])
def test_a_server_that_wants_a_certificate_gets_the_steps(mutual: OrderService, idempotent: bool) -> None:
    outcome = called(mutual, ours(), idempotent=idempotent)
    assert isinstance(outcome, Succeeded)
    assert outcome.evidence.request is not None
    assert outcome.evidence.request["tls"] is True
    assert "BEGIN" not in json.dumps([outcome.evidence.request, outcome.outputs])


def test_one_steps_certificate_is_not_lent_to_another(mutual: OrderService) -> None:
    """A connection that was made with it serves nobody who has none."""
    with channels_to(mutual.port) as channels:
        assert isinstance(run(channels, mutual.target, tls=ours()), Succeeded)
        seen = len(mutual.seen)
        assert isinstance(run(channels, mutual.target, tls={"ca": AUTHORITY.cert}), Failed)
        assert len(mutual.seen) == seen


@pytest.mark.parametrize(
    ("tls", "code", "told"),
    [
        (True, "tls", "nobody who is trusted signed its certificate: give the authority that did as `tls.ca`"),
        ({"ca": OTHER.cert}, "tls", "give the authority that did as `tls.ca`"),
        ({"ca": AUTHORITY.cert}, "connect", "if it wants a client certificate, give `tls.cert` and `tls.key`"),
        (ours(STRANGER), "connect", "it may not accept the client certificate: look at who signed `tls.cert`"),
        (ours(EXPIRED), "connect", "it may not accept the client certificate"),
    ],
)
def test_what_lacks_is_said(mutual: OrderService, tls: Any, code: str, told: str) -> None:
    before = len(mutual.seen)
    outcome = failed(called(mutual, tls))
    assert (outcome.code, outcome.retryable) == (code, True)
    assert told in outcome.message
    assert len(mutual.seen) == before


@pytest.mark.parametrize(
    ("server", "told"),
    [
        (
            certificates.issue("s", AUTHORITY, "127.0.0.1", valid_for=timedelta(hours=-1)),
            "has expired: have it renewed",
        ),
        (certificates.issue("s", AUTHORITY, "127.0.0.9"), "is for another name: call it by one that stands in it"),
    ],
)
def test_a_servers_certificate_is_always_verified(server: Pair, told: str) -> None:
    with serving(server) as service:
        outcome = failed(called(service, {"ca": AUTHORITY.cert}))
        assert outcome.code == "tls"
        assert told in outcome.message
        assert service.seen == []


@pytest.mark.parametrize(
    ("tls", "told"),
    [
        ({"cert": CLIENT.cert, "key": OTHER.key}, "does not belong to"),
        ({"cert": CLIENT.cert, "key": CLIENT.locked("secret-word-9")}, "unencrypted key in PEM"),
        ({"cert": CLIENT.cert}, "go together"),
        ({"ca": "no certificate"}, "`tls.ca` is no certificate"),
    ],
)
def test_what_cannot_be_used_is_said_without_showing_it(mutual: OrderService, tls: Any, told: str) -> None:
    outcome = called(mutual, tls)
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.retryable) == ("bad_request", False)
    assert told in outcome.message
    assert "PRIVATE KEY" not in repr(outcome)


def examined(tls: str, target: str = "orders.example.com:443") -> list[str]:
    text = f"""
apiVersion: runbook/v1
id: a
name: A
team: sre
steps:
  - {{id: s, type: grpc, with: {{target: "{target}", service: a.B, method: C, tls: {tls}}}}}
"""
    found = examine(text.encode(), "a.yaml")
    return [f"{each.rule} {each.message}".strip() for each in (*found.problems, *found.warnings)]


@pytest.mark.parametrize("tls", ['{ca: "{{ secrets.ca }}"}', '{cert: x, key: "{{ secrets.k }}"}', "true"])
def test_what_may_be_written(tls: str) -> None:
    assert examined(tls) == []


@pytest.mark.parametrize(
    ("tls", "told"),
    [
        ("{key: abc, cert: x}", "must come from a secret"),
        ("{verify: false}", "verify"),
        ("{}", "tls"),
        ("yes please", "tls"),
        ('{cert: "{{ secrets.c }}"}', "key"),
    ],
)
def test_what_may_not(tls: str, told: str) -> None:
    found = examined(tls)
    assert len(found) == 1
    assert told in found[0]


def test_plain_text_is_warned_of_unless_it_stays_here() -> None:
    assert examined("false") == [
        "plain-http step `s`: `tls: false` sends in plain text: what is sent, secrets too, can be read on the way"
    ]
    for here in ("127.0.0.1:50051", "localhost:50051", "[::1]:50051"):
        assert examined("false", here) == []
    assert len(examined("false", "localhost.example.com:50051")) == 1
