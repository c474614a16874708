"""The grpc step against a real server, friendly and hostile."""

from __future__ import annotations

import base64
import contextlib
import json
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc as grpcio
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha.reflection_pb2 import FileDescriptorResponse, ServerReflectionResponse
from grpc_server import MB, SERVICE, OrderService, order_service, relay_to, until
from hypothesis import given
from hypothesis import strategies as st
from local_server import egress_to, raw, serving, silence

from engine.egress import Resolver
from engine.egress.allowed_addresses import ip_address
from engine.steps import grpc
from engine.steps.grpc_channel import Call, Channels, parse_target, pinned
from engine.steps.grpc_files import SchemaProblem
from engine.steps.grpc_schema import fetch
from engine.steps.grpc_status import retry_after_ms
from engine.steps.outcome import Abandoned, Failed, Outcome, Succeeded, Unknown
from engine.text.redaction import Redactor

CERTIFICATE = Path(__file__).with_name("service.test.pem")


@pytest.fixture(scope="module")
def service() -> Iterator[OrderService]:
    with order_service() as made:
        yield made


@contextlib.contextmanager
def channels_to(*ports: int, allow: str = "", **how: Any) -> Iterator[Channels]:
    entries = ",".join([*(f"127.0.0.1:{port}" for port in ports), *filter(None, [allow])])
    with egress_to(allow=entries, **how) as egress:
        channels = Channels(egress)
        try:
            yield channels
        finally:
            channels.close()


def run(channels: Channels, target: str, message: Any = None, **more: Any) -> Outcome:
    options: dict[str, Any] = {"idempotent": True, "timeout_ms": 5000, "abandoned": lambda: False}
    options |= {key: more.pop(key) for key in ("idempotent", "timeout_ms", "abandoned") if key in more}
    redactor = more.pop("redactor", Redactor())
    with_ = {"target": target, "service": SERVICE, "method": "Cancel", "message": message, "tls": False, **more}
    return grpc.run(with_, idempotency_key="rb-1-x", channels=channels, redact=redactor.redact_json, **options)


def cancel(service: OrderService, message: Any = None, /, **more: Any) -> Outcome:
    with channels_to(service.port) as channels:
        return run(channels, service.target, **{"message": message, **more})


def test_json_in_and_json_out(service: OrderService) -> None:
    """Well-known types, enums, bytes and lists go there and back; fields that were not set are there too."""
    order = {
        "order_id": "a1",
        "at": "2026-01-02T03:04:05Z",
        "count": 2**53 + 1,
        "extra": {"k": [1, None, "ü"]},
        "tags": ["x"],
        "colour": "RED",
        "blob": "AAE=",
    }
    outcome = cancel(service, order)
    assert isinstance(outcome, Succeeded)
    assert outcome.outputs == {
        "code": "OK",
        "json": {
            "orderId": "a1",
            "at": "2026-01-02T03:04:05Z",
            "count": "9007199254740993",
            "extra": {"k": [1.0, None, "ü"]},
            "tags": ["x"],
            "colour": "RED",
            "blob": "AAE=",
        },
        "metadata": {},
    }
    empty = cancel(service)
    assert isinstance(empty, Succeeded)
    assert empty.outputs["json"] == {"orderId": "", "count": "0", "tags": [], "colour": "NONE", "blob": ""}
    assert service.seen[-1]["idempotency-key"] == "rb-1-x"


def test_metadata_goes_along_and_secrets_stay_inside(service: OrderService) -> None:
    """The server sees the secret; outputs and evidence do not show it, even when it is echoed."""
    redactor = Redactor()
    redactor.add("token", "cAn4ry-token")
    metadata = {
        "authorization": "Bearer cAn4ry-token",
        "x-number": 5,
        "trace-bin": base64.b64encode(b"\x00\xff").decode(),
    }
    outcome = cancel(service, {"order_id": "echo-metadata"}, metadata=metadata, redactor=redactor)
    assert service.seen[-1]["authorization"] == "Bearer cAn4ry-token"
    assert service.seen[-1]["x-number"] == "5"
    assert service.seen[-1]["trace-bin"] == b"\x00\xff"
    assert isinstance(outcome, Succeeded)
    assert "‹secret token›" in outcome.outputs["json"]["tags"][0]
    assert "‹secret token›" in outcome.outputs["metadata"]["x-echo"]
    assert "cAn4ry" not in repr(outcome)
    assert outcome.evidence.request["metadata"]["authorization"] == "‹masked›"
    assert outcome.evidence.response["code"] == "OK"


