"""A loopback target that sends back what it is sent, whole and in the spelling that the path names."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from threading import Thread

WAYS = ("plain", "json", "upper", "base64", "gzip")


class Echo(ThreadingHTTPServer):
    """`requests` holds what came, head and body. `/make` gives a new key as JSON, `/<way>/…` echoes in that way."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, key: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self._key, self._made = key, count(1)
        self.requests: list[bytes] = []

    def new_key(self) -> str:
        """Another one each time, as whoever rotates keys gives them; all begin alike."""
        return f"{self._key}-{next(self._made)}"

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Echo
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        came = f"{self.requestline}\r\n{self.headers}".encode() + body
        self.server.requests.append(came)
        if self.path == "/make":
            self._answer(json.dumps({"key": self.server.new_key()}).encode(), "application/json")
        else:
            self._echo(self.path.split("/")[1], came)

    def _echo(self, way: str, came: bytes) -> None:
        """The head of the answer quotes the line of the request as well."""
        shown = {
            "plain": came,
            "json": json.dumps({"came": came.decode("latin-1")}).encode(),
            "upper": came.upper(),
            "base64": base64.b64encode(came),
            "gzip": gzip.compress(came),
        }[way]
        kind = "application/json" if way == "json" else "text/plain"
        self._answer(shown, kind, {"Content-Encoding": "gzip"} if way == "gzip" else {})

    def _answer(self, body: bytes, kind: str, more: dict[str, str] | None = None) -> None:
        self.send_response(200)
        headers = {"Content-Type": kind, "Content-Length": str(len(body)), "X-Echo": self.requestline}
        for name, value in {**headers, **(more or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """What came is in `requests`; a line of it on standard error helps nobody."""


@contextmanager
def echo_server(key: str) -> Iterator[Echo]:
    with Echo(key) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(5)
