"""A run that fails, goes on by a retry and fails or succeeds: its cleanup runs once more, as if for the first time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from harness import ALICE, CAROL, HOUR, Harness, Target, gate, http, poll, runbook
from local_server import answer
from test_containers_and_cleanup import branch, loop

from engine.catalog import catalog
from engine.orchestration import step_runs
from engine.runs import controls, skipping, voting
from storage import database, run_state
from storage.states import Decision, Phase

BROKEN = answer(b"no", "400 Bad Request", "Content-Type: text/plain")
BUSY = answer(b"busy", "503 Service Unavailable", "Retry-After: 1")
FINE = answer(b'{"ok":true}', "200 OK", "Content-Type: application/json")
NOT_YET = answer(b'{"ok":false}', "200 OK", "Content-Type: application/json")


def failed(harness: Harness, target: Target, *more: dict[str, Any], **cleanup: Any) -> str:
    """A run of which /a fails twice, and then is fine; it has failed once."""
    target.does["/a"] = [BROKEN, BROKEN, FINE]
    run = harness.begin(http("a", target.url("/a")), *more, **cleanup)
    assert harness.run(run) == "FAILED"
    return run


def again(harness: Harness, run: str) -> str:
    controls.retry(harness.rt, CAROL, run)
    return str(harness.run(run))


def test_on_failure_and_finally_run_each_time(harness: Harness, target: Target) -> None:
    """Each time after the main steps, in order; a success has no use for `on_failure`. Tries are numbered on."""
    run = failed(
        harness, target, on_failure=[http("warn", target.url("/warn"))],
        **{"finally": [http("tidy", target.url("/tidy")), http("tell", target.url("/tell"))]},
    )  # fmt: skip
    once = ["/a", "/warn", "/tidy", "/tell"]
    assert target.paths() == once
    assert again(harness, run) == "FAILED"
    assert target.paths() == once * 2
    assert again(harness, run) == "SUCCESS"
    assert target.paths() == [*once * 2, "/a", "/tidy", "/tell"]
    assert [each.number for each in harness.attempts(run, "tidy")] == [1, 2, 3]
    assert len({key for _method, path, key in target.hits if path == "/tidy"}) == 3, "another call, so another key"


def test_each_time_has_all_its_tries(harness: Harness, target: Target) -> None:
    """What failed the first time takes none away from the second."""
    target.does["/tidy"] = [BUSY, FINE, BUSY, FINE]
    run = failed(harness, target, **{"finally": [http("tidy", target.url("/tidy"), retry={"max_attempts": 2})]})
    assert again(harness, run) == "FAILED"
    assert harness.all_steps(run)["tidy"] == "SUCCESS"
    assert target.paths().count("/tidy") == 4


def test_each_time_has_all_its_time(harness: Harness, target: Target) -> None:
    """A limit of the step counts from when it begins; so does that of the cleanup."""
    target.does["/health"] = [FINE, NOT_YET, FINE]
    healthy = poll("healthy", target.url("/health"), "response.json.ok", timeout="5m")
    run = failed(harness, target, **{"finally": [healthy]})
    harness.clock.tick(2 * HOUR)
    harness.know_groups()
    assert again(harness, run) == "FAILED"
    assert harness.step(run, "healthy").status == "SUCCESS"
    assert target.paths().count("/health") == 3


def test_what_is_skipped_the_second_time_brings_nothing_of_the_first(harness: Harness, target: Target) -> None:
    """And what was skipped the first time runs the second. A step that needed one has the needs it had."""
    ok = {"if_": "steps.a.outputs.status == 200"}
    run = failed(
        harness, target,
        **{"finally": [
            http("only-when-broken", target.url("/broken"), if_="steps.a.outputs.status == 400", needs=[]),
            http("only-when-fine", target.url("/fine"), needs=[], **ok),
            http("last", target.url("/last"), needs=["only-when-broken", "only-when-fine"]),
        ]},
    )  # fmt: skip
    assert (target.paths(), again(harness, run)) == (["/a", "/broken", "/last"], "FAILED")
    assert harness.step(run, "only-when-fine").note == "its condition was not met"
    assert again(harness, run) == "SUCCESS"
    assert target.paths()[-3:] == ["/a", "/fine", "/last"]
    gone, fine = harness.step(run, "only-when-broken"), harness.step(run, "only-when-fine")
    assert (gone.status, gone.outputs, gone.note) == ("SKIPPED", None, "its condition was not met")
    assert (fine.status, fine.note, fine.outputs["status"]) == ("SUCCESS", "", 200)


def test_a_failed_cleanup_is_no_failure_of_the_next(harness: Harness, target: Target) -> None:
    """Its error is gone, and what it held back runs."""
    target.does["/tidy"] = [BROKEN, FINE]
    run = failed(harness, target, **{"finally": [http("tidy", target.url("/tidy")), http("tell", target.url("/tell"))]})
    assert "/tell" not in target.paths()
    assert again(harness, run) == "FAILED"
    assert (harness.step(run, "tidy").error, target.paths()[-2:]) == (None, ["/tidy", "/tell"])


def test_each_time_starts_a_run_of_its_own(harness: Harness, target: Target) -> None:
    """A `runbook` step of the cleanup does not take what its first child brought."""
    harness.publish(runbook("child", http("call", target.url("/child"))))
    cleanup = {"finally": [{"id": "sub", "type": "runbook", "with": {"id": "child"}}]}
    target.does["/a"] = [BROKEN]
    run = harness.begin(http("a", target.url("/a")), **cleanup)
    children = []
    for _ in range(2):
        harness.advance(run)
        children.append(str(harness.step(run, "sub").child))
        assert harness.run(children[-1]) == "SUCCESS"
        assert harness.run(run) == "FAILED"
        controls.retry(harness.rt, CAROL, run)
    assert len(set(children)) == 2


def test_each_time_asks_anew(harness: Harness, target: Target) -> None:
    """No vote on a gate of a cleanup counts for the next."""
    target.does["/a"] = [BROKEN]
    run = harness.begin(http("a", target.url("/a")), **{"finally": [gate("really"), http("tidy", target.url("/tidy"))]})
    for times in (1, 2):
        assert harness.run(run) == "WAITING"
        assert target.paths().count("/tidy") == times - 1
        voting.vote(harness.rt, ALICE, run, None, Decision.APPROVE)
        assert harness.run(run) == "FAILED"
        controls.retry(harness.rt, CAROL, run)


def test_a_person_skips_a_step_of_one_cleanup_only(harness: Harness, target: Target) -> None:
    """What was agreed for the first is no wish for the second."""
    target.does["/a"] = [BROKEN]
    run = harness.begin(
        http("a", target.url("/a")),
        **{"finally": [{"id": "hear", "type": "wait", "with": {"key": "k"}}, http("tidy", target.url("/tidy"))]},
    )
    for times in (0, 1):
        assert harness.run(run) == "WAITING"
        if not times:
            skipping.skip(harness.rt, CAROL, run, "tidy", "done by hand")
        skipping.skip(harness.rt, CAROL, run, "hear", "nobody tells")
        assert harness.run(run) == "FAILED"
        assert target.paths().count("/tidy") == times
        controls.retry(harness.rt, CAROL, run)


@pytest.mark.parametrize("kind", ["branch", "loop"])
def test_containers_of_a_cleanup_run_again_with_all_that_is_in_them(
    harness: Harness, target: Target, kind: str
) -> None:
    """Every round, and the branch that is right this time."""
    call = http("one", target.url("/one"))
    other = http("other", target.url("/other"))
    holder = {
        "branch": branch("way", "steps.a.outputs.status == 200", [other], [call]),
        "loop": loop("way", call, items=[1, 2]),
    }[kind]
    run = failed(harness, target, **{"finally": [holder]})
    once = ["/one"] if kind == "branch" else ["/one", "/one"]
    assert target.paths() == ["/a", *once]
    assert again(harness, run) == "FAILED"
    assert target.paths() == ["/a", *once] * 2
    assert again(harness, run) == "SUCCESS"
    assert target.paths()[2 * len(["/a", *once]) :] == ["/a", *(["/other"] if kind == "branch" else once)]


def test_a_loop_goes_over_what_there_is_this_time(harness: Harness, target: Target) -> None:
    """Its items are rendered anew."""
    over = loop("each", http("one", target.url("/{{ item }}")), items="{{ [steps.a.outputs.status] }}")
    run = failed(harness, target, **{"finally": [over]})
    assert again(harness, run) == "FAILED"
    assert again(harness, run) == "SUCCESS"
    assert target.paths() == ["/a", "/400", "/a", "/400", "/a", "/200"]


@pytest.mark.parametrize("kind", ["branch", "loop"])
def test_a_container_that_failed_in_one_cleanup_goes_on_in_the_next(
    harness: Harness, target: Target, kind: str
) -> None:
    """Nothing in it counts as failed or stopped before it runs; what it had not reached is reached."""
    target.does["/one"] = [BROKEN, FINE]
    inner = [http("one", target.url("/one")), http("two", target.url("/two"))]
    holder = branch("way", "true", inner) if kind == "branch" else loop("way", *inner, items=[1])
    run = failed(harness, target, **{"finally": [holder]})
    assert target.paths() == ["/a", "/one"]
    assert again(harness, run) == "FAILED"
    assert target.paths()[2:] == ["/a", "/one", "/two"]
    assert harness.step(run, "way").status == "SUCCESS"


def test_nothing_of_the_first_time_is_left(harness: Harness, target: Target) -> None:
    """A step that waits for its turn in the second cleanup is as it was before the first."""
    wait = {"id": "hear", "type": "wait", "with": {"key": "k"}}
    run = harness.begin(http("a", target.url("/a")), **{"finally": [wait, http("tidy", target.url("/tidy"))]})
    target.does["/a"] = [BROKEN]
    assert harness.run(run) == "WAITING"
    skipping.skip(harness.rt, CAROL, run, "hear", "nobody tells")
    assert harness.run(run) == "FAILED"
    with database.transaction():
        state = run_state.lock(run)
        assert state is not None
        state.edit(
            harness.step(run, "tidy"), due_at=1, deadline_at=1, failures=3, recoveries=3, worker_id="w1", started_at=1,
            ended_at=1, outputs={"x": 1}, error={"code": "x"}, note="x", items=[1], rounds=3, wait_key="k", child="R-X",
            skip={"by": "x"}, blocked=9, position=9,
        )  # fmt: skip
    controls.retry(harness.rt, CAROL, run)
    assert harness.run(run) == "WAITING"
    kept = {"id": 0, "fence": 0, "attempts": 0, "ended_seq": 0}
    found = harness.step(run, "tidy")
    definition = catalog.definition_of(harness.execution(run).version_id).by_id["tidy"]
    assert replace(found, **kept) == step_runs.blocked(run, 1, definition, phase=Phase.FINALLY)
    assert (found.fence > 0, found.attempts) == (True, 1)


def test_a_delay_takes_its_time_each_time(harness: Harness, target: Target) -> None:
    soak = {"id": "soak", "type": "delay", "with": {"for": "30s"}}
    run = failed(harness, target, **{"finally": [soak]})
    began = harness.clock.time
    assert (again(harness, run), harness.clock.time - began) == ("FAILED", 30_000)
    assert harness.step(run, "soak").outputs == {"waited": "30s"}
