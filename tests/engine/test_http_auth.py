"""How an http step proves who it is: signatures over what is really sent, and tokens that are fetched and kept."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from local_server import LocalServer, answer, egress_to, serving, silence

from engine.egress import Egress
from engine.steps import http, http_auth, oauth2
from engine.steps.http_request import Request
from engine.steps.oauth2 import EARLY_SECONDS, GRACE_SECONDS, Tokens
from engine.steps.outcome import Abandoned, Failed, Outcome, Succeeded, Unknown
from engine.text.redaction import Redactor

Said = tuple[str, str, dict[str, str], bytes]


def heard(server: LocalServer, number: int = 0) -> Said:
    """Method, target, headers in lower case and body of a request that a server got."""
    head, _, body = server.requests[number].partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    method, target, _ = first.split(" ")
    return method, target, {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}, body


def call(egress: Egress, with_: dict[str, Any], tokens: Tokens | None = None, **more: Any) -> Outcome:
    options: dict[str, Any] = {"idempotent": True, "timeout_ms": 3000, "abandoned": lambda: False, **more}
    made = http.Call(
        idempotency_key="rb-1-x",
        egress=egress,
        tokens=tokens or Tokens(Redactor()),
        redact=options.pop("redact", lambda value: value),
        **options,
    )
    return http.run(with_, made)


def sent_with(auth: dict[str, Any], **with_: Any) -> tuple[Said, Outcome, str]:
    with serving(answer()) as server, egress_to(server) as egress:
        outcome = call(egress, {"url": server.url(with_.pop("path", "/x")), "auth": auth, **with_})
        return heard(server), outcome, f"127.0.0.1:{server.port}"


@pytest.mark.parametrize(
    ("more", "header", "prefix", "name"),
    [
        ({}, "x-signature", "sha256=", "sha256"),
        ({"header": "X-Hub-Signature-256", "algorithm": "sha256"}, "x-hub-signature-256", "sha256=", "sha256"),
        ({"algorithm": "sha512", "prefix": ""}, "x-signature", "", "sha512"),
        ({"algorithm": "sha512"}, "x-signature", "sha512=", "sha512"),
        ({"prefix": "v1,"}, "x-signature", "v1,", "sha256"),
    ],
)
def test_an_hmac_covers_the_very_bytes_sent(more: dict[str, Any], header: str, prefix: str, name: str) -> None:
    """The receiver's own sum over the body it got agrees, and the evidence does not show it."""
    auth = {"type": "hmac", "secret": "k3y-of-two", **more}
    (_, _, headers, body), outcome, _ = sent_with(auth, method="POST", json={"ü": [1, "a"]})
    assert headers[header] == prefix + hmac.new(b"k3y-of-two", body, name).hexdigest()
    assert isinstance(outcome, Succeeded)
    assert headers[header] not in json.dumps(outcome.evidence.request)


def aws_signature(said: Said, host: str, secret: str, *, encode_twice: bool) -> str:
    """The signature that AWS works out from a request, by its documentation (SigV4, create a signed request)."""
    method, target, headers, body = said
    path, _, query = target.partition("?")
    fields = dict(part.split("=", 1) for part in headers["authorization"].split(" ", 1)[1].split(", "))
    scope = fields["Credential"].split("/", 1)[1]
    names = fields["SignedHeaders"].split(";")
    canonical = "\n".join(
        [
            method,
            quote(path, safe="/-_.~") if encode_twice else path,
            "&".join(sorted(part if "=" in part else f"{part}=" for part in query.split("&") if part)),
            *(f"{name}:{host if name == 'host' else headers[name]}" for name in names),
            "",
            ";".join(names),
            hashlib.sha256(body).hexdigest(),
        ]
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), "sha256").digest()
    text = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], scope, digest])
    assert {"host", "x-amz-date"} <= set(names)
    assert fields["Signature"] == hmac.new(key, text.encode(), "sha256").hexdigest()
    return fields["Signature"]


