"""The REST API measured from outside: a web process as it is shipped, asked over real connections."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import workloads
from bench.rig import Rig, process, stop, wait_for
from engine.access import tokens
from engine.access.policy import SYSTEM

CLIENTS = 50
A_SECOND = 50
RUNS_A_SECOND = 10
READERS = 10
_numbers = itertools.count()


class Client:
    """One connection that stays open."""

    def __init__(self, port: int, secret: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=90)
        self._headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON of an answer that has to be a good one."""
        content = None if body is None else json.dumps(body)
        self._connection.request(method, f"/api/v1{path}", content, self._headers)
        answer = self._connection.getresponse()
        text = answer.read()
        assert answer.status < 300, (answer.status, text)
        return json.loads(text)

    def follow(self, run: str) -> list[int]:
        """The numbers of a run's events as they come, to its end."""
        self._connection.request("GET", f"/api/v1/executions/{run}/events", headers=self._headers)
        answer = self._connection.getresponse()
        seen, ended = [], False
        for line in iter(answer.readline, b""):
            if line.startswith(b"id: "):
                seen.append(int(line[4:]))
            ended = ended or line.startswith(b"event: end")
        assert ended, f"the stream of {run} broke off behind event {seen[-1:]}"
        return seen

    def close(self) -> None:
        self._connection.close()


@contextmanager
def serving(rig: Rig) -> Iterator[tuple[int, str, Callable[[], float]]]:
    """A web process over the rig's database: its port, the secret of a token, and the seconds of CPU it has used."""
    log = rig.folder / "web.log"
    _, secret = tokens.create(rig.rt, SYSTEM, "bench", scopes="read,run", person=workloads.ADMIN.user_id)
    web = process("web", {**rig.environ, "PORT": "0", "API_RATE_LIMIT": "1000000"}, rig.folder, log)
    try:
        wait_for(lambda: "web ready" in log.read_text(), "the web process", every=0.05)
        found = re.search(r"web ready on http://[\d.]+:(\d+)", log.read_text())
        assert found is not None
        yield int(found[1]), secret, lambda: _cpu_seconds(web.pid)
    finally:
        stop(web)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def followed(port: int, secret: str, seconds: float, every: float = 0.0) -> tuple[int, float]:
    """`CLIENTS` clients start and follow one run after the other for so long: how many runs, and in how long.

    Each begins at most one run in `every` seconds.

    Raises AssertionError where a run was lost, or a stream had a gap, a double, or no end.
    """
    runs: list[str] = []
    trouble: list[BaseException] = []
    began = time.monotonic()
    until = began + seconds

    def work(number: int) -> None:
        client = Client(port, secret)
        try:
            for turn in itertools.count():
                time.sleep(max(0.0, began + every * (turn + number / CLIENTS) - time.monotonic()))
                if time.monotonic() >= until:
                    return
                body = {"parameters": {"n": next(_numbers)}}
                run = client.ask("POST", "/runbooks/linear/execute", body)["execution"]["id"]
                seen = client.follow(run)
                assert seen == list(range(1, len(seen) + 1)), f"{run}: {seen}"
                shown = client.ask("GET", f"/executions/{run}")
                assert (shown["status"], shown["last_event"]) == ("SUCCESS", len(seen)), shown
                runs.append(run)
        except BaseException as error:
            trouble.append(error)
            raise
        finally:
            client.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if trouble:
        raise trouble[0]
    assert len(set(runs)) == len(runs)
    return len(runs), time.monotonic() - began


def reads(port: int, secret: str, run: str, seconds: float) -> list[float]:
    """Status reads at `A_SECOND` a second: the seconds from when each was due to its answer."""
    began = time.monotonic() + 0.2
    due = [began + n / A_SECOND for n in range(int(seconds * A_SECOND))]
    times: list[float] = []

    def work(mine: list[float]) -> None:
        client = Client(port, secret)
        for at in mine:
            time.sleep(max(0.0, at - time.monotonic()))
            client.ask("GET", f"/executions/{run}")
            times.append(time.monotonic() - at)
        client.close()

    threads = [threading.Thread(target=work, args=(due[number::READERS],)) for number in range(READERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(times) == len(due)
    return times
