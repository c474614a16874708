"""Containers, tolerated failures, cleanup and child runs, driven by hand on both databases."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from harness import ALICE, CAROL, DAVE, Harness, Target, gate, http, runbook
from local_server import answer

from engine.errors import Conflict, ReasonRequired
from engine.orchestration import admission, run_ending, run_status
from engine.runs import controls, executions, incoming_events, replay_run, skipping, voting
from storage.records import Filter
from storage.states import Decision, StepStatus

BROKEN = answer(b"no", "400 Bad Request", "Content-Type: text/plain")


def loop(name: str, *inner: dict[str, Any], **keys: Any) -> dict[str, Any]:
    with_ = {
        key.rstrip("_"): keys.pop(key) for key in ("items", "while_", "max_parallel", "max_failures") if key in keys
    }
    return {"id": name, "type": "loop", "with": {**with_, "steps": list(inner)}, **keys}


def branch(name: str, condition: str, then: list[Any], else_: list[Any] | None = None, **keys: Any) -> dict[str, Any]:
    with_: dict[str, Any] = {"if": condition, "then": then}
    return {"id": name, "type": "branch", "with": {**with_, "else": else_} if else_ else with_, **keys}


def outputs(harness: Harness, run: str, path: str) -> Any:
    return next(step.outputs for step in executions.view(harness.rt, run).steps if step.path == path)


def test_a_loop_goes_over_its_items_one_by_one(harness: Harness, target: Target) -> None:
    """Each round sees its item and its own steps; the loop's outputs hold every round's."""
    body = [
        http("ask", target.url("/{{ item }}")),
        http("tell", target.url("/told"), query={"index": "{{ index }}", "was": "{{ steps.ask.outputs.status }}"}),
    ]
    run = harness.begin(loop("each", *body, items=["a", "b", "c"]), http("after", target.url("/after")))
    assert harness.run(run) == "SUCCESS"
    assert target.paths() == [
        "/a",
        "/told?index=0&was=200",
        "/b",
        "/told?index=1&was=200",
        "/c",
        "/told?index=2&was=200",
        "/after",
    ]
    found = outputs(harness, run, "each")
    assert (found["rounds"], found["failures"], len(found["results"])) == (3, 0, 3)
    assert found["results"][1]["ask"]["status"] == 200


def test_an_empty_loop_is_done_at_once(harness: Harness, target: Target) -> None:
    """Nothing to go over is no failure."""
    run = harness.begin(loop("each", http("ask", target.url("/x")), items=[]), http("after", target.url("/after")))
    assert harness.run(run) == "SUCCESS"
    assert target.paths() == ["/after"]


@pytest.mark.parametrize(
    ("items", "told"),
    [
        ("{{ params.given | default(null) }}", "null"),
        ("{{ execution }}", "a mapping"),
        ("{{ execution.id }}", "text"),
        ("{{ execution.id == 'x' }}", "true or false"),
    ],
)
def test_what_is_no_list_is_named_in_jsons_words(harness: Harness, target: Target, items: str, told: str) -> None:
    """The step fails, and says what it got."""
    parameters = {"type": "object", "properties": {"given": {"type": "array"}}}
    run = harness.begin(loop("each", http("ask", target.url("/x")), items=items), parameters=parameters)
    assert harness.run(run) == "FAILED"
    assert f"`items` must be a list, not {told}" in str(executions.view(harness.rt, run).steps[0].error)


def test_a_failing_round_fails_the_loop_unless_that_is_put_up_with(harness: Harness, target: Target) -> None:
    """`max_failures` counts failed rounds; one more fails the step and the run."""
    target.does["/b"] = [BROKEN]
    one = loop("each", http("ask", target.url("/{{ item }}")), http("tell", target.url("/told")), items=["a", "b", "c"])
    run = harness.begin(one, slug="strict")
    assert harness.run(run) == "FAILED"
    assert target.paths() == ["/a", "/told", "/b"]
    one["with"]["max_failures"] = 1
    again = harness.begin(one, slug="lenient")
    assert harness.run(again) == "SUCCESS"
    assert outputs(harness, again, "each")["failures"] == 1
    assert target.paths()[3:] == ["/a", "/told", "/b", "/c", "/told"]


def test_rounds_run_beside_each_other(harness: Harness, target: Target) -> None:
    """`max_parallel` rounds are open at once, and the next begins when one ends."""
    run = harness.begin(loop("each", gate("ask"), items=[1, 2, 3], max_parallel=2))
    harness.run(run)
    open_now = [step.path for step in executions.view(harness.rt, run).steps if step.status is StepStatus.WAITING]
    assert open_now == ["each", "each[0].ask", "each[1].ask"]
    for path in ("each[1].ask", "each[2].ask", "each[0].ask"):
        voting.vote(harness.rt, ALICE, run, path, Decision.APPROVE)
        harness.run(run)
    assert harness.status(run) == "SUCCESS"


def test_a_while_loop_ends_when_its_condition_does(harness: Harness, target: Target) -> None:
    """The condition sees the round before."""
    run = harness.begin(loop("again", http("ask", target.url("/x")), while_="index < 3"))
    assert harness.run(run) == "SUCCESS"
    assert target.paths() == ["/x"] * 3


def test_a_branch_takes_one_way(harness: Harness, target: Target) -> None:
    """Only the taken branch runs, and the outside sees which it was."""
    ways = branch("way", "params.big == true", [http("a", target.url("/a"))], [http("b", target.url("/b"))])
    schema = {"type": "object", "properties": {"big": {"type": "boolean"}}}
    harness.publish(
        runbook("demo", ways, http("after", target.url("/{{ steps.way.outputs.taken }}")), parameters=schema)
    )
    for big, way in ((True, "then"), (False, "else")):
        run = harness.start("demo", big=big)
        assert harness.run(run) == "SUCCESS"
        assert target.paths()[-1] == f"/{way}"
    assert target.paths() == ["/a", "/then", "/b", "/else"]


def test_a_branch_inside_a_loop_inside_a_loop(harness: Harness, target: Target) -> None:
    """Containers nest, and `item` is the innermost round's."""
    inner = loop("inner", branch("way", "item == 'x'", [http("a", target.url("/{{ item }}"))]), items=["x", "y"])
    run = harness.begin(loop("outer", inner, items=[1, 2]))
    assert harness.run(run) == "SUCCESS"
    assert target.paths() == ["/x", "/x"]
    assert "outer[1].inner[0].way.a" in {step.path for step in executions.view(harness.rt, run).steps}