AWS = {
    "type": "aws_sigv4",
    "access_key": "AKIDEXAMPLE",
    "secret_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    "region": "eu-west-1",
    "service": "execute-api",
}


@pytest.mark.parametrize("path", ["/", "/a/b/", "/a%20b", "/a%2Fb", "/%C3%BC", "/?b=2&a=1&a=0", "/?a", "/?a=x%2By%2F"])
@pytest.mark.parametrize("service", ["execute-api", "s3"])
def test_an_aws_signature_covers_what_arrives(path: str, service: str) -> None:
    """Paths and queries as they arrive give the signature that was sent."""
    said, _, host = sent_with({**AWS, "service": service}, path=path, method="POST", json={"a": 1})
    aws_signature(said, host, AWS["secret_key"], encode_twice=service != "s3")


def test_an_aws_signature_with_a_session_token_and_spaces() -> None:
    """The token is signed too, spaces in the query become %20, and nothing of it is shown."""
    auth = {**AWS, "session_token": "s3ss10n-t0ken"}
    said, outcome, host = sent_with(auth, query={"q": "a b+c"})
    assert said[1] == "/x?q=a%20b%2Bc"
    assert said[2]["x-amz-security-token"] == "s3ss10n-t0ken"
    signature = aws_signature(said, host, AWS["secret_key"], encode_twice=True)
    assert isinstance(outcome, Succeeded)
    shown = json.dumps(outcome.evidence.request)
    assert signature not in shown
    assert "s3ss10n" not in shown


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=12), max_size=4), st.text(max_size=10))
@settings(max_examples=60)
def test_any_query_and_path_can_be_signed(query: dict[str, str], path: str) -> None:
    """What is signed is what the client sends: a URL that its parser leaves as it is."""
    import httpx

    url = "https://x.test/" + quote(path, safe="") + "?" + "&".join(f"{quote(k)}={quote(v)}" for k, v in query.items())
    signed = http_auth.sign(Request("GET", url, {}, b""), AWS)
    assert str(httpx.URL(signed.url)) == signed.url
    assert "+" not in signed.url.partition("?")[2]


@pytest.mark.parametrize(
    ("auth", "word"),
    [
        ({"type": "digest"}, "auth.type"),
        ({"type": "hmac"}, "auth.secret"),
        ({"type": "hmac", "secret": "abcd", "algorithm": "md5"}, "auth.algorithm"),
        ({**AWS, "region": None}, "auth.region"),
        ({"type": "oauth2", "token_url": "http://127.0.0.1:1/", "client_id": "a"}, "auth.client_secret"),
    ],
)
def test_an_auth_that_lacks_something_sends_nothing(auth: dict[str, Any], word: str) -> None:
    """The step fails with a sentence that names the key, and no server hears of it."""
    with serving(answer()) as server, egress_to(server) as egress:
        outcome = call(egress, {"url": server.url(), "auth": auth})
        assert isinstance(outcome, Failed)
        assert (outcome.code, outcome.retryable) == ("bad_request", False)
        assert word in outcome.message
        assert server.requests == []


def giving(*tokens: str, **more: Any) -> Callable[[socket.socket, bytes], None]:
    """A token endpoint that gives these one after the other, the last one for ever."""
    left = list(tokens)

    def behave(conn: socket.socket, request: bytes) -> None:
        token = left.pop(0) if len(left) > 1 else left[0]
        body = {"access_token": token, "token_type": "Bearer", "expires_in": 3600, **more}
        answer(json.dumps(body).encode(), "200 OK", "Content-Type: application/json")(conn, request)

    return behave


def wanting(*good: str) -> Callable[[socket.socket, bytes], None]:
    """A service that takes only these tokens."""

    def behave(conn: socket.socket, request: bytes) -> None:
        ok = any(f"Authorization: Bearer {token}\r\n".encode() in request for token in good)
        answer(b"in" if ok else b"out", "200 OK" if ok else "401 Unauthorized")(conn, request)

    return behave


