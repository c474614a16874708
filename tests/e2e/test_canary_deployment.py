"""Canaries of every source go through every place of a whole deployment, and are found nowhere but in the target."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import yaml
from canary_search import command_lines, in_api, in_pages, in_redis, monitored, on_disk, spellings
from deployment import ALICE, CAROL, CHANNEL, Deployment, wait_for
from echo_server import WAYS, Echo, echo_server
from test_cli import Shell
from test_secret_cli import piped

CANARIES = {
    "env": 'c4nary"of/the+environment-1',
    "file": 'c4nary"in/some+file-2',
    "store": 'c4nary"from/our+store-3',
    "received": 'c4nary"that/has+come-4',
}
WORD = 'w0rd"for/every+body-5'
"""No secret: whatever shows this would show a canary that is not masked."""
REFS = {
    "env": "secrets.env_key",
    "file": "secrets.file_key",
    "store": "secrets.edge_key",
    "received": "steps.make.outputs.key",
    "word": "params.word",
}
PLACES = ("header", "basic", "bearer", "query", "json", "form", "multipart")


def placed(place: str, text: str) -> dict[str, Any]:
    """The part of a step's `with` that holds the text in this place."""
    return {
        "header": {"headers": {"X-Key": text}},
        "basic": {"auth": {"type": "basic", "username": "bot", "password": text}},
        "bearer": {"auth": {"type": "bearer", "token": text}},
        "query": {"query": {"key": text}},
        "json": {"json": {"key": text, "in": f"<{text}>"}},
        "form": {"form": {"key": [text]}},
        "multipart": {"multipart": [{"name": "key", "text": text}]},
    }[place]


def steps(target: str) -> Iterator[dict[str, Any]]:
    yield {
        "id": "make",
        "type": "http",
        "with": {"method": "POST", "url": f"{target}/make"},
        "outputs": {"key": {"value": "{{ response.json.key }}", "secret": True}},
    }
    for source, ref in REFS.items():
        for place in PLACES:
            url = f"{target}/{{{{ params.way }}}}/{source}-{place}"
            with_ = {"method": "POST", "url": url, **placed(place, f"{{{{ {ref} }}}}")}
            yield {"id": f"{source}-{place}", "type": "http", "needs": ["make"], "with": with_}
    texts = [f"{source}: {{{{ steps['{source}-json'].outputs }}}}" for source in REFS]
    needs = [f"{source}-{place}" for source in REFS for place in PLACES]
    yield {"id": "says", "type": "message", "needs": needs, "with": {"text": "\n".join(texts)}}
    gate = {"approvers": {"roles": ["platform_admin"]}, "message": "{{ steps['env-json'].outputs }}"}
    yield {"id": "sign-off", "type": "approval", "needs": ["says"], "with": gate, "timeout": "15m"}


def book(target: str) -> str:
    parameters = {
        "type": "object",
        "required": ["way", "word"],
        "properties": {"way": {"type": "string", "enum": list(WAYS)}, "word": {"type": "string"}},
    }
    head = {"apiVersion": "runbook/v1", "id": "canary", "name": "Canary", "team": "payments"}
    return yaml.safe_dump({**head, "max_concurrent_steps": 20, "parameters": parameters, "steps": list(steps(target))})


@pytest.fixture
def echo() -> Iterator[Echo]:
    with echo_server(CANARIES["received"]) as server:
        yield server


@pytest.fixture
def shell(tmp_path: Path, echo: Echo) -> Iterator[Shell]:
    """A deployment that has a secret of each source, and tokens for an admin and a member."""
    folder = tmp_path / "bot"
    with Deployment(folder) as running:
        (folder / "secrets.d").mkdir()
        (folder / "secrets.d" / "file_key").write_text(CANARIES["file"])
        (folder / ".env").write_text(f"RUNBOOK_SECRET_ENV_KEY='{CANARIES['env']}'\n")
        (folder / ".env").chmod(0o600)
        running._extra |= {"SECRETS_DIR": str(folder / "secrets.d"), "PUBLIC_URL": running.base}
        running._extra |= {"EGRESS_ALLOW": echo.host, "API_RATE_LIMIT": "60000"}
        running.runbook("canary", book(f"http://{echo.host}"))
        running.up()
        host = Shell(running, {}, remote=False)
        words = ("tests", "--scopes", "read,run,approve,admin")
        tokens = {user: host(None, "token", "create", user, *words).stdout.strip() for user in (ALICE, CAROL)}
        yield Shell(running, tokens, remote=True)


