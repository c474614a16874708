"""What leaves the harness: keys, retries, unknown outcomes, polls, and that it is on record before it leaves."""

from __future__ import annotations

from itertools import pairwise

import pytest
from harness import CAROL, HOUR, MINUTE, SECOND, Harness, Target, hang_up, http, poll, runbook
from local_server import answer, silence

from engine.runs import controls
from engine.steps.outcome import Failed, Succeeded
from engine.worker import runner
from storage import attempts, database, steps
from storage.columns import dicts
from storage.tables import ALL

RETRY = {"max_attempts": 3, "delay": "10s", "backoff": 2, "max_delay": "1m"}
BROKEN = answer(b"oops", "500 Internal Server Error")
JSON = "Content-Type: application/json"
FINE = answer(b'{"ok":true}', "200 OK", JSON)


def test_a_failed_idempotent_call_is_tried_again_with_the_same_key(harness: Harness, target: Target) -> None:
    """Three tries, each on record, all with one Idempotency-Key, with pauses that grow."""
    target.does["/"] = [BROKEN, BROKEN, FINE]
    run = harness.begin(http("a", target.url(), retry=RETRY))
    began = harness.clock.time
    assert harness.run(run) == "SUCCESS"
    assert list(target.seen_keys().values()) == [3]
    assert [each.status for each in harness.attempts(run, "a")] == ["FAILED", "FAILED", "SUCCESS"]
    first, second, third = (each.started_at - began for each in harness.attempts(run, "a"))
    assert first == 0
    assert 10 * SECOND <= second <= 15 * SECOND
    assert 20 * SECOND <= third - second <= 30 * SECOND
    assert harness.event_kinds(run).count("step_retrying") == 2
    harness.check_books(run)


def test_tries_end_with_max_attempts(harness: Harness, target: Target) -> None:
    """The first try counts, and the last failure is the run's."""
    target.does["/"] = [BROKEN]
    run = harness.begin(http("a", target.url(), retry=RETRY))
    assert harness.run(run) == "FAILED"
    assert len(target.hits) == 3
    assert "500" in harness.execution(run).error["message"]


def test_without_a_retry_of_its_own_a_step_has_the_default_number_of_tries(harness: Harness, target: Target) -> None:
    """DEFAULT_MAX_ATTEMPTS counts where the file says nothing."""
    target.does["/"] = [BROKEN]
    run = harness.begin(http("a", target.url()))
    harness.settle_for(default_max_attempts=2)
    assert harness.run(run) == "FAILED"
    assert len(target.hits) == 2


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_5xx_of_a_call_that_is_not_idempotent_is_final(harness: Harness, target: Target, method: str) -> None:
    """The server answered: it is known to have failed, and is not done twice."""
    target.does["/"] = [BROKEN]
    run = harness.begin(http("a", target.url(), method=method, retry=RETRY))
    assert harness.run(run) == "FAILED"
    assert len(target.hits) == 1


def test_a_server_that_asks_to_come_back_is_obeyed_whatever_the_method(harness: Harness, target: Target) -> None:
    """503 with Retry-After was refused before it was done: a POST is tried again, not sooner than asked."""
    busy = answer(b"", "503 Service Unavailable", "Retry-After: 45")
    target.does["/"] = [busy, FINE]
    run = harness.begin(http("a", target.url(), method="POST", retry=RETRY))
    assert harness.run(run) == "SUCCESS"
    first, second = harness.attempts(run, "a")
    assert second.started_at - first.started_at >= 45 * SECOND
    assert list(target.seen_keys().values()) == [2]


def test_a_503_without_retry_after_is_final_for_a_post(harness: Harness, target: Target) -> None:
    """Only a server that asks is asked again."""
    target.does["/"] = [answer(b"", "503 Service Unavailable")]
    run = harness.begin(http("a", target.url(), method="POST", retry=RETRY))
    assert harness.run(run) == "FAILED"
    assert len(target.hits) == 1


@pytest.mark.parametrize("trouble", [hang_up, silence])
def test_a_post_whose_answer_nobody_saw_is_unknown(harness: Harness, target: Target, trouble) -> None:
    """It is not sent again; the run waits for a person, for as long as that takes."""
    target.does["/"] = [trouble]
    run = harness.begin(http("a", target.url(), method="POST", timeout="1s", retry=RETRY))
    assert harness.run(run) == "WAITING"
    assert harness.all_steps(run) == {"a": "UNKNOWN"}
    harness.clock.tick(10 * HOUR)
    harness.sweep()
    assert harness.all_steps(run) == {"a": "UNKNOWN"}
    assert len(target.hits) == 1
    assert harness.attempts(run, "a")[0].status == "UNKNOWN"
    harness.check_books(run)


