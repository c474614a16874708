"""The runbook for Unleash that ships, against Unleash's own server on a PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import npm_packages
import psycopg.conninfo
import pytest
import real_servers
from harness import Harness

from engine.errors import InvalidParameters
from storage.states import ExecutionStatus

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
TOKEN = "*:*.not-a-token-of-anybody"
FLAGS = "/api/admin/projects/default/features"


class Flags:
    """An Unleash, and what a person at its page would see and do."""

    def __init__(self) -> None:
        self.url = f"http://127.0.0.1:{real_servers.free_port()}"
        self.page = httpx.Client(base_url=self.url, headers={"Authorization": TOKEN}, timeout=10)

    def create(self, flag: str) -> None:
        self.page.post(FLAGS, json={"name": flag}).raise_for_status()
        self.page.post(self.at(flag, "on")).raise_for_status()

    def is_on(self, flag: str) -> bool:
        return bool(self.page.get(self.at(flag)).raise_for_status().json()["enabled"])

    def at(self, flag: str, *state: str) -> str:
        return "/".join((FLAGS, flag, "environments", "development", *state))


@pytest.fixture(scope="module")
def unleash(postgres: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flags]:
    program = npm_packages.installed(Path(__file__).parent / "unleash", "unleash-server")
    made, database = Flags(), postgres.create()
    place = psycopg.conninfo.conninfo_to_dict(postgres.url(database))
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_HOST": str(place["host"]),
        "DATABASE_PORT": str(place.get("port", 5432)),
        "DATABASE_USERNAME": str(place["user"]),
        "DATABASE_PASSWORD": "",
        "DATABASE_NAME": database,
        "DATABASE_SSL": "false",
        "HTTP_HOST": "127.0.0.1",
        "HTTP_PORT": made.url.rpartition(":")[2],
        "INIT_ADMIN_API_TOKENS": TOKEN,
        "CHECK_VERSION": "false",
        "SEND_TELEMETRY": "false",
    }
    log = tmp_path_factory.mktemp("unleash") / "log"
    command = ["node", str(program / "dist/server.js")]

    def ready() -> bool:
        return real_servers.answers(f"{made.url}/health")

    with made.page, real_servers.running(command, log, ready, 60, env=environment):
        yield made
    postgres.drop(database)


@pytest.fixture
def ready(harness: Harness, unleash: Flags) -> None:
    auth = {"type": "header", "name": "Authorization", "value": "{{ secrets.unleash_token }}"}
    real_servers.know_secrets(harness, {"unleash_token": TOKEN})
    real_servers.approve(harness, {"unleash": {"url": unleash.url, "auth": auth}}, "unleash-toggle-off")


def turn_off(harness: Harness, flag: str) -> tuple[str, ExecutionStatus]:
    return real_servers.run(harness, "unleash-toggle-off", flag=flag, environment="development")


@pytest.mark.usefixtures("ready")
def test_a_flag_is_turned_off_and_one_that_is_off_is_left_alone(
    harness: Harness, unleash: Flags, database_kind: str
) -> None:
    flag = f"new-checkout-{database_kind}"
    unleash.create(flag)
    execution, status = turn_off(harness, flag)
    assert status is ExecutionStatus.SUCCESS, real_servers.troubles(harness, execution)
    assert not unleash.is_on(flag)
    execution, status = turn_off(harness, flag)
    assert status is ExecutionStatus.FAILED
    assert "is off in development already" in harness.step(execution, "is-on").error["message"]


@pytest.mark.usefixtures("ready")
def test_a_flag_that_there_is_not_is_not_offered(harness: Harness, unleash: Flags, database_kind: str) -> None:
    flag = f"old-checkout-{database_kind}"
    unleash.create(flag)
    with pytest.raises(InvalidParameters) as refused:
        turn_off(harness, f"{flag}s")
    assert f"did you mean `{flag}`?" in refused.value.fields["flag"]
    assert unleash.is_on(flag)


@pytest.mark.usefixtures("ready")
def test_a_flag_that_goes_while_somebody_thinks_is_told_of(
    harness: Harness, unleash: Flags, database_kind: str
) -> None:
    """What was offered lately is good for a while, and the flag is looked up all the same."""
    flag = f"short-lived-{database_kind}"
    unleash.create(flag)
    assert turn_off(harness, flag)[1] is ExecutionStatus.SUCCESS
    for place in (FLAGS, "/api/admin/archive"):
        unleash.page.delete(f"{place}/{flag}").raise_for_status()
    execution, status = turn_off(harness, flag)
    assert status is ExecutionStatus.FAILED
    assert "404" in str(harness.step(execution, "before").error)
