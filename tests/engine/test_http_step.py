"""The http step: what is sent, what an answer means, what is kept."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from local_server import Behaviour, LocalServer, answer, egress_to, raw, serving, silence

from engine.egress.client import Response
from engine.steps import http
from engine.steps.http_response import read, retry_after_ms
from engine.steps.oauth2 import Tokens
from engine.steps.outcome import Abandoned, Failed, Outcome, Succeeded, Unknown
from engine.text.redaction import Redactor
from engine.text.storable import MAX_DEPTH, TooLarge, json_size, to_storable

CANARY = "cAn4ry/+secret=="
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def step(
    server: LocalServer,
    with_: dict[str, Any] | None = None,
    *,
    idempotent: bool = True,
    timeout_ms: int = 5000,
    redactor: Redactor | None = None,
    abandoned: Any = lambda: False,
) -> Outcome:
    with egress_to(server) as egress:
        call = http.Call(
            idempotent=idempotent,
            timeout_ms=timeout_ms,
            idempotency_key="rb-1-drain-0",
            egress=egress,
            tokens=Tokens(Redactor()),
            redact=(redactor or Redactor()).redact_json,
            abandoned=abandoned,
        )
        return http.run({"url": server.url(), **(with_ or {})}, call)


def outcome_of(behave: Behaviour, with_: dict[str, Any] | None = None, **more: Any) -> Outcome:
    with serving(behave) as server:
        return step(server, with_, **more)


def sent_by(with_: dict[str, Any], **more: Any) -> tuple[str, dict[str, str], bytes]:
    """The request line, the headers and the body that the server saw."""
    with serving(answer()) as server:
        assert isinstance(step(server, with_, **more), Succeeded)
        head, _, body = server.requests[0].partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return first, {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}, body


def test_evidence_holds_the_digests_of_whole_bodies() -> None:
    """A body is kept only in part, its digest is of all of it."""
    long = b"x" * 10_000
    outcome = outcome_of(answer(long, "200 OK", "Content-Type: text/plain"), {"method": "POST", "text": "y" * 9_000})
    assert len(outcome.evidence.response["body"]) < len(long)
    assert outcome.evidence.response["digest"] == "sha256:" + hashlib.sha256(long).hexdigest()
    assert outcome.evidence.request["digest"] == "sha256:" + hashlib.sha256(b"y" * 9_000).hexdigest()


def test_a_json_answer_becomes_outputs() -> None:
    """Status, headers in lower case, parsed body and size are there for later steps."""
    outcome = outcome_of(answer(b'{"ok": true}', "201 Created", "Content-Type: application/json", "X-Id: 7"))
    assert isinstance(outcome, Succeeded)
    assert outcome.outputs == {
        "status": 201,
        "headers": {"content-type": "application/json", "x-id": "7", "content-length": "12"},
        "bytes": 12,
        "json": {"ok": True},
    }
    assert outcome.evidence.request["method"] == "GET"
    assert outcome.evidence.response["status"] == 201
    assert outcome.evidence.response["body"] == '{"ok": true}'


@pytest.mark.parametrize(
    ("body", "header", "kept"),
    [
        (b"plain", "Content-Type: text/plain", {"text": "plain"}),
        (b'[1, "a"]', "Content-Type: text/plain", {"json": [1, "a"]}),
        (b"{broken", "Content-Type: application/json", {"text": "{broken"}),
        (b"", "Content-Type: application/json", {"text": ""}),
        (b"null", "Content-Type: application/problem+json", {"json": None}),
        (b"\xef\xbb\xbf{}", "X: y", {"json": {}}),
        (b"gr\xfc\xdfe", "Content-Type: text/plain; charset=iso-8859-1", {"text": "grüße"}),
        (b"gr\xfc", "X: y", {"text": "gr\ufffd"}),
        (b"hi", "Content-Type: text/plain; charset=bz2", {"text": "hi"}),
        (b"hi", "Content-Type: text/plain; charset=no-such", {"text": "hi"}),
        (b"a\0b", "X: y", {"text": "a\ufffdb"}),
        (b'{"a": NaN, "b": -Infinity, "c": 1e999}', "X: y", {"json": {"a": None, "b": None, "c": None}}),
        (b'{"a": "\\ud800x\\u0000"}', "X: y", {"json": {"a": "\ufffdx\ufffd"}}),
        (b'{"a": ' + b"1" * 5000 + b"}", "X: y", {"text": '{"a": ' + "1" * 5000 + "}"}),
        (b"[" * 100_000, "X: y", {"text": "[" * 100_000}),
    ],
)
def test_any_body_becomes_storable(body: bytes, header: str, kept: dict[str, Any]) -> None:
    """Bodies that are broken, hostile or oddly encoded still give plain values."""
    outcome = outcome_of(answer(body, "200 OK", header))
    assert isinstance(outcome, Succeeded)
    assert {key: value for key, value in outcome.outputs.items() if key in ("json", "text")} == kept


_SAMPLES = {
    "gbk": "重启服务", "gb18030": "重启服务€", "big5": "重啟服務", "shift_jis": "再起動しました", "euc-jp": "再起動",
    "iso-2022-jp": "再起動", "euc-kr": "재시작", "koi8-r": "Перезапуск", "windows-1251": "Перезапуск",
    "cp850": "déjà vu", "cp437": "Größe", "mac-roman": "Größe", "iso-8859-15": "5 €", "utf-16": "grüße",
    "utf-16le": "grüße", "utf-32": "grüße", "utf-7": "grüße", "tis-620": "เริ่มใหม่",
}  # fmt: skip


@pytest.mark.parametrize("charset", _SAMPLES)
def test_declared_charsets_are_read(charset: str) -> None:
    """Whatever Python reads arrives letter by letter, as text and inside JSON, and nothing is warned of."""
    said = _SAMPLES[charset]
    outcome = outcome_of(answer(said.encode(charset), "200 OK", f"Content-Type: text/plain; charset={charset.upper()}"))
    assert isinstance(outcome, Succeeded)
    assert outcome.outputs["text"] == said
    body = json.dumps({"said": said}, ensure_ascii=False).encode(charset)
    outcome = outcome_of(answer(body, "200 OK", f'Content-Type: application/json; charset="{charset}"'))
    assert isinstance(outcome, Succeeded)
    assert outcome.outputs["json"] == {"said": said}
    assert "warning" not in outcome.outputs
    assert "warning" not in outcome.evidence.response


@pytest.mark.parametrize(
    ("body", "charset", "told"),
    [
        (b"hi", "; charset=no-such", "“no-such” is not known here"),
        (b"hi", "; charset=bz2", "“bz2” is not known here"),
        (b"xn--a", "; charset=punycode", "“punycode” is not known here"),
        (b"\\u0041", "; charset=unicode_escape", "“unicode_escape” is not known here"),
        (b"gr\xfc", "", "Not all of the answer is utf-8"),
        (b"\xff\xff", "; charset=gbk", "Not all of the answer is gbk"),
    ],
)
def test_what_cannot_be_read_is_said(body: bytes, charset: str, told: str) -> None:
    """Garbled text is never kept in silence: the outputs and the evidence say so."""
    outcome = outcome_of(answer(body, "200 OK", f"Content-Type: text/plain{charset}"))
    assert isinstance(outcome, Succeeded)
    assert told in outcome.outputs["warning"]
    assert told in outcome.evidence.response["warning"]


def test_what_a_request_carries() -> None:
    """Method, merged query, typed values, key, user agent and JSON body are sent."""
    with_ = {
        "method": "POST",
        "headers": {"X-Number": 5, "X-Flag": True},
        "query": {"a b": "c&d", "many": [1, 2], "none": None},
        "json": {"grace": 30, "name": "ü"},
    }
    with serving(answer()) as server:
        step(server, {**with_, "url": server.url("/x?first=1")}, idempotent=False)
        head, _, body = server.requests[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /x?first=1&a+b=c%26d&many=1&many=2 HTTP/1.1"
    wanted = {"Idempotency-Key: rb-1-drain-0", "User-Agent: runbook-bot", "Content-Type: application/json"}
    assert wanted | {"X-Number: 5", "X-Flag: true", "Connection: close"} <= set(lines)
    assert json.loads(body) == {"grace": 30, "name": "ü"}


def test_the_key_is_sent_with_get_too() -> None:
    """Every attempt of every method carries the idempotency key."""
    _, headers, _ = sent_by({})
    assert headers["idempotency-key"] == "rb-1-drain-0"


@pytest.mark.parametrize(
    ("with_", "body", "content_type"),
    [
        ({"text": "a=1"}, b"a=1", "text/plain; charset=utf-8"),
        ({"payload": '{"a":  1}'}, b'{"a":  1}', "application/json"),
        ({"payload": {"a": 1}}, b'{"a": 1}', "application/json"),
        ({"json": None}, b"null", "application/json"),
        ({"text": "<a/>", "headers": {"content-type": "application/xml"}}, b"<a/>", "application/xml"),
    ],
)
def test_bodies(with_: dict[str, Any], body: bytes, content_type: str) -> None:
    """Text and payload go out as they are, JSON is written out, and the runbook's content type wins."""
    _, headers, sent = sent_by({"method": "PUT", **with_})
    assert (sent, headers["content-type"]) == (body, content_type)