@pytest.mark.parametrize("trouble", [hang_up, silence])
def test_a_get_whose_answer_nobody_saw_is_sent_again(harness: Harness, target: Target, trouble) -> None:
    """Doing it twice does no harm."""
    target.does["/"] = [trouble, FINE]
    run = harness.begin(http("a", target.url(), timeout="1s", retry=RETRY))
    assert harness.run(run) == "SUCCESS"
    assert list(target.seen_keys().values()) == [2]


def test_a_post_that_was_not_sent_is_tried_again(harness: Harness, target: Target) -> None:
    """Nothing listens: nothing can have happened."""
    run = harness.begin(http("a", "http://127.0.0.1:1/", method="POST", retry=RETRY))
    claim = harness.claim(run)
    harness.finish(claim, harness.act(claim))
    step = harness.step(run, "a")
    assert step.error["code"] in ("egress_refused", "not_sent")
    assert target.hits == []


def test_two_steps_have_two_keys(harness: Harness, target: Target) -> None:
    """A key names one step run of one execution."""
    harness.publish(runbook("demo", http("a", target.url("/a")), http("b", target.url("/b"))))
    for _ in range(2):
        harness.advance(harness.start("demo"))
    assert list(target.seen_keys().values()) == [1, 1, 1, 1]


def test_an_attempt_is_on_record_before_its_first_byte_arrives(harness: Harness, target: Target) -> None:
    """The server looks into the database while it serves: the attempt is there and running."""
    seen: list[tuple[str, str]] = []
    run = harness.begin(http("a", target.url(), method="POST"), http("b", target.url()))

    def look(_path: str) -> None:
        with database.reading():
            found = steps.of_execution(run)
            running = next(each for each in found if each.status == "RUNNING")
            seen.append((running.path, attempts.of_step(running.id)[-1].status))

    target.on_request = look
    harness.advance(run)
    assert harness.status(run) == "SUCCESS"
    assert seen == [("a", "RUNNING"), ("b", "RUNNING")]


def test_a_poll_asks_until_it_is_true(harness: Harness, target: Target) -> None:
    """Rounds are paced by the interval, each is an attempt, and the last answer is the step's output."""
    target.does["/health"] = [
        answer(b'{"ok":false}'),
        BROKEN,
        answer(b'{"ok":true}', "200 OK", JSON),
    ]
    run = harness.begin(poll("wait", target.url("/health"), "response.json.ok == true", interval="5s", timeout="5m"))
    assert harness.run(run) == "SUCCESS"
    starts = [each.started_at for each in harness.attempts(run, "wait")]
    assert len(starts) == 3
    assert all(later - earlier >= 5 * SECOND for earlier, later in pairwise(starts))
    assert harness.step(run, "wait").outputs["json"] == {"ok": True}
    assert list(target.seen_keys().values()) == [3]


def test_a_poll_may_compare_with_what_an_earlier_step_found(harness: Harness, target: Target) -> None:
    """Its `until` reads the run as any condition does, beside the answer."""
    target.does["/version"] = [answer(b'{"v":7}', "200 OK", JSON)]
    target.does["/health"] = [answer(b'{"v":6}', "200 OK", JSON), answer(b'{"v":7}', "200 OK", JSON)]
    wait = poll("wait", target.url("/health"), "response.json.v == steps.a.outputs.json.v", interval="5s")
    run = harness.begin(http("a", target.url("/version")), wait)
    assert harness.run(run) == "SUCCESS"
    assert len(harness.attempts(run, "wait")) == 2


def test_a_poll_whose_time_is_up_fails(harness: Harness, target: Target) -> None:
    """The step's timeout is for all of its rounds, and no round starts after it."""
    target.does["/health"] = [answer(b"no")]
    run = harness.begin(poll("wait", target.url("/health"), "response.text == 'yes'", interval="10s", timeout="1m"))
    began = harness.clock.time
    assert harness.run(run) == "FAILED"
    assert harness.execution(run).error["code"] == "timeout"
    assert 6 <= len(target.hits) <= 7
    assert harness.execution(run).ended_at - began <= MINUTE


