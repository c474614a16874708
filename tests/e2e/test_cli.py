"""The command line as people use it: real processes in a real terminal, here and against a server."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import datetime
from fcntl import ioctl
from pathlib import Path
from unittest import mock

import pytest
from deployment import ALICE, CAROL, DAVE, OSCAR, Deployment, wait_for
from test_incident import RESTART

from bot.cli import main
from engine.catalog import catalog
from storage import database

RUNBOOK = str(Path(sys.executable).parent / "runbook")
RUNS = re.compile(r"R-\w{6}")
SCOPES = {ALICE: "read,run,approve,admin", DAVE: "read,run,approve", CAROL: "read,run", OSCAR: "read,run"}


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


class Shell:
    """Somebody's shell: `runbook` with their token, on the bot's host, or elsewhere with a server's address."""

    def __init__(self, deployment: Deployment, tokens: dict[str, str], *, remote: bool) -> None:
        self.deployment, self.tokens, self.remote = deployment, tokens, remote

    def environment(self, user: str | None) -> dict[str, str]:
        home = {"HOME": str(self.deployment.folder), "COLUMNS": "100", "LINES": "40"}
        token = {"RUNBOOK_TOKEN": self.tokens[user]} if user else {}
        if self.remote:
            return {"PATH": os.environ["PATH"], **home, **token}
        return {**self.deployment.environment(), **home, **token}

    def words(self, *words: str) -> list[str]:
        return [RUNBOOK, *words, *(["--url", self.deployment.base] if self.remote else [])]

    def __call__(self, user: str | None, *words: str) -> Done:
        """What a process of its own would do, without the time that an interpreter takes to start."""
        home = Path.cwd()
        out, err = io.StringIO(), io.StringIO()
        environment = mock.patch.dict(os.environ, self.environment(user), clear=True)
        logging_ = mock.patch("engine.text.logs.install_logging")
        os.chdir("/" if self.remote else self.deployment.folder)
        try:
            with environment, logging_, redirect_stdout(out), redirect_stderr(err):
                code = main(self.words(*words)[1:])
        finally:
            os.chdir(home)
            database.close_database()
            catalog.forget_definitions()
        return Done(code, out.getvalue(), err.getvalue())

    def said(self, user: str | None, *words: str, code: int = 0) -> str:
        """What it prints, once it has ended with this exit code."""
        done = self(user, *words)
        assert done.returncode == code, done
        return done.stdout + done.stderr

    def json(self, user: str, *words: str) -> object:
        return json.loads(self.said(user, *words, "--json"))


class Terminal:
    """`runbook` in a pseudo-terminal; `screen` is what it wrote so far."""

    def __init__(self, shell: Shell, user: str, *words: str) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(shell.deployment.folder)
            os.execve(RUNBOOK, shell.words(*words), {**shell.environment(user), "TERM": "xterm"})
        ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        self.screen = ""

    def read(self) -> str:
        while select.select([self.fd], [], [], 0.05)[0]:
            try:
                self.screen += os.read(self.fd, 65536).decode("utf-8", "replace")
            except OSError:  # the other end is closed
                break
        return self.screen

    def shows(self, part: str, seconds: float = 40.0) -> None:
        wait_for(lambda: part in self.read(), seconds, f"{part!r} on the screen, which is {self.screen!r}")

    def ended(self) -> int:
        """The exit code, once it has ended."""

        def look() -> tuple[int, int] | None:
            self.read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            return (pid, status) if pid else None

        _, status = wait_for(look, 40, f"the end of it; the screen is {self.screen!r}")
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with Deployment(tmp_path_factory.mktemp("cli") / "bot") as running:
        running.runbook("restart", RESTART)
        running.up()
        wait_for(lambda: "usergroups.list" in running.calls())
        running.approve_runbook("restart")
        yield running


@pytest.fixture(scope="module")
def tokens(deployment: Deployment) -> dict[str, str]:
    host = Shell(deployment, {}, remote=False)
    made = {user: host(None, "token", "create", user, "tests", "--scopes", scopes) for user, scopes in SCOPES.items()}
    return {user: each.stdout.strip() for user, each in made.items()}