@pytest.mark.parametrize(
    ("auth", "name", "value"),
    [
        ({"type": "bearer", "token": CANARY}, "authorization", f"Bearer {CANARY}"),
        (
            {"type": "basic", "username": "bot", "password": CANARY},
            "authorization",
            "Basic " + base64.b64encode(f"bot:{CANARY}".encode()).decode(),
        ),
        ({"type": "header", "name": "X-Api-Key", "value": CANARY}, "x-api-key", CANARY),
    ],
)
def test_credentials_are_sent_and_never_kept(auth: dict[str, str], name: str, value: str) -> None:
    """Each kind of auth reaches the server, and no evidence shows it, registered as a secret or not."""
    with serving(answer()) as server:
        outcome = step(server, {"auth": auth})
        assert f"{name}: {value}".lower() in server.requests[0].decode().lower()
    kept = {key.lower(): shown for key, shown in outcome.evidence.request["headers"].items()}
    assert kept[name] == "‹masked›"
    assert CANARY not in repr(outcome)


@pytest.mark.parametrize(
    ("with_", "word"),
    [
        ({"url": None}, "url must be text"),
        ({"url": "ftp://host.test"}, "https://"),
        ({"headers": ["a"]}, "headers must be names"),
        ({"headers": {"X": {"a": 1}}}, "header X must be text, not an object"),
        ({"headers": {"X": None}}, "header X must be text, not missing"),
        ({"headers": {"Host": "x"}}, "Host is set by the bot"),
        ({"query": {"q": {"a": 1}}}, "query q"),
        ({"json": 1, "text": "x"}, "one body"),
        ({"json": float("nan")}, "body"),
        ({"text": "\ud800"}, "body"),
        ({"auth": {"type": "bearer"}}, "auth.token"),
        ({"auth": {"type": "magic"}}, "none, basic, bearer, header"),
        ({"method": "BREW"}, "BREW"),
    ],
)
def test_requests_that_cannot_be_sent_fail_for_good(with_: dict[str, Any], word: str) -> None:
    """A wrong value is named, nothing is sent, and no retry is offered."""
    with serving(answer()) as server:
        outcome = step(server, with_)
        assert server.connections == 0
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.retryable) == ("bad_request", False)
    assert word in outcome.message