def test_a_failure_that_is_put_up_with_lets_the_run_go_on(harness: Harness, target: Target) -> None:
    """`continue_on_error` keeps the failure on record and the run going."""
    target.does["/bad"] = [BROKEN]
    run = harness.begin(http("bad", target.url("/bad"), continue_on_error=True), http("after", target.url("/after")))
    assert harness.run(run) == "SUCCESS"
    assert harness.all_steps(run) == {"bad": "FAILED", "after": "SUCCESS"}


def test_undo_on_failure_and_finally_follow_a_failure(harness: Harness, target: Target) -> None:
    """What succeeded is undone, the last first; then on_failure, then finally; the result stays FAILED."""
    target.does["/c"] = [BROKEN]

    def undoable(name: str) -> dict[str, Any]:
        undo = {"type": "http", "with": {"method": "DELETE", "url": target.url(f"/undo-{name}")}}
        return {**http(name, target.url(f"/{name}")), "undo": undo}

    run = harness.begin(
        undoable("a"), undoable("b"), undoable("c"), http("never", target.url("/never")),
        on_failure=[http("warn", target.url("/warn"))], **{"finally": [http("tidy", target.url("/tidy"))]},
    )  # fmt: skip
    assert harness.run(run) == "FAILED"
    assert target.paths() == ["/a", "/b", "/c", "/undo-b", "/undo-a", "/warn", "/tidy"]
    assert harness.all_steps(run)["b.undo"] == "SUCCESS"


def test_finally_follows_a_success_and_changes_no_result(harness: Harness, target: Target) -> None:
    """A finally step that fails leaves the run a success."""
    target.does["/tidy"] = [BROKEN]
    run = harness.begin(http("a", target.url("/a")), **{"finally": [http("tidy", target.url("/tidy"))]})
    assert harness.run(run) == "SUCCESS"
    assert harness.all_steps(run) == {"a": "SUCCESS", "tidy": "FAILED"}


def test_a_cancelled_run_cleans_up_and_force_ends_that(harness: Harness, target: Target) -> None:
    """Cancel goes through cleanup; a cancel with force ends cleanup at once."""
    undo = {"type": "http", "with": {"method": "DELETE", "url": target.url("/undo")}}
    cleanup = {"finally": [gate("really")]}
    run = harness.begin({**http("a", target.url("/a")), "undo": undo}, gate("ask"), **cleanup)
    harness.run(run)
    controls.cancel(harness.rt, CAROL, run, "enough")
    harness.run(run)
    assert target.paths() == ["/a", "/undo"]
    assert harness.status(run) == "WAITING"
    controls.cancel(harness.rt, CAROL, run, "now", force=True)
    assert harness.status(run) == "CANCELLED"