def oauth(server: LocalServer, **more: Any) -> dict[str, Any]:
    return {
        "type": "oauth2",
        "token_url": server.url("/token"),
        "client_id": "the client",
        "client_secret": "cl1ent:s3cret",
        **more,
    }


def test_a_token_is_fetched_once_and_kept() -> None:
    """The client's credentials go to the token endpoint alone, and a second call asks for no new token."""
    tokens = Tokens(Redactor())
    with serving(giving("t0ken-one")) as issuer, serving(wanting("t0ken-one")) as service:
        with egress_to(issuer, service) as egress:
            auth = oauth(issuer, scope="read write", audience="https://api.test")
            for _ in range(2):
                assert isinstance(call(egress, {"url": service.url(), "auth": auth}, tokens), Succeeded)
        assert (len(issuer.requests), len(service.requests)) == (1, 2)
        method, target, headers, body = heard(issuer)
    assert (method, target) == ("POST", "/token")
    assert base64.b64decode(headers["authorization"].removeprefix("Basic ")) == b"the+client:cl1ent%3As3cret"
    assert parse_qs(body.decode()) == {
        "grant_type": ["client_credentials"],
        "scope": ["read write"],
        "audience": ["https://api.test"],
    }


def test_a_token_is_not_shared_and_not_kept_past_its_end() -> None:
    """Another secret, scope or audience asks anew, and so does the time shortly before a token ends."""
    now = [0.0]
    tokens = Tokens(Redactor(), clock=lambda: now[0])
    with serving(giving("t0ken-one")) as issuer, serving(answer()) as service, egress_to(issuer, service) as egress:
        for more in ({}, {"client_secret": "wrong-one"}, {"scope": "a"}, {"audience": "b"}, {}):
            call(egress, {"url": service.url(), "auth": oauth(issuer, **more)}, tokens)
        assert len(issuer.requests) == 4
        now[0] = 3600 - EARLY_SECONDS + 0.1
        call(egress, {"url": service.url(), "auth": oauth(issuer)}, tokens)
        assert len(issuer.requests) == 5


def test_a_kept_token_that_is_refused_is_renewed_once() -> None:
    """A 401 to a kept token brings a new one and a second try; a new token's 401 is the answer."""
    tokens = Tokens(Redactor())
    with (
        serving(giving("t0ken-one", "t0ken-two", "t0ken-three")) as issuer,
        serving(wanting("t0ken-one")) as early,
        serving(wanting("t0ken-two")) as late,
        egress_to(issuer, early, late) as egress,
    ):
        assert isinstance(call(egress, {"url": early.url(), "auth": oauth(issuer)}, tokens), Succeeded)
        late_call = {"url": late.url(), "method": "POST", "auth": oauth(issuer), "json": {}}
        assert isinstance(call(egress, late_call, tokens, idempotent=False), Succeeded)
        assert (len(issuer.requests), len(late.requests)) == (2, 2)
        outcome = call(egress, {"url": early.url(), "auth": oauth(issuer)}, tokens)
        assert isinstance(outcome, Failed)
        assert outcome.outputs is not None
        assert outcome.outputs["status"] == 401
        assert (len(issuer.requests), len(early.requests)) == (3, 3)


def test_a_new_token_that_is_refused_is_the_answer() -> None:
    """Nothing newer can be had, so nothing is sent a second time."""
    with (
        serving(giving("t0ken-one")) as issuer,
        serving(wanting("other")) as service,
        egress_to(issuer, service) as egress,
    ):
        assert isinstance(call(egress, {"url": service.url(), "auth": oauth(issuer)}), Failed)
        assert (len(issuer.requests), len(service.requests)) == (1, 1)


