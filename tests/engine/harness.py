"""A whole engine in one thread: runbooks from files, people, a clock that is turned by hand, and a server to call."""

from __future__ import annotations

import itertools
import json
import socket
import ssl
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from local_server import Behaviour, LocalServer, answer

from engine.access import people
from engine.access.policy import SYSTEM, Actor
from engine.catalog import catalog, sync, version_approval
from engine.conversations import Conversation, Unasked
from engine.definition.kinds import kind_of
from engine.egress import Egress, Policy, Resolver
from engine.runs import executions
from engine.runtime import Runtime
from engine.steps.outcome import Outcome, Succeeded
from engine.steps.perform import Claim, Tools, perform
from engine.text.redaction import Redactor
from engine.worker.runner import Runner
from engine.worker.sweeper import Sweeper
from storage import approvals, attempts, database, events, steps, workers
from storage.executions import next_due_at
from storage.people_records import GroupRecord
from storage.records import AttemptRecord, EventRecord, ExecutionRecord, StepRunRecord
from storage.states import AttemptStatus, ExecutionStatus, StepStatus

ALICE, DAVE, BOB, CAROL, OSCAR = (
    Actor(user, standing="member") for user in ("U0ALICE01", "U0DAVE001", "U0BOB0001", "U0CAROL01", "U0OSCAR01")
)
"""Two platform admins, the admin of team payments, a member of it who is also on call, and somebody with no role."""

ACCESS = """\
platform_admins: [S0PLATFORM]
responders: [S0ONCALL]
teams:
  payments: {admins: [U0BOB0001], members: [S0PAYMENTS]}
"""
GROUPS = {
    "S0PLATFORM": ("platform", {"U0ALICE01", "U0DAVE001"}),
    "S0ONCALL": ("oncall", {"U0CAROL01"}),
    "S0PAYMENTS": ("payments", {"U0CAROL01"}),
}
SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
_FINE = answer(b'{"ok":true}', "200 OK", "Content-Type: application/json")
_TLS = ssl.create_default_context()  # building one takes longer than most tests


def http(name: str, url: str = "http://127.0.0.1:9/", **keys: Any) -> dict[str, Any]:
    """An http step. `method`, `json`, `headers` … go into its `with`; `if_` is its condition."""
    known = ("method", "json", "text", "form", "multipart", "headers", "query", "auth")
    with_ = {key: keys.pop(key) for key in known if key in keys}
    return {"id": name, "type": "http", "with": {"url": url, **with_}, **_renamed(keys)}


def poll(name: str, url: str, until: str, interval: str = "1s", **keys: Any) -> dict[str, Any]:
    return {"id": name, "type": "poll", "with": {"url": url, "until": until, "interval": interval}, **_renamed(keys)}


def gate(name: str, *, timeout: str = "15m", on_timeout: str = "fail", **with_: Any) -> dict[str, Any]:
    with_.setdefault("approvers", {"roles": ["platform_admin"]})
    keys = {key: with_.pop(key) for key in ("needs", "if_") if key in with_}
    with_.setdefault("message", "Go on?")
    return {
        "id": name,
        "type": "approval",
        "with": with_,
        "timeout": timeout,
        "on_timeout": on_timeout,
        **_renamed(keys),
    }


def _renamed(keys: dict[str, Any]) -> dict[str, Any]:
    return {key.rstrip("_"): value for key, value in keys.items()}


def runbook(slug: str, *steps_: dict[str, Any], **top: Any) -> str:
    """A runbook's text; JSON is YAML too. It belongs to team payments unless `team` says otherwise."""
    top = {"team": "payments", **top}
    top = {key: value for key, value in top.items() if value is not None}
    return json.dumps(
        {"apiVersion": "runbook/v1", "id": slug, "name": slug.title(), **top, "steps": list(steps_)}, indent=1
    )