@pytest.fixture(params=["server", pytest.param("here", marks=pytest.mark.slow)])
def shell(request: pytest.FixtureRequest, deployment: Deployment, tokens: dict[str, str]) -> Shell:
    return Shell(deployment, tokens, remote=request.param == "server")


def started(shell: Shell) -> str:
    """The id of a run that nobody follows."""
    told = shell.said(CAROL, "run", "restart", "service=checkout", "--force", "--reason", "errors since 9", "--no-wait")
    return RUNS.findall(told)[0]


def waiting(shell: Shell) -> str:
    """The id of a run that waits at its gate."""
    run = started(shell)
    wait_for(lambda: "waiting for approval" in shell.said(CAROL, "status", run), 30)
    return run


@pytest.mark.parametrize("shell", ["here", "server"], indirect=True)
def test_a_run_from_start_to_end_in_a_terminal(shell: Shell) -> None:
    """The step list is drawn over itself while two people decide in shells of their own; 0 at the end."""
    words = ["run", "restart", "service=checkout", "force=yes", "reason=errors since 9"]
    terminal = Terminal(shell, CAROL, *words)
    terminal.shows("waiting for approval")
    run = RUNS.findall(terminal.screen)[0]
    assert "1 more needed" in shell.said(ALICE, "approve", run)
    terminal.shows("1 more needed")
    assert "approved" in shell.said(DAVE, "approve", run, "--comment", "fine by me")
    terminal.shows("succeeded")
    assert terminal.ended() == 0
    assert "\x1b[J" in terminal.screen
    last = terminal.screen.rpartition("\x1b[J")[2]
    assert last.count("✓") == 6
    assert "took" in last


