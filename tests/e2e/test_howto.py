"""The commands of the how-to page, typed as they stand there, in the situations that it speaks of."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from deployment import ALICE, CAROL, DAVE, Deployment, wait_for

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "howto.md").read_text(encoding="utf-8")
SLACK = re.compile(r"`/runbook ([^`]+)`")
SHELL = re.compile(r"`(?:\.venv/bin/)?runbook ((?!up)[^`]+)`")
SCRIPT = re.search(r"```sh\n(.*?)```", PAGE, re.DOTALL)[1]
RUN = re.compile(r"R-[0-9A-Z]{6}")

FRAGILE = """
apiVersion: runbook/v1
id: fragile
name: Restart it
team: payments
steps:
  - {id: restart, type: http, timeout: 1s, with: {method: POST, url: "TARGET/hosts/restart/api"}}
"""
BEHIND = """
apiVersion: runbook/v1
id: behind
name: Behind a gate
team: payments
steps:
  - {id: ask, type: approval, with: {approvers: {roles: [platform_admin]}, message: "Sure?"}}
  - {id: hear, type: wait, with: {key: never}}
  - {id: act, type: http, with: {method: POST, url: "TARGET/hosts/restart/api"}}
"""
SCRIPTED = BEHIND.replace("id: behind", "id: restart-checkout").replace(
    "steps:", "parameters: {type: object, properties: {service: {type: string}}}\nsteps:"
)


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with Deployment(tmp_path_factory.mktemp("howto") / "bot") as running:
        running._extra["PUBLIC_URL"] = running.base
        for text in (FRAGILE, BEHIND, SCRIPTED):
            slug = re.search(r"^id: (\S+)", text, re.MULTILINE)[1]
            running.runbook(slug, text)
        running.up()
        for slug in ("fragile", "behind", "restart-checkout"):
            running.approve_runbook(slug)
        yield running


def say(running: Deployment, user: str, words: str, answer: str) -> str:
    running.command(user, words)
    return running.said(user, answer)


def started(running: Deployment, slug: str) -> str:
    before = set(RUN.findall("\n".join(running.texts())))
    running.command(CAROL, f'run {slug} force=yes reason="once more"')
    (run,) = wait_for(lambda: set(RUN.findall("\n".join(running.texts()))) - before)
    return str(run)


def card_says(running: Deployment, run: str, words: str) -> None:
    wait_for(lambda: [text for text in running.texts() if run in text and words in text], 30, f"{run}: {words}")


def resolve(running: Deployment, words: str) -> None:
    running.slow("/hosts/restart/api", 5_000)
    run = started(running, "fragile")
    card_says(running, run, "Waiting for a decision")
    say(running, CAROL, words.replace("RUN", run).replace("STEP", "restart"), "restart")
    card_says(running, run, "Succeeded")


def skip(running: Deployment, words: str) -> None:
    """While the gate is open, it shows that the step is left out."""
    run = started(running, "behind")
    card_says(running, run, "Waiting for a decision")
    say(running, CAROL, words.replace("RUN", run).replace("STEP", "act").replace("…", "not needed"), "skipped")
    wait_for(lambda: [text for text in running.texts() if "not needed" in text])


def agree(running: Deployment, words: str) -> None:
    """Once the gate has released the step, one of its approvers agrees."""
    run = started(running, "behind")
    card_says(running, run, "Waiting for a decision")
    say(running, ALICE, f"approve {run}", "approved")
    card_says(running, run, "Waiting for an event")
    say(running, CAROL, f'skip {run} act reason="not needed"', "agree")
    say(running, DAVE, words.replace("RUN", run).replace("STEP", "act"), "agreed")


def incident(running: Deployment, words: str) -> None:
    say(running, CAROL, "incident open Checkout", "Checkout")
    say(running, CAROL, words, "api")


def why(running: Deployment, words: str) -> None:
    run = started(running, "behind")
    card_says(running, run, "Waiting for a decision")
    say(running, CAROL, words.replace("RUN", run), f"behind@1 · {run} · Waiting")


def deprecate(running: Deployment, words: str) -> None:
    """And the way back."""
    filled = words.replace("ID", "fragile").replace("OTHER", "behind").replace("…", "it breaks")
    say(running, ALICE, filled, "no longer runs")
    assert "behind" in say(running, CAROL, "run fragile", "behind")
    assert "`admin rollback ID`" in PAGE
    say(running, ALICE, "admin rollback fragile", "is a draft again")


SITUATIONS: dict[str, Callable[[Deployment, str], None]] = {
    'resolve RUN STEP done note="uptime is 2 minutes"': resolve,
    'skip RUN STEP reason="…"': skip,
    "agree RUN STEP": agree,
    "incident set service=api": incident,
    "why RUN": why,
    'admin deprecate ID@all successor=OTHER reason="…"': deprecate,
}


@pytest.mark.parametrize("words", SITUATIONS)
def test_what_is_typed_in_slack(deployment: Deployment, words: str) -> None:
    """Each is answered as the page says, and Slack would have taken every message."""
    assert set(SLACK.findall(PAGE)) == set(SITUATIONS)
    SITUATIONS[words](deployment, words)
    assert deployment.problems() == []


def shell(running: Deployment, script: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Typed in a terminal on the bot's host, where `runbook` is on the path."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**running.environment(), "HOME": str(running.folder), "PATH": path, **more}
    return subprocess.run(
        ["bash", "-c", script], cwd=running.folder, env=environment, capture_output=True, text=True, timeout=60
    )


def test_what_is_typed_in_a_terminal(deployment: Deployment) -> None:
    """A token, a run from a script that ends as it says while somebody has to approve, and looking at it."""
    assert set(SHELL.findall(PAGE)) == {"token create YOUR-SLACK-ID NAME", "why RUN", "logs RUN STEP", "doctor"}
    made = shell(deployment, f"runbook token create {CAROL} nightly")
    token = re.search(r"rbk_[\w-]+", made.stdout)
    assert token, made.stdout + made.stderr
    kept = deployment.folder / "runbook.token"
    kept.write_text(token[0])
    kept.chmod(0o600)
    script = SCRIPT.replace("/etc/runbook.token", str(kept)).replace("https://runbook.example.com", deployment.base)
    assert "--timeout 15m" in script
    done = shell(deployment, script.replace("--timeout 15m", "--timeout 2s"))
    assert (done.returncode, "still open: somebody has to approve it" in done.stdout) == (0, True), done
    run = RUN.search(done.stdout + done.stderr)[0]
    looked = shell(deployment, f"runbook why {run}", RUNBOOK_TOKEN=token[0])
    assert f"approve {run} ask" in looked.stdout, looked
    looked = shell(deployment, f"runbook logs {run} ask", RUNBOOK_TOKEN=token[0])
    assert (looked.returncode, "ask" in looked.stdout) == (0, True), looked
    assert "database" in shell(deployment, "runbook doctor").stdout
