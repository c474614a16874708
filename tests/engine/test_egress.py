"""The guarded client against servers that behave and servers that do not."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import socket
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from local_server import LocalServer, answer, egress_to, raw, serving, silence

from engine.egress import CallFailed, Egress, Policy, Resolver, parse_allow

CERTIFICATE = Path(__file__).with_name("service.test.pem")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def call(egress: Egress, url: str, method: str = "GET", *, deadline_ms: int = 5000, fresh: bool = False, **more):
    return egress.send(method, url, deadline_ms=deadline_ms, fresh=fresh, **more)


def failure(egress: Egress, url: str, **more) -> CallFailed:
    with pytest.raises(CallFailed) as caught:
        call(egress, url, **more)
    return caught.value


def test_a_plain_call() -> None:
    """The request carries what was asked for, the answer comes back whole."""
    behave = answer(b"hello", "201 Created", "X-One: 1", "Set-Cookie: a=1", "Set-Cookie: b=2")
    with serving(behave) as server, egress_to(server) as egress:
        url = server.url("/a%20b?c=d#e")
        got = call(egress, url, "POST", headers={"X-Name": "grüße"}, content=b"body", fresh=True)
    assert (got.status, got.body, got.truncated) == (201, b"hello", False)
    assert [value for name, value in got.headers if name == "set-cookie"] == ["a=1", "b=2"]
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /a%20b?c=d HTTP/1.1"
    assert f"Host: 127.0.0.1:{server.port}".encode() in lines
    assert {b"Accept-Encoding: identity", b"Connection: close", "X-Name: grüße".encode()} <= set(lines)
    assert body == b"body"


def test_cookies_of_one_call_do_not_travel_with_the_next() -> None:
    """There is no cookie jar."""
    with serving(answer(b"", "200 OK", "Set-Cookie: who=first; Path=/")) as server, egress_to(server) as egress:
        call(egress, server.url())
        call(egress, server.url())
    assert len(server.requests) == 2
    assert b"cookie" not in server.requests[1].lower()


def test_repeatable_calls_share_a_connection_and_fresh_ones_never_do() -> None:
    """Five pooled calls use one connection; three fresh ones use three more, even beside an idle one."""
    with serving(answer()) as server, egress_to(server) as egress:
        for _ in range(5):
            call(egress, server.url())
        assert server.connections == 1
        for _ in range(3):
            call(egress, server.url(), "POST", fresh=True)
        assert server.connections == 4
        call(egress, server.url())
        assert server.connections == 4


def test_a_connection_closed_while_idle_is_not_used_again() -> None:
    """A pooled connection that the server closed is replaced before anything is sent on it."""

    closed = threading.Semaphore(0)

    def once(conn: socket.socket, _request: bytes) -> None:
        conn.sendall(OK)
        conn.shutdown(socket.SHUT_RDWR)
        closed.release()

    with serving(once) as server, egress_to(server) as egress:
        for wanted in range(1, 4):
            assert call(egress, server.url()).body == b"ok"
            assert closed.acquire(timeout=5)  # on loopback the end has arrived once it was sent
            assert server.connections == wanted


def test_many_threads_share_one_client() -> None:
    """Concurrent calls get their own answers."""

    def echo(conn: socket.socket, request: bytes) -> None:
        path = request.split(b" ", 2)[1]
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(path), path))

    with serving(echo) as server, egress_to(server) as egress, ThreadPoolExecutor(8) as threads:
        paths = [f"/{number}" for number in range(100)]
        bodies = list(threads.map(lambda path: call(egress, server.url(path)).body.decode(), paths))
    assert bodies == paths


def drip(first: bytes, then: bytes) -> Callable[[socket.socket, bytes], None]:
    def behave(conn: socket.socket, _request: bytes) -> None:
        conn.sendall(first)
        while True:
            conn.sendall(then)
            time.sleep(0.02)

    return behave


@pytest.mark.parametrize(
    "behave",
    [
        silence,
        drip(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"),
        drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x"),
        drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["silence", "headers", "body", "chunks", "interim"],
)
def test_the_deadline_is_absolute(behave: Callable[[socket.socket, bytes], None]) -> None:
    """A server that drips bytes is left when the time is up."""
    with serving(behave) as server, egress_to(server) as egress:
        started = time.monotonic()
        error = failure(egress, server.url(), deadline_ms=500)
    assert 0.45 < time.monotonic() - started < 1.5
    assert (error.code, error.sent) == ("timeout", True)


def test_a_server_that_does_not_read_is_left() -> None:
    """The deadline holds while the request is being written."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1)
    port = listener.getsockname()[1]
    with listener, egress_to(allow=f"127.0.0.1:{port}") as egress:
        started = time.monotonic()
        error = failure(
            egress, f"http://127.0.0.1:{port}/", method="PUT", content=b"x" * 32_000_000, deadline_ms=500, fresh=True
        )
    assert time.monotonic() - started < 1.5
    assert (error.code, error.sent) == ("timeout", True)


