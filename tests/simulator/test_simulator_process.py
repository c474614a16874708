"""The workspace as a process, and the wall between it and the bot."""

from __future__ import annotations

import ast
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
from practice import CHANNEL, Hands

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-P", "-m", "bot.simulator"]


def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_it_says_where_it_is_and_stops_when_told() -> None:
    """The process prints its address, answers there, and ends cleanly within two seconds of SIGTERM."""
    process = start("--port", "0", "--target-port", "0", PRACTICE_COMMAND="/rb")
    try:
        assert process.stdout
        address = process.stdout.readline().removeprefix("practice workspace: ").strip()
        assert process.stdout.readline().startswith("practice target: http://127.0.0.1:")
        assert httpx.get(f"{address}/control/people", trust_env=False).json()["command"] == "/rb"
        with httpx.stream("GET", f"{address}/control/stream", trust_env=False) as stream:
            assert next(stream.iter_lines()) == ": the workspace is here"
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
            assert time.monotonic() - began < 3
        assert process.stderr
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.communicate()


def test_a_taken_port_is_one_sentence() -> None:
    """A port in use ends the process with status 2 and a sentence instead of a traceback."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = start("--port", str(port))
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 2
    assert errors == f"Port {port} on 127.0.0.1 cannot be used (address already in use); choose another one.\n"


def test_it_imports_nothing_of_the_bot() -> None:
    """The workspace knows Slack and itself: no storage, no engine, no other part of the bot, no Slack SDK."""
    allowed = {"starlette", "uvicorn", "websockets", "httpx", *sys.stdlib_module_names}
    files = list((ROOT / "bot" / "simulator").rglob("*.py"))
    assert len(files) > 20
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert name.startswith("bot.simulator") or name.split(".")[0] in allowed, f"{file}: {name}"


def test_the_page_loads_nothing_from_elsewhere() -> None:
    """No file of the page names another host."""
    page = ROOT / "bot" / "simulator" / "page"
    for file in page.iterdir():
        text = file.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text, file
        assert "https://" not in text, file


def test_other_sites_cannot_use_the_workspace(workspace: Hands) -> None:
    """A foreign host name and a form from another site are refused."""
    assert workspace.http.get("people", headers={"Host": "evil.example"}).status_code == 400
    sent = workspace.http.post("say", content='{"user": "U0ALICE01"}', headers={"Content-Type": "text/plain"})
    assert sent.status_code == 415
    assert workspace.get("messages", channel=CHANNEL) == []


def test_a_permalink_leads_to_the_page(workspace: Hands) -> None:
    """A message's permalink opens the page at that message."""
    client = workspace.client()
    ts = client.chat_postMessage(channel=CHANNEL, text="x")["ts"]
    link = client.chat_getPermalink(channel=CHANNEL, message_ts=ts)["permalink"]
    answer = httpx.get(link, trust_env=False)
    assert answer.headers["location"] == f"/?channel={CHANNEL}&message={ts}"
