"""Asking the API as a program does, with the token of whoever is to ask."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

import httpx
import uvicorn
from harness import Harness

from bot import web
from bot.api.app import PREFIX
from engine.access import tokens
from engine.access.policy import Actor

ALL = "read,run,approve,admin"


class Api:
    """One web application. Use as a context manager."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.app = web.application(harness.rt, None)
        self._secrets: dict[tuple[str, str], str] = {}

    def __enter__(self) -> Api:
        config = uvicorn.Config(self.app, port=0, log_config=None, lifespan="off", ws="none", server_header=False)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        until = time.monotonic() + 10
        while not self._server.started:
            assert time.monotonic() < until, "the server did not start"
            time.sleep(0.001)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.client = httpx.Client(base_url=self.url, trust_env=False, timeout=20)
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self._server.should_exit = True
        self._thread.join(10)

    def token(self, who: Actor, scopes: str = ALL) -> str:
        """The secret of a token of theirs, made at the first call."""
        if (who.user_id, scopes) not in self._secrets:
            _, secret = tokens.create(self.harness.rt, who, "a test", scopes=scopes, expires="366d")
            self._secrets[who.user_id, scopes] = secret
        return self._secrets[who.user_id, scopes]

    def ask(
        self, method: str, path: str, who: Actor | None, body: Any = None, headers: Mapping[str, str] = {}, **query: Any
    ) -> Any:
        """The answer to one request."""
        mine = {"Authorization": f"Bearer {self.token(who)}"} if who else {}
        more = {"json": body} if body is not None else {}
        return self.client.request(method, f"{PREFIX}{path}", headers={**mine, **headers}, params=query or None, **more)

    def get(self, path: str, who: Actor, **query: Any) -> Any:
        """The body of what was found."""
        answer = self.ask("GET", path, who, **query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, who: Actor, body: Any = None, **headers: str) -> Any:
        return self.ask("POST", path, who, body if body is not None else {}, headers)


def refused(answer: Any, status: int, code: str) -> dict[str, Any]:
    """The problem that an answer tells, which has to be of this kind."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert (problem["status"], problem["code"]) == (status, code), problem
    assert problem["detail"]
    return problem
