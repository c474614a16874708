"""The runbook for HAProxy that ships, against Debian's HAProxy with two servers behind it."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import real_servers
from harness import Harness, Target

from storage.states import ExecutionStatus

pytestmark = pytest.mark.slow
PASSWORD = "not-a-password-of-anybody"
CONFIGURATION = """\
defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 60s
frontend stats
    bind 127.0.0.1:{stats}
    stats enable
    stats uri /stats
    stats auth runbook:{password}
    stats admin if TRUE
frontend shop
    bind 127.0.0.1:{shop}
    default_backend shop
backend shop
    server web-1 127.0.0.1:{web_1} check inter 100ms
    server web-2 127.0.0.1:{web_2} check inter 100ms
"""


class Proxy:
    """An HAProxy, and what a person at its statistics page would see."""

    def __init__(self) -> None:
        self.stats, self.shop = real_servers.free_port(), real_servers.free_port()
        self.url = f"http://127.0.0.1:{self.stats}"
        self.auth = ("runbook", PASSWORD)

    def status(self, server: str) -> str:
        rows = httpx.get(f"{self.url}/stats;csv", auth=self.auth).text.splitlines()
        return next(row.split(",")[17] for row in rows if row.startswith(f"shop,{server},"))


@pytest.fixture
def other() -> Iterator[Target]:
    server = Target()
    yield server
    server.close()


@pytest.fixture
def proxy(tmp_path: Path, target: Target, other: Target) -> Iterator[Proxy]:
    program = real_servers.program("haproxy")
    made = Proxy()
    ports = {"stats": made.stats, "shop": made.shop, "web_1": target.server.port, "web_2": other.server.port}
    (tmp_path / "haproxy.cfg").write_text(CONFIGURATION.format(password=PASSWORD, **ports))
    command = [program, "-db", "-f", str(tmp_path / "haproxy.cfg")]

    def ready() -> bool:
        return real_servers.answers(f"{made.url}/stats;csv", auth=made.auth)

    with real_servers.running(command, tmp_path / "haproxy.log", ready):
        yield made


@pytest.fixture
def ready(harness: Harness, proxy: Proxy) -> None:
    auth = {"type": "basic", "username": "runbook", "password": "{{ secrets.haproxy_password }}"}
    real_servers.know_secrets(harness, {"haproxy_password": PASSWORD})
    real_servers.approve(harness, {"haproxy": {"url": proxy.url, "auth": auth}}, "haproxy-server")


def set_state(harness: Harness, server: str, state: str) -> tuple[str, ExecutionStatus]:
    return real_servers.run(harness, "haproxy-server", backend="shop", server=server, state=state)


@pytest.mark.usefixtures("ready")
def test_a_server_is_drained_and_made_ready_again(harness: Harness, proxy: Proxy, other: Target) -> None:
    execution, status = set_state(harness, "web-2", "drain")
    assert status is ExecutionStatus.SUCCESS, real_servers.troubles(harness, execution)
    assert proxy.status("web-2") == "DRAIN"
    for _ in range(4):
        httpx.get(f"http://127.0.0.1:{proxy.shop}/")
    assert other.paths() == [], "a server that is drained gets no new session"
    execution, status = set_state(harness, "web-2", "ready")
    assert status is ExecutionStatus.SUCCESS, real_servers.troubles(harness, execution)
    assert proxy.status("web-2").startswith("UP")


@pytest.mark.usefixtures("ready")
def test_the_last_server_is_not_drained(harness: Harness, proxy: Proxy) -> None:
    assert set_state(harness, "web-1", "drain")[1] is ExecutionStatus.SUCCESS
    execution, status = set_state(harness, "web-2", "drain")
    assert status is ExecutionStatus.FAILED
    assert "is the last server" in harness.step(execution, "not-the-last").error["message"]
    assert proxy.status("web-2").startswith("UP")


@pytest.mark.usefixtures("ready")
def test_one_whose_session_does_not_end_gets_traffic_again(
    harness: Harness, proxy: Proxy, other: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(real_servers, "TIMES_AS_FAST", 500)
    other.does["/slow"] = [lambda _conn, _request: time.sleep(30)]
    at = ("127.0.0.1", proxy.shop)
    with socket.create_connection(at) as first, socket.create_connection(at) as second:
        for each in (first, second):
            each.sendall(b"GET /slow HTTP/1.1\r\nHost: shop\r\n\r\n")
        execution, status = set_state(harness, "web-2", "drain")
    assert status is ExecutionStatus.FAILED
    assert harness.step(execution, "idle").status == "FAILED"
    assert proxy.status("web-2").startswith("UP")


@pytest.mark.usefixtures("ready")
def test_a_server_that_there_is_not_is_told_of(harness: Harness) -> None:
    execution, status = set_state(harness, "web-9", "ready")
    assert status is ExecutionStatus.FAILED
    assert "has no server web-9" in harness.step(execution, "there").error["message"]