FINAL = (
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "PERMISSION_DENIED",
    "UNAUTHENTICATED",
    "FAILED_PRECONDITION",
    "UNIMPLEMENTED",
)
FINAL += ("ALREADY_EXISTS", "OUT_OF_RANGE")


@pytest.mark.parametrize("code", [code.name for code in grpcio.StatusCode if code is not grpcio.StatusCode.OK])
@pytest.mark.parametrize("idempotent", [True, False])
def test_what_each_status_means(service: OrderService, code: str, idempotent: bool) -> None:
    """G3: what may have had its effect is unknown unless it may be repeated; what the server refused is failed."""
    outcome = cancel(service, {"order_id": f"fail:{code}"}, idempotent=idempotent)
    if code in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "UNKNOWN") and not idempotent:
        assert isinstance(outcome, Unknown)
    else:
        assert isinstance(outcome, Failed)
        assert outcome.retryable == (idempotent and code not in FINAL)
        assert outcome.outputs is not None
        assert outcome.outputs["code"] == code
        assert outcome.outputs["metadata"] == {"x-told": "some", "trace-bin": "/wA="}
    assert "the server says no" in outcome.message
    assert outcome.evidence.response["code"] == code


@pytest.mark.parametrize("idempotent", [True, False])
@pytest.mark.parametrize(
    ("order_id", "wait"),
    [
        ("pushback:RESOURCE_EXHAUSTED:1500", 1500),
        ("pushback:UNAVAILABLE:0", 0),
        ("pushback:RESOURCE_EXHAUSTED:99999999999", 3_600_000),
        ("retry-info:RESOURCE_EXHAUSTED", 2500),
        ("retry-info:UNAVAILABLE", 2500),
    ],
)
def test_a_server_that_asks_to_come_back(service: OrderService, order_id: str, wait: int, idempotent: bool) -> None:
    """It turned the call away and said when: any step may be tried again."""
    outcome = cancel(service, {"order_id": order_id}, idempotent=idempotent)
    assert isinstance(outcome, Failed)
    assert (outcome.retryable, outcome.retry_after_ms) == (True, wait)


@pytest.mark.parametrize("order_id", ["pushback:RESOURCE_EXHAUSTED:-1", "pushback:INTERNAL:5", "retry-info:NOT_FOUND"])
def test_a_wish_that_is_none(service: OrderService, order_id: str) -> None:
    """A negative pushback says never, and other codes do not ask back."""
    outcome = cancel(service, {"order_id": order_id}, idempotent=False)
    assert isinstance(outcome, Failed)
    assert (outcome.retryable, outcome.retry_after_ms) == (False, None)


@given(st.binary(max_size=40))
def test_status_details_may_be_anything(details: bytes) -> None:
    """Details that cannot be read say nothing."""
    wait = retry_after_ms(grpcio.StatusCode.UNAVAILABLE, [("grpc-status-details-bin", details)])
    assert wait is None or 0 <= wait <= 3_600_000


@pytest.mark.parametrize("idempotent", [True, False])
def test_a_connection_that_dies_mid_call(service: OrderService, idempotent: bool) -> None:
    """The server did its work and the answer was lost: a person decides, unless the step may be repeated."""
    before = len(service.seen)
    with relay_to(service) as relay, channels_to(relay.port) as channels:
        service.cut[:] = [relay.cut]
        outcome = run(channels, f"127.0.0.1:{relay.port}", {"order_id": "cut"}, idempotent=idempotent)
    service.cut.clear()
    assert len(service.seen) == before + 1
    if idempotent:
        assert isinstance(outcome, Failed)
        assert outcome.retryable
    else:
        assert isinstance(outcome, Unknown)


