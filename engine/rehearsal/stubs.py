"""The way out that leads nowhere: calls are answered by the stubs of a case, and each is noted."""

from __future__ import annotations

import fnmatch
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NoReturn

import httpcore

from engine.egress import CallFailed, Egress
from engine.egress.allowed_addresses import Address
from engine.egress.call import Call
from engine.egress.failure import Code
from engine.egress.large_answers import LargeAnswers
from engine.egress.tls import Tls
from engine.text.words import shortened
from storage.records import Json

_ROUND = re.compile(r"\[[0-9]+\]")
FAILURES: Mapping[str, tuple[Code, str, bool]] = {
    "timeout": ("timeout", "The request was sent, but no full answer came within {seconds:g} s.", True),
    "connection_refused": ("connect", "Nothing was sent: the connection was refused.", False),
    "connection_lost": ("connection_lost", "The connection was lost before the answer was complete.", True),
    "dns": ("dns", "Nothing was sent: the host's name is not known.", False),
    "tls": ("tls", "Nothing was sent: the server's certificate is not to be trusted.", False),
}
"""For each `error` its code, what is said of it, and whether the request may have arrived."""

NO_STUB = "Nothing was sent: no stub answers this call."


@dataclass(frozen=True, slots=True)
class Made:
    """One call as it was made, secrets as placeholders."""

    step: str
    method: str
    url: str
    headers: dict[str, str]
    body: str


@dataclass(slots=True)
class Script:
    """What a case's calls are answered with, and what was called so far. `step` and `step_id` are who calls now."""

    stubs: Mapping[str, list[Json]]
    step: str = ""
    step_id: str = ""
    made: list[Made] = field(default_factory=list)
    unstubbed: list[str] = field(default_factory=list)
    _used: Counter[str] = field(default_factory=Counter)

    def answer(self, method: str, url: str) -> Json:
        """The next stub for this call; the last of several stays. None, which is noted, where there is none."""
        key = self._key(f"{method} {url}")
        if key is None:
            self.unstubbed.append(f"there is no stub for {method} {shortened(url, 200)}, which `{self.step}` calls")
            return None
        number = self._used[key]
        self._used[key] += 1
        return self.stubs[key][min(number, len(self.stubs[key]) - 1)]

    def _key(self, address: str) -> str | None:
        """The stub that names it most exactly: by its address, by the run of the step, by the step, by a pattern."""
        exact = [address, self.step, _ROUND.sub("", self.step), self.step_id]
        known = next((each for each in exact if each in self.stubs), None)
        return known or next((each for each in self.stubs if " " in each and _fits(address, each)), None)


def _fits(address: str, pattern: str) -> bool:
    return bool(re.fullmatch(fnmatch.translate(pattern.replace("[", "[[]").replace("?", "[?]")), address))


class StubbedEgress(Egress):
    """Calls that never leave: `script` answers them. `tick` lets as many milliseconds pass as a timeout takes."""

    def __init__(self, tick: Callable[[int], object]) -> None:
        self.script = Script({})
        self.large_answers = LargeAnswers()
        self._tick = tick

    def exchange(
        self,
        request: httpcore.Request,
        call: Call,
        max_bytes: int,
        *,
        apart: bool,  # noqa: ARG002 - nothing is kept
        tls: Tls | None,  # noqa: ARG002 - nobody is spoken to
    ) -> tuple[int, tuple[tuple[str, str], ...], bytes, bool]:
        """Answer by the script."""
        made = _made(request, self.script.step)
        stub = self.script.answer(made.method, made.url)
        if stub is None:
            raise CallFailed("egress_refused", NO_STUB)
        self.script.made.append(made)
        if "error" in stub:
            self._fail(stub["error"], call)
        body, headers = _body(stub)
        return stub.get("status", 200), tuple(headers.items()), body[:max_bytes], len(body) > max_bytes

    def _fail(self, error: str, call: Call) -> NoReturn:
        code, message, sent = FAILURES[error]
        left = call.remaining()
        if error == "timeout":
            self._tick(round(left * 1000))
        raise CallFailed(code, message.format(seconds=round(left, 1)), sent=sent)

    def addresses(
        self,
        host: str,
        port: int,
        *,
        deadline_ms: int,  # noqa: ARG002 - nothing is waited for
        abandoned: Callable[[], bool] = lambda: False,  # noqa: ARG002
    ) -> tuple[Address, ...]:
        """Refuse: what connects by itself would get out."""
        self.script.unstubbed.append(f"`{self.script.step}` connects to {host}:{port}, which no stub answers")
        raise CallFailed("egress_refused", NO_STUB)

    def close(self) -> None:
        """Nothing was opened."""


def _made(request: httpcore.Request, step: str) -> Made:
    headers = {name.decode("latin-1").lower(): value.decode("utf-8", "replace") for name, value in request.headers}
    url, target = request.url, request.url.target.decode("ascii")
    address = f"{url.scheme.decode()}://{headers.get('host', url.host.decode())}{target}"
    assert isinstance(request.stream, Iterable)
    return Made(step, request.method.decode(), address, headers, b"".join(request.stream).decode("utf-8", "replace"))


def _body(stub: Mapping[str, Json]) -> tuple[bytes, dict[str, str]]:
    headers = {name.lower(): value for name, value in stub.get("headers", {}).items()}
    if "json" in stub:
        return json.dumps(stub["json"], ensure_ascii=False).encode(), {"content-type": "application/json", **headers}
    return stub.get("text", "").encode(), {"content-type": "text/plain; charset=utf-8", **headers}