STATUSES = [
    # status, Retry-After, retried when idempotent, retried otherwise
    (429, "7", True, True),
    (429, None, True, True),
    (503, "7", True, True),
    (503, None, True, False),
    (503, "soon", True, False),
    (500, None, True, False),
    (500, "7", True, False),
    (502, None, True, False),
    (408, None, True, False),
    (425, None, True, False),
    (400, None, False, False),
    (404, None, False, False),
    (409, "7", False, False),
    (301, None, False, False),
    (304, None, False, False),
]


@pytest.mark.parametrize(("status", "after", "when_idempotent", "otherwise"), STATUSES)
def test_which_answers_may_be_retried(status: int, after: str | None, when_idempotent: bool, otherwise: bool) -> None:
    """Promise G3, status by status, with the answer kept as outputs."""
    headers = [f"Retry-After: {after}"] if after else []
    body = b"" if status == 304 else b'{"error": {"message": "no luck"}}'
    for idempotent, expected in [(True, when_idempotent), (False, otherwise)]:
        outcome = outcome_of(answer(body, f"{status} Whatever", *headers), idempotent=idempotent)
        assert isinstance(outcome, Failed)
        assert (outcome.code, outcome.retryable) == ("http_status", expected)
        assert outcome.retry_after_ms == (7000 if after == "7" else None)
        assert outcome.outputs is not None
        assert outcome.outputs["status"] == status
        assert str(status) in outcome.message


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"error": "boom"}', "boom"),
        (b'{"error": {"message": "deep"}}', "deep"),
        (b'{"message": "hello", "x": 1}', "hello"),
        (b'{"errors": [{"detail": "first"}, {"detail": "second"}]}', "first"),
        (b'{"code": 5}', '{"code": 5}'),
        (b"<h1>Bad\n   Gateway</h1>", "<h1>Bad Gateway</h1>"),
        (b"x" * 1000, "x" * 300 + "… (cut)"),
    ],
)
def test_the_message_carries_the_telling_part(body: bytes, told: str) -> None:
    """The words of the body that say what went wrong are shown, bounded."""
    outcome = outcome_of(answer(body, "502 Bad Gateway"))
    assert isinstance(outcome, Failed)
    assert outcome.message == f"The server answered 502 Bad Gateway: {told}"