@pytest.mark.parametrize("idempotent", [True, False])
def test_a_server_that_hangs(service: OrderService, idempotent: bool) -> None:
    """The deadline ends the call, here and at the server."""
    service.cancelled.clear()
    started = time.monotonic()
    outcome = cancel(service, {"order_id": "hang"}, idempotent=idempotent, timeout_ms=500)
    assert time.monotonic() - started < 2
    assert isinstance(outcome, Failed if idempotent else Unknown)
    assert outcome.code == "timeout"
    assert service.cancelled.wait(5)


def test_a_call_nobody_wants_is_dropped(service: OrderService) -> None:
    """Within half a second, and the server is told although the connection is kept."""
    service.cancelled.clear()
    seen = len(service.seen)
    hang = {"order_id": "hang"}
    with channels_to(service.port) as channels:
        started = time.monotonic()
        outcome = run(channels, service.target, hang, abandoned=lambda: len(service.seen) > seen, timeout_ms=10_000)
        assert time.monotonic() - started < 2
        assert isinstance(outcome, Abandoned)
        assert service.cancelled.wait(5)
        assert isinstance(run(channels, service.target, abandoned=lambda: True), Abandoned)
    assert len(service.seen) == seen + 1


def test_answers_that_are_too_large(service: OrderService) -> None:
    """More than a step keeps, and more than 4 MB: failed for good, since the call was made."""
    for size in (300_000, 5 * MB):
        outcome = cancel(service, {"order_id": f"big:{size}"}, idempotent=True)
        assert isinstance(outcome, Failed)
        assert (outcome.code, outcome.retryable) == ("too_large", False)
    seen = len(service.seen)
    outcome = cancel(service, {"blob": base64.b64encode(b"x" * 5 * MB).decode()})
    assert isinstance(outcome, Failed)
    assert (outcome.code, len(service.seen)) == ("too_large", seen)


def test_a_bug_in_the_service_is_unknown(service: OrderService) -> None:
    """An exception in a handler may have come after the effect."""
    assert isinstance(cancel(service, {"order_id": "crash"}, idempotent=False), Unknown)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"message": {"order_idd": "x"}}, "does not fit shop.v1.Order"),
        ({"message": {"count": "many"}}, "does not fit"),
        ({"message": [1]}, "does not fit"),
        ({"message": {"at": "yesterday"}}, "does not fit"),
        ({"method": "Cancle"}, "did you mean `Cancel`"),
        ({"method": "Watch"}, "stream"),
        ({"service": "shop.v1.Nothing"}, "does not know shop.v1.Nothing"),
        ({"service": "shop.v1.Order"}, "makes no sense"),
        ({"service": "../x"}, "is not a service"),
        ({"metadata": {"grpc-timeout": "1S"}}, "not a name for metadata"),
        ({"metadata": {"a b": "1"}}, "not a name for metadata"),
        ({"metadata": {"x": "a\nb"}}, "plain ASCII"),
        ({"metadata": {"x-bin": "not base64!"}}, "base64"),
        ({"metadata": {"x": None}}, "must be text"),
    ],
)
def test_a_call_that_cannot_be_made_is_not_sent(service: OrderService, more: dict[str, Any], told: str) -> None:
    """The sentence says why, on one line, and the handler never runs."""
    seen = len(service.seen)
    outcome = cancel(service, **more)
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.retryable, len(service.seen)) == ("bad_request", False, seen)
    assert told in outcome.message
    assert "\n" not in outcome.message


@pytest.mark.parametrize(
    "target",
    [
        *("unix:/tmp/x", "unix:///tmp/x:1", "vsock:1:2", "dns:///a.test:443", "xds:///a:1", "passthrough:///a:1"),
        *("ipv4:127.0.0.1:443", "http://a.test:80", "a.test:443,b.test:443", "a.test:443/x", "u@a.test:443"),
        *("a.test", "a.test:0", "a.test:70000", ":443", "", "a.test:443\n", "[zz]:1", "[::1%lo]:1"),
    ],
)
def test_only_host_and_port_are_a_target(target: str) -> None:
    """Other schemes of gRPC, lists and sockets are refused before anything else happens."""
    with channels_to() as channels:
        outcome = run(channels, target)
    assert isinstance(outcome, Failed)
    assert outcome.code == "bad_request"