def test_a_connection_that_nobody_accepts_counts_as_not_sent() -> None:
    """A full backlog uses up the time, and nothing was sent."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    port = listener.getsockname()[1]
    fillers = [socket.socket() for _ in range(4)]
    try:
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        with egress_to(allow=f"127.0.0.1:{port}") as egress:
            error = failure(egress, f"http://127.0.0.1:{port}/", deadline_ms=400)
        assert (error.code, error.sent) == ("timeout", False)
        assert "Nothing was sent" in error.message
    finally:
        for each in [*fillers, listener]:
            each.close()


def test_a_flood_of_interim_responses_ends() -> None:
    """An endless run of 1xx responses is cut off by size, well before the deadline."""

    def flood(conn: socket.socket, _request: bytes) -> None:
        while True:
            conn.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 500)

    with serving(flood) as server, egress_to(server) as egress:
        error = failure(egress, server.url(), deadline_ms=20_000)
    assert (error.code, error.sent) == ("protocol", True)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "connection_lost"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "connection_lost"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", "connection_lost"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal", "connection_lost"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "protocol"),
        (b"\x00\xff" * 200 + b"\r\n\r\n", "protocol"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "protocol"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello", "protocol"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000 + b"\r\n\r\n", "protocol"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "protocol"),
    ],
)
@pytest.mark.parametrize("fresh", [True, False])
def test_broken_answers_are_clean_errors(data: bytes, code: str, fresh: bool) -> None:
    """Early ends and garbage are told apart, and both may have had an effect."""
    with serving(raw(data)) as server, egress_to(server) as egress:
        error = failure(egress, server.url(), fresh=fresh)
    assert (error.code, error.sent) == (code, True)


def test_a_reset_after_the_request_counts_as_sent() -> None:
    """A connection reset after the request was read leaves the outcome open."""

    def reset(conn: socket.socket, _request: bytes) -> None:
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        conn.close()

    with serving(reset) as server, egress_to(server) as egress:
        error = failure(egress, server.url(), method="POST", fresh=True)
    assert (error.code, error.sent) == ("connection_lost", True)


def test_a_huge_body_is_cut_off() -> None:
    """Only the bytes asked for are read of 64 MB, and the rest is marked as missing."""

    def huge(conn: socket.socket, _request: bytes) -> None:
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 64000000\r\n\r\n")
        for _ in range(64):
            conn.sendall(b"x" * 1_000_000)

    with serving(huge) as server, egress_to(server) as egress:
        got = call(egress, server.url(), max_bytes=1000)
        assert (len(got.body), got.truncated) == (1000, True)
        assert call(egress, server.url(), max_bytes=10).truncated
    assert server.connections == 2  # the cut connection was not kept


def test_compressed_bodies_stay_compressed() -> None:
    """A gzip bomb is never unpacked."""
    bomb = gzip.compress(b"\0" * 10_000_000)
    with serving(answer(bomb, "200 OK", "Content-Encoding: gzip")) as server, egress_to(server) as egress:
        assert call(egress, server.url()).body == bomb


def test_redirects_are_not_followed() -> None:
    """The redirect itself is the answer."""
    location = "Location: http://169.254.169.254/latest/meta-data/"
    with serving(answer(b"", "302 Found", location)) as server, egress_to(server) as egress:
        assert call(egress, server.url()).status == 302
    assert len(server.requests) == 1


def test_an_early_answer_to_a_large_upload_is_kept() -> None:
    """A server that refuses in the middle of the body is heard."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]

    def refuse() -> None:
        conn, _ = listener.accept()
        conn.recv(1000)
        conn.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
        conn.shutdown(socket.SHUT_WR)
        while conn.recv(1_000_000):
            pass
        conn.close()

    thread = threading.Thread(target=refuse)
    thread.start()
    with listener, egress_to(allow=f"127.0.0.1:{port}") as egress:
        got = call(egress, f"http://127.0.0.1:{port}/", "PUT", content=b"x" * 4_000_000, fresh=True)
        thread.join(5)
    assert got.status == 413