def asking(shell: Shell, user: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {shell.tokens[user]}"}
    return httpx.Client(base_url=f"{shell.deployment.base}/api/v1", headers=headers, trust_env=False, timeout=30)


def begun(carol: httpx.Client, way: str) -> str:
    params = {"way": way, "word": WORD}
    asked = {"parameters": params, "force": True, "reason": "each way", "incident": {"channel": CHANNEL}}
    answer = carol.post("/runbooks/canary/execute", json=asked)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["execution"]["id"])


def status(asks: httpx.Client, run: str, wanted: str) -> bool:
    found = asks.get(f"/executions/{run}").json()["status"]
    assert found not in {"FAILED", "CANCELLED"}, asks.get(f"/executions/{run}/steps").text
    return bool(found == wanted)


def kept(deployment: Deployment, printed: list[bytes]) -> dict[str, bytes]:
    """What is there whether or not anybody asks for it."""
    shown = {**dict(on_disk(deployment.folder)), **dict(in_redis(deployment)), **dict(command_lines(deployment))}
    return {**shown, "monitor": b"\n".join(printed), "slack": deployment.calls().encode()}


def found(value: str, shown: dict[str, bytes]) -> set[str]:
    return {name for name, text in shown.items() if any(each in text for each in spellings(value))}


def assert_hidden(shown: dict[str, bytes]) -> None:
    leaks = [
        (source, name, each, text[max(0, text.find(each) - 300) : text.find(each) + 100])
        for source, value in CANARIES.items()
        for each in spellings(value)
        for name, text in shown.items()
        if each in text
    ]
    assert not leaks, leaks


@pytest.mark.slow
def test_a_canary_of_each_source_is_found_nowhere_in_a_deployment(shell: Shell, echo: Echo) -> None:
    """While the runs hold the secret that they received, and once they have ended."""
    deployment = shell.deployment
    with asking(shell, ALICE) as alice, asking(shell, CAROL) as carol, monitored(deployment) as printed:
        done = piped(shell, ALICE, f"{CANARIES['store']}\n")
        assert done.returncode == 0, done
        assert alice.post("/runbooks/canary/approve", json={"version": 1}).status_code == 200
        runs = [begun(carol, way) for way in WAYS]
        for run in runs:
            wait_for(lambda run=run: status(carol, run, "WAITING"), 60, f"the gate of {run}")
        shown = {**kept(deployment, printed), "secret set": (done.stdout + done.stderr).encode()}
        assert_hidden(shown)
        for run in runs:
            assert alice.post(f"/executions/{run}/steps/sign-off/approve", json={}).status_code == 200
            wait_for(lambda run=run: status(carol, run, "SUCCESS"), 30, f"the end of {run}")
            assert_hidden(dict(in_api(alice, run)))
        shown = {**dict(in_api(alice, runs[0])), **dict(in_pages(deployment)), **kept(deployment, printed)}
    assert_hidden(shown)
    assert_searched(shown, runs)
    assert_sent(echo)


def assert_searched(shown: dict[str, bytes], runs: list[str]) -> None:
    """The word is found wherever a canary would be, and where no values go the search has read what is there."""
    seen = found(WORD, shown)
    run = f"/executions/{runs[0]}"
    assert seen & {"var/runbook.db", "var/runbook.db-wal"}
    assert {f"api {run}{each}" for each in ("", "/logs", "/evidence", "/evidence?format=html")} <= seen
    assert {f"api {run}/steps/word-{place}" for place in ("header", "query", "json", "form", "multipart")} <= seen
    assert {"page of a run", "slack"} <= seen
    assert all(run.encode() in shown["monitor"] for run in runs)
    assert any(name.startswith("redis ") for name in shown)
    assert sum(b"bot.cli" in text for name, text in shown.items() if name.startswith("command line")) >= 1


def assert_sent(echo: Echo) -> None:
    """Each value came to the target in each place, in every way of answering."""
    missing = [
        (source, way, place)
        for source, value in {**CANARIES, "word": WORD}.items()
        for way in WAYS
        for place in PLACES
        if not any(each in came for came in sent_to(echo, f" /{way}/{source}-{place}") for each in as_sent(value))
    ]
    assert missing == []


def sent_to(echo: Echo, path: str) -> list[bytes]:
    return [each for each in echo.requests if each.startswith((f"POST{path} ".encode(), f"POST{path}?".encode()))]


def as_sent(value: str) -> list[bytes]:
    # The last group may hold bits of what a new key has behind this.
    basic = base64.b64encode(f"bot:{value}".encode()).rstrip(b"=")[:-1]
    return [value.encode(), basic, quote(value, safe="").encode(), json.dumps(value)[1:-1].encode()]
