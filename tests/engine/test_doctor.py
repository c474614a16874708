"""The doctor's findings: what is well, what is not, and what to do about it."""

from __future__ import annotations

import resource
import socket
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from harness import ALICE, Harness, http, runbook

from engine import doctor
from engine.access.policy import SYSTEM
from engine.catalog.sync import sync
from engine.config import home, settings
from engine.doctor import Finding, Level
from engine.steps.outcome import Unknown
from storage import database


def told(found: Iterable[Finding]) -> dict[str, list[Finding]]:
    """Findings by what they are about; each that is not well says what to do."""
    by_thing: dict[str, list[Finding]] = {}
    for each in found:
        by_thing.setdefault(each.thing, []).append(each)
        assert (each.level is Level.OK) or each.advice, each
    return by_thing


def test_files_that_others_may_open_are_named_with_the_command_that_closes_them(tmp_path: Path) -> None:
    """In `var`, beside a database elsewhere, and `.env`; what is not the bot's is none of its business."""
    elsewhere = tmp_path / "data"
    for folder in (tmp_path / "var", elsewhere):
        folder.mkdir()
        folder.chmod(0o750)
    private = ("x.db", "x.db-wal", "x.db-shm", "x.db.migrate", "x.at-0001.before-0002.db", "x.before-0002.db")
    for name in (*private, "x.db.gz", "xy.db", "x.yaml", "x-y.db"):
        (elsewhere / name).touch()
        (elsewhere / name).chmod(0o604)
    (elsewhere / "x.db-journal").symlink_to(elsewhere / "xy.db")
    for path in (tmp_path / ".env", tmp_path / "var" / "secret key"):
        path.touch()
        path.chmod(0o640)
    loaded = settings.load({"DATABASE_URL": f"sqlite:///{elsewhere}/x.db"}, tmp_path)
    named = {path.name for path in home.open_to_others(loaded)}
    assert named == {"var", "secret key", *private}
    found = told(doctor.of_files(loaded))["files"]
    assert {each.level for each in found} == {Level.WARN}
    assert found[1].advice == f"chmod go= '{tmp_path}/var/secret key'"
    assert "4 more" in found[-1].detail
    home.close_to_others(loaded)
    (left,) = told(doctor.of_files(loaded))["files"]
    assert left.advice == f"chmod go= {tmp_path}/.env"
    (tmp_path / ".env").chmod(0o600)
    assert told(doctor.of_files(loaded))["files"] == [Finding(Level.OK, "files", "are the bot's alone")]
    assert (elsewhere / "xy.db").stat().st_mode & 0o777 == 0o604


def test_a_step_that_nobody_saw_ending_is_named_with_the_command_that_settles_it(harness: Harness) -> None:
    """A run that waits for a person and was forgotten."""
    run = harness.begin(http("restart", method="POST"))
    harness.finish(harness.claim(run), Unknown("lost", "the connection was lost"))
    (found,) = told(doctor.of_stuck(harness.rt))["runs"]
    assert found.level is Level.WARN
    assert f"runbook resolve {run} restart" in found.advice


@pytest.mark.parametrize(("soft", "hard", "level"), [(100, 300, "warn"), (256, 4096, "ok"), (4096, 4096, "ok")])
def test_a_process_takes_all_descriptors_it_may_have_and_few_are_told(soft: int, hard: int, level: str) -> None:
    """In a process of its own, since a hard limit is lowered for good."""
    program = (
        "from engine import doctor; from engine.config import file_descriptors as files; "
        "found, = doctor.of_descriptors(); "
        "print(files.raise_limit(), files.limit(), found.level, bool(found.advice))"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)),
    ).stdout.split()  # fmt: skip
    assert said == [str(hard), str(hard), level, str(level == "warn")]


def test_runs_that_go_on_are_not_stuck(harness: Harness) -> None:
    """Open is not stuck."""
    harness.begin(http("restart"))
    (found,) = told(doctor.of_stuck(harness.rt))["runs"]
    assert found == Finding(Level.OK, "runs", "1 open, none of them stuck")