def test_a_shell_completes_what_there_is(shell: Shell) -> None:
    """Ids and parameters come from the bot, for somebody with a token; without one nothing is looked up."""
    run = started(shell)

    def completed(user: str | None, line: str) -> set[str]:
        whole = " ".join(["runbook", *shell.words()[1:], line])
        asking = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "COMP_LINE": whole, "COMP_POINT": str(len(whole))}
        done = subprocess.run(
            ["sh", "-c", 'exec 8>&1; exec "$0"', RUNBOOK], cwd="/" if shell.remote else shell.deployment.folder,
            env={**shell.environment(user), **asking}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return {each.strip() for each in done.stdout.splitlines()}

    assert completed(CAROL, "run rest") == {"restart"}
    assert completed(CAROL, "run restart serv") == {"service="}
    assert {run, "reason="} <= completed(CAROL, "cancel ")
    assert completed(None, "cancel r") == {"reason="}
    shell.said(CAROL, "cancel", run)


def test_a_run_from_the_host_begins_at_once(deployment: Deployment, tokens: dict[str, str]) -> None:
    """The command line finds the Redis that `runbook up` brought along; a sweep would come after 2 s or later."""
    here = Shell(deployment, tokens, remote=False)
    run = started(here)

    def begun() -> dict[str, str] | None:
        found = here.json(CAROL, "status", run)
        assert isinstance(found, dict)
        return {"created": found["created_at"], "began": found["started_at"]} if found["started_at"] else None

    times = wait_for(begun, 20)
    waited = datetime.fromisoformat(times["began"]) - datetime.fromisoformat(times["created"])
    assert waited.total_seconds() < 1.8


def test_a_vote_in_a_terminal_is_for_what_was_shown(shell: Shell) -> None:
    """It is asked for after the gate was shown; what has changed meanwhile is refused. Scripts are asked nothing."""
    run = waiting(shell)
    terminal = Terminal(shell, ALICE, "approve", run)
    terminal.shows("Approve this? [y/N]")
    assert "What happens next:" in terminal.screen
    assert "digest sha256:" in terminal.screen
    os.write(terminal.fd, b"\n")
    terminal.shows("Nothing was decided.")
    assert terminal.ended() == 0
    terminal = Terminal(shell, ALICE, "approve", run)
    terminal.shows("Approve this? [y/N]")
    assert "is skipped when its turn comes" in shell.said(CAROL, "skip", run, "restart", "reason=no need")
    os.write(terminal.fd, b"y\n")
    terminal.shows("is not what you were shown")
    assert terminal.ended() == 3
    assert "restart is not done, or not again: skipped by carol: no need" in shell.said(CAROL, "status", run)
    terminal = Terminal(shell, ALICE, "approve", run)
    terminal.shows("Approve this? [y/N]")
    os.write(terminal.fd, b"y\n")
    terminal.shows("1 more needed")
    assert terminal.ended() == 0
    shell.said(CAROL, "cancel", run, "reason=the test is over")


def test_ctrl_c_leaves_the_run_alone(shell: Shell) -> None:
    """It says how to go on; the run does."""
    run = waiting(shell)
    terminal = Terminal(shell, CAROL, "status", run, "--wait")
    terminal.shows("waiting for approval")
    os.kill(terminal.pid, signal.SIGINT)
    terminal.shows(f"{run} goes on without you")
    terminal.shows(f"runbook cancel {run}")
    assert terminal.ended() == 130
    assert "waiting" in shell.said(CAROL, "status", run)
    assert "cancelled" in shell.said(CAROL, "cancel", run, "reason=the test is over", "--wait", code=1)


def test_exit_codes_that_scripts_can_use(shell: Shell) -> None:
    """2 for what does not fit, 3 for what is refused, 4 for what is still open, 1 for what failed."""
    run = waiting(shell)
    assert "is still open: waiting" in shell.said(CAROL, "status", run, "--wait", "--timeout", "1s", code=4)
    assert "service: must be one of" in shell.said(CAROL, "run", "restart", "service=nope", "reason=x", code=2)
    assert "Did you mean “approve”" in shell.said(CAROL, "aprove", code=2)
    assert "usage: runbook skip" in shell.said(CAROL, "skip", run, code=2)
    assert "There is no run" in shell.said(CAROL, "pause", "R-NOSUCH", code=3)
    assert "scope" in shell.said(CAROL, "approve", run, code=3)
    assert "rejected" in shell.said(ALICE, "reject", run, "comment=traffic peak")
    wait_for(lambda: "failed" in shell.said(CAROL, "status", run), 20)
    assert shell(CAROL, "status", run, "--wait").returncode == 1


def test_who_has_no_role_is_refused_as_in_slack(shell: Shell) -> None:
    """A token never allows more than its person may; what only a team may see is not there for others."""
    assert "no runbook" in shell.said(OSCAR, "run", "restart", "service=checkout", "reason=x", code=3)
    assert shell.json(OSCAR, "list") == []
    nobody = Shell(shell.deployment, {OSCAR: "rbk_made-up"}, remote=shell.remote)
    assert "not known here" in nobody.said(OSCAR, "list", code=3)
    assert "Who are you?" in shell.said(None, "list", code=2)


def test_programs_get_json(shell: Shell) -> None:
    """The same shapes as REST, refusals too; what follows a run says it when that has ended."""
    run = waiting(shell)
    found = shell.json(CAROL, "status", run)
    assert isinstance(found, dict)
    assert found["trigger"] == ("api" if shell.remote else "cli")
    assert (found["id"], found["status"], found["gates"][0]["missing"]) == (run, "WAITING", 2)
    refusal = shell(CAROL, "resume", run, "--json")
    assert refusal.returncode == 3
    assert json.loads(refusal.stdout)["code"] == "conflict"
    done = shell(CAROL, "cancel", run, "--wait", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["status"] == "CANCELLED"
    assert [each["id"] for each in shell.json(CAROL, "list", "restart")] == ["restart"]
    assert [each["id"] for each in shell.json(CAROL, "list", "restart", "status=approved")] == ["restart"]
    assert shell.json(CAROL, "list", "restart", "team=nobodys") == []
    assert "status" in shell.said(CAROL, "list", "status=odd", code=2)


def test_lines_where_there_is_no_terminal(shell: Shell) -> None:
    """One a thing that happened, and nothing that moves a cursor."""
    run = waiting(shell)
    follower = subprocess.Popen(
        shell.words("status", run, "--wait"), cwd=shell.deployment.folder, env=shell.environment(CAROL),
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    shell.said(ALICE, "approve", run)
    shell.said(DAVE, "approve", run)
    told, _ = follower.communicate(timeout=60)
    assert follower.returncode == 0
    lines = told.splitlines()
    assert all(re.match(r"\d\d:\d\d:\d\d  ", line) for line in lines), told
    assert lines[0].endswith("started this run: errors since 9")
    assert lines[-1].endswith("the run ended: SUCCESS")
    assert "\x1b" not in told


def test_what_is_on_record_can_be_read(shell: Shell) -> None:
    """Why it stands still, what was sent, the evidence, and the rule by which one may."""
    run = waiting(shell)
    why = shell.said(CAROL, "why", run)
    assert "sign-off: gate" in why
    assert f"runbook approve {run}" in why
    logs = shell.said(CAROL, "logs", run, "drain")
    assert "/lb/drain/checkout" in logs
    assert "‹masked›" in logs
    evidence = shell.json(CAROL, "evidence", run)
    assert isinstance(evidence, dict)
    assert evidence["run"]["id"] == run
    assert "may run restart" in shell.said(CAROL, "can", "run", "restart")
    assert "may not run restart" in shell.said(CAROL, "can", f"@{OSCAR}", "run", "restart")
    shell.said(CAROL, "cancel", run)


def test_an_incident_in_a_channel(shell: Shell) -> None:
    """`--channel` is what “here” is."""
    here = ["--channel", "C0GENERAL"]
    assert "There is no channel here" in shell.said(CAROL, "incident", code=2)
    assert "open, sev2" in shell.said(CAROL, "incident", "open", "Checkout", "is", "down", "severity=sev2", *here)
    assert "service=checkout" in shell.said(CAROL, "incident", "set", "service=checkout", *here)
    assert "Checkout is down" in shell.said(CAROL, "incident", *here)
    assert "No runs." in shell.said(CAROL, "catchup", *here)
    assert "closed" in shell.said(CAROL, "incident", "close", "reason=mended", *here)


def test_what_admins_do(shell: Shell) -> None:
    """Versions, the folder, and the chain of the audit; refused to others."""
    assert "restart@1  approved" in shell.said(ALICE, "admin", "history", "restart")
    assert "1 as before" in shell.said(ALICE, "admin", "sync")
    assert "the chain is whole" in shell.said(ALICE, "admin", "verify")
    assert "restart@1 is approved" in shell.said(ALICE, "admin", "approve", "restart")
    assert "scope" in shell.said(CAROL, "admin", "sync", code=3)


def test_a_token_file_must_be_ones_own(deployment: Deployment, tokens: dict[str, str], tmp_path: Path) -> None:
    """Readable by others it is not used; nothing ever shows what is in it."""
    shell = Shell(deployment, tokens, remote=True)
    path = tmp_path / "token"
    path.write_text(tokens[CAROL])
    path.chmod(0o644)
    told = shell.said(None, "list", "--token-file", str(path), code=2)
    assert f"chmod 600 {path}" in told
    assert tokens[CAROL] not in told
    path.chmod(0o600)
    assert "restart" in shell.said(None, "list", "--token-file", str(path))


def test_a_server_that_is_none(deployment: Deployment, tokens: dict[str, str]) -> None:
    """Nobody there, no address at all, or somebody else's pages: each is said."""
    shell = Shell(deployment, tokens, remote=False)
    assert "does not answer" in shell.said(CAROL, "list", "--url", "http://127.0.0.1:9", code=1)
    assert "takes an address" in shell.said(CAROL, "list", "--url", "bot.example", code=2)
    assert "not as this API does" in shell.said(CAROL, "list", "--url", deployment.slack.url, code=1)


def test_the_doctor_of_a_running_deployment(deployment: Deployment) -> None:
    """One line a thing; exit code 0 while nothing is bad, and JSON for programs."""
    host = Shell(deployment, {}, remote=False)
    told = host.said(None, "doctor")
    for thing in ("database", "schema", "redis", "slack", "scopes", "clock", "worker", "queue", "runs"):
        assert re.search(rf"^ok    {thing}: ", told, re.MULTILINE), thing
    assert "xoxb-" not in told
    found = json.loads(host.said(None, "doctor", "--json"))
    assert {each["level"] for each in found} <= {"ok", "warn"}


def test_a_stopped_deployment_is_bad(tmp_path: Path, deployment: Deployment) -> None:
    """In an empty folder there is no database: 1, with what to do."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run([RUNBOOK, "doctor"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert "BAD   database" in done.stdout
    assert "runbook migrate" in done.stdout
    assert list(tmp_path.iterdir()) == []
