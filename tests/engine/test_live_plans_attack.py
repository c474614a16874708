"""Live plans against targets that do harm, hang or change, and against people who ask at once."""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from grpc_server import order_service
from harness import ALICE, BOB, CAROL, DAVE, Harness, Target, http, runbook
from local_server import answer, serving, silence

from engine.egress import parse_allow
from engine.errors import Conflict, NotApproved
from engine.orchestration.admission import Wanted
from engine.runs import executions, live_calls, live_plans
from engine.runs.plan_records import Plan
from storage.records import Json

SECRET = "c4nary-b1rd-of-the-m1ne"
MB = 1024 * 1024
KEY = {"headers": {"X-Key": "{{ secrets.canary }}"}}
WANTED = Wanted("demo", {}, trigger="test")


def call(target: Target, name: str = "go", /, dry_run: Any = None, **keys: Any) -> dict[str, Any]:
    made = http(name, target.url(f"/{name}"), method="POST", **keys)
    return {**made, "dry_run": dry_run or {"query": {"dryRun": "All"}}}


def live(harness: Harness, *steps: dict[str, Any], who: Any = CAROL) -> Plan:
    harness.publish(runbook("demo", *steps))
    return live_plans.make(harness.rt, who, WANTED)


def told(plan: Plan) -> Json:
    return next(each["live"] for each in plan.every_step() if "live" in each)


def held(entered: threading.Semaphore, release: threading.Event) -> Any:
    """Answers when it is let."""

    def behave(conn: socket.socket, request: bytes) -> None:
        entered.release()
        release.wait(20)
        answer()(conn, request)

    return behave


@pytest.mark.parametrize("said", [SECRET, base64.b64encode(SECRET.encode()).decode(), "%63" + SECRET[1:]])
@pytest.mark.parametrize("where", ["body", "cut", "header", "reason", "failure"])
def test_a_secret_comes_back_in_no_shape(harness: Harness, target: Target, said: str, where: str) -> None:
    """Also where the cut of a long answer goes through it."""
    target.does["/go"] = [
        {
            "body": answer(said.encode()),
            "cut": answer(b"x" * (live_calls.MOST_SHOWN - 9) + said.encode() + b"y" * 5000),
            "header": answer(b"", "302 Found", f"Location: http://elsewhere.example/{said}", f"X-Back: {said}"),
            "reason": answer(b"", f"500 {said}"),
            "failure": answer(said.encode(), "422 No"),
        }[where]
    ]
    shown = json.dumps(live(harness, call(target, **KEY)).as_json(), default=str)
    assert SECRET.encode() in target.server.requests[0]
    assert said not in shown
    assert said[:7] not in shown


def test_an_answer_of_fifty_megabytes_is_not_read(harness: Harness, target: Target) -> None:
    target.does["/go"] = [answer(b"x" * 50 * MB)]
    began = time.monotonic()
    plan = live(harness, call(target))
    assert told(plan)["outcome"] != "success"
    assert len(json.dumps(plan.as_json())) < 10_000
    assert time.monotonic() - began < 10


def test_an_answer_that_drips_is_left_in_time(
    harness: Harness, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_calls, "ALL_MS", 1_500)

    def drip(conn: socket.socket, _request: bytes) -> None:
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while True:  # until the connection is closed
            conn.sendall(b".")
            time.sleep(0.05)

    target.does["/go"] = target.does["/other"] = [drip]
    harness.publish(runbook("demo", call(target), call(target, "other")))
    began = time.monotonic()
    plan = live_plans.make(harness.rt, CAROL, WANTED)
    assert time.monotonic() - began < 4
    assert plan.live == {"success": 0, "failure": 0, "unknown": 2, "not_called": 0}


@pytest.mark.parametrize("redirects", [0, 3])
def test_a_check_is_sent_nowhere_else_by_a_redirect(harness: Harness, target: Target, redirects: int) -> None:
    """Not to another server, whether that may be called or not, with or without what proves who calls."""
    check = {"method": "GET", "redirects": redirects}
    with serving(answer(b"stolen")) as other:
        target.does["/go"] = [answer(b"", "307 Temporary Redirect", f"Location: {other.url('/steal')}")]
        plan = live(harness, call(target, dry_run=check, **KEY))
        assert told(plan)["outcome"] != "success"
        assert other.requests == []


def test_the_rules_of_now_say_where_a_checks_secret_goes(harness: Harness, target: Target) -> None:
    """What was approved under other rules is not sent, as it is not by a run."""
    with serving(answer(b"stolen")) as other:
        harness.rt = allowed(harness, target.server.port, other.port)
        harness.publish(runbook("demo", call(target, dry_run={"url": other.url("/steal")}, **KEY)))
        harness.write(_secrets_yaml="secrets: {canary: {hosts: [vault.internal]}}")
        harness.sync()
        refused = told(live_plans.make(harness.rt, CAROL, WANTED))
        assert refused["outcome"] == "failure"
        assert "canary" in refused["message"]
        assert (other.requests, target.paths()) == ([], [])


