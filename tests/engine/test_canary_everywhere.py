"""A canary of each source, sent from each place where a secret may stand and echoed in each spelling: seen nowhere."""

from __future__ import annotations

import base64
import gzip
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from grpc_server import SERVICE, order_service
from harness import ALICE, Harness, Target, http
from kv_server import ROOT, KvServer
from local_server import answer, egress_to, raw
from test_canary import in_memory, logged, on_disk, ways_out
from test_received_secrets import quiet

from engine.access import secrets as stored
from engine.config.vault import VaultSource

__all__ = ["logged", "quiet"]

VALUE = 'c4nary"of/every+place-7'
JSON = "Content-Type: application/json"
ONCE = {"retry": {"max_attempts": 1}, "continue_on_error": True, "needs": []}
SOURCES = ("environment", "file", "store", "vault", "received")


def positions(ref: str, target: Target, orders: str) -> Iterator[dict[str, Any]]:
    """A step for each place where a secret may stand."""
    text = f"{{{{ {ref} }}}}"
    auths = {
        "basic": {"type": "basic", "username": "bot", "password": text},
        "bearer": {"type": "bearer", "token": text},
        "hmac": {"type": "hmac", "secret": text, "header": "X-Signature"},
        "oauth2": {
            "type": "oauth2", "token_url": target.url("/token"), "client_id": "bot", "client_secret": text,
        },
        "sigv4": {
            "type": "aws_sigv4", "access_key": text, "secret_key": text, "session_token": text, "region": "eu-north-1",
            "service": "sts",
        },
    }  # fmt: skip
    for name, auth in auths.items():
        yield http(name, target.url(f"/{name}"), method="POST", json={"a": 1}, auth=auth, **ONCE)
    keys = {"header": {"headers": {"X-Key": text}}, "query": {"query": {"key": text}}}
    keys |= {"json": {"json": {"key": text, "in": f"<{text}>"}}, "text": {"text": f"key={text}"}}
    keys |= {"form": {"form": {"key": [text]}}, "multipart": {"multipart": [{"name": "key", "text": text}]}}
    for name, with_ in keys.items():
        yield http(name, target.url(f"/{name}"), method="POST", **with_, **ONCE)
    tls = {"cert": text, "key": text}
    url = target.url("/tls").replace("http:", "https:")
    yield {"id": "tls", "type": "http", "with": {"url": url, "tls": tls}, **ONCE}
    call = {
        "target": orders, "service": SERVICE, "method": "Cancel", "tls": False, "message": {"order_id": text},
        "metadata": {"authorization": text},
    }  # fmt: skip
    yield {"id": "grpc", "type": "grpc", "with": call, **ONCE}


def spellings(value: str) -> Iterator[bytes]:
    """What a target makes of what it was sent."""
    plain = value.encode()
    yield from (plain, value.upper().encode(), plain.hex().encode(), plain.hex().upper().encode())
    yield from (base64.b64encode(plain), base64.urlsafe_b64encode(plain), base64.b64encode(b"bot:" + plain))
    yield from (quote(value, safe="").encode(), quote(quote(value, safe=""), safe="").encode())
    yield from (json.dumps(value).encode(), json.dumps(json.dumps(value)).encode())
    yield b" " * 2040 + plain + b" " * 30_000 + plain


def echo(value: str) -> bytes:
    lines = [line.decode() for line in spellings(value)]
    return json.dumps({"lines": lines, "all": "\n".join(lines)}).encode()


def behave(target: Target, value: str) -> None:
    """Each place is answered in another way: whole, failing, in chunks, or packed although nobody asked for that."""
    body, shown = echo(value), f"X-Echo: {quote(value, safe='')} {value}"
    pieces = [body[at : at + 7] for at in range(0, len(body), 7)]
    chunked = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    head = f"HTTP/1.1 200 OK\r\n{JSON}\r\n{shown}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    packed = gzip.compress(body)
    ways = [
        answer(body, "200 OK", JSON, shown), answer(body, "500 Oops", shown), raw(head + chunked),
        answer(packed, "200 OK", JSON, "Content-Encoding: gzip", shown),
        answer(body, "302 Found", f"Location: /x?key={quote(value, safe='')}"),
    ]  # fmt: skip
    for number, name in enumerate(
        ("basic", "bearer", "hmac", "oauth2", "sigv4", "header", "query", "json", "text", "form", "multipart")
    ):
        target.does[f"/{name}"] = [ways[number % len(ways)]]
    token = json.dumps({"access_token": f"t0k-{value}", "token_type": "Bearer"}).encode()
    target.does["/token"] = [answer(token, "200 OK", JSON)]
    target.does["/make"] = [answer(json.dumps({"key": value}).encode(), "200 OK", JSON)]


def provide(harness: Harness, source: str, kv: KvServer, folder: Path) -> str:
    """Have the value where it comes from; what a step reads it by."""
    if source == "environment":
        harness.settle_for(secret_variables={"RUNBOOK_SECRET_EVERY": VALUE})
    elif source == "file":
        (folder / "every").write_text(VALUE)
        harness.settle_for(secrets_dir=folder)
    elif source == "store":
        stored.set_value(harness.rt, ALICE, "every", VALUE)
    elif source == "vault":
        kv.values["runbook-bot/every"] = {"value": VALUE}
        harness.settle_for(vault_addr=kv.url, vault_token=ROOT)
        harness.rt = replace(harness.rt, sources=(*harness.rt.sources, VaultSource(harness.rt.settings)))
    harness.tools = replace(harness.tools, secrets=harness.rt.secrets(harness.tools.redactor))
    harness.runner = harness.worker("w-every")
    return "steps.make.outputs.key" if source == "received" else "secrets.every"


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES)
def test_a_canary_of_each_source_is_seen_nowhere(
    harness: Harness,
    target: Target,
    logged: io.StringIO,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    source: str,
) -> None:
    kv = KvServer()
    harness.sync()
    behave(target, VALUE)
    outputs = {"key": {"value": "{{ response.json.key }}", "secret": True}}
    make = http("make", target.url("/make"), method="PUT", outputs=outputs)
    with order_service() as orders, egress_to(target.server, allow=orders.target) as egress:
        harness.tools = replace(harness.tools, egress=egress)
        ref = provide(harness, source, kv, tmp_path_factory.mktemp("secrets"))
        steps = list(positions(ref, target, orders.target))
        if source == "received":
            steps = [make, *({**step, "needs": ["make"]} for step in steps)]
        run = harness.begin(*steps, max_concurrent_steps=20)
        harness.run(run)
        assert orders.seen[0]["authorization"] == VALUE
    kv.close()
    assert harness.execution(run).status.ended
    sent = b"".join(target.server.requests)
    for line in (VALUE.encode(), quote(VALUE, safe="").encode(), base64.b64encode(f"bot:{VALUE}".encode())):
        assert line in sent
    hidden = [line.decode().strip() for line in spellings(VALUE) if len(line) < 2000]
    hidden += [VALUE[at : at + 8] for at in range(len(VALUE) - 7)] + [f"t0k-{VALUE}"]
    for name, shown in (*ways_out(harness, run, logged), *on_disk(tmp_path), *in_memory(harness)):
        for piece in hidden:
            assert piece not in shown, (name, piece, shown[max(0, shown.find(piece) - 200) : shown.find(piece) + 60])