def test_a_redirect_says_where_it_pointed() -> None:
    """Redirects fail with the advice to write the final address."""
    outcome = outcome_of(answer(b"", "302 Found", "Location: https://new.test/x"))
    assert isinstance(outcome, Failed)
    assert "pointed to https://new.test/x. Redirects are not followed" in outcome.message


@pytest.mark.parametrize(
    ("behave", "code"),
    [
        (silence, "timeout"),
        (raw(b""), "connection_lost"),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal"), "connection_lost"),
        (raw(b"garbage\r\n\r\n"), "protocol"),
    ],
    ids=["silence", "closed", "half", "garbage"],
)
def test_lost_answers(behave: Behaviour, code: str) -> None:
    """Sent and not answered: retried when idempotent, else unknown, and a person decides."""
    again = outcome_of(behave, timeout_ms=400)
    assert isinstance(again, Failed)
    assert (again.code, again.retryable) == (code, True)
    unknown = outcome_of(behave, {"method": "POST"}, idempotent=False, timeout_ms=400)
    assert isinstance(unknown, Unknown)
    assert unknown.code == code
    assert unknown.evidence.request["method"] == "POST"


@pytest.mark.parametrize("idempotent", [True, False])
def test_what_was_not_sent_may_be_retried(idempotent: bool) -> None:
    """A refused connection may be tried again by any step; a refusal by policy would end the same way."""
    with serving(answer()) as server:
        closed = {"url": server.url()}
    outcome = step(server, closed, idempotent=idempotent)
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.retryable) == ("connect", True)
    refused = step(server, {"url": "http://10.0.0.1/"}, idempotent=idempotent)
    assert isinstance(refused, Failed)
    assert (refused.code, refused.retryable) == ("egress_refused", False)
    assert "EGRESS_ALLOW" in refused.message


