"""One secret through every path at once: no way out shows it, nor what was made of it."""

from __future__ import annotations

import base64
import io
import json
import logging
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
from harness import ALICE, CAROL, OSCAR, Harness, Target, gate, http, poll
from kv_server import ROOT, KvServer
from local_server import answer

from bot.event_text import told
from bot.record_text import log_text
from engine.access import secrets as stored
from engine.config.vault import VaultSource
from engine.queries import evidence
from engine.steps import http as http_step
from engine.text import logs
from storage import database
from storage.columns import dicts
from storage.tables import ALL

SECRET = "c4nary-b1rd-of-the-m1ne"
ONCE = {"max_attempts": 1}
JSON = "Content-Type: application/json"
HIDDEN = tuple(SECRET[at : at + 6] for at in range(len(SECRET) - 5))
AUTH = {"type": "bearer", "token": "{{ secrets.canary }}"}


@pytest.fixture
def logged(harness: Harness) -> Iterator[io.StringIO]:
    """What the process's log would show, with every level of it."""
    stream = io.StringIO()
    handler = logs.RedactingHandler(harness.tools.redactor)
    handler.setStream(stream)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


def echoes() -> Iterator[bytes]:
    """What hostile and helpless servers send back."""
    nested = json.dumps({"body": json.dumps({"token": SECRET.upper(), "raw": SECRET})})
    yield SECRET.encode()
    yield nested.encode()
    yield quote(quote(SECRET, safe="")).replace("-", "%252D").encode()
    yield base64.encodebytes(b"x" * 50 + f"user:{SECRET}".encode()).replace(b"\n", b"\r\n")
    yield base64.b64encode(base64.b64encode(SECRET.encode())).rstrip(b"=")
    yield f"<pre>{json.dumps(json.dumps(SECRET))}</pre>".replace('"', "&quot;").encode()
    yield SECRET.encode().hex().upper().encode()
    yield b" " * 290 + SECRET.encode() + b" " * 5000 + SECRET.encode()