class Clock:
    """Epoch milliseconds that stand still until somebody turns them on."""

    def __init__(self, start: int = 1_800_000_000_000) -> None:
        self.time = start

    def __call__(self) -> int:
        return self.time

    def tick(self, ms: int) -> int:
        self.time += ms
        return self.time


class Target:
    """A real server. `does` maps a path to what it does with one request after the other; the last one stays."""

    def __init__(self) -> None:
        self.server = LocalServer(self._behave)
        self.does: dict[str, list[Behaviour]] = {}
        self.hits: list[tuple[str, str, str]] = []
        self.on_request: Callable[[str], None] = lambda _path: None
        self._lock = threading.Lock()

    def url(self, path: str = "/") -> str:
        return self.server.url(path)

    def paths(self) -> list[str]:
        return [path for _method, path, _key in self.hits]

    def seen_keys(self) -> Counter[str]:
        """How often each Idempotency-Key was seen."""
        return Counter(key for _method, _path, key in self.hits)

    def _behave(self, conn: socket.socket, request: bytes) -> None:
        head = request.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        method, path, _version = head[0].split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        with self._lock:
            self.hits.append((method, path, headers.get("idempotency-key", "")))
            planned = self.does.get(path.partition("?")[0], [_FINE])
            behave = planned.pop(0) if len(planned) > 1 else planned[0]
        self.on_request(path)
        behave(conn, request)

    def close(self) -> None:
        self.server.close()


def hang_up(conn: socket.socket, _request: bytes) -> None:
    """Closes the connection in the middle of the answer."""
    conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf of")
    conn.shutdown(socket.SHUT_RDWR)


class Rooms:
    """Channels as Slack would tell of them: all are public and everybody is in them, but for what is said here.

    `members` makes a channel private to these people, `closed` one public with these people in it; `away` is why Slack
    says nothing.
    """

    def __init__(self) -> None:
        self.members: dict[str, set[str]] = {}
        self.closed: dict[str, set[str]] = {}
        self.external: set[str] = set()
        self.unknown: set[str] = set()
        self.away: Unasked | None = None
        self.asked: list[str] = []

    def find(self, channel: str, _fresh_s: float = 60.0, /) -> Conversation | None:
        self._ask(channel)
        if channel in self.unknown:
            return None
        return Conversation(channel, private=channel in self.members, external=channel in self.external)

    def has(self, channel: str, person: str, /) -> bool:
        self._ask(channel)
        if channel in self.unknown:
            return False
        known = self.members.get(channel, self.closed.get(channel))
        return known is None or person in known

    def _ask(self, channel: str) -> None:
        assert database.proxy.obj.is_closed(), "Slack is asked while the database is held"
        self.asked.append(channel)
        if self.away is not None:
            raise self.away


