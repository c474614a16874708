"""The server with slow, odd and greedy clients at its door."""

from __future__ import annotations

import resource
import socket
import time
from collections.abc import Callable

import pytest
from crowds import LARGE, Serving, answered, ended, many, wait_for

Serve = Callable[..., Serving]
ASK = b"GET /livez HTTP/1.1\r\nHost: bot\r\n\r\n"
HALF_HEAD = b"GET /livez HTTP/1.1\r\nHost: b"
POST = b"POST /echo HTTP/1.1\r\nHost: bot\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


def post(length: int, path: bytes = b"/echo") -> bytes:
    return b"POST %s HTTP/1.1\r\nHost: bot\r\nContent-Length: %d\r\n\r\n" % (path, length)


def test_half_a_head_ends_in_time_with_a_sentence(serve: Serve) -> None:
    """Also where a byte comes now and then; who says nothing at all is ended without a word."""
    serving = serve(head_s=0.6)
    with serving.connect(HALF_HEAD) as half, serving.connect() as silent, serving.connect() as drip:
        for byte in HALF_HEAD[:6]:
            drip.sendall(bytes([byte]))
            time.sleep(0.05)
        assert answered(half) == (408, b"The request did not come in time.")
        assert answered(drip)[0] == 408
        assert answered(silent) == (0, b"")


def test_half_a_second_request_ends_in_time_too(serve: Serve) -> None:
    """On a connection that has been answered before, pipelined or not."""
    serving = serve(head_s=0.6)
    with serving.connect(ASK + HALF_HEAD) as pipelined, serving.connect(ASK) as later:
        assert answered(later) == (200, b"alive")
        later.sendall(HALF_HEAD)
        assert answered(pipelined) == (200, b"alive")
        assert answered(pipelined)[0] == 408
        assert answered(later)[0] == 408


def test_a_body_that_drips_ends_in_time(serve: Serve) -> None:
    """However steadily: it has its time as a whole."""
    serving = serve(body_s=0.5, stall_s=0.4)
    with serving.connect(post(1000)) as drip:
        began = time.monotonic()
        while time.monotonic() - began < 0.45:
            drip.sendall(b"x")
            time.sleep(0.02)
        assert answered(drip) == (408, b"The body did not come in time. Send the request again.")
    assert serving.bodies == []


@pytest.mark.parametrize(
    "sent",
    [post(1000) + b"half", CHUNKED + b"5\r\nhel", CHUNKED + b"0\r\nX-Trailer: "],
    ids=["counted", "chunked", "trailer"],
)
def test_a_body_that_stops_coming_ends_sooner(serve: Serve, sent: bytes) -> None:
    """Wherever it stops."""
    serving = serve(stall_s=0.3)
    with serving.connect(sent) as one:
        assert answered(one)[0] == 408
    assert serving.bodies == []


def test_whole_bodies_arrive_as_they_were_sent(serve: Serve) -> None:
    """Counted, chunked with a trailer, and only after 100 Continue."""
    serving = serve()
    chunked = CHUNKED + b"5\r\nhello\r\n6\r\n world\r\n0\r\nX-Trailer: yes\r\n\r\n"
    assert serving.ask(post(11) + b"hello world") == (200, b"11")
    assert serving.ask(chunked) == (200, b"11")
    with serving.connect(POST + b"Expect: 100-continue\r\nContent-Length: 11\r\n\r\n") as one:
        assert one.recv(100).startswith(b"HTTP/1.1 100 ")
        one.sendall(b"hello world")
        assert answered(one) == (200, b"11")
    assert serving.bodies == [b"hello world"] * 3


def test_requests_on_one_connection_are_answered_in_order(serve: Serve) -> None:
    """Pipelined, with and without bodies."""
    serving = serve()
    with serving.connect(post(2) + b"ab" + ASK + post(3) + b"abc" + ASK) as one:
        got = b""
        while got.count(b"alive") < 2:
            got += one.recv(65536)
    assert [part.rpartition(b"\r\n\r\n")[2] for part in got.split(b"HTTP/1.1 200 OK")[1:]] == [
        b"2",
        b"alive",
        b"3",
        b"alive",
    ]