def test_pause_starts_nothing_and_resume_goes_on(harness: Harness, target: Target) -> None:
    """A decided gate waits for the resume."""
    run = harness.begin(gate("ask"), http("after", target.url("/after")))
    harness.run(run)
    controls.pause(harness.rt, CAROL, run, "hold on")
    voting.vote(harness.rt, ALICE, run, None, Decision.APPROVE)
    harness.run(run)
    assert (harness.status(run), target.paths()) == ("PAUSED", [])
    controls.resume(harness.rt, CAROL, run)
    assert harness.run(run) == "SUCCESS"


def test_retry_goes_on_from_the_failed_step(harness: Harness, target: Target) -> None:
    """The failed step runs again with fresh tries, and what was held back follows."""
    target.does["/b"] = [BROKEN, answer(b"{}", "200 OK")]
    run = harness.begin(http("a", target.url("/a")), http("b", target.url("/b")), http("c", target.url("/c")))
    assert harness.run(run) == "FAILED"
    controls.retry(harness.rt, CAROL, run)
    assert harness.run(run) == "SUCCESS"
    assert target.paths() == ["/a", "/b", "/b", "/c"]


def test_retry_inside_a_loop_goes_on_with_the_round(harness: Harness, target: Target) -> None:
    """A loop that failed goes on from the failed round, and its earlier rounds stay done."""
    target.does["/b"] = [BROKEN, answer(b"{}", "200 OK")]
    each = loop(
        "each", http("ask", target.url("/{{ item }}")), http("tell", target.url("/told")), items=["a", "b", "c"]
    )
    run = harness.begin(each, http("after", target.url("/after")))
    assert harness.run(run) == "FAILED"
    controls.retry(harness.rt, CAROL, run)
    assert harness.run(run) == "SUCCESS"
    assert target.paths() == ["/a", "/told", "/b", "/b", "/told", "/c", "/told", "/after"]


def test_retry_with_changed_parameters_asks_every_gate_again(harness: Harness, target: Target) -> None:
    """No vote is carried over to other parameters."""
    schema = {"type": "object", "properties": {"host": {"type": "string", "default": "a"}}}
    target.does["/a"] = [BROKEN]
    harness.publish(runbook("demo", gate("ask"), http("call", target.url("/{{ params.host }}")), parameters=schema))
    run = harness.start("demo")
    harness.run(run)
    voting.vote(harness.rt, ALICE, run, None, Decision.APPROVE)
    assert harness.run(run) == "FAILED"
    controls.retry(harness.rt, CAROL, run, parameters={"host": "b"})
    harness.run(run)
    assert (harness.status(run), target.paths()) == ("WAITING", ["/a"])
    voting.vote(harness.rt, DAVE, run, None, Decision.APPROVE)
    assert harness.run(run) == "SUCCESS"
    assert target.paths() == ["/a", "/b"]
    assert len(target.seen_keys()) == 2, "another call, so another key"


def test_skip_lets_the_run_go_on_without_a_step(harness: Harness, target: Target) -> None:
    """A person skips the step that failed the run."""
    target.does["/b"] = [BROKEN]
    run = harness.begin(http("b", target.url("/b")), http("c", target.url("/c")))
    assert harness.run(run) == "FAILED"
    skipping.skip(harness.rt, CAROL, run, "b", "done by hand")
    assert harness.run(run) == "SUCCESS"
    assert harness.all_steps(run) == {"b": "SKIPPED", "c": "SUCCESS"}


def test_an_event_ends_a_wait_whichever_comes_first(harness: Harness, target: Target) -> None:
    """Event first or wait first, both work; the same event twice changes nothing; one event satisfies one wait."""
    wait = {"id": "hear", "type": "wait", "with": {"key": "deploy-{{ execution.id }}"}}
    run = harness.begin(wait, http("after", target.url("/{{ steps.hear.outputs.data.tag }}")))
    harness.run(run)
    assert harness.status(run) == "WAITING"
    assert incoming_events.deliver(harness.rt, f"deploy-{run}", "e1", "ci", {"tag": "v2"})
    assert not incoming_events.deliver(harness.rt, f"deploy-{run}", "e1", "ci", {"tag": "v3"})
    assert harness.run(run) == "SUCCESS"
    assert target.paths() == ["/v2"]
    harness.publish(runbook("early", {"id": "hear", "type": "wait", "with": {"key": "k"}}))
    incoming_events.deliver(harness.rt, "k", "e2", "ci", {})
    assert harness.run(harness.start("early")) == "SUCCESS"