class Harness:
    """Everything of one deployment, driven by hand."""

    def __init__(self, rt: Runtime, clock: Clock) -> None:
        self.hinted: list[str] = []
        self.rooms = Rooms()
        self.rt = replace(rt, hint=self.hinted.extend, conversations=self.rooms)
        self.clock = clock
        self.folder: Path = rt.settings.runbooks_dir
        self.egress = Egress(
            Policy(rt.settings.egress_allow, rt.settings.own_endpoints), resolver=Resolver(threads=2), ssl_context=_TLS
        )
        redactor = Redactor()
        self.tools = Tools(self.egress, rt.secrets(redactor), redactor)
        self._cases = itertools.count(1)
        self.alive: set[str] = set()
        """The workers whose hearts beat when the clock is turned."""
        self.runner = self.worker("w1")
        self.write(_access_yaml=ACCESS)
        self.know_groups()

    def worker(self, worker_id: str) -> Runner:
        """A registered worker of this name."""
        with database.transaction():
            workers.register(self.rt.workspace_id, worker_id)
        self.alive.add(worker_id)
        return Runner(self.rt, worker_id, self.tools)

    def know_groups(self, groups: dict[str, tuple[str, set[str]]] = GROUPS) -> None:
        """Hear of user groups now."""
        at = database.now()
        found = [GroupRecord(each, handle, frozenset(members), at) for each, (handle, members) in groups.items()]
        people.remember_groups(self.rt, found)

    def settle_for(self, **changes: Any) -> None:
        """Go on with other settings."""
        self.rt = replace(self.rt, settings=replace(self.rt.settings, **changes))
        self.runner.rt = self.rt

    def write(self, **texts: str) -> None:
        """Files of the runbooks folder; `_access_yaml` is `_access.yaml`."""
        for name, text in texts.items():
            stem = name.removesuffix("_yaml")
            (self.folder / f"{stem}.yaml").write_text(text, encoding="utf-8")

    def sync(self, **texts: str) -> sync.SyncReport:
        self.write(**texts)
        return sync.sync(self.rt, SYSTEM)

    def publish(self, *texts: str) -> None:
        """Sync these runbooks and approve the newest version of each."""
        slugs = [json.loads(text)["id"] for text in texts]
        report = self.sync(**dict(zip(slugs, texts, strict=True)))
        assert report.ok, report.problems
        for slug in slugs:
            self.approve(slug)

    def approve(self, slug: str, who: Actor = ALICE) -> None:
        version_approval.approve(self.rt, who, slug, catalog.get(self.rt, slug).current_number)

    def start(self, slug: str, who: Actor = CAROL, **parameters: Any) -> str:
        """Another run: each is about a case of its own, so that none is the same as one that is open."""
        incident = {"case": next(self._cases)}
        return executions.start(self.rt, who, slug, parameters, trigger="test", incident=incident).id

    def begin(self, *steps_: dict[str, Any], **top: Any) -> str:
        """Publish a runbook of these steps and start it."""
        slug = top.pop("slug", "demo")
        self.publish(runbook(slug, *steps_, **top))
        return self.start(slug)

    def advance(self, execution_id: str) -> None:
        self.runner.advance(execution_id)

    def claim(self, execution_id: str, runner: Runner | None = None) -> Claim:
        """Only the first beat: the attempt is on record, and nothing was sent."""
        claim = self.try_claim(execution_id, runner)
        assert claim is not None, f"nothing to claim: {self.all_steps(execution_id)}"
        return claim

    def try_claim(self, execution_id: str, runner: Runner | None = None) -> Claim | None:
        return (runner or self.runner)._claim(execution_id)

    def record(self, claim: Claim, outcome: Outcome, runner: Runner | None = None) -> Claim | None:
        """Only the last beat, with the claim that was made in the same commit."""
        return (runner or self.runner)._record(claim, outcome)

    def finish(self, claim: Claim, outcome: Outcome | None = None, runner: Runner | None = None) -> None:
        """Only the last beat, and nothing claimed in the same commit."""
        runner = runner or self.runner
        runner._draining.set()
        try:
            self.record(claim, outcome or Succeeded({}), runner)
        finally:
            runner._draining.clear()
            runner._held.drop(claim.step_run)

    def act(self, claim: Claim) -> Outcome:
        """Only the second beat."""
        return perform(claim, self.tools, lambda: False)

    def pass_time(self, ms: int) -> None:
        """Let time pass in which the hearts of those who live go on beating."""
        until = self.clock.time + ms
        while self.clock.time < until:
            self.clock.tick(min(workers.HEARTBEAT_MS, until - self.clock.time))
            self.beat()

    def beat(self) -> None:
        with database.transaction():
            for worker_id in self.alive:
                workers.heartbeat(worker_id)

    def sweep(self, *, work: bool = True) -> list[str]:
        """One round of a sweeper that does at once what is due, unless it is not to `work`; what was due."""
        due: list[str] = []
        self.beat()
        Sweeper(self.rt, due.extend, grace_ms=0).sweep()
        for execution_id in due if work else ():
            self.advance(execution_id)
        return due

    def run(self, execution_id: str, patience_ms: int = HOUR) -> ExecutionStatus:
        """Advance, and turn the clock to whatever falls due next, until the run has ended or waits for somebody."""
        until = self.clock.time + patience_ms
        self.advance(execution_id)
        while self.status(execution_id) in ("PENDING", "RUNNING") and self.clock.time < until:
            before = self.execution(execution_id)
            if not self.sweep() or self.execution(execution_id) == before:
                with database.reading():
                    due = next_due_at(self.clock.time)
                self.clock.time = min(due or until, until)
        status = self.status(execution_id)
        if status.ended:
            self.check_books(execution_id)
        return status

    def execution(self, execution_id: str) -> ExecutionRecord:
        return executions.find(self.rt, execution_id)

    def status(self, execution_id: str) -> ExecutionStatus:
        return self.execution(execution_id).status

    def all_steps(self, execution_id: str) -> dict[str, StepStatus]:
        return {each.path: each.status for each in self.step_runs(execution_id)}

    def step_runs(self, execution_id: str) -> list[StepRunRecord]:
        with database.reading():
            return steps.of_execution(execution_id)

    def step(self, execution_id: str, path: str) -> StepRunRecord:
        return next(each for each in self.step_runs(execution_id) if each.path == path)

    def attempts(self, execution_id: str, path: str) -> list[AttemptRecord]:
        with database.reading():
            return attempts.of_step(self.step(execution_id, path).id)

    def events(self, execution_id: str) -> list[EventRecord]:
        with database.reading():
            return events.after(execution_id, 0, 10_000)

    def event_kinds(self, execution_id: str) -> list[str]:
        return [each.kind for each in self.events(execution_id)]

    def check_books(self, execution_id: str) -> None:
        """Counters are what a recount of the steps gives, and events are numbered without gaps.

        A try is under way exactly where its step is; of a run that has ended none is, and no gate is open.
        """
        execution = self.execution(execution_id)
        here = [each for each in self.step_runs(execution_id) if each.phase is execution.phase]
        found = Counter(each.status for each in here)
        held = sum(each.status is StepStatus.WAITING and kind_of(each).is_container for each in here)
        counted = (execution.live, execution.running, execution.waiting_steps, execution.unfinished)
        live, parked = found["READY"] + found["RUNNING"], found["WAITING"] + found["UNKNOWN"] - held
        assert counted == (live, found["RUNNING"], parked, live + parked + held + found["BLOCKED"])
        numbers = [each.seq for each in self.events(execution_id)]
        assert numbers == list(range(1, execution.event_seq + 1))
        self._check_tries(execution)

    def _check_tries(self, execution: ExecutionRecord) -> None:
        rows = {each.id: each for each in self.step_runs(execution.id)}
        with database.reading():
            tries = attempts.of_steps(rows)
            asked = {each.step_run_id for each in approvals.of_execution(execution.id) if each.status == "PENDING"}
        running = sorted(each.step_run_id for each in tries if each.status is AttemptStatus.RUNNING)
        assert running == sorted(each.id for each in rows.values() if each.status is StepStatus.RUNNING)
        assert asked == {
            each.id for each in rows.values() if each.kind == "approval" and each.status is StepStatus.WAITING
        }
        if execution.status.ended:
            assert (running, asked) == ([], set())

    def close(self) -> None:
        with suppress(OSError):
            self.egress.close()


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """Do these in threads from one starting line; what each returned or raised, in their order."""
    line = threading.Barrier(len(acts))
    results: dict[int, Any] = defaultdict(lambda: None)

    def run(number: int, act: Callable[[], Any]) -> None:
        line.wait(10)
        try:
            results[number] = act()
        except Exception as error:
            results[number] = error

    threads = [threading.Thread(target=run, args=each) for each in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive(), "an act at the barrier never came back"
    return [results[number] for number in range(len(acts))]


def errors(results: Iterable[Any]) -> list[Exception]:
    return [each for each in results if isinstance(each, Exception)]