@pytest.mark.parametrize("factor", [1.1, 3, 20])
def test_a_body_that_is_too_large_is_told_so(serve: Serve, factor: float) -> None:
    """Counted, chunked, or announced by a client that waits to be asked for it."""
    serving = serve(body=100_000)
    size = int(100_000 * factor)
    with serving.connect(POST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % size) as polite:
        assert answered(polite)[0] == 413
    if factor <= 3:
        assert serving.ask(post(size) + b"x" * size)[0] == 413
        chunk = b"%x\r\n%s\r\n" % (size, b"x" * size)
        assert serving.ask(CHUNKED + chunk + b"0\r\n\r\n")[0] == 413
    with serving.connect(CHUNKED) as endless, pytest.raises(ConnectionError):
        endless.sendall(b"2710\r\n%s\r\n" % (b"x" * 10_000) * 2000)
    assert serving.bodies == []


def test_a_body_in_too_many_pieces_is_refused(serve: Serve) -> None:
    """A chunk a byte costs more than it carries."""
    serving = serve()
    assert serving.ask(CHUNKED + b"1\r\nx\r\n" * 10_001)[0] == 413
    assert serving.ask(ASK)[0] == 200


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /livez HTTP/1.1\r\nHost: bot\r\n" + b"X-Many: 1\r\n" * 200 + b"\r\n", 431),
        (b"GET /livez HTTP/1.1\r\nHost: bot\r\nX-Long: " + b"x" * 40_000 + b"\r\n\r\n", 431),
        (b"GET /livez HTTP/1.1\r\nHost: bot\r\nX-Endless: " + b"x" * 40_000, 431),
        (b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: bot\r\n\r\n", 431),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 404),
        (POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
        (POST + b"Content-Length: -5\r\n\r\nhello", 400),
        (CHUNKED + b"no number\r\n", 400),
        (ASK[:-2] + b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n", 200),
    ],
)
def test_odd_requests(serve: Serve, sent: bytes, status: int) -> None:
    """Refused, and the next is served."""
    serving = serve()
    assert serving.ask(sent)[0] == status
    assert serving.ask(ASK) == (200, b"alive")


@pytest.mark.parametrize("sent", [b"", HALF_HEAD, post(1000) + b"half"], ids=["silent", "head", "body"])
def test_when_all_is_taken_the_oldest_half_request_makes_room(serve: Serve, sent: bytes) -> None:
    """And whoever sends a whole one is served."""
    serving = serve(connections=20)
    with many(serving, 40, sent) as clients:
        for _ in range(5):
            assert serving.ask(ASK) == (200, b"alive")
        assert ended(clients[0])
        assert len(serving.connections) <= 20


def test_whoever_does_not_read_makes_room_too(serve: Serve) -> None:
    """Its answer is larger than all buffers between."""
    serving = serve(connections=20)
    with many(serving, 20, b"GET /large HTTP/1.1\r\nHost: bot\r\n\r\n", receive_buffer=4096):
        wait_for(lambda: len(serving.connections) == 20)
        for _ in range(5):
            assert serving.ask(ASK) == (200, b"alive")


def test_when_all_are_at_work_a_newcomer_waits_for_the_next_to_be_done(serve: Serve) -> None:
    """Whoever sends one request after the other does not keep the place."""
    serving = serve(connections=4)
    with many(serving, 4, ASK * 1500):
        assert serving.ask(ASK) == (200, b"alive")
    with many(serving, 4, b"GET /held HTTP/1.1\r\nHost: bot\r\n\r\n") as held:
        wait_for(lambda: len(serving.connections) == 4, 30)  # what the four before them have asked for comes first
        with serving.connect(ASK) as late:
            late.settimeout(0.3)
            with pytest.raises(TimeoutError):
                late.recv(100)
            serving.let_go.set()
            late.settimeout(10)
            assert answered(late) == (200, b"alive")
        assert [answered(each) for each in held] == [(200, b"held")] * 4


def test_slack_and_health_need_no_turn(serve: Serve) -> None:
    """When as much is at work as can be, others are asked to come again."""
    serving = serve(at_work=2, turn_s=0.2)
    with many(serving, 2, b"GET /held HTTP/1.1\r\nHost: bot\r\n\r\n"):
        with serving.connect(post(2) + b"ab") as third:
            head = third.recv(4096).lower()
            assert head.startswith(b"http/1.1 503 ")
            assert b"retry-after: " in head
        assert serving.ask(ASK) == (200, b"alive")
        assert serving.ask(post(2, b"/slack/events") + b"ab") == (200, b"2")


def test_an_answer_that_is_not_read_ends_in_time(serve: Serve) -> None:
    """A whole one and one that goes on; who reads, however much, is let alone."""
    serving = serve(write_s=0.2, slowest=1 << 20, unread=LARGE * 4)
    long = serving.connect(b"GET /long HTTP/1.1\r\nHost: bot\r\n\r\n", receive_buffer=4096)
    with long:
        wait_for(lambda: len(serving.connections) == 1)
        wait_for(lambda: len(serving.connections) == 0)
    with serving.connect(b"GET /large HTTP/1.1\r\nHost: bot\r\n\r\n") as reader:
        assert len(answered(reader)[1]) == LARGE


def test_bodies_are_bounded_together(serve: Serve) -> None:
    """The one that has been coming for longest makes room for the next, which is served."""
    serving = serve(bodies=100_000)
    with many(serving, 11, post(50_000) + b"x" * 9_000) as clients:
        wait_for(lambda: len(serving.connections) == 11)
        assert serving.ask(post(40_000) + b"y" * 40_000) == (200, b"40000")
        assert answered(clients[0])[0] == 503
        clients[-1].sendall(b"x" * 41_000)
        assert answered(clients[-1]) == (200, b"50000")


def test_nobody_may_ask_far_ahead(serve: Serve) -> None:
    """What comes behind a request at work is kept, so it may not be much: it is read no further, or the end of it."""
    serving = serve()
    with serving.connect(b"GET /held HTTP/1.1\r\nHost: bot\r\n\r\n") as greedy:
        wait_for(lambda: len(serving.connections) == 1)
        greedy.settimeout(2)
        with pytest.raises((ConnectionError, TimeoutError)):
            greedy.sendall(ASK * 1_000_000)  # more than sockets hold
    serving.let_go.set()
    wait_for(lambda: len(serving.connections) == 0)


def test_with_no_descriptor_left_it_neither_spins_nor_stays_shut(serve: Serve) -> None:
    """However wrong the limits are: half requests make room, and so does time."""
    serving = serve()
    clients = [socket.socket() for _ in range(60)]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(each.fileno() for each in clients) + 10, hard))
    try:
        began = time.process_time()
        for each in clients:
            each.settimeout(10)
            each.connect(("127.0.0.1", serving.port))
            if each is not clients[-1]:
                each.sendall(HALF_HEAD)
        clients[-1].sendall(ASK)
        assert answered(clients[-1]) == (200, b"alive")
        assert time.process_time() - began < 2
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for each in clients:
            each.close()


def test_half_requests_do_not_hold_up_the_end(serve: Serve) -> None:
    """Nor does who does not read."""
    serving = serve()
    kinds = (HALF_HEAD, post(1000) + b"half", b"", ASK)
    clients: list[socket.socket] = [serving.connect(sent) for sent in kinds]
    wait_for(lambda: len(serving.connections) == 4)
    serving.stop(2.0)
    for each in clients:
        assert ended(each)
        each.close()