def test_a_canary_is_seen_nowhere(
    harness: Harness, target: Target, logged: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Success, failure, redirect, a poll, a fault of ours, a template error, a gate, a message and a log line."""
    steps = []
    for number, echo in enumerate(echoes()):
        for status in ("200 OK", "500 Oops", "302 Found"):
            path = f"/{number}/{status[:3]}"
            target.does[path] = [
                answer(
                    echo, status, f"Location: /x?t={SECRET}", f"X-Echo: {'y' * 2040}{SECRET}", f"X-Up: {SECRET.upper()}"
                )
            ]
            made = {"made": "{{ secrets.canary | upper }}", "cut": "{{ secrets.canary[3:] }}"}
            keys = {"json": made, "retry": ONCE, "continue_on_error": True, "needs": [], "method": "POST"}
            keys["query"] = {"k": "{{ secrets.canary | replace('-', '_') }}"}
            steps.append(http(f"s{number}-{status[:3]}", target.url(path), **keys))
    target.does["/poll"] = [answer(json.dumps({"t": SECRET}).encode(), "200 OK", JSON)]
    steps += [
        poll("asks", target.url("/poll"), "response.json.t != ''", needs=[]),
        {"id": "says", "type": "message", "needs": ["asks"], "with": {"text": "{{ steps.asks.outputs.json.t }}!"}},
        http("lost", "http://127.0.0.1:1/", needs=[], auth=AUTH, retry=ONCE, continue_on_error=True),
        http(
            "wrong",
            target.url(),
            needs=[],
            headers={"X-A": "{{ {'a': 1}[secrets.canary | upper] }}"},
            continue_on_error=True,
        ),
        http(
            "ours",
            target.url("/ours"),
            needs=[],
            method="PUT",
            json="{{ secrets.canary | upper }}",
            continue_on_error=True,
            retry=ONCE,
        ),
        gate("ask", needs=["says"], message="May I use {{ steps.asks.outputs.json.t }}?"),
        http("behind", target.url("/z"), needs=["ask"], headers={"X-B": "{{ secrets.canary | upper }}"}),
    ]
    run_it = http_step.run

    def sometimes_broken(with_: dict[str, object], *rest: object) -> object:
        if str(with_["url"]).endswith("/ours"):
            raise RuntimeError(f"cannot send {with_!r}")
        return run_it(with_, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(http_step, "run", sometimes_broken)
    run = harness.begin(*steps, max_concurrent_steps=40)
    harness.run(run)
    assert harness.status(run) == "WAITING"
    found = {each.path: each.status for each in harness.step_runs(run)}
    assert [found[name] for name in ("asks", "says", "lost", "wrong", "ours", "ask")] == [
        "SUCCESS", "SUCCESS", "FAILED", "FAILED", "FAILED", "WAITING",
    ]  # fmt: skip
    assert sum(SECRET.upper().encode() in request for request in target.server.requests) >= 24
    for name, shown in ways_out(harness, run, logged):
        for piece in (*HIDDEN, *(each.upper() for each in HIDDEN), *(each.replace("-", "_") for each in HIDDEN)):
            assert piece not in shown, (name, piece, shown[max(0, shown.find(piece) - 300) : shown.find(piece) + 100])
        assert "‹secret canary" in shown, name


def ways_out(harness: Harness, run: str, logged: io.StringIO) -> Iterator[tuple[str, str]]:
    with database.reading():
        yield "the database", "\n".join(str(row) for table in ALL for row in dicts(table.select()))
    yield "the log", logged.getvalue()
    found = evidence.logs(harness.rt, CAROL, run)
    yield "the log of the run as text", log_text(found)
    yield "its evidence", json.dumps(evidence.bundle(harness.rt, OSCAR, run), ensure_ascii=False)
    yield "what is told of it", "\n".join(told(each.kind, each.path, "", each.data) for each in harness.events(run))


def test_a_secret_with_an_umlaut_comes_back_in_no_header(harness: Harness, target: Target) -> None:
    """It is sent in UTF-8, and what comes back byte for byte is read in Latin-1."""
    value = "p\u00e4ssw\u00f6rt-geheim-42"

    def echo(conn: socket.socket, request: bytes) -> None:
        line = next(each for each in request.split(b"\r\n") if each.lower().startswith(b"x-key: "))
        conn.sendall(b"HTTP/1.1 200 OK\r\nX-Back: " + line[7:] + b"\r\nContent-Length: 2\r\n\r\nok")

    target.does["/a"] = [echo]
    run = harness.begin(http("call", target.url("/a"), headers={"X-Key": "{{ secrets.lb_token }}"}))
    stored.set_value(harness.rt, ALICE, "lb_token", value)
    assert harness.run(run) == "SUCCESS"
    assert value.encode() in target.server.requests[0]
    assert harness.step(run, "call").outputs["headers"]["x-back"] == "‹secret lb_token›"


PLACES = {"store": "st0red-c4nary-of-the-m1ne", "vault": "v4ult-c4nary-of-the-m1ne"}


@pytest.mark.parametrize("place", PLACES)
def test_a_canary_from_elsewhere_is_seen_nowhere(
    harness: Harness, target: Target, logged: io.StringIO, tmp_path: Path, place: str
) -> None:
    """One that people stored, and one of a Vault: sent, echoed, and found in no table, file or log as it is."""
    value, kv = PLACES[place], KvServer()
    harness.sync()
    harness.settle_for(vault_addr=kv.url, vault_token=ROOT)
    harness.rt = replace(harness.rt, sources=(*harness.rt.sources, VaultSource(harness.rt.settings)))
    harness.tools = replace(harness.tools, secrets=harness.rt.secrets(harness.tools.redactor))
    harness.runner = harness.worker("w-canary")
    if place == "store":
        stored.set_value(harness.rt, ALICE, "elsewhere", value)
    else:
        kv.values["runbook-bot/elsewhere"] = {"value": value}
    echo = json.dumps({"token": value, "again": base64.b64encode(value.encode()).decode()}).encode()
    target.does["/echo"] = [answer(echo, "200 OK", f"X-Echo: {value}", JSON)]
    auth = {"type": "bearer", "token": "{{ secrets.elsewhere }}"}
    run = harness.begin(
        http("call", target.url("/echo"), auth=auth, method="POST", json={"t": "{{ secrets.elsewhere }}"})
    )
    harness.run(run)
    kv.close()
    assert harness.status(run) == "SUCCESS"
    assert value.encode() in b"".join(target.server.requests)
    pieces = [value[at : at + 6] for at in range(len(value) - 5)]
    pieces += [text[at : at + 12] for text in [base64.b64encode(value.encode()).decode()] for at in range(0, 20, 4)]
    for name, shown in (*ways_out(harness, run, logged), *on_disk(tmp_path), *in_memory(harness)):
        for piece in (*pieces, ROOT):
            assert piece not in shown, (name, piece)


def on_disk(folder: Path) -> Iterator[tuple[str, str]]:
    """Every file of the deployment, the database's log of changes too."""
    for path in folder.rglob("*"):
        if path.is_file():
            yield path.name, path.read_bytes().decode("latin-1")


def in_memory(harness: Harness) -> Iterator[tuple[str, str]]:
    yield "the settings", repr(harness.rt.settings)
    yield "the runtime", repr(harness.rt)