def test_a_cancel_abandons_the_call() -> None:
    """The outcome of a dropped call says so."""
    arrived = threading.Event()

    def hold(conn: socket.socket, _request: bytes) -> None:
        arrived.set()
        silence(conn, _request)

    outcome = outcome_of(hold, idempotent=False, abandoned=arrived.is_set)
    assert isinstance(outcome, Abandoned)


def test_too_much_is_a_clear_failure() -> None:
    """A successful answer that cannot be kept fails, saying that the call was made."""
    for size in (300_000, 2_000_000):
        outcome = outcome_of(answer(b"x" * size), idempotent=False)
        assert isinstance(outcome, Failed)
        assert (outcome.code, outcome.retryable) == ("too_large", False)
        assert "The call was made" in outcome.message
        assert "response is too large" in outcome.message
        assert json_size(outcome.evidence.response) < 8192


def test_a_huge_error_page_is_still_an_error_page() -> None:
    """The status decides, however large the body; what is kept is bounded."""
    outcome = outcome_of(answer(b"x" * 2_000_000, "500 Oops"))
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.retryable) == ("http_status", True)
    assert json_size(outcome.outputs) < 256 * 1024


def test_many_headers_are_bounded() -> None:
    """At most 64 headers of at most 2,048 characters are kept."""
    headers = [f"X-{number}: {'v' * 3000}" for number in range(25)] + [f"Y-{number}: 1" for number in range(200)]
    outcome = outcome_of(answer(b"", "200 OK", *headers))
    assert isinstance(outcome, Succeeded)
    assert len(outcome.outputs["headers"]) == 64
    assert max(map(len, outcome.outputs["headers"].values())) == 2048


ECHOES = [
    lambda secret: secret,
    lambda secret: json.dumps({"error": f"bad token {secret}", secret: [secret]}),
    lambda secret: base64.b64encode(f"user:{secret}".encode()).decode(),
    lambda secret: secret.encode().hex(),
    lambda secret: "x" * 4090 + secret,  # across the end of what evidence keeps
    lambda secret: "x" * 294 + secret,  # across the end of what a message keeps
]


@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("status", ["200 OK", "500 Oops", "302 Found"])
def test_no_echo_brings_a_secret_back(echo: Any, status: str) -> None:
    """A server that repeats the secret, in headers or body, in any form, never gets it into the outcome."""
    redactor = Redactor()
    redactor.add("lb_token", CANARY)
    told = echo(CANARY)
    behave = answer(told.encode(), status, f"Location: /?t={CANARY}", f"X-Echo: {CANARY}", f"Set-Cookie: s={CANARY}")
    with_ = {"method": "POST", "headers": {"X-T": CANARY}, "query": {"t": CANARY}, "json": {"t": CANARY}}
    outcome = outcome_of(behave, with_, redactor=redactor)
    shown = repr(outcome)
    for form in (CANARY[:5], CANARY.encode().hex(), "Y0FuNHJ5LytzZWNyZXQ9", "cAn4ry%2F"):
        assert form not in shown
    assert "‹secret lb_token›" in shown


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("", None),
        ("0", 0),
        ("120", 120_000),
        (" 5 ", 5000),
        ("999999999999999999999", 3_600_000),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90_000),
        (format_datetime(NOW - timedelta(days=1), usegmt=True), 0),
        (format_datetime(NOW + timedelta(days=9), usegmt=True), 3_600_000),
        ("Fri, 02 Jan 2026 03:04:15 -0000", 10_000),
        ("Fri, 02 Jan 99999999999 03:04:15 GMT", None),
        ("Fri, 02 Jan 2026 03:04:15 +99999999999999", None),
    ],
)
def test_retry_after(value: str | None, expected: int | None) -> None:
    """Seconds and dates are read and bounded; anything else counts as absent."""
    assert retry_after_ms(value, NOW) == expected