@pytest.mark.parametrize("ending", ["failure", "cancel"])
def test_a_poll_asks_no_more_once_its_run_is_ending(harness: Harness, target: Target, ending: str) -> None:
    """A round under way when the run ends is the last; the step is not blamed for it."""
    target.does["/health"] = [answer(b"no")]
    run = harness.begin(poll("wait", target.url("/health"), "response.text == 'yes'"), http("bad", needs=[]))
    wait, bad = harness.claim(run), harness.claim(run)
    if ending == "failure":
        harness.finish(bad, Failed("http_status", "500"))
    else:
        controls.cancel(harness.rt, CAROL, run)
        harness.finish(bad)
    harness.finish(wait, harness.act(wait))
    assert harness.all_steps(run)["wait"] == "CANCELLED"
    assert harness.status(run) == ("FAILED" if ending == "failure" else "CANCELLED")
    harness.check_books(run)


def test_outputs_flow_into_later_steps(harness: Harness, target: Target) -> None:
    """What one step brought, the next one sends, with its type kept."""
    target.does["/a"] = [answer(b'{"id": 42}', "200 OK", JSON)]
    run = harness.begin(
        http("a", target.url("/a")),
        http("b", target.url("/b"), method="POST", json={"n": "{{ steps.a.outputs.json.id }}"}),
    )
    harness.advance(run)
    assert harness.status(run) == "SUCCESS"
    assert harness.attempts(run, "b")[0].request["body"] == '{"n": 42}'


def test_a_template_that_cannot_be_rendered_fails_the_step_and_sends_nothing(harness: Harness, target: Target) -> None:
    """What a step needs and did not get is an error of the run, not a half-filled call."""
    run = harness.begin(http("a", target.url()), http("b", target.url("/{{ steps.a.outputs.json.nope.deep }}")))
    harness.advance(run)
    assert harness.status(run) == "FAILED"
    assert target.paths() == ["/"]


def test_no_secret_is_in_the_database(harness: Harness, target: Target) -> None:
    """Sent as header and body, echoed by the server, in an answer and in an error: it is nowhere in a dump."""
    secret = "c4nary-b1rd-of-the-m1ne"
    echo = f'{{"you sent": "{secret}", "again": ["{secret}"]}}'.encode()
    target.does["/a"] = [answer(echo, "200 OK", JSON, f"X-Echo: {secret}")]
    target.does["/b"] = [answer(echo, "400 Bad Request")]
    auth = {"type": "bearer", "token": "{{ secrets.canary }}"}
    run = harness.begin(
        http("a", target.url("/a"), method="POST", auth=auth, json={"it": "{{ secrets.canary }}"}),
        http(
            "b",
            target.url("/b"),
            query={"key": "{{ secrets.canary }}"},
            json={"x": "{{ steps.a.outputs.json }}"},
            method="POST",
        ),
    )
    harness.advance(run)
    assert harness.status(run) == "FAILED"
    assert secret.encode() in target.server.requests[0]
    assert any("secret" in str(each.request).lower() or "•" in str(each.request) for each in harness.attempts(run, "a"))
    dump = _dump()
    assert run in dump
    for form in (secret, secret.replace("-", "%2D")):
        assert form not in dump


def _dump() -> str:
    with database.reading():
        return "\n".join(str(row) for table in ALL for row in dicts(table.select()))


@pytest.mark.parametrize(("method", "after"), [("GET", "READY"), ("POST", "UNKNOWN")])
def test_a_fault_of_ours_in_a_call_is_an_outcome_like_any_other(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, method: str, after: str
) -> None:
    """Whether the call was sent is not known: it is repeated only if that is safe, and the log has the traceback."""

    def broken(*_args: object, **_keys: object) -> None:
        raise ZeroDivisionError("in our own code")

    monkeypatch.setattr(harness.egress, "send", broken)
    run = harness.begin(http("a", method=method))
    harness.advance(run)
    assert harness.all_steps(run) == {"a": after}
    assert "ZeroDivisionError" in caplog.text
    harness.check_books(run)


@pytest.mark.parametrize(("method", "after"), [("GET", "READY"), ("POST", "UNKNOWN")])
def test_a_result_that_can_not_be_kept_holds_up_nothing_for_ever(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, method: str, after: str
) -> None:
    """The step is taken back by the worker's own watch, as if the worker had been lost."""
    run = harness.begin(http("a", method=method))
    monkeypatch.setattr(runner, "perform", lambda *_: Succeeded({"size": float("nan")}))
    with pytest.raises(ValueError, match="JSON"):
        harness.advance(run)
    assert harness.all_steps(run) == {"a": "RUNNING"}
    harness.runner.recover_strays()
    assert harness.all_steps(run) == {"a": after}
    harness.check_books(run)
