"""A request with an idempotency key is done once and answered, whatever dies meanwhile and however many make it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_client import Api, refused
from changing_requests import CHANGING_REQUESTS, ChangingRequest, ask
from harness import ALICE, CAROL

from bot.api import idempotency_keys
from engine.failpoints import EXIT_CODE, VARIABLE
from engine.runs import controls, idempotency
from storage import audit, database

POSTS = [changing for changing in CHANGING_REQUESTS if changing.operation.startswith("POST")]
REDONE = ("POST /sync", "POST /secrets/rotate-keys")
"""Done again it changes nothing, and says so."""


def record(api: Api) -> list[tuple[str, str]]:
    """What is on record of Alice's deeds."""
    with database.reading():
        rows = audit.recent(api.harness.rt.workspace_id, 1000)
    return [(each.action, each.thing) for each in rows if each.actor == ALICE.user_id]


def key_of(changing: ChangingRequest) -> dict[str, str]:
    return {"Idempotency-Key": changing.operation}


@contextmanager
def dying_before_the_answer(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What was done is done; nobody keeps an answer, nor gives the turn up."""

    def gone(*_: object) -> None:
        raise RuntimeError("the process is gone")

    with monkeypatch.context() as patch:
        patch.setattr(idempotency, "answered", gone)
        patch.setattr(idempotency, "given_up", lambda *_: True)
        yield


def answered_as_done(api: Api, changing: ChangingRequest, things: dict[str, Any], before: list[tuple[str, str]]) -> Any:
    """The answer to the same request after a death: it is on record once, and answered the same from now on."""
    noted = record(api)
    assert noted != before or changing.operation in REDONE, "it was not done"
    answer = ask(api, changing, things, **key_of(changing))
    assert answer.status_code < 300, (changing.operation, answer.text)
    assert record(api) == noted, "it was done twice"
    if changing.operation not in REDONE:
        assert answer.headers["idempotency-replayed"] == "true"
    again = ask(api, changing, things, **key_of(changing))
    assert (again.status_code, again.content) == (answer.status_code, answer.content)
    assert again.headers.get("location") == answer.headers.get("location")
    return answer


@pytest.mark.parametrize("changing", POSTS, ids=lambda changing: changing.operation)
def test_what_was_done_and_not_answered_is_answered_and_not_done_again(
    api: Api, things: dict[str, Any], monkeypatch: pytest.MonkeyPatch, changing: ChangingRequest
) -> None:
    """The answer has the status and the fields that it would have had, of the thing as it is now."""
    before = record(api)
    with dying_before_the_answer(monkeypatch):
        assert ask(api, changing, things, **key_of(changing)).status_code == 500
    api.harness.clock.tick(idempotency.HELD_MS)
    answer = answered_as_done(api, changing, things, before)
    document = api.client.get("/api/v1/openapi.json").json()
    assert str(answer.status_code) in _operation(document, changing, things)["responses"]
    other = ask(
        api, ChangingRequest(changing.operation, {**(changing.body or {}), "more": 1}), things, **key_of(changing)
    )
    assert other.status_code == 409, other.text


def _operation(document: dict[str, Any], changing: ChangingRequest, things: dict[str, Any]) -> dict[str, Any]:
    path = changing.operation.split(" ")[1].format(**things).split("/")

    def fits(named: str) -> bool:
        parts = named.removeprefix("/api/v1").split("/")
        return len(parts) == len(path) and all(
            part == said or part.startswith("{") for part, said in zip(parts, path, strict=True)
        )

    found = [each for named, each in document["paths"].items() if fits(named) and "post" in each]
    said: dict[str, Any] = found[0]["post"]
    return said


# A process that is connected to no Slack refuses what is about a channel: nobody could say who is in it.
WITHOUT_SLACK = [changing for changing in POSTS if "/incidents" not in changing.operation]


@pytest.mark.slow
@pytest.mark.parametrize("changing", WITHOUT_SLACK, ids=lambda changing: changing.operation)
def test_a_web_process_that_is_killed_between_deed_and_answer(
    api: Api, things: dict[str, Any], database_url: str, runbooks_dir: Path, tmp_path: Path, changing: ChangingRequest
) -> None:
    """Ended as by kill -9 once the deed is committed: the next process answers, and does nothing."""
    before = record(api)
    with web_process(database_url, runbooks_dir, tmp_path, "answer.before:1") as (process, url):
        headers = {"Authorization": f"Bearer {api.token(ALICE)}", **key_of(changing)}
        path = f"{url}/api/v1{changing.operation.split(' ')[1].format(**things)}"
        with pytest.raises(httpx.TransportError):
            httpx.post(path, json=changing.body or {}, headers=headers, timeout=20, trust_env=False)
        assert process.wait(10) == EXIT_CODE
    answered_as_done(api, ChangingRequest(changing.operation, changing.body or {}), things, before)


@pytest.mark.slow
def test_after_a_death_the_next_process_answers_within_seconds(
    api: Api, things: dict[str, Any], database_url: str, runbooks_dir: Path, tmp_path: Path
) -> None:
    """By the real clock: nobody is told for a minute that a dead process is doing it."""
    url_of = f"/api/v1/executions/{things['approve']}/steps/ask/approve"
    headers = {"Authorization": f"Bearer {api.token(ALICE)}", "Idempotency-Key": "vote"}
    with web_process(database_url, runbooks_dir, tmp_path, "answer.before:1") as (process, url):
        with pytest.raises(httpx.TransportError):
            httpx.post(f"{url}{url_of}", json={}, headers=headers, timeout=20, trust_env=False)
        assert process.wait(10) == EXIT_CODE
    with web_process(database_url, runbooks_dir, tmp_path, "") as (_, url):
        begun = time.monotonic()
        answer = httpx.post(f"{url}{url_of}", json={}, headers=headers, timeout=20, trust_env=False)
        assert time.monotonic() - begun < 15
    assert (answer.status_code, answer.headers["idempotency-replayed"]) == (200, "true")
    assert [each["person"] for each in answer.json()["votes"]] == [ALICE.user_id]


class Stopped:
    """`controls.pause`, which stops before it does anything, the first time it is called."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.let_on, self.calls = threading.Event(), threading.Event(), 0
        self._pause = controls.pause
        monkeypatch.setattr(controls, "pause", self)

    def __call__(self, *args: Any, **keys: Any) -> Any:
        self.calls += 1
        if self.calls == 1:
            self.reached.set()
            assert self.let_on.wait(20)
        return self._pause(*args, **keys)


def pausing(api: Api) -> Callable[[], Any]:
    """A request to pause a run, the same one at every call."""
    run = api.harness.start("drain", CAROL, service="api")
    api.token(CAROL)
    return lambda: api.post(f"/executions/{run}/pause", CAROL, {"reason": "x"}, **{"Idempotency-Key": "both"})


def test_the_second_of_two_at_once_waits_and_gets_the_answer_of_the_first(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the first one takes, as long as its process says that it is at it."""
    monkeypatch.setattr(idempotency, "RENEW_S", 0.01)
    ask_it, stopped = pausing(api), Stopped(monkeypatch)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(ask_it)
        assert stopped.reached.wait(10)
        second = pool.submit(ask_it)
        for _ in range(5):
            api.harness.clock.tick(idempotency.HELD_MS - 1)
            renewed = threading.Event()
            monkeypatch.setattr(idempotency, "renew", telling(idempotency.renew, renewed))
            assert renewed.wait(10)
        assert not second.done()
        stopped.let_on.set()
        one, two = first.result(20), second.result(20)
    assert (one.status_code, two.status_code, two.content, stopped.calls) == (200, 200, one.content, 1)
    assert ("idempotency-replayed" in one.headers, two.headers["idempotency-replayed"]) == (False, "true")


def telling(act: Callable[[Any], None], done: threading.Event) -> Callable[[Any], None]:
    def told(turn: Any) -> None:
        act(turn)
        done.set()

    return told


def test_who_was_taken_for_dead_and_is_not_does_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """It slept, another one did what was asked, and it wakes: it gives the other one's answer."""
    monkeypatch.setattr(idempotency, "RENEW_S", 60.0)
    ask_it, stopped = pausing(api), Stopped(monkeypatch)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(ask_it)
        assert stopped.reached.wait(10)
        api.harness.clock.tick(idempotency.HELD_MS)
        two = ask_it()
        stopped.let_on.set()
        one = first.result(20)
    assert (one.status_code, two.status_code, one.content, stopped.calls) == (200, 200, two.content, 2)
    with database.reading():
        rows = [each for each in audit.recent(api.harness.rt.workspace_id) if each.action == "execution.pause"]
    assert len(rows) == 1


def test_the_wait_for_another_ends(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has waited long enough is told so, and the other one goes on."""
    monkeypatch.setattr(idempotency_keys, "PATIENCE_S", 0.2)
    ask_it, stopped = pausing(api), Stopped(monkeypatch)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask_it)
        assert stopped.reached.wait(10)
        refused(ask_it(), 409, "conflict")
        stopped.let_on.set()
        assert first.result(20).status_code == 200


@pytest.mark.parametrize(("what", "body"), [("retry", {}), ("skip", {"reason": "x"})])
def test_what_is_said_of_a_try_is_not_taken_for_the_next_one(
    api: Api, things: dict[str, Any], what: str, body: dict[str, Any]
) -> None:
    """Two people see one failure, and the second asks after the first one's retry has failed too."""
    run = things["retried"]
    path = f"/executions/{run}/steps/call"
    seen = {"attempt": api.get(path, CAROL)["attempts"]}
    assert api.post(f"{path}/retry", CAROL, seen).status_code == 200
    api.harness.run(run)
    problem = refused(api.post(f"{path}/{what}", ALICE, {**body, **seen}), 409, "conflict")
    assert f"tried again meanwhile by @{CAROL.user_id}" in problem["detail"]
    seen = {"attempt": api.get(path, CAROL)["attempts"]}
    assert api.post(f"{path}/{what}", ALICE, {**body, **seen}).status_code == 200


@contextmanager
def web_process(
    url: str, runbooks: Path, folder: Path, failpoint: str
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A web process on the same database, and its address."""
    environ = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "DATABASE_URL": url, "RUNBOOKS_DIR": str(runbooks),
        "PORT": str(free_port()), VARIABLE: failpoint, "BREAK_GLASS": "true",
    }  # fmt: skip
    command = [sys.executable, "-P", "-m", "bot.cli", "web"]
    with (folder / "web.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{environ['PORT']}"
    try:
        _wait_for(process, address, folder / "web.log")
        yield process, address
    finally:
        process.kill()
        process.wait(10)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text()
        try:
            httpx.get(f"{address}/livez", timeout=2, trust_env=False)
            return
        except httpx.TransportError:
            time.sleep(0.02)
    raise AssertionError(log.read_text())