SPELLINGS = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "0x7f.1",
    "0x7f000001",
    "2130706433",
    "017700000001",
    "0177.0.0.1",
    "0",
    "0.0.0.0",
    "localhost",
    "localhost.",
    "LOCALHOST",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:0:0:1]",
    "[::]",
    "①②⑦.⓪.⓪.①",
    "127.0.0.1%2f",
]


@pytest.mark.parametrize("host", SPELLINGS)
def test_no_spelling_of_loopback_gets_through(host: str) -> None:
    """Every way to write this machine is refused, or is no host at all; the server hears nothing."""
    with serving(answer()) as server, egress_to() as egress:
        error = failure(egress, f"http://{host}:{server.port}/")
        assert error.code in ("egress_refused", "bad_request", "dns")
        assert not error.sent
        assert server.connections == 0


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://host.test/",
        "gopher://host.test/",
        "unix:///var/run/docker.sock",
        "http+unix://%2Fvar%2Frun%2Fdocker.sock/info",
        "//host.test/",
        "/path",
        "",
        "http://",
        "http:///path",
        "http://user:password@host.test/",
        "http://user@host.test/",
        "http://host.test:99999/",
        "http://host.test/\r\nX: y",
        "http://host.test/\x00",
        "http://[::1/",
    ],
)
def test_only_plain_web_addresses(url: str) -> None:
    """Other schemes, passwords in the address and malformed addresses are refused before any look-up."""

    def no_lookup(host: str, port: int) -> list[str]:
        raise AssertionError("looked up")

    with egress_to(resolver=Resolver(no_lookup, threads=1)) as egress:
        error = failure(egress, url)
    assert (error.code, error.sent) == ("bad_request", False)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "other"},
        {"content-length": "0"},
        {"Transfer-Encoding": "chunked"},
        {"Connection": "upgrade"},
        {"Accept-Encoding": "gzip"},
        {"X-A": "b\r\nX-C: d"},
        {"X-A": "b\nc"},
        {"X-A": "b\0c"},
        {"X A": "b"},
        {"X-A\r\nX-B": "c"},
        {"": "b"},
        {"X-A": "\ud800"},
    ],
)
def test_headers_that_could_smuggle_are_refused(headers: dict[str, str]) -> None:
    """Headers that frame or redirect a message, and line breaks, are refused; nothing is sent."""
    with serving(answer()) as server, egress_to(server) as egress:
        error = failure(egress, server.url(), headers=headers)
        assert (error.code, error.sent, server.connections) == ("bad_request", False, 0)


@pytest.mark.parametrize("method", ["CONNECT", "TRACE", "get", "GET /x HTTP/1.1\r\nX: y", ""])
def test_only_known_methods(method: str) -> None:
    """Any other method is refused."""
    with egress_to() as egress:
        assert failure(egress, "http://host.test/", method=method).code == "bad_request"


def test_a_name_that_changes_its_address_gains_nothing() -> None:
    """Each connection uses exactly the address that was checked, so that a second answer cannot slip in."""
    answers = itertools.cycle([["10.9.9.9", "127.0.0.1"], ["127.0.0.1"]])
    with serving(answer()) as server:
        with egress_to(resolver=Resolver(lambda host, port: next(answers), threads=1)) as egress:
            codes = [failure(egress, f"http://rebind.test:{server.port}/").code for _ in range(4)]
        lookups = []

        def lookup(host: str, port: int) -> list[str]:
            lookups.append(host)
            return ["127.0.0.1"] if len(lookups) == 1 else ["169.254.169.254"]

        with egress_to(allow=f"rebind.test:{server.port}", resolver=Resolver(lookup, threads=1)) as egress:
            assert call(egress, f"http://rebind.test:{server.port}/", fresh=True).status == 200
            assert lookups == ["rebind.test"]
            error = failure(egress, f"http://rebind.test:{server.port}/", fresh=True)
    assert codes == ["egress_refused"] * 4
    assert (error.code, error.sent) == ("egress_refused", False)
    assert server.connections == 1
    assert f"Host: rebind.test:{server.port}".encode() in server.requests[0]


