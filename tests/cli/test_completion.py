"""Completion in real shells: what is offered when Tab is pressed at the end of a line."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bot.cli import completion, host_commands
from bot.grammar import VERBS

SHELLS = {
    "bash": 'source "$1"; compopt() { :; }; COMP_LINE="$2"; COMP_POINT=${#2}; _python_argcomplete runbook; '
    'printf "%s\\n" "${COMPREPLY[@]}"',
    "zsh": 'compdef() { :; }; _describe() { print -l -- ${${(P)2}%%:*}; }; source "$1"; BUFFER="$2"; CURSOR=${#2}; '
    "words=(runbook); _python_argcomplete",
    "fish": "source $argv[1]; complete -C $argv[2]",
}
"""How each is asked, without a terminal."""
PROGRAM = """#!{python}
from contextlib import contextmanager
from bot.cli import completion, connect

class Api:
    def get(self, path, **query):
        if path == "secrets":
            return [{{"name": "lb_token"}}, {{"name": "deploy_key"}}]
        if path == "runbooks/restart-api/parameters/service/options":
            return {{"options": [{{"value": "web" if query["search"] == "w" else "api"}}, {{"value": 7}}]}}
        known = dict.fromkeys(("service", "grace"), {{}}) if path == "runbooks/restart-api" else {{}}
        return {{"parameters": {{"properties": known}}}}

    def all_of(self, path, **query):
        ids = ["restart-api", "purge"] if path == "runbooks" else ["R-7K2M9Q"] if query.get("open") else []
        return [{{"id": each}} for each in ids]

@contextmanager
def connected(options):
    if options.url:
        raise connect.Unreachable(options.url)
    yield Api()

completion.answer(connected)
"""
"""A `runbook` whose server has two runbooks and one open run."""


def completed(tmp_path: Path, shell: str, line: str) -> set[str]:
    """What this shell offers. Skips where it is not on this machine."""
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"there is no {shell} on this machine")
    program = tmp_path / "runbook"
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(0o755)
    script = tmp_path / "script"
    script.write_text(completion.script(shell))
    plain = {"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]
    named = [] if shell == "fish" else [shell]
    done = subprocess.run(
        [found, *plain, "-c", SHELLS[shell], *named, str(script), line], cwd=tmp_path,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "HOME": str(tmp_path)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    return {offer.partition("\t")[0].replace("\\", "") for offer in done.stdout.splitlines()} - {""}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("runbook sta", {"start", "status"}),
        ("runbook doc", {"doctor"}),
        ("runbook run ", {"restart-api", "purge", "reason="}),
        ("runbook run re", {"restart-api", "reason="}),
        ("runbook start pu", {"purge"}),
        ("runbook run restart-api ", {"service=", "grace=", "reason="}),
        ("runbook execute restart-api service=api gr", {"grace="}),
        ("runbook run restart-api@2 gr", {"grace="}),
        ("runbook run purge s", set()),
        ("runbook pause ", {"R-7K2M9Q", "reason="}),
        ("runbook cancel R-7K2M9Q f", {"force="}),
        ("runbook admin appr", {"approve"}),
        ("runbook secret set ", {"lb_token", "deploy_key"}),
        ("runbook secret delete lb", {"lb_token"}),
        ("runbook secret delete lb_token ", set()),
        ("runbook admin approve p", {"purge"}),
        ("runbook completion z", {"zsh"}),
        ("runbook help ad", {"admin"}),
        ("runbook run restart-api --no", {"--no-wait"}),
        ("runbook --channel C0INC0001 run --no-wait pu", {"purge"}),
        ("runbook --url ", set()),
        ("runbook nonsense x", set()),
        ("runbook check sc", {"script"}),
        ("runbook check --f", {"--format"}),
        ("runbook check --s", {"--strict", "--secrets-strict"}),
        ("runbook new --f", {"--folder", "--force"}),
        ("runbook rehearse --f", {"--format", "--from"}),
        ("runbook check --format sa", {"sarif"}),
    ],
)
def test_what_fits_is_offered(tmp_path: Path, shell: str, line: str, offered: set[str]) -> None:
    """Verbs, aliases, words of admins, ids that are looked up, keys, files, and our own options."""
    assert completed(tmp_path, shell, line) == offered


@pytest.mark.parametrize("shell", SHELLS)
def test_every_verb_is_offered(tmp_path: Path, shell: str) -> None:
    """People's and operators'."""
    known = {verb.name.partition(" ")[0] for verb in VERBS} | set(host_commands.VERBS)
    assert known <= completed(tmp_path, shell, "runbook ")


@pytest.mark.parametrize("shell", SHELLS)
def test_nothing_is_looked_up_where_nobody_answers(tmp_path: Path, shell: str) -> None:
    """What needs no server is offered all the same, and nobody complains."""
    assert completed(tmp_path, shell, "runbook --url http://away show ") == set()
    assert completed(tmp_path, shell, "runbook --url http://away pause ") == {"reason="}


def test_the_program_itself_answers(tmp_path: Path) -> None:
    """As it is installed, without a token, without anything beside it."""
    asked = "exec 8>&1; _ARGCOMPLETE=1 COMP_LINE='runbook pause ' COMP_POINT=14 exec \"$0\" -m bot.cli"
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(
        ["sh", "-c", asked, sys.executable], cwd=tmp_path, env=environ, capture_output=True, text=True, check=True
    )
    assert (done.stdout.strip(), done.stderr) == ("reason=", "")


def test_the_choices_of_a_parameter_are_asked_for() -> None:
    """Behind `name=` what its system offers for what was typed so far, and nothing is asked for before."""
    asked: list[tuple[str, str]] = []

    def look_up(what: str, which: str) -> list[str]:
        asked.append((what, which))
        return ["web", "api"]

    offers = completion.offered(["run", "restart-api", "grace=3"], "service=w", look_up)
    assert list(offers) == ["service=web", "service=api"]
    assert asked == [("options", "restart-api service=w")]


def test_choices_are_offered_in_a_shell(tmp_path: Path) -> None:
    """As the shell cuts words at `=`, what it offers is the value alone."""
    assert completed(tmp_path, "bash", "runbook run restart-api service=w") <= {"web", "service=web"} != set()
