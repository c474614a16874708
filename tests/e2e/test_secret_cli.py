"""A secret on the command line of a whole deployment: piped or typed unseen, used at once, found nowhere."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest
import redis
from deployment import ALICE, CAROL, Deployment, wait_for
from test_cli import RUNS, Shell, Terminal

from engine import local_redis

PIPED, TYPED = "p1ped-canary-of-the-mine", "t1ped-canary-of-the-mine"
BOOK = """
apiVersion: runbook/v1
id: uses
name: Uses a secret
team: payments
steps:
  - id: call
    type: http
    with: {method: POST, url: "TARGET/hosts/restart/checkout", headers: {X-Key: "{{ secrets.edge_key }}"}}
"""


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    with Deployment(tmp_path_factory.mktemp("secrets") / "bot") as running:
        running.runbook("uses", BOOK)
        running.up()
        wait_for(lambda: "usergroups.list" in running.calls())
        running.approve_runbook("uses")
        host = Shell(running, {}, remote=False)
        words = ("tests", "--scopes", "read,run,admin")
        tokens = {user: host(None, "token", "create", user, *words).stdout.strip() for user in (ALICE, CAROL)}
        yield Shell(running, tokens, remote=True)


def piped(shell: Shell, user: str, value: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*shell.words("secret", "set", "edge_key")], env=shell.environment(user), input=value, capture_output=True,
        text=True, cwd="/", timeout=60,
    )  # fmt: skip


def used(listed: str) -> str:
    """The list, once it says when the secret was used."""
    (line,) = [line for line in listed.splitlines() if line.startswith("edge_key")]
    return listed if "last used" in line else ""


def test_piped_used_and_found_nowhere(shell: Shell) -> None:
    """By the worker that runs already; what is kept in files and in Redis shows nothing of it."""
    folder = shell.deployment.folder
    done = piped(shell, ALICE, f"{PIPED}\n")
    assert (done.returncode, "version 1" in done.stdout) == (0, True), done
    run = RUNS.findall(shell.said(CAROL, "run", "uses", "--wait"))[0]
    assert "SUCCESS" in shell.said(CAROL, "status", run, "--json")
    assert "‹secret edge_key›" in shell.said(CAROL, "logs", run)
    listed = wait_for(lambda: used(shell.said(ALICE, "secret", "list")), 20)
    assert "edge_key  from store" in listed
    assert "read by uses, which team payments may run" in listed
    texts = [done.stdout + done.stderr, listed, shell.said(CAROL, "logs", run), *map(str, shell.deployment.messages())]
    texts += [path.read_bytes().decode("latin-1") for path in folder.rglob("*") if path.is_file()]
    with redis.Redis.from_url(str(local_redis.find_url(folder / "var"))) as kept:
        texts += [str(kept.dump(key)) for key in kept.scan_iter()]
    assert not [text for text in texts if PIPED in text]


def test_at_a_terminal_nothing_is_echoed(shell: Shell) -> None:
    """It is asked for; what is typed does not appear."""
    terminal = Terminal(shell, ALICE, "secret", "set", "edge_key")
    terminal.shows("it is not shown")
    os.write(terminal.fd, f"{TYPED}\n".encode())
    terminal.shows("is set: version")
    assert terminal.ended() == 0
    assert TYPED not in terminal.screen
    assert "edge_key" in shell.said(ALICE, "secret", "list")


def test_who_may_not_is_refused(shell: Shell) -> None:
    """Whatever is piped in; and a value that is typed is refused before anybody is asked."""
    done = piped(shell, CAROL, PIPED)
    assert (done.returncode, "Only a platform admin may set secrets" in done.stderr) == (3, True), done
    assert PIPED not in done.stdout + done.stderr
    assert PIPED not in shell.said(ALICE, "secret", "set", "edge_key", PIPED, code=2)
    assert "secrets were put under the key default" in shell.said(ALICE, "secret", "rotate-keys")