@given(st.text(max_size=40))
def test_any_target_is_host_and_port_or_refused(text: str) -> None:
    """What is accepted has a plain host and a port in range."""
    try:
        target = parse_target(text)
    except ValueError:
        return
    assert 1 <= target.port <= 65535
    assert not set(target.host) & set("/,@ %\n")


@pytest.mark.parametrize(
    "target", ["169.254.169.254:80", "10.0.0.1:443", "[::ffff:169.254.169.254]:80", "127.0.0.1:6379"]
)
def test_the_guard_holds_for_grpc(target: str) -> None:
    """Addresses that steps may not call are refused, and nothing is sent."""
    with channels_to() as channels:
        outcome = run(channels, target, idempotent=False)
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.retryable) == ("egress_refused", False)
    assert outcome.message.startswith("Nothing was sent")


def test_the_proxy_environment_is_not_read(service: OrderService, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that the environment names is not used."""
    for name in ("grpc_proxy", "http_proxy", "https_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert isinstance(cancel(service, idempotent=False), Succeeded)


def test_the_checked_address_is_the_one_that_is_called(service: OrderService) -> None:
    """A name is resolved once; a second answer, which would lead elsewhere, is never asked for."""
    asked: list[str] = []

    def lookup(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    allow = f"orders.test:{service.port}"
    with channels_to(allow=allow, resolver=Resolver(lookup, threads=1)) as channels:
        for _ in range(3):
            assert isinstance(run(channels, f"orders.test:{service.port}"), Succeeded)
        assert asked == ["orders.test"]
        outcome = run(channels, f"orders.test:{service.port}", idempotent=False)
        assert isinstance(outcome, Failed)
        assert outcome.code == "egress_refused"


def test_addresses_are_pinned_in_one_family() -> None:
    """gRPC takes a list of one kind; the first address says which."""
    mixed = [ip_address("::1"), ip_address("127.0.0.1"), ip_address("::2")]
    assert pinned(mixed, 5) == "ipv6:[::1]:5,[::2]:5"
    assert pinned(mixed[1:], 5) == "ipv4:127.0.0.1:5"


@pytest.mark.parametrize("idempotent", [True, False])
def test_no_connection_is_not_sent(idempotent: bool) -> None:
    """A refused connection lets any step try again."""
    with order_service() as gone:
        port = gone.port
    with channels_to(port) as channels:
        outcome = run(channels, f"127.0.0.1:{port}", idempotent=idempotent)
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.retryable) == ("connect", True)
    assert outcome.message.startswith("Nothing was sent")


def test_a_name_without_an_address_is_not_sent() -> None:
    """So does a name that cannot be resolved."""

    def lookup(_host: str, _port: int) -> list[str]:
        raise OSError("no such name")

    with channels_to(resolver=Resolver(lookup, threads=1)) as channels:
        outcome = run(channels, "orders.test:443", idempotent=False)
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.retryable) == ("dns", True)


@pytest.mark.parametrize("behave", [silence, raw(b"HTTP/1.1 400 Bad Request\r\n\r\n"), raw(b"\x00" * 100)])
def test_a_server_that_does_not_speak_grpc(behave: Any) -> None:
    """Whatever it says or does not say, the call did not begin."""
    with serving(behave) as server, channels_to(server.port) as channels:
        outcome = run(channels, f"127.0.0.1:{server.port}", idempotent=False, timeout_ms=1200)
    assert isinstance(outcome, Failed)
    assert outcome.retryable
    assert outcome.message.startswith("Nothing was sent")


def test_a_server_without_reflection() -> None:
    """It is said plainly, and nothing is sent."""
    with order_service(described=False) as dumb:
        outcome = cancel(dumb)
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.retryable, dumb.seen) == ("no_reflection", False, [])


def test_connections_are_kept_for_what_may_be_repeated(service: OrderService) -> None:
    """Idempotent calls share one connection; any other has its own, so that a stale one cannot hide its outcome."""
    with relay_to(service) as relay, channels_to(relay.port) as channels:
        target = f"127.0.0.1:{relay.port}"
        for _ in range(3):
            assert isinstance(run(channels, target), Succeeded)
        assert relay.connections == 1
        for _ in range(2):
            assert isinstance(run(channels, target, idempotent=False), Succeeded)
        assert relay.connections == 3
        relay.cut()
        assert isinstance(run(channels, target, idempotent=False), Succeeded)
        assert until(lambda: isinstance(run(channels, target), Succeeded))
    service.cut.clear()


def test_a_retired_connection_is_closed_after_its_last_call(service: OrderService) -> None:
    """Calls under way go on."""
    with channels_to(service.port) as channels:
        target = parse_target(service.target, tls=False)
        call = Call(3000, lambda: False)
        with channels.connection(target, call, fresh=False) as connection:
            channels.retire(target)
            path = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
            assert connection.unary(path, b"", (), call)
        with pytest.raises(ValueError, match="closed"):
            connection.channel.unary_unary("/x")(b"")


def tls_pair() -> tuple[bytes, bytes]:
    key, _, certificate = CERTIFICATE.read_text().partition("-----BEGIN CERTIFICATE-----")
    return key.encode(), ("-----BEGIN CERTIFICATE-----" + certificate).encode()


def test_tls_is_checked_by_name() -> None:
    """The trusted certificate of the right name is accepted; another name or an unknown authority is not sent to."""
    trusting = ssl.create_default_context(cafile=str(CERTIFICATE))
    resolver = Resolver(lambda _host, _port: ["127.0.0.1"], threads=1)
    with order_service(tls=tls_pair()) as safe:
        allow = f"service.test:{safe.port},other.test:{safe.port}"
        with channels_to(allow=allow, resolver=resolver, tls=trusting) as channels:
            assert isinstance(run(channels, f"service.test:{safe.port}", tls=True, idempotent=False), Succeeded)
            named = {"server_name": "service.test"}
            assert isinstance(run(channels, f"other.test:{safe.port}", tls=named), Succeeded)
            outcome = run(channels, f"other.test:{safe.port}", tls=True, idempotent=False)
            assert isinstance(outcome, Failed)
            assert (outcome.code, outcome.retryable) == ("tls", True)
    assert len(safe.seen) == 2


def test_tls_with_an_authority_of_ones_own() -> None:
    """`tls.ca` is trusted instead of the bot's own authorities, and is not shown."""
    resolver = Resolver(lambda _host, _port: ["127.0.0.1"], threads=1)
    authority = tls_pair()[1].decode()
    with (
        order_service(tls=tls_pair()) as safe,
        channels_to(allow=f"service.test:{safe.port}", resolver=resolver) as channels,
    ):
        target = f"service.test:{safe.port}"
        outcome = run(channels, target, tls={"ca": authority})
        assert isinstance(outcome, Succeeded)
        assert "CERTIFICATE" not in json.dumps(outcome.evidence.request)
        refused = run(channels, target, tls=True, timeout_ms=2000)
        assert isinstance(refused, Failed)
        assert refused.message.startswith("Nothing was sent")


def files(*protos: FileDescriptorProto) -> bytes:
    found = FileDescriptorResponse(file_descriptor_proto=[each.SerializeToString() for each in protos])
    return ServerReflectionResponse(file_descriptor_response=found).SerializeToString()


A_FILE = FileDescriptorProto(name="a", dependency=["b"])
B_FILE = FileDescriptorProto(name="b", dependency=["a"])


@pytest.mark.parametrize(
    "answers",
    [
        [b"\xff\xff"],
        [files()],
        [files(FileDescriptorProto(name="x", package="y z"))],
        [files(A_FILE, B_FILE)],
        [files(A_FILE), files(FileDescriptorProto(name="c"))],
        [files(A_FILE), files(B_FILE)],
        [files(*(FileDescriptorProto(name=f"f{n}", dependency=["more"]) for n in range(600))), files()],
    ],
)
def test_a_server_that_describes_nonsense(answers: list[bytes]) -> None:
    """Circles, gaps and garbage end in a sentence."""
    left = iter(answers)
    with pytest.raises(SchemaProblem):
        fetch("shop.Orders", lambda _question: next(left), lambda: None)


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=3))
def test_any_description_ends_in_a_sentence(answers: list[bytes]) -> None:
    """Whatever bytes a server sends, nothing else is raised."""
    with pytest.raises(SchemaProblem):
        fetch("shop.Orders", lambda _question: answers[0], lambda: None)
