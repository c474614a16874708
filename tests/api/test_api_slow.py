"""What slow and greedy clients are told by each door, before anybody has asked who they are."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest
from api_client import Api, refused
from harness import CAROL, Harness

from bot.serving import server_limits


@pytest.fixture
def api(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """With little patience."""
    little = replace(server_limits.Limits(), stall_s=0.2, streams_each=1)
    monkeypatch.setattr(server_limits, "within", lambda _descriptors: little)
    with Api(harness) as asking:
        yield asking


def half(api: Api, path: str) -> tuple[int, str, dict[str, object]]:
    """The answer to half a body: its status, kind and JSON."""
    with socket.create_connection(("127.0.0.1", httpx.URL(api.url).port or 0), timeout=5) as one:
        one.sendall(b'POST %s HTTP/1.1\r\nHost: bot\r\nContent-Length: 100\r\n\r\n{"half":' % path.encode())
        got = b""
        while part := one.recv(65536):
            got += part
    head, _, body = got.partition(b"\r\n\r\n")
    kind = next(line for line in head.decode().lower().split("\r\n") if line.startswith("content-type"))
    return int(head.split()[1]), kind.partition(": ")[2], json.loads(body)


def test_half_a_body_is_told_in_the_words_of_its_door(api: Api) -> None:
    """And the connection ends."""
    status, kind, problem = half(api, "/api/v1/executions")
    assert (status, kind, problem["code"]) == (408, "application/problem+json", "timeout")
    assert problem["instance"] == "/api/v1/executions"
    status, kind, told = half(api, "/hooks/events")
    assert (status, kind, told["error"]) == (408, "application/json", "timeout")


def test_too_large_a_body_is_refused_before_anything_else(api: Api) -> None:
    """With its length in the head and without, whoever sends it."""
    large = b"x" * 1_100_000
    for content in (large, (large[at : at + 65_536] for at in range(0, len(large), 65_536))):
        refused(api.client.post("/api/v1/executions", content=content), 413, "too_large")
    assert api.client.post("/hooks/events", content=large).json()["error"] == "too_large"
    assert api.client.post("/nowhere", content=large).status_code == 413


def test_one_person_follows_so_many_runs_and_no_more(api: Api) -> None:
    """Until another stream of theirs has ended; over REST and by the page alike."""
    run = api.harness.start("ping", CAROL)
    headers = {"Authorization": f"Bearer {api.token(CAROL)}"}
    path = f"/api/v1/executions/{run}/events"
    with api.client.stream("GET", path, headers=headers) as first:
        lines = first.iter_lines()  # kept, since the stream ends with it
        assert next(lines).startswith("id: ")
        answer = api.client.get(path, headers=headers)
        refused(answer, 429, "too_many_requests")
        assert int(answer.headers["retry-after"]) >= 1
        page = api.client.get(f"/executions/{run}/events", headers=headers)
        assert page.status_code == 429
        assert "too many runs" in page.text
