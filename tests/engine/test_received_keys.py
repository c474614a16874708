"""What a run has received, under SECRET_KEYS: rotated while runs go on, lost, exchanged under the same id."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest
from harness import ALICE, CAROL, Harness, Target, gate, http
from test_received_secrets import BEARER, KEY, ONCE, gives, rotate
from test_secret_store import NEW, OLD

from engine import health
from engine.access import secrets as stored
from engine.config.setting_values import NamedKey
from engine.runs import controls, voting
from storage import audit, database, secret_outputs
from storage.states import Decision


def waiting(harness: Harness, target: Target, key: str = KEY, *, again: bool = False) -> str:
    """A run that has received `key` and waits at a gate before it is used; `again` is one more of the same runbook."""
    gives(target, key)
    steps = rotate(target), gate("ask"), http("use", target.url("/use"), auth=BEARER, retry=ONCE)
    run = harness.start("demo") if again else harness.begin(*steps)
    harness.run(run)
    assert harness.status(run) == "WAITING"
    return run


def vote(harness: Harness, run: str) -> None:
    voting.vote(harness.rt, ALICE, run, "ask", Decision.APPROVE)


def under(run: str) -> list[str]:
    with database.reading():
        return [each.key_id for each in secret_outputs.of_execution(run)]


def secrets_check(harness: Harness) -> health.Check:
    (found,) = [each for each in health.checks(harness.rt) if each.name == "secrets"]
    return found


def settle(harness: Harness, *keys: NamedKey, **settings: Any) -> None:
    harness.settle_for(secret_keys=keys, **settings)


def test_a_run_goes_on_over_a_rotation(harness: Harness, target: Target) -> None:
    """Received under the old key, rewrapped at the gate, used when the old key is gone; the audit names it."""
    settle(harness, OLD)
    run = waiting(harness, target)
    assert under(run) == ["k1"]
    settle(harness, NEW, OLD)
    done = stored.rotate_keys(harness.rt, ALICE)
    assert (done.rewrapped, done.problems, under(run)) == (1, (), ["k2"])
    assert stored.rotate_keys(harness.rt, ALICE).rewrapped == 0
    with database.reading():
        (row,) = audit.of_thing(harness.rt.workspace_id, "secrets")
    assert row.detail["received"] == [f"rotate.key of {run}"]
    settle(harness, NEW)
    assert secrets_check(harness).ok
    vote(harness, run)
    assert harness.run(run) == "SUCCESS"
    assert KEY.encode() in target.server.requests[-1]


@pytest.mark.parametrize("keys", [(NEW,), (NamedKey("k1", os.urandom(32)),)], ids=["gone", "exchanged"])
def test_a_lost_key_fails_the_step_that_reads_it(harness: Harness, target: Target, keys: tuple[NamedKey]) -> None:
    """With a sentence that names the key, and nothing sent; the worker goes on with other runs."""
    settle(harness, OLD)
    run = waiting(harness, target)
    sent = len(target.server.requests)
    settle(harness, *keys)
    check = secrets_check(harness)
    assert not check.ok
    assert f"what {run} received encrypted with" in check.detail
    assert "k1" in check.detail
    (problem,) = stored.rotate_keys(harness.rt, ALICE).problems
    assert f"`key` that rotate of {run} received" in problem
    vote(harness, run)
    assert harness.run(run) == "FAILED"
    error = str(harness.step(run, "use").error)
    assert "k1" in error
    assert "have that step run again" in error
    assert KEY not in error
    assert len(target.server.requests) == sent
    other = waiting(harness, target, "an0ther-t0ken-0f-it", again=True)
    vote(harness, other)
    assert harness.run(other) == "SUCCESS"


def test_a_key_that_comes_back_opens_it_again(harness: Harness, target: Target) -> None:
    """Nothing was thrown away while it was not there."""
    settle(harness, OLD)
    run = waiting(harness, target)
    settle(harness, NEW)
    assert stored.rotate_keys(harness.rt, ALICE).rewrapped == 0
    settle(harness, NEW, OLD)
    assert secrets_check(harness).ok
    vote(harness, run)
    assert harness.run(run) == "SUCCESS"


def test_a_stored_secret_under_an_exchanged_key_is_told(harness: Harness) -> None:
    """Both that of SECRET_KEYS and the one that is derived; the right key again is fine."""
    harness.sync()
    settle(harness, OLD, secret_key=b"a" * 32)
    stored.set_value(harness.rt, ALICE, "lb_token", "st0red-canary-v1")
    assert secrets_check(harness).ok
    settle(harness, NamedKey("k1", os.urandom(32)), secret_key=b"a" * 32)
    assert "lb_token encrypted with a key k1 that is another one in SECRET_KEYS here" in secrets_check(harness).detail
    settle(harness, secret_key=b"a" * 32)
    assert "k1, which SECRET_KEYS does not name" in secrets_check(harness).detail
    stored.set_value(harness.rt, ALICE, "lb_token", "st0red-canary-v2")
    assert secrets_check(harness).ok
    settle(harness, secret_key=b"b" * 32)
    assert "key default that is derived from another SECRET_KEY" in secrets_check(harness).detail


def test_rotations_while_runs_end(harness: Harness, target: Target) -> None:
    """Twice at once, and with what is rewrapped going away: nothing is lost, blocked or left under the old key."""
    settle(harness, OLD)
    runs = [waiting(harness, target, f"t0ken-{number}-0f-many-runs", again=number > 0) for number in range(12)]
    settle(harness, NEW, OLD)
    wrong: list[BaseException] = []

    def rotates() -> None:
        try:
            wrong.extend(AssertionError(each) for each in stored.rotate_keys(harness.rt, ALICE).problems)
        except BaseException as error:
            wrong.append(error)

    def cancels() -> None:
        for run in runs[::3]:
            controls.cancel(harness.rt, CAROL, run)

    threads = [threading.Thread(target=each) for each in (rotates, rotates, cancels)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert wrong == []
    stored.rotate_keys(harness.rt, ALICE)
    with database.reading():
        assert {each.id for each in secret_outputs.keys_in_use()} == {"k2"}
    settle(harness, NEW)
    for run in runs[1::3]:
        vote(harness, run)
        assert harness.run(run) == "SUCCESS"