HTTP_DATE = st.from_regex(r"Fri, [0-9]{1,20} Jan [0-9]{1,20} [0-9]{1,20}:04:15 [+-][0-9]{1,20}", fullmatch=True)


@given(st.text(max_size=40) | HTTP_DATE)
def test_any_retry_after_is_read_or_ignored(value: str) -> None:
    """No header value can raise."""
    wait = retry_after_ms(value, NOW)
    assert wait is None or 0 <= wait <= 3_600_000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
)


@given(JSON)
def test_storable_values_read_back_equal(value: Any) -> None:
    """What is stored is valid JSON without NUL and surrogates, and making it storable again changes nothing."""
    stored = to_storable(value)
    written = json.dumps(stored, allow_nan=False, ensure_ascii=False).encode("utf-8")
    assert b"\0" not in written
    assert b"\\u0000" not in written
    assert json.loads(written) == stored == to_storable(stored)


@pytest.mark.parametrize("depth", [20, 31, 400])
def test_deep_answers_are_masked_too(depth: int) -> None:
    """However deep an answer is nested, it is read, and nothing of a secret is kept."""
    redactor = Redactor()
    redactor.add("lb_token", CANARY)
    body = b"[" * depth + json.dumps(CANARY).encode() + b"]" * depth
    outcome = outcome_of(answer(body, "200 OK", "Content-Type: application/json"), redactor=redactor)
    assert isinstance(outcome, Succeeded)
    assert CANARY[:6] not in repr(outcome)
    assert ("‹secret lb_token›" in repr(outcome.outputs)) is (depth < MAX_DEPTH)


def test_what_is_cut_is_masked_first() -> None:
    """A secret across the end of what is kept of a header, and one in the last piece of a body that was cut off."""
    redactor = Redactor()
    redactor.add("lb_token", CANARY)
    secret = "two  blanks in\tit " * 3
    redactor.add("spaced", secret)
    told = [f"X-Long: {'v' * 2040}{CANARY}", f"Content-Encoding: {CANARY}"]
    outcome = outcome_of(answer(b"", "200 OK", *told), redactor=redactor)
    assert isinstance(outcome, Succeeded)
    assert outcome.outputs["headers"]["content-encoding"] == "‹secret lb_token›"
    assert CANARY[:4] not in repr(outcome)
    cut_off = b" " * (1024 * 1024 - 8) + CANARY.encode()
    outcome = outcome_of(answer(cut_off, "500 Oops"), redactor=redactor)
    assert CANARY[:4] not in repr(outcome)
    outcome = outcome_of(answer(f"it says {secret} here".encode(), "500 Oops"), redactor=redactor)
    assert isinstance(outcome, Failed)
    assert outcome.message.endswith("it says ‹secret spaced› here")


def test_depth_and_size_are_bounded() -> None:
    """What is too deep becomes a sentence, what is too large is refused with its size."""
    deep: Any = "end"
    for _ in range(500):
        deep = [deep]
    text = json.dumps(to_storable(deep), ensure_ascii=False)
    assert text.count("[") == MAX_DEPTH
    assert "nested too deeply" in text
    with pytest.raises(TooLarge) as error:
        to_storable(["x" * 100], max_bytes=50)
    assert error.value.size == 104


def all_masked(value: Any) -> Any:
    """What a redactor makes of something that it cannot look through: keys are masked as well."""
    if isinstance(value, dict):
        return {all_masked(key): all_masked(each) for key, each in value.items()}
    if isinstance(value, list):
        return [all_masked(each) for each in value]
    return "‹unseen›" if isinstance(value, str) else value


def test_an_answer_that_is_masked_whole_is_still_an_answer() -> None:
    """A server that echoes a secret in every way it can does not make the bot fail."""
    found = read(Response(200, (("x-echo", "a"), ("content-type", "application/json")), b'{"a": "b"}', 1), all_masked)
    assert (found.status, found.headers, found.json) == (200, {"‹unseen›": "‹unseen›"}, {"‹unseen›": "‹unseen›"})