def test_what_may_not_be_called_is_not_called_by_a_check(harness: Harness, target: Target) -> None:
    """The guard of addresses is that of a worker."""
    with serving(answer(b"inside")) as inside:
        for number, url in enumerate((inside.url("/x"), "http://169.254.169.254/latest", "http://[::1]:1/")):
            step = {**call(target), "id": f"go{number}", "dry_run": {"url": url}}
            plan = live(harness, step)
            assert told(plan)["outcome"] == "failure", url
        assert inside.requests == []
    assert target.paths() == []


def test_a_target_that_has_changed_is_not_asked(harness: Harness, target: Target) -> None:
    """Neither at the call's own address nor at the new one, until that is approved."""
    with serving(answer(b"new")) as other:
        harness.rt = allowed(harness, target.server.port, other.port)
        harness.write(_targets_yaml=json.dumps({"targets": {"api": {"url": target.url("")}}}))
        step = {"id": "go", "type": "http", "with": {"target": "api", "path": "/x"}, "dry_run": {"path": "/check"}}
        assert told(live(harness, step))["outcome"] == "success"
        harness.write(_targets_yaml=json.dumps({"targets": {"api": {"url": other.url("")}}}))
        harness.sync()
        with pytest.raises(NotApproved):
            live_plans.make(harness.rt, CAROL, WANTED)
        assert (other.requests, target.paths()) == ([], ["/check"])


def test_calls_that_hang_hold_nobody_else(harness: Harness, target: Target) -> None:
    """As many as a process makes at once; one more is refused at once, and the database is free for a start."""
    entered, release = threading.Semaphore(0), threading.Event()
    target.does["/go"] = [held(entered, release)]
    harness.publish(runbook("demo", call(target)))
    people = (ALICE, BOB, CAROL, DAVE)[: live_plans.MOST_AT_ONCE]
    with ThreadPoolExecutor(len(people)) as pool:
        asked = [pool.submit(live_plans.make, harness.rt, who, WANTED) for who in people]
        try:
            assert all(entered.acquire(timeout=10) for _ in people)
            began = time.monotonic()
            with pytest.raises(Conflict, match="Several live plans"):
                live_plans.make(harness.rt, CAROL, WANTED)
            executions.request(harness.rt, CAROL, WANTED)
            assert time.monotonic() - began < 2
        finally:
            release.set()
        assert [told(each.result(20))["outcome"] for each in asked] == ["success"] * len(people)
    assert told(live_plans.make(harness.rt, CAROL, WANTED))["outcome"] == "success"


def test_a_turn_is_given_back_whatever_becomes_of_it(
    harness: Harness, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.publish(runbook("demo", call(target)))

    def breaks(*_: Any) -> None:
        raise OSError("no more threads")

    with monkeypatch.context() as patched:
        patched.setattr(live_calls, "make", breaks)
        for _ in range(live_plans.MOST_AT_ONCE + 1):
            with pytest.raises(OSError, match="no more threads"):
                live_plans.make(harness.rt, CAROL, WANTED)
    assert told(live_plans.make(harness.rt, CAROL, WANTED))["outcome"] == "success"


def test_a_server_that_never_answers_keeps_no_connection(
    harness: Harness, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_calls, "ALL_MS", 800)
    gone = threading.Event()

    def waits(conn: socket.socket, request: bytes) -> None:
        silence(conn, request)
        gone.set()

    target.does["/go"] = [waits]
    before = threading.active_count()
    assert told(live(harness, call(target)))["outcome"] == "unknown"
    assert gone.wait(5)
    names = [each.name for each in threading.enumerate() if each.name.startswith("live-plan")]
    assert names == [], (before, names)


def test_a_check_by_grpc_says_what_differs(harness: Harness, target: Target) -> None:
    """Its message and metadata, secrets included; the run's own call is another one."""
    with order_service() as service:
        harness.rt = allowed(harness, target.server.port, service.port)
        with_ = {
            "target": service.target, "service": "shop.v1.Orders", "method": "Cancel", "tls": False,
            "message": {"order_id": "a1"}, "metadata": {"x-key": "{{ secrets.canary }}"},
        }  # fmt: skip
        check = {"message": {"tags": ["check"]}, "metadata": {"x-check": "yes"}}
        plan = live(harness, {"id": "go", "type": "grpc", "with": with_, "dry_run": check})
        (seen,) = service.seen
        assert (seen["x-check"], seen["x-key"]) == ("yes", SECRET)
    said = told(plan)
    assert (said["outcome"], said["answer"]["code"]) == ("success", "OK")
    assert '"check"' in said["answer"]["body"]
    assert SECRET not in json.dumps(plan.as_json(), default=str)


def allowed(harness: Harness, *ports: int) -> Any:
    hosts = parse_allow(",".join(f"127.0.0.1:{port}" for port in ports))
    return replace(harness.rt, settings=replace(harness.rt.settings, egress_allow=hosts))