def test_a_wait_that_hears_nothing_fails(harness: Harness, target: Target) -> None:
    """The wait's own timeout, not the run's, ends it."""
    run = harness.begin({"id": "hear", "type": "wait", "with": {"key": "k"}, "timeout": "10m"})
    harness.run(run)
    harness.clock.tick(10 * 60_000)
    harness.sweep()
    assert harness.status(run) == "FAILED"


def test_a_runbook_step_runs_another_runbook(harness: Harness, target: Target) -> None:
    """The child is an execution of its own; its result is the step's outputs."""
    harness.publish(runbook("child", http("call", target.url("/child"))))
    run = harness.begin({"id": "sub", "type": "runbook", "with": {"id": "child"}}, http("after", target.url("/after")))
    for _ in range(5):
        for each in executions.recent(harness.rt, Filter(open=True)):
            harness.run(each.id, patience_ms=20_000)
    assert harness.status(run) == "SUCCESS"
    assert target.paths() == ["/child", "/after"]
    assert outputs(harness, run, "sub")["outputs"]["call"]["status"] == 200


def test_a_delay_takes_its_time_and_holds_nothing(harness: Harness, target: Target) -> None:
    """The step after a delay starts when it is over, not before."""
    run = harness.begin({"id": "pause", "type": "delay", "with": {"for": "5m"}}, http("after", target.url("/after")))
    began = harness.clock.time
    assert harness.run(run) == "SUCCESS"
    assert harness.clock.time - began >= 5 * 60_000


def test_a_concurrency_group_queues_and_admits(harness: Harness, target: Target) -> None:
    """The second run waits until the first has ended, through its gate too."""
    harness.publish(
        runbook(
            "demo",
            gate("ask"),
            concurrency={"group": "g", "limit": 1},
            parameters={"type": "object", "properties": {"n": {"type": "integer"}}},
        )
    )
    first, second = harness.start("demo", n=1), harness.start("demo", n=2)
    harness.run(first)
    harness.run(second, patience_ms=5_000)
    assert (harness.status(first), harness.status(second)) == ("WAITING", "PENDING")
    voting.vote(harness.rt, ALICE, first, None, Decision.APPROVE)
    assert harness.run(first) == "SUCCESS"
    harness.run(second)
    assert harness.status(second) == "WAITING"


def test_the_same_run_is_started_once(harness: Harness, target: Target) -> None:
    """An identical run that is still open is shown instead of started twice; force needs a reason."""
    harness.publish(runbook("demo", gate("ask")))
    wanted = admission.Wanted("demo", {}, trigger="test")
    first = executions.request(harness.rt, CAROL, wanted)
    again = executions.request(harness.rt, CAROL, wanted)
    assert (first.how, again.how, again.execution.id) == ("started", "open", first.execution.id)
    with pytest.raises(ReasonRequired):
        executions.request(harness.rt, CAROL, wanted, force=True)
    forced = executions.request(harness.rt, CAROL, replace(wanted, reason="both hosts hang"), force=True)
    assert (forced.how, forced.execution.id != first.execution.id) == ("started", True)


def test_a_run_that_succeeded_lately_is_reused_only_when_asked(harness: Harness, target: Target) -> None:
    """Within the time given it is the answer; later, or without a time, another starts."""
    harness.publish(runbook("demo", http("a", target.url("/a"))))
    wanted = admission.Wanted("demo", {}, trigger="test")
    first = executions.request(harness.rt, CAROL, wanted).execution.id
    assert harness.run(first) == "SUCCESS"
    reused = executions.request(harness.rt, CAROL, wanted, reuse_within_ms=60_000)
    assert (reused.how, reused.execution.id) == ("reused", first)
    harness.clock.tick(61_000)
    assert executions.request(harness.rt, CAROL, wanted, reuse_within_ms=60_000).how == "started"


def test_an_idempotency_key_gives_the_same_answer(harness: Harness, target: Target) -> None:
    """For the same request the same run, even after its end; for another request a clear refusal."""
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    harness.publish(runbook("demo", http("a", target.url("/a")), parameters=schema))
    wanted = admission.Wanted("demo", {"n": 1}, trigger="test")
    first = executions.request(harness.rt, CAROL, wanted, key="k").execution.id
    harness.run(first)
    assert executions.request(harness.rt, CAROL, wanted, key="k").execution.id == first
    with pytest.raises(Conflict, match="used for another request"):
        executions.request(harness.rt, CAROL, replace(wanted, parameters={"n": 2}), key="k")
    assert executions.request(harness.rt, ALICE, wanted, key="k").execution.id != first