def test_the_bots_own_database_is_refused_by_address() -> None:
    """An allow-listed name that leads to the bot's database is refused; when that cannot be told, too."""
    names = {"sneaky.test": ["127.0.0.1"], "db.test": ["127.0.0.1"]}

    def lookup(host: str, port: int) -> list[str]:
        if host not in names:
            raise socket.gaierror(-2, "Name or service not known")
        return names[host]

    with serving(answer()) as server:
        entry = parse_allow(f"sneaky.test:{server.port}")
        for own_host, code in [("db.test", "egress_refused"), ("gone.test", "dns")]:
            policy = Policy(entry, own=((own_host, server.port),))
            tls = ssl.create_default_context()
            with Egress(policy, resolver=Resolver(lookup, threads=1), ssl_context=tls) as egress:
                error = failure(egress, f"http://sneaky.test:{server.port}/")
                assert (error.code, error.sent, server.connections) == (code, False, 0)


def test_unknown_names_and_closed_ports_count_as_not_sent() -> None:
    """Names without an address and refused connections had no effect."""

    def lookup(host: str, port: int) -> list[str]:
        raise socket.gaierror(-2, "Name or service not known")

    with egress_to(resolver=Resolver(lookup, threads=1)) as egress:
        error = failure(egress, "http://nowhere.test/")
        assert (error.code, error.sent) == ("dns", False)
        assert "nowhere.test" in error.message
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with egress_to(allow=f"127.0.0.1:{port}") as egress:
        error = failure(egress, f"http://127.0.0.1:{port}/")
        assert (error.code, error.sent) == ("connect", False)


def test_the_next_address_is_tried() -> None:
    """A name with a dead address first still works."""
    with serving(answer()) as server:
        resolver = Resolver(lambda host, port: ["127.0.0.2", "127.0.0.1"], threads=1)
        with egress_to(allow=f"two.test:{server.port}", resolver=resolver) as egress:
            assert call(egress, f"http://two.test:{server.port}/").status == 200


def test_names_that_hang_hold_up_no_others() -> None:
    """As many as one run may look up at once, and then another's."""
    free = threading.Event()

    def lookup(host: str, port: int) -> list[str]:
        if host == "hangs.test":
            free.wait(30)
        return ["10.0.0.1"]

    with egress_to(resolver=Resolver(lookup)) as egress:
        began = time.monotonic()
        with ThreadPoolExecutor(40) as pool:
            hanging = [pool.submit(egress.addresses, "hangs.test", 80, deadline_ms=20_000) for _ in range(40)]
            with pytest.raises(CallFailed) as refused:
                egress.addresses("other.test", 80, deadline_ms=20_000)
            assert refused.value.code == "egress_refused"
            assert time.monotonic() - began < 10
            free.set()
            assert {each.exception().code for each in hanging} == {"egress_refused"}  # type: ignore[union-attr]


def test_a_hanging_look_up_obeys_the_deadline() -> None:
    """A resolver that never answers costs the call's time and no more; others wait their turn."""
    release = threading.Event()

    def lookup(host: str, port: int) -> list[str]:
        release.wait(30)
        return ["127.0.0.1"]

    with egress_to(resolver=Resolver(lookup, threads=1)) as egress:
        try:
            for _ in range(2):
                started = time.monotonic()
                error = failure(egress, "http://slow.test/", deadline_ms=300)
                assert (error.code, error.sent) == ("timeout", False)
                assert time.monotonic() - started < 1.0
        finally:
            release.set()