def test_a_server_that_wants_the_client_in_the_body() -> None:
    """After invalid_client the same is asked with the credentials in the body (RFC 6749, 2.3.1)."""

    def behave(conn: socket.socket, request: bytes) -> None:
        if b"client_secret=" in request:
            giving("t0ken-one")(conn, request)
        else:
            answer(b'{"error": "invalid_client"}', "401 Unauthorized")(conn, request)

    with serving(behave) as issuer, serving(wanting("t0ken-one")) as service, egress_to(issuer, service) as egress:
        assert isinstance(call(egress, {"url": service.url(), "auth": oauth(issuer)}), Succeeded)
        assert parse_qs(heard(issuer, 1)[3].decode())["client_secret"] == ["cl1ent:s3cret"]
        assert "authorization" not in heard(issuer, 1)[2]


@pytest.mark.parametrize(
    ("behave", "retryable", "told"),
    [
        (answer(b'{"error": "invalid_scope", "error_description": "no such"}', "400 Bad Request"), False, "no such"),
        (answer(b'{"error": "invalid_client"}', "401 Unauthorized"), False, "invalid_client"),
        (answer(b"<h1>down</h1>", "503 Service Unavailable"), True, "503"),
        (answer(b"slow down", "429 Too Many Requests"), True, "429"),
        (answer(b"hello"), False, "no token"),
        (answer(b'{"access_token": "", "token_type": "Bearer"}'), False, "bearer"),
        (answer(b'{"access_token": 5}'), False, "bearer"),
        (answer(b'{"access_token": "abcdef", "token_type": "mac"}'), False, "bearer"),
        (answer(b'{"access_token": "abcdef", "expires_in": "soon"}'), False, "no token"),
        (answer(b"[1]"), False, "no token"),
        (answer(b'"x"'), False, "no token"),
        (answer(b"", "302 Found", "Location: http://127.0.0.1:1/"), False, "302"),
    ],
)
def test_without_a_token_nothing_is_sent(behave: Any, retryable: bool, told: str) -> None:
    """Whatever the token endpoint says instead of a token, the step's own address is not called."""
    with serving(behave) as issuer, serving(answer()) as service, egress_to(issuer, service) as egress:
        outcome = call(egress, {"url": service.url(), "method": "POST", "auth": oauth(issuer)}, idempotent=False)
        assert isinstance(outcome, Failed)
        assert (outcome.code, outcome.retryable) == ("no_token", retryable)
        assert outcome.message.startswith("Nothing was sent")
        assert told in outcome.message
        assert service.requests == []


TOKEN = b'{"access_token": "a-t0ken-of-some-length", "token_type": "%s"}'


@pytest.mark.parametrize(
    "said",
    [
        answer(TOKEN % b"bearer", "201 Created"),
        answer(TOKEN % b"bearer", "500 Oops"),
        answer(TOKEN % b"mac"),
        answer(TOKEN[:40]),
        answer(b"access_token: a-t0ken-of-some-length"),
        lambda conn, _request: conn.sendall(b"HTTP/1.1 200 OK\r\nX Token: a-t0ken-of-some-length\r\n\r\n"),
    ],
    ids=["created", "failed", "kind", "cut", "plain", "no-http"],
)
def test_a_token_that_is_not_taken_is_not_shown(said: Any) -> None:
    """Nobody masks it, since nobody uses it; it may be good all the same."""
    with serving(said) as issuer, egress_to(issuer) as egress:
        outcome = call(egress, {"url": issuer.url("/x"), "auth": oauth(issuer)})
        assert isinstance(outcome, Failed)
        assert "a-t0ken" not in str(outcome)


