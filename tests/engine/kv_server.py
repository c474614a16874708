"""A stand-in for a Vault: KV version 2 over real HTTP on loopback, with tokens that end and trouble on demand."""

from __future__ import annotations

import itertools
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ROOT, ROLE_ID, SECRET_ID, JWT = "hvs.root-t0ken-canary", "r0le-id-canary", "s3cret-id-canary", "eyJ.k8s-jwt-canary.sig"
ROLE = "runbook-bot"


class KvServer:
    """`values` maps a path below the mount to what stands there. `lease_s` is how long a login lasts, 0 for ever.

    `trouble` is a status that every answer has, or "drip" or "hang"; `denied` are paths that no policy lets read.
    """

    def __init__(self) -> None:
        self.values: dict[str, dict[str, Any]] = {}
        self.lease_s, self.renewable = 0, True
        self.trouble: int | str = 0
        self.denied: set[str] = set()
        self.asked: list[str] = []
        self.namespaces: set[str | None] = set()
        self._tokens: dict[str, float] = {ROOT: 0.0}
        self._numbers = itertools.count(1)
        self.close_now = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self.close_now.set()
        self._server.shutdown()
        self._server.server_close()

    def end_tokens(self) -> None:
        """Every token but the root's is revoked."""
        self._tokens = {ROOT: 0.0}

    def grant(self) -> dict[str, Any]:
        token = f"hvs.login-{next(self._numbers)}-canary"
        self._tokens[token] = time.monotonic() + self.lease_s if self.lease_s else 0.0
        return {"auth": {"client_token": token, "lease_duration": self.lease_s, "renewable": self.renewable}}

    def lives(self, token: str | None) -> bool:
        until = self._tokens.get(token or "")
        return until is not None and (until == 0.0 or time.monotonic() < until)

    def answer(self, method: str, path: str, token: str | None, body: dict[str, Any]) -> tuple[int, Any]:
        if path == "auth/approle/login":
            fits = (body.get("role_id"), body.get("secret_id")) == (ROLE_ID, SECRET_ID)
            return (200, self.grant()) if fits else (400, {"errors": ["invalid role or secret ID"]})
        if path == "auth/kubernetes/login":
            fits = (body.get("role"), body.get("jwt")) == (ROLE, JWT)
            return (200, self.grant()) if fits else (403, {"errors": ["permission denied"]})
        if not self.lives(token):
            return 403, {"errors": ["permission denied"]}
        if path == "auth/token/lookup-self":
            return 200, {"data": {"ttl": self.lease_s, "renewable": bool(self.lease_s)}}
        if path == "auth/token/renew-self":
            self._tokens[str(token)] = time.monotonic() + self.lease_s
            return 200, {"auth": {"client_token": token, "lease_duration": self.lease_s, "renewable": True}}
        name = path.removeprefix("secret/data/")
        if name in self.denied:
            return 403, {"errors": ["permission denied"]}
        found = self.values.get(name)
        return (200, {"data": {"data": found, "metadata": {"version": 1}}}) if found else (404, {"errors": []})


def _handler(kv: KvServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            self._answer("GET")

        def do_POST(self) -> None:
            self._answer("POST")

        def _answer(self, method: str) -> None:
            path = self.path.partition("?")[0].removeprefix("/v1/")
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            kv.asked.append(path)
            kv.namespaces.add(self.headers.get("X-Vault-Namespace"))
            if kv.trouble in ("hang", "drip"):
                return self._keep_waiting()
            status, told = kv.answer(method, path, self.headers.get("X-Vault-Token"), json.loads(raw or b"{}"))
            if kv.trouble:
                status, told = int(kv.trouble), {"errors": [f"trouble with {self.headers.get('X-Vault-Token')}"]}
            body = json.dumps(told).encode()
            self.send_response(status)
            if status in (301, 302, 307):
                self.send_header("Location", "http://127.0.0.1:1/")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return None

        def _keep_waiting(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            while not kv.close_now.wait(0.2) and kv.trouble:
                if kv.trouble == "drip":
                    self.wfile.write(b" ")
                    self.wfile.flush()

    return Handler
