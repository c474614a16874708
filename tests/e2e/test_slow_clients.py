"""Crowds of clients that send half a request, or read nothing of their answers, and shut the door on nobody else."""

from __future__ import annotations

import os
import resource
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest
from deployment import CAROL, CHANNEL, SIGNING_SECRET, Deployment, wait_for
from test_rest import token

from bot.simulator.delivery.signing import signed_headers

DESCRIPTORS = 1024
CROWD = 1200
HEAD = b"POST /slack/events HTTP/1.1\r\nHost: bot\r\nX-Slow: "
BODY = b"POST /slack/events HTTP/1.1\r\nHost: bot\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 20_000
READ_NOTHING = b"GET /page/style.css HTTP/1.1\r\nHost: bot\r\n\r\n" * 100
ACK_S = 3.0
"""Slack gives up after so long."""


@pytest.fixture
def room() -> Iterator[None]:
    """Descriptors for a crowd."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def crowd(port: int, sent: bytes) -> Iterator[None]:
    """Clients that send this and then stay, reading nothing."""
    with ExitStack() as stack:
        for _ in range(CROWD):
            one = stack.enter_context(socket.socket())
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.settimeout(5)
            try:
                one.connect(("127.0.0.1", port))
                one.setblocking(False)
                one.send(sent)
            except OSError:  # shut out, as it may be
                continue
        yield


class Friends:
    """Those whom the bot is there for."""

    def __init__(self, deployment: Deployment) -> None:
        self.base = deployment.base
        self._token = token(deployment, CAROL)

    def are_served(self) -> None:
        """Slack in its time, over new connections; who watches the bot; a program with a token."""
        began = time.monotonic()
        assert self.slack() == 200
        assert time.monotonic() - began < ACK_S
        for path in ("/livez", "/readyz"):
            assert httpx.get(f"{self.base}{path}", timeout=5, trust_env=False).status_code == 200
        bearer = {"Authorization": f"Bearer {self._token}"}
        listed = httpx.get(f"{self.base}/api/v1/runbooks", headers=bearer, timeout=5, trust_env=False)
        assert listed.status_code == 200

    def slack(self) -> int:
        form = {
            "command": "/runbook", "text": "help", "user_id": CAROL, "channel_id": CHANNEL, "team_id": "T0PRACTICE",
            "trigger_id": f"1.{time.monotonic_ns()}", "response_url": f"{self.base}/nowhere",
        }  # fmt: skip
        body = urlencode(form).encode()
        headers = {**signed_headers(SIGNING_SECRET, body), "Content-Type": "application/x-www-form-urlencoded"}
        return httpx.post(
            f"{self.base}/slack/events", content=body, headers=headers, timeout=ACK_S, trust_env=False
        ).status_code


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors as Linux shows them")
@pytest.mark.slow
def test_crowds_of_slow_clients_shut_nobody_out(tmp_path: Path, room: None) -> None:
    """More than there are descriptors, three kinds one after the other; then SIGTERM with a crowd at the door."""
    with Deployment(tmp_path, mode="http") as deployment:
        deployment.up(descriptors=DESCRIPTORS)
        friends = Friends(deployment)
        friends.are_served()
        web = deployment.child("web")
        assert web is not None
        before, memory = descriptors(web), resident_mb(web)
        for sent in (HEAD, BODY, READ_NOTHING):
            with crowd(deployment.port, sent):
                friends.are_served()
                assert descriptors(web) < DESCRIPTORS
                assert resident_mb(web) < memory + 150
                friends.are_served()
            wait_for(lambda: descriptors(web) <= before + 20, 20, "the crowd's descriptors given back")
        assert deployment.child("web") == web
        assert "Traceback" not in deployment.log()
        with crowd(deployment.port, BODY):
            began = time.monotonic()
            assert deployment.stop() in (0, -signal.SIGTERM)
            assert time.monotonic() - began < 10