@pytest.mark.parametrize("where", ["dns", "answer"])
def test_an_abandoned_call_is_dropped_at_once(where: str) -> None:
    """A cancel ends the wait within half a second, in a look-up as well as on the wire."""
    release, wanted = threading.Event(), threading.Event()

    def lookup(host: str, port: int) -> list[str]:
        if where == "dns":
            release.wait(30)
        return ["127.0.0.1"]

    with serving(silence) as server:
        allow = f"slow.test:{server.port}"
        with egress_to(allow=allow, resolver=Resolver(lookup, threads=1)) as egress:
            moment: list[float] = []
            timer = threading.Timer(0.3, lambda: (moment.append(time.monotonic()), wanted.set()))
            timer.start()
            url = f"http://slow.test:{server.port}/"
            error = failure(egress, url, deadline_ms=20_000, abandoned=wanted.is_set)
            assert time.monotonic() - moment[0] < 0.5
            timer.join()
            release.set()
    assert (error.code, error.sent) == ("abandoned", where == "answer")


def test_a_call_abandoned_beforehand_is_not_sent() -> None:
    """Nothing leaves when the cancel came first, not even on an idle connection."""
    with serving(answer()) as server, egress_to(server) as egress:
        call(egress, server.url())
        error = failure(egress, server.url(), abandoned=lambda: True)
        assert (error.code, error.sent) == ("abandoned", False)
        assert len(server.requests) == 1


def tls_server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


def test_tls_checks_the_name_and_not_the_address() -> None:
    """The certificate is checked against the URL's host although the connection goes to a checked address."""
    resolver = Resolver(lambda host, port: ["127.0.0.1"], threads=1)
    trusting = ssl.create_default_context(cafile=CERTIFICATE)
    with serving(answer(b"secret"), tls_server_context()) as server:
        allow = f"service.test:{server.port},other.test:{server.port}"
        with egress_to(allow=allow, resolver=resolver, tls=trusting) as egress:
            for fresh in (True, False, False):
                assert call(egress, f"https://service.test:{server.port}/", fresh=fresh).body == b"secret"
            assert server.connections == 2
            error = failure(egress, f"https://other.test:{server.port}/")
    assert (error.code, error.sent) == ("tls", False)


def test_tls_failures_count_as_not_sent() -> None:
    """An unknown authority, a server without TLS and one that never answers the handshake had no effect."""
    resolver = Resolver(lambda host, port: ["127.0.0.1"], threads=1)
    servers: list[LocalServer] = []
    with serving(answer(), tls_server_context()) as untrusted, serving(raw(b"HTTP/1.1 400\r\n\r\n")) as plain:
        servers += [untrusted, plain]
        allow = ",".join(f"service.test:{server.port}" for server in servers)
        with egress_to(allow=allow, resolver=resolver) as egress:
            error = failure(egress, f"https://service.test:{untrusted.port}/")
            assert (error.code, error.sent) == ("tls", False)
            error = failure(egress, f"https://service.test:{plain.port}/", deadline_ms=700)
            assert error.code in ("tls", "timeout")
            assert not error.sent
    assert [server.requests for server in servers] == [[], []]


def test_a_drip_over_tls_obeys_the_deadline() -> None:
    """The deadline holds inside TLS records too."""
    resolver = Resolver(lambda host, port: ["127.0.0.1"], threads=1)
    trusting = ssl.create_default_context(cafile=CERTIFICATE)
    body = drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x")
    with serving(body, tls_server_context()) as server, contextlib.ExitStack() as stack:
        egress = stack.enter_context(egress_to(allow=f"service.test:{server.port}", resolver=resolver, tls=trusting))
        started = time.monotonic()
        error = failure(egress, f"https://service.test:{server.port}/", deadline_ms=600)
    assert time.monotonic() - started < 1.5
    assert (error.code, error.sent) == ("timeout", True)


def test_the_proxy_environment_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in the environment sees nothing."""
    with serving(answer()) as server, serving(answer()) as proxy, egress_to(server) as egress:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url())
        assert call(egress, server.url()).status == 200
        assert proxy.connections == 0


def test_addresses_for_other_clients_are_checked_too() -> None:
    """A client that connects by itself gets checked addresses or a refusal."""
    resolver = Resolver(lambda host, port: ["8.8.8.8"] if host == "public.test" else ["10.0.0.1"], threads=1)
    with egress_to(resolver=resolver) as egress:
        assert [str(a) for a in egress.addresses("public.test", 443, deadline_ms=1000)] == ["8.8.8.8"]
        with pytest.raises(CallFailed, match=r"10\.0\.0\.0/8"):
            egress.addresses("private.test", 443, deadline_ms=1000)