def test_a_gate_is_never_skipped(harness: Harness, target: Target) -> None:
    """Neither open nor to come nor inside a branch: only its approvers let a run pass it."""
    run = harness.begin(gate("ask"), branch("way", "true", [gate("inner")]), http("after", target.url("/after")))
    harness.run(run)
    for path in ("ask", "way"):
        with pytest.raises(Conflict, match="nobody skips it"):
            skipping.skip(harness.rt, CAROL, run, path, "in a hurry")
    voting.vote(harness.rt, ALICE, run, "ask", Decision.REJECT, "no")
    assert harness.run(run) == "FAILED"
    with pytest.raises(Conflict, match="nobody skips it"):
        skipping.skip(harness.rt, CAROL, run, "ask", "in a hurry")


def test_every_counter_is_what_the_step_runs_say(harness: Harness, target: Target) -> None:
    """After loops, branches and failures the execution's counters equal a recount."""
    from storage import database, steps

    target.does["/b"] = [BROKEN]
    run = harness.begin(
        loop(
            "each",
            branch("way", "item != 'c'", [http("ask", target.url("/{{ item }}"))]),
            items=["a", "b", "c"],
            max_failures=1,
        ),
        gate("ask-people"),
    )
    harness.run(run)
    found = executions.find(harness.rt, run)
    with database.reading():
        again = run_status.with_counters(found, steps.count_by_status(run, found.phase))
    assert (found.live, found.running, found.waiting_steps, found.unfinished) == (
        again.live,
        again.running,
        again.waiting_steps,
        again.unfinished,
    )
    assert run_ending.cleanup_ended(found, 0) is False


def test_a_replay_reuses_what_was_done_and_asks_gates_first(harness: Harness, target: Target) -> None:
    """From a step on, outputs before it are taken over, no vote is, and the old execution stays as it was."""
    target.does["/c"] = [BROKEN, answer(b"{}", "200 OK")]
    old = harness.begin(
        http("a", target.url("/a")), gate("ask"), http("b", target.url("/b")),
        http("c", target.url("/c"), query={"was": "{{ steps.a.outputs.status }}"}),
    )  # fmt: skip
    harness.run(old)
    voting.vote(harness.rt, ALICE, old, None, Decision.APPROVE)
    assert harness.run(old) == "FAILED"
    new = replay_run.replay(harness.rt, CAROL, old, start_from="c", reason="the target is back").id
    harness.run(new)
    assert (harness.status(new), target.paths()) == ("WAITING", ["/a", "/b", "/c?was=200"])
    voting.vote(harness.rt, DAVE, new, None, Decision.APPROVE)
    assert harness.run(new) == "SUCCESS"
    assert target.paths()[3:] == ["/c?was=200"]
    assert harness.status(old) == "FAILED"


def test_a_replay_from_the_start_does_everything_anew(harness: Harness, target: Target) -> None:
    """Same parameters, new execution, every step again."""
    old = harness.begin(http("a", target.url("/a")), http("b", target.url("/b")))
    assert harness.run(old) == "SUCCESS"
    new = replay_run.replay(harness.rt, CAROL, old).id
    assert harness.run(new) == "SUCCESS"
    assert (new != old, target.paths()) == (True, ["/a", "/b", "/a", "/b"])


def test_a_container_that_has_begun_is_not_begun_twice(harness: Harness, target: Target) -> None:
    """Retry of a failed branch names the step in it instead: its inner steps are there already."""
    target.does["/a"] = [BROKEN]
    run = harness.begin(branch("way", "true", [http("a", target.url("/a"))]))
    assert harness.run(run) == "FAILED"
    with pytest.raises(Conflict, match="retry the step in it"):
        controls.retry(harness.rt, CAROL, run, "way")


@pytest.mark.parametrize("channel", [None, "C0INC0001"])
def test_a_message_of_a_run_without_a_channel_is_kept(
    harness: Harness, channel: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Among the events, with a note on the step, and in the log; where it is posted it needs neither."""
    caplog.set_level("INFO")
    harness.publish(runbook("demo", {"id": "say", "type": "message", "with": {"text": "Half way"}}))
    incident = {"channel": channel, "case": 1} if channel else {}
    run = executions.start(harness.rt, CAROL, "demo", {}, trigger="test", incident=incident).id
    assert harness.run(run) == "SUCCESS"
    (said,) = [each.data for each in harness.events(run) if each.kind == "message"]
    assert (said["text"], said["posted"]) == ("Half way", channel is not None)
    assert bool(harness.step(run, "say").note) is (channel is None)
    assert ("Half way" in caplog.text) is (channel is None)
