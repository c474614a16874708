"""A server that answers as Open Policy Agent does, by a real Rego engine."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parents[2] / "docs" / "policy"


ENGINE = """
import json, sys
from regopy import Interpreter
for line in sys.stdin:
    source, path, given = json.loads(line)
    rego = Interpreter()
    rego.add_module("policy", source)
    rego.set_input(given)
    output = rego.query(f"said = data.{path.replace('/', '.')}")
    found = json.loads(str(output)) if str(output).startswith("{") else {}
    print(json.dumps(found.get("bindings", {}).get("said")), flush=True)
"""
_asking = threading.Lock()


@cache
def _engine() -> subprocess.Popen[str]:
    """A process of its own: the engine's native code does not bear others beside it. It ends with its input."""
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", ENGINE], stdin=pipe, stdout=pipe, text=True)


def evaluate(source: str, path: str, given: Any) -> Any:
    """What the rule at a data path, such as `runbook/allow`, says of an input; None where it is not defined."""
    engine = _engine()
    assert engine.stdin is not None
    assert engine.stdout is not None
    with _asking:
        engine.stdin.write(json.dumps([source, path, given]) + "\n")
        engine.stdin.flush()
        return json.loads(engine.stdout.readline())


class Opa:
    """`source` is the policy. `asked` are the inputs so far; `instead` answers in its place where it is set."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.asked: list[Any] = []
        self.tokens: list[str | None] = []
        self.instead: Callable[[BaseHTTPRequestHandler], None] | None = None
        self.on_ask: Callable[[], None] = lambda: None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def url(self, path: str = "runbook/allow") -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1/data/{path}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(opa) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                opa.on_ask()
                opa.asked.append(given["input"])
                opa.tokens.append(self.headers["Authorization"])
                if opa.instead is not None:
                    opa.instead(self)
                    return
                found = evaluate(opa.source, self.path.removeprefix("/v1/data/"), given["input"])
                answer = {"decision_id": f"d-{len(opa.asked)}"} | ({} if found is None else {"result": found})
                say(self, json.dumps(answer).encode())

            def log_message(self, *_: object) -> None:
                """Nothing."""

        return Handler


def say(request: BaseHTTPRequestHandler, body: bytes, status: int = 200, **headers: str) -> None:
    request.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(body)


def drip(request: BaseHTTPRequestHandler) -> None:
    """An answer that is never over."""
    request.send_response(200)
    request.send_header("Content-Length", "1000")
    request.end_headers()
    try:
        for _ in range(30):
            request.wfile.write(b" ")
            time.sleep(0.1)
    except OSError:
        return