def test_a_token_endpoint_that_hangs_is_not_the_call() -> None:
    """The deadline covers both, and a POST that never began is no unknown outcome."""
    with serving(silence) as issuer, serving(answer()) as service, egress_to(issuer, service) as egress:
        with_ = {"url": service.url(), "method": "POST", "auth": oauth(issuer)}
        outcome = call(egress, with_, idempotent=False, timeout_ms=400)
        assert isinstance(outcome, Failed)
        assert (outcome.code, outcome.retryable, service.requests) == ("timeout", True, [])
        asked = iter([False, False])
        outcome = call(egress, with_, idempotent=False, abandoned=lambda: next(asked, True))
        assert isinstance(outcome, Abandoned)


def test_the_token_endpoint_is_guarded_too() -> None:
    """A token URL inside, which nobody opened, is refused for good."""
    with serving(answer()) as issuer, serving(answer()) as service, egress_to(service) as egress:
        outcome = call(egress, {"url": service.url(), "auth": oauth(issuer)})
        assert isinstance(outcome, Failed)
        assert (outcome.code, outcome.retryable, issuer.connections) == ("egress_refused", False, 0)


def test_the_call_after_the_token_keeps_its_own_meaning() -> None:
    """With a token in hand, a POST that was sent and never answered is unknown as ever."""
    with serving(giving("t0ken-one")) as issuer, serving(silence) as service, egress_to(issuer, service) as egress:
        with_ = {"url": service.url(), "method": "POST", "auth": oauth(issuer)}
        assert isinstance(call(egress, with_, idempotent=False, timeout_ms=500), Unknown)


def test_a_token_is_masked_wherever_it_comes_back() -> None:
    """A service that echoes the token does not bring it into outputs or evidence."""

    def echo(conn: socket.socket, request: bytes) -> None:
        answer(request)(conn, request)

    redactor = Redactor()
    with (
        serving(giving("cAn4ry-t0ken-value")) as issuer,
        serving(echo) as service,
        egress_to(issuer, service) as egress,
    ):
        with_ = {"url": service.url(), "auth": oauth(issuer)}
        outcome = call(egress, with_, Tokens(redactor), redact=redactor.redact_json)
    assert isinstance(outcome, Succeeded)
    assert "cAn4ry-t0ken-value" not in repr(outcome)
    assert "‹secret oauth2_token›" in repr(outcome.outputs)


def test_a_token_too_short_to_mask_is_not_used() -> None:
    """Three letters cannot be masked without masking ordinary words."""
    with serving(giving("abc")) as issuer, serving(answer()) as service, egress_to(issuer, service) as egress:
        outcome = call(egress, {"url": service.url(), "auth": oauth(issuer)}, Tokens(Redactor()))
        assert isinstance(outcome, Failed)
        assert (outcome.code, service.requests) == ("no_token", [])


def test_a_token_is_masked_for_a_while_after_its_end_and_then_forgotten() -> None:
    """However many tokens a process has had, what it masks stays bounded."""
    now, redactor = [0.0], Redactor()
    tokens = Tokens(redactor, clock=lambda: now[0])
    texts = [f"t0ken-number-{each}" for each in range(3)]
    with serving(giving(*texts)) as issuer, serving(answer()) as service, egress_to(issuer, service) as egress:
        for _ in texts:
            call(egress, {"url": service.url(), "auth": oauth(issuer)}, tokens)
            now[0] += 3600 + GRACE_SECONDS / 2
    assert [redactor.redact(text) == text for text in texts] == [True, False, False]


def test_tokens_that_last_for_ever_are_forgotten_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest first, and never the one that is still in use."""
    monkeypatch.setattr(oauth2, "MAX_MASKED", 2)
    redactor, texts = Redactor(), [f"t0ken-number-{each}" for each in range(5)]
    tokens = Tokens(redactor)
    with (
        serving(giving(*texts, expires_in=10**9)) as issuer,
        serving(wanting("another")) as service,
        egress_to(issuer, service) as egress,
    ):
        for _ in texts:
            call(egress, {"url": service.url(), "auth": oauth(issuer)}, tokens)
    assert [redactor.redact(text) == text for text in texts] == [True, True, False, False, False]