def test_a_run_that_is_paused_for_long_is_named(harness: Harness) -> None:
    """A day is long."""
    from engine.runs import controls

    run = harness.begin(http("restart"))
    controls.pause(harness.rt, ALICE, run)
    assert "paused" not in str(told(doctor.of_stuck(harness.rt)))
    harness.clock.tick(doctor.PAUSED_LONG_MS + 1)
    assert f"runbook resume {run}" in str(told(doctor.of_stuck(harness.rt)))


def test_steps_of_dead_workers_are_bad(harness: Harness) -> None:
    """Nobody is there to take them over."""
    harness.claim(harness.begin(http("restart")))
    harness.clock.tick(60_000)
    assert [each.level for each in told(doctor.of_stuck(harness.rt))["runs"]] == [Level.BAD]


def test_nobody_who_can_approve_is_bad(harness: Harness) -> None:
    """A bot without a platform admin never runs anything."""
    harness.write(_access_yaml="platform_admins: []\n")
    sync(harness.rt, SYSTEM)
    assert told(doctor.of_running(harness.rt))["access"][0].level is Level.BAD


def test_what_readiness_finds_is_found_here_too(harness: Harness) -> None:
    """With what to do; a folder with something wrong in it is a warning."""
    found = told(doctor.of_running(harness.rt))
    assert found["sync"][0].level is Level.BAD
    harness.publish(runbook("fine", http("a")))
    assert told(doctor.of_running(harness.rt))["sync"][0].level is Level.OK
    harness.sync(broken="steps: [")
    assert "runbook check" in told(doctor.of_running(harness.rt))["runbooks"][0].advice


def test_a_database_that_is_not_there_or_not_of_this_release(tmp_path: Path) -> None:
    """The doctor makes none; an empty one wants to be migrated."""
    read = settings.load({}, tmp_path)
    found, rt = doctor.of_database(read)
    assert rt is None
    assert [each.level for each in found] == [Level.BAD]
    assert not (tmp_path / "var").exists()
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "runbook.db").touch()
    found, rt = doctor.of_database(read)
    database.close_database()
    assert rt is None
    assert "migrate" in found[0].advice


def test_the_database_of_this_release_is_well(harness: Harness) -> None:
    """And gives what the other questions need."""
    found, rt = doctor.of_database(harness.rt.settings)
    assert rt is not None
    assert {each.level for each in found} == {Level.OK}


def test_a_redis_that_does_not_answer_is_a_warning(harness: Harness) -> None:
    """Runs go on without it, later."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        away = replace(harness.rt.settings, redis_url=f"redis://127.0.0.1:{closed.getsockname()[1]}/0")
        (found,) = doctor.of_redis(away)
    assert found.level is Level.WARN
    assert [each.level for each in doctor.of_redis(harness.rt.settings)] == [Level.OK]


@pytest.mark.parametrize(("apart_s", "level"), [(0, Level.OK), (2, Level.WARN), (20, Level.BAD)])
def test_a_clock_that_is_off(harness: Harness, monkeypatch: pytest.MonkeyPatch, apart_s: int, level: Level) -> None:
    """Compared with the database's, which timers follow."""
    monkeypatch.setattr(doctor.time, "time", lambda: harness.clock.time / 1000 + apart_s)
    (found,) = told(doctor.of_clock(harness.rt))["clock"]
    assert found.level is level


def test_settings_that_deserve_a_look(tmp_path: Path) -> None:
    """What is allowed and easily forgotten."""
    loose = settings.load({"ALLOW_SELF_APPROVAL": "true", "RUNBOOK_DIR": "x"}, tmp_path)
    found = told(doctor.of_settings(loose))["settings"]
    assert all(each.level is Level.WARN for each in found)
    assert {"RUNBOOK_DIR", "PUBLIC_URL", "ALLOW_SELF_APPROVAL"} <= {each.detail.split(" ")[0] for each in found}
