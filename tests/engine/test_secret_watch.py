"""What a process learns of secrets while it runs, and a rotation of keys under a worker that works."""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from harness import ALICE, Harness, Target, http, runbook
from workers_apart import until, worker

from engine import doctor, health
from engine.access import secrets as stored
from engine.config.secret_keys import keyring_of
from engine.config.setting_values import NamedKey
from engine.config.settings import secret_key
from engine.config.stored_secrets import StoredSecrets
from engine.queries import secrets as views
from engine.secret_watch import WRITE_EVERY_S, SecretWatch
from engine.text.redaction import Redactor
from storage import database, secrets

VALUE = "w4tched-canary-of-the-mine"
AUTH = {"type": "bearer", "token": "{{ secrets.lb_token }}"}


@pytest.fixture
def harness(harness: Harness, target: Target) -> Harness:
    harness.publish(runbook("calls", http("call", target.url("/a"), auth=AUTH)))
    return harness


def last_used(harness: Harness) -> dict[str, int]:
    with database.reading():
        return secrets.last_used(harness.rt.workspace_id)


def test_what_is_set_elsewhere_is_masked_here(harness: Harness) -> None:
    """Also in a process that never uses it, and the value before it stays masked."""
    redactor = Redactor()
    watch = SecretWatch(harness.rt, redactor)
    for value in (VALUE, VALUE.upper()):
        stored.set_value(harness.rt, ALICE, "lb_token", value)
        watch.look()
    assert redactor.redact(f"{VALUE}, {VALUE.upper()}") == "‹secret lb_token›, ‹secret lb_token›"


def test_nothing_is_decrypted_twice(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look at what is known already is one small question."""
    stored.set_value(harness.rt, ALICE, "lb_token", VALUE)
    watch = SecretWatch(harness.rt, Redactor())
    watch.look()
    monkeypatch.setattr(secrets, "find", lambda *_: pytest.fail("it was read again"))
    watch.look()


def test_a_problem_is_logged_once(harness: Harness, caplog: pytest.LogCaptureFixture) -> None:
    """And again only once it was gone."""
    stored.set_value(harness.rt, ALICE, "lb_token", VALUE)
    settings = replace(harness.rt.settings, secret_key=os.urandom(32))
    source = StoredSecrets(harness.rt.workspace_id, keyring_of(settings))
    watch = SecretWatch(replace(harness.rt, settings=settings, sources=(source,)), Redactor())
    with caplog.at_level(logging.WARNING):
        watch.look()
        watch.look()
    assert [each.getMessage().count("cannot be decrypted") for each in caplog.records] == [1]


def test_when_it_was_used_is_written_now_and_then(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not with the step, at most once a minute a name, and never backwards."""
    stored.set_value(harness.rt, ALICE, "lb_token", VALUE)
    times = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: times[0])
    watch = SecretWatch(harness.rt, Redactor())
    harness.tools.secrets.resolve("lb_token")
    assert last_used(harness) == {}
    watch.look()
    first = last_used(harness)["lb_token"]
    assert first == harness.clock.time
    harness.clock.tick(30_000)
    times[0] += 30
    harness.tools.secrets.resolve("lb_token")
    watch.look()
    assert last_used(harness)["lb_token"] == first
    times[0] += WRITE_EVERY_S
    harness.clock.tick(int(WRITE_EVERY_S * 1000))
    watch.look()
    assert last_used(harness)["lb_token"] == first + 30_000
    with database.transaction():
        secrets.note_used(harness.rt.workspace_id, {"lb_token": first})
    assert last_used(harness)["lb_token"] == first + 30_000
    (view,) = [each for each in views.listing(harness.rt, ALICE) if each.name == "lb_token"]
    assert view.last_used_at == first + 30_000


def test_a_missing_key_is_told_by_health_and_the_doctor(harness: Harness) -> None:
    """By its id and the names under it; the bot is ready all the same."""
    keys = NamedKey("k1", bytes(32))
    with_key = replace(harness.rt, settings=replace(harness.rt.settings, secret_keys=(keys,)))
    stored.set_value(with_key, ALICE, "lb_token", VALUE)
    for rt, ok in ((with_key, True), (harness.rt, False)):
        (check,) = [each for each in health._database_checks(rt) if each.name == "secrets"]
        assert (check.ok, check.vital) == (ok, False)
        assert ok or ("lb_token" in check.detail and "k1" in check.detail)
    (finding,) = [each for each in doctor.of_running(harness.rt) if each.thing == "secrets"]
    assert "SECRET_KEYS" in finding.advice


def test_keys_are_rotated_under_a_worker_that_works(harness: Harness, target: Target, tmp_path: Path) -> None:
    """A real process reads the secret for each of its calls while it is rewrapped and set: none fails."""
    database.use_clock(None)
    key = secret_key(harness.rt.settings)
    keys = (NamedKey("k2", os.urandom(32)), NamedKey("k1", os.urandom(32)))
    old = replace(harness.rt, settings=replace(harness.rt.settings, secret_key=key, secret_keys=keys[1:]))
    new = replace(harness.rt, settings=replace(harness.rt.settings, secret_key=key, secret_keys=keys))
    stored.set_value(old, ALICE, "lb_token", VALUE)
    for number in range(60):
        stored.set_value(old, ALICE, f"s{number}", f"{VALUE}-{number}")
    with worker(harness.rt, tmp_path, target, secret_keys=keys):
        runs = [harness.start("calls") for _ in range(4)]
        until(lambda: target.hits)
        rotating = threading.Thread(target=stored.rotate_keys, args=(new, ALICE))
        rotating.start()
        runs += [harness.start("calls") for _ in range(8)]
        rotating.join(30)
        stored.set_value(new, ALICE, "lb_token", VALUE.upper())
        runs += [harness.start("calls") for _ in range(4)]
        until(lambda: {harness.status(run) for run in runs} == {"SUCCESS"}, 40)
        until(lambda: "lb_token" in last_used(harness))
    with database.reading():
        assert {each.id for each in secrets.keys_in_use(harness.rt.workspace_id)} == {"k2"}
    sent = b"".join(target.server.requests)
    assert VALUE.encode() in sent
    assert VALUE.upper().encode() in sent
    (log,) = tmp_path.glob("w-*.log")
    assert VALUE not in log.read_text()
