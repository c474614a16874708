"""Secrets that a run receives: for the steps behind, in no way out, gone with the run."""

from __future__ import annotations

import base64
import io
import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any
from urllib.parse import quote

import pytest
from harness import CAROL, Harness, Target, gate, http, poll, runbook
from local_server import answer
from test_canary import logged, ways_out

from engine.catalog import catalog
from engine.config.secret_keys import SecretUnreadable, keyring_of, of_received, of_stored
from engine.definition.load import examine
from engine.definition.reaches import reaches
from engine.errors import Conflict
from engine.orchestration import received
from engine.received_secrets import GRACE_S, ReceivedSecrets
from engine.runs import controls, incoming_events, replay_run
from engine.text.logs import FLOORS
from engine.text.redaction import Redactor
from storage import database, secret_outputs
from storage.columns import dicts
from storage.secret_tables import SecretOutput

__all__ = ["logged"]

KEY = "n3w-t0ken-0f-the-run"
JSON = "Content-Type: application/json"
SECRET = {"key": {"value": "{{ response.json.key }}", "secret": True}}
BEARER = {"type": "bearer", "token": "{{ steps.rotate.outputs.key }}"}
ONCE = {"max_attempts": 1}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """As in every process of ours: what libraries tell of headers and of SQL is in no log."""
    levels = {name: logging.getLogger(name).level for name in ("httpcore", "peewee")}
    for name in levels:
        logging.getLogger(name).setLevel(FLOORS[name])
    yield
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def gives(target: Target, key: str = KEY, path: str = "/rotate", status: str = "200 OK") -> None:
    body = json.dumps({"key": key, "id": 7}).encode()
    target.does.setdefault(path, []).append(answer(body, status, JSON, f"X-Key: {key}"))


def rotate(target: Target, **keys: Any) -> dict[str, Any]:
    outputs = {**SECRET, "id": "{{ response.json.id }}"}
    return http("rotate", target.url("/rotate"), method="PUT", **{"outputs": outputs, "retry": ONCE, **keys})


def rows() -> list[dict[str, Any]]:
    with database.reading():
        return dicts(SecretOutput.select())


def test_what_is_received_goes_to_the_steps_behind_and_ends_with_the_run(harness: Harness, target: Target) -> None:
    gives(target)
    seen: list[list[dict[str, Any]]] = []
    target.on_request = lambda path: seen.append(rows()) if path == "/use" else None
    use = http("use", target.url("/use"), auth=BEARER, json={"k": "<{{ steps.rotate.outputs.key | upper }}>"})
    run = harness.begin(rotate(target), {**use, "with": {**use["with"], "method": "POST"}})
    assert harness.run(run) == "SUCCESS"
    sent = target.server.requests[-1]
    assert f"Bearer {KEY}".encode() in sent
    assert f"<{KEY.upper()}>".encode() in sent
    assert harness.step(run, "rotate").outputs == {"key": "‹secret rotate.key›", "id": 7}
    (kept,) = seen[0]
    assert KEY not in str(kept)
    assert rows() == []
    (attempt,) = harness.attempts(run, "rotate")
    assert attempt.response["body"].startswith("‹not kept")
    assert KEY not in json.dumps(attempt.response)
    (attempt,) = harness.attempts(run, "use")
    assert "‹secret rotate.key›" in attempt.request["body"]


def echoes() -> Iterator[bytes]:
    yield KEY.encode()
    yield json.dumps({"body": json.dumps({"token": KEY})}).encode()
    yield quote(quote(KEY, safe="")).replace("-", "%252D").encode()
    yield base64.b64encode(base64.b64encode(f"user:{KEY}".encode())).rstrip(b"=")
    yield KEY.encode().hex().upper().encode()
    yield b" " * 290 + KEY.encode() + b" " * 5000 + KEY.upper().encode()


def test_a_canary_that_is_received_is_seen_nowhere(harness: Harness, target: Target, logged: io.StringIO) -> None:
    """Echoed in several encodings, by successes, failures, redirects and polls; in a gate, a message and the log."""
    gives(target)
    steps = [rotate(target)]
    for number, echo in enumerate(echoes()):
        for status in ("200 OK", "500 Oops", "302 Found"):
            path = f"/{number}/{status[:3]}"
            target.does[path] = [answer(echo, status, f"Location: /x?t={KEY}", f"X-Echo: {KEY}")]
            keys = {"retry": ONCE, "continue_on_error": True, "needs": ["rotate"], "method": "POST", "auth": BEARER}
            keys["json"] = {"made": "{{ steps.rotate.outputs.key | upper }}"}
            steps.append(
                http(f"s{number}-{status[:3]}", target.url(path), query={"k": "{{ steps.rotate.outputs.key }}"}, **keys)
            )
    target.does["/poll"] = [answer(json.dumps({"t": KEY}).encode(), "200 OK", JSON)]
    asks = poll("asks", target.url("/poll"), "response.json.t != ''", needs=["rotate"])
    asks["with"]["headers"] = {"X-Key": "{{ steps.rotate.outputs.key }}"}
    says = "{{ steps.asks.outputs.json.t }} {{ steps.rotate.outputs.id }}!"
    steps += [
        asks,
        {"id": "says", "type": "message", "needs": ["asks"], "with": {"text": says}},
        gate("ask", needs=["says"], message="May I use {{ steps.asks.outputs.json.t }}?"),
        http("behind", target.url("/z"), needs=["ask"], auth=BEARER),
    ]
    run = harness.begin(*steps, max_concurrent_steps=40)
    harness.run(run)
    assert harness.status(run) == "WAITING"
    assert sum(KEY.encode() in request for request in target.server.requests) >= 19
    for name, shown in ways_out(harness, run, logged):
        for piece in (KEY, KEY.upper(), KEY[2:], base64.b64encode(KEY.encode()).decode()[:-4]):
            assert piece not in shown, (name, piece, shown[max(0, shown.find(piece) - 300) : shown.find(piece) + 100])
        if name != "the log":
            assert "‹secret rotate.key" in shown, name


@pytest.mark.parametrize("kind", ["http", "poll"])
def test_an_answer_that_failed_is_not_kept_either(
    harness: Harness, target: Target, logged: io.StringIO, kind: str
) -> None:
    """It may hold the secret all the same, and nobody knows where."""
    gives(target, status="500 Oops")
    step = rotate(target) if kind == "http" else poll("rotate", target.url("/rotate"), "false", "30s", timeout="20s")
    run = harness.begin({**step, "outputs": SECRET})
    assert harness.run(run) == "FAILED"
    assert "500 Internal Server Error" in str(harness.step(run, "rotate").error)
    for name, shown in ways_out(harness, run, logged):
        assert KEY not in shown, name


BROKEN = {
    "header": b"HTTP/1.1 200 OK\r\nX Key: " + KEY.encode() + b"\r\nContent-Length: 2\r\n\r\nok",
    "status": b"HTTP/1.1 2x0 " + KEY.encode() + b"\r\n\r\nok",
    "chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + KEY.encode() + b"\r\n\r\nok",
    "words": b"HTTP/1.1 200 OK\r\nX closed connection: " + KEY.encode() + b"\r\n\r\nok",
}


@pytest.mark.parametrize("where", BROKEN)
@pytest.mark.parametrize("kind", ["http", "poll"])
def test_an_answer_that_is_no_http_is_not_quoted(
    harness: Harness, target: Target, logged: io.StringIO, where: str, kind: str
) -> None:
    """The library does: "illegal header line: bytearray(b'X Key: …')"."""
    target.does["/rotate"] = [lambda conn, _request: conn.sendall(BROKEN[where])]
    step = rotate(target) if kind == "http" else poll("rotate", target.url("/rotate"), "true", "1s", timeout="3s")
    run = harness.begin({**step, "outputs": SECRET})
    harness.run(run)
    assert "not valid HTTP (illegal" in str(harness.step(run, "rotate").error)
    for name, shown in ways_out(harness, run, logged):
        assert KEY not in shown, name


@pytest.mark.parametrize("body", ['{"key": "true"}', '{"key": 12345678}', '{"other": "n3w-t0ken-0f-the-run"}'])
def test_what_cannot_be_a_secret_fails_the_step(
    harness: Harness, target: Target, logged: io.StringIO, body: str
) -> None:
    target.does["/rotate"] = [answer(body.encode(), "200 OK", JSON)]
    run = harness.begin(rotate(target))
    assert harness.run(run) == "FAILED"
    assert harness.step(run, "rotate").error["code"] == "outputs"
    for name, shown in ways_out(harness, run, logged):
        assert KEY not in shown, name


def test_what_is_masked_already_is_not_taken_for_the_secret(harness: Harness, target: Target) -> None:
    """The steps behind would send the mark, as if it were the key."""
    harness.tools.redactor.add("other", KEY)
    gives(target)
    run = harness.begin(rotate(target), http("use", target.url("/use"), auth=BEARER))
    assert harness.run(run) == "FAILED"
    assert harness.step(run, "rotate").error["code"] == "outputs"
    assert "`outputs.key` came to a secret that is masked already" in harness.step(run, "rotate").error["message"]
    assert rows() == []
    assert len(target.server.requests) == 1


def test_a_call_that_began_before_does_not_show_what_came_meanwhile(harness: Harness, target: Target) -> None:
    """Its answer echoes a secret that it was not told of; it is masked as it is recorded."""
    gives(target)
    target.does["/slow"] = [answer(json.dumps({"seen": KEY}).encode(), "200 OK", JSON)]
    run = harness.begin(http("slow", target.url("/slow"), needs=[]), rotate(target, needs=[]), gate("ask", needs=[]))
    slow = harness.claim(run)
    assert slow.step.id == "slow"
    outcome = harness.act(slow)
    harness.advance(run)
    assert [row["name"] for row in rows()] == ["key"]
    harness.finish(slow, outcome)
    assert harness.step(run, "slow").outputs["json"] == {"seen": "‹secret rotate.key›"}
    assert KEY not in str(harness.attempts(run, "slow"))


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_event_that_tells_of_it_is_masked(harness: Harness, target: Target, logged: io.StringIO, when: str) -> None:
    """Also one that comes before the record of the step, when nobody knows yet what to mask."""
    gives(target)

    def tell() -> None:
        incoming_events.deliver(harness.rt, "rotated", "e1", "ci", {"key": KEY})

    target.on_request = lambda path: tell() if (path, when) == ("/rotate", "before") else None
    wait = {"id": "heard", "type": "wait", "with": {"key": "rotated"}}
    run = harness.begin(rotate(target), wait, gate("ask"))
    harness.run(run)
    if when == "after":
        tell()
        harness.run(run)
    assert harness.step(run, "heard").outputs["data"] == {"key": "‹secret rotate.key›"}
    for name, shown in ways_out(harness, run, logged):
        assert KEY not in shown, name


@pytest.mark.parametrize("status", ["200 OK", "500 Oops"])
def test_a_child_masks_what_its_parent_received(
    harness: Harness, target: Target, logged: io.StringIO, status: str
) -> None:
    """It begins at once, before any process looks at what other runs have received."""
    gives(target)
    target.does["/current"] = [answer(json.dumps({"message": KEY}).encode(), status, JSON)]
    get = http("get", target.url("/current"), retry=ONCE)
    child = runbook("inner", get, outputs={"seen": "{{ steps.get.outputs.json }}"})
    call = {"id": "call", "type": "runbook", "with": {"id": "inner"}, "continue_on_error": True}
    harness.publish(child, runbook("demo", rotate(target), call, gate("ask")))
    run = harness.start("demo")
    for _ in range(6):
        harness.run(run)
    assert "‹secret rotate.key›" in str(harness.step(run, "call"))
    for name, shown in ways_out(harness, run, logged):
        assert KEY not in shown, name


def test_a_child_that_was_quicker_hands_nothing_on(harness: Harness, target: Target) -> None:
    """What it keeps itself came before the secret; what its parent takes over comes after it."""
    gives(target)
    target.does["/current"] = [answer(json.dumps({"key": KEY}).encode(), "200 OK", JSON)]
    child = runbook("inner", http("get", target.url("/current")), outputs={"seen": "{{ steps.get.outputs.json }}"})
    call = {"id": "call", "type": "runbook", "with": {"id": "inner"}, "needs": []}
    harness.publish(child, runbook("demo", call, rotate(target, needs=[]), gate("ask"), max_concurrent_steps=2))
    run = harness.start("demo")
    harness.advance(run)
    inner = harness.step(run, "call").child
    harness.advance(inner)
    harness.run(run)
    assert harness.step(run, "call").outputs["outputs"] == {"seen": {"key": "‹secret rotate.key›"}}


def test_other_processes_learn_it_and_forget_it(harness: Harness, target: Target) -> None:
    gives(target)
    run = harness.begin(rotate(target), gate("ask"))
    harness.run(run)
    assert harness.rt.redactor().redact(f"a {KEY} b") == "a ‹secret rotate.key› b"
    time = [0.0]
    known, redactor = ReceivedSecrets(lambda: time[0]), Redactor()
    known.learn(harness.rt.settings, redactor)
    assert redactor.redact(KEY) == "‹secret rotate.key›"
    controls.cancel(harness.rt, CAROL, run)
    assert rows() == []
    known.learn(harness.rt.settings, redactor)
    assert redactor.redact(KEY) == "‹secret rotate.key›"
    time[0] = GRACE_S + 1
    known.learn(harness.rt.settings, redactor)
    assert redactor.redact(KEY) == KEY


def test_a_failed_run_has_forgotten_it(harness: Harness, target: Target) -> None:
    """What is left to do reads it, so neither a retry nor a replay from there can go on; from the step itself can."""
    gives(target)
    target.does["/use"] = [answer(b"no", "500 Oops"), answer(b"ok")]
    run = harness.begin(rotate(target), http("use", target.url("/use"), auth=BEARER, retry=ONCE))
    assert harness.run(run) == "FAILED"
    assert rows() == []
    with pytest.raises(Conflict, match=r"has forgotten `steps\.rotate\.outputs\.key`.*replay it from rotate"):
        controls.retry(harness.rt, CAROL, run)
    with pytest.raises(Conflict, match="start at rotate or before it"):
        replay_run.replay(harness.rt, CAROL, run, start_from="use", reason="again")
    again = replay_run.replay(harness.rt, CAROL, run, start_from="rotate", reason="again")
    assert harness.run(again.id) == "SUCCESS"
    assert KEY.encode() in target.server.requests[-1]


def test_the_step_that_receives_it_can_be_retried(harness: Harness, target: Target) -> None:
    gives(target, status="500 Oops")
    gives(target)
    run = harness.begin(rotate(target), http("use", target.url("/use"), auth=BEARER))
    assert harness.run(run) == "FAILED"
    controls.retry(harness.rt, CAROL, run)
    assert harness.run(run) == "SUCCESS"
    assert KEY.encode() in target.server.requests[-1]


def test_a_worker_that_dies_before_the_record_leaves_nothing(harness: Harness, target: Target) -> None:
    """Another one makes the call again, and the later secret counts."""
    gives(target, "f1rst-key-0f-the-run")
    gives(target)
    run = harness.begin({**rotate(target), "idempotent": True, "retry": {"max_attempts": 3}},
                      http("use", target.url("/use"), auth=BEARER))  # fmt: skip
    claim = harness.claim(run)
    harness.act(claim)
    assert rows() == []
    harness.runner._held.drop(claim.step_run)
    harness.alive.discard("w1")
    harness.runner = harness.worker("w2")
    harness.pass_time(120_000)
    harness.sweep()
    assert harness.run(run) == "SUCCESS"
    assert KEY.encode() in target.server.requests[-1]


def test_a_row_that_was_moved_opens_no_more(harness: Harness, target: Target) -> None:
    """What is sealed for one run, step and name is nothing for another; the step fails and sends nothing."""
    gives(target)
    use = http("use", target.url("/use"), auth=BEARER, retry=ONCE)
    run = harness.begin(rotate(target), gate("ask"), use)
    harness.run(run)
    other = harness.start("demo")
    gives(target, "an0ther-runs-0wn-key")
    harness.run(other)
    with database.transaction():
        mine, theirs = (secret_outputs.of_execution(each)[0] for each in (run, other))
        taken = asdict(theirs.sealed)
        SecretOutput.update(**taken).where(SecretOutput.id == mine.id).execute()
    with database.reading():
        claim_of = catalog.definition_of(harness.execution(run).version_id)
    assert ("rotate", "key") in claim_of.held
    with database.reading():
        (opened,) = received.of_run(harness.rt, claim_of, run)
    assert opened.value is None
    assert "cannot be decrypted" in opened.problem


def test_each_round_has_its_own(harness: Harness, target: Target) -> None:
    for number in range(3):
        gives(target, f"r0und-{number}-0f-the-l00p")
    inner = [rotate(target), http("use", target.url("/use"), auth=BEARER, needs=["rotate"])]
    run = harness.begin({"id": "each", "type": "loop", "with": {"items": [1, 2, 3], "steps": inner}})
    assert harness.run(run) == "SUCCESS"
    sent = [request for request in target.server.requests if request.startswith(b"GET /use")]
    assert [f"r0und-{number}-0f-the-l00p".encode() in request for number, request in enumerate(sent)] == [True] * 3
    assert "r0und" not in str([each.outputs for each in harness.step_runs(run)])


def test_what_takes_it_back_may_use_it(harness: Harness, target: Target) -> None:
    """Undo and cleanup run while the run has it; the commit that ends the run drops it."""
    gives(target)
    target.does["/fails"] = [answer(b"no", "500 Oops")]
    undo = {"type": "http", "with": {"url": target.url("/undo"), "method": "DELETE", "auth": BEARER}}
    run = harness.begin(
        rotate(target, undo=undo), http("fails", target.url("/fails"), retry=ONCE),
        **{"finally": [http("last", target.url("/last"), auth=BEARER)]},
    )  # fmt: skip
    assert harness.run(run) == "FAILED"
    sent = {request.split(b" ")[1]: KEY.encode() in request for request in target.server.requests}
    assert (sent[b"/undo"], sent[b"/last"]) == (True, True)
    assert rows() == []


def test_whoever_approves_sees_where_it_goes(target: Target) -> None:
    first, use = rotate(target), http("use", "https://h.example/", auth=BEARER)
    found = examine(runbook("demo", first, use).encode(), "demo.yaml")
    assert found.runbook is not None
    assert [(each.host, each.received) for each in reaches(found.runbook)][1] == ("h.example", ("rotate.key",))


def test_a_skipped_step_gives_nothing(harness: Harness, target: Target) -> None:
    """No mark is ever sent in the place of a secret."""
    run = harness.begin(rotate(target, if_="false"), http("use", target.url("/use"), auth=BEARER, retry=ONCE))
    assert harness.run(run) == "FAILED"
    assert target.server.requests == []


READ = "{{ steps.rotate.outputs.key }}"


@pytest.mark.parametrize(
    ("step", "told"),
    [
        (http("x", "http://h.example/{{ steps.rotate.outputs.key }}"), "is secret: secrets may stand"),
        (http("x", "http://h.example/", if_="steps.rotate.outputs.key == 'a'"), "is secret: secrets may stand"),
        (poll("x", "http://h.example/", "response.text == steps.rotate.outputs.key"), "is secret"),
        ({"id": "x", "type": "message", "with": {"text": READ}}, "is secret"),
        (gate("x", message=READ), "is secret"),
        ({"id": "x", "type": "runbook", "with": {"id": "other", "params": {"k": READ}}}, "is secret"),
        (http("x", "http://h.example/", outputs={"again": READ}), "is secret"),
        ({"id": "x", "type": "delay", "with": {"for": "1s"}, "outputs": SECRET}, "only what a call answers can"),
        (http("x", "http://h.example/", outputs={"k": {"value": 5, "secret": True}}), "which is text"),
        (http("x", "http://h.example/", outputs={"k": {"value": "a", "secret": True, "b": 1}}), "which is text"),
        (http("x", "http://h.example/", outputs={"k": {"value": "{{ secrets.a }}", "secret": True}}), "secrets may"),
    ],
)
def test_where_it_may_not_stand(step: dict[str, Any], told: str) -> None:
    first = http("rotate", "http://h.example/", outputs=SECRET)
    found = examine(runbook("demo", first, step).encode(), "demo.yaml")
    assert told in str([str(each) for each in found.problems])


def test_it_stays_inside_of_what_holds_the_step() -> None:
    """From outside nobody sends the mark that stands there for it."""
    inner = [http("rotate", "http://h.example/", outputs=SECRET)]
    holder = {"id": "way", "type": "branch", "with": {"if": "true", "then": inner}}
    read = "{{ steps.way.outputs.steps.rotate.key }}"
    use = http("use", "http://h.example/", auth={"type": "bearer", "token": read})
    found = examine(runbook("demo", holder, use).encode(), "demo.yaml")
    assert "is secret and stays inside `way`" in str([str(each) for each in found.problems])


def test_what_is_sealed_opens_for_its_own_thing_and_key_only(harness: Harness) -> None:
    ring, mine = keyring_of(harness.rt.settings), of_received(1, "R-1", "rotate", "key")
    kept = ring.seal(mine, KEY)
    assert KEY not in str(asdict(kept))
    assert ring.open(mine, kept) == KEY
    assert ring.seal(mine, KEY) != kept
    other = keyring_of(replace(harness.rt.settings, secret_key=b"k" * 32))
    for given, text, subject in (
        (ring, kept.ciphertext, of_received(1, "R-2", "rotate", "key")),
        (ring, kept.ciphertext, of_received(1, "R-1", "rotat", "ekey")),
        (ring, kept.ciphertext, of_received(2, "R-1", "rotate", "key")),
        (ring, kept.ciphertext, of_stored(1, "key", 1)),
        (ring, kept.ciphertext[:-4], mine),
        (ring, "", mine),
        (ring, "no base64", mine),
        (other, kept.ciphertext, mine),
    ):
        with pytest.raises(SecretUnreadable) as refused:
            given.open(subject, replace(kept, ciphertext=text))
        assert KEY not in str(refused.value)


def test_what_a_crash_left_is_swept(harness: Harness, target: Target) -> None:
    """Whatever kept the end of a run from dropping it."""
    gives(target)
    run = harness.begin(rotate(target), gate("ask"))
    harness.run(run)
    with database.transaction():
        (kept,) = secret_outputs.of_execution(run)
    controls.cancel(harness.rt, CAROL, run)
    with database.transaction():
        secret_outputs.keep(harness.rt.workspace_id, run, kept.path, {kept.name: kept.sealed}, {kept.name: [None]})
    harness.sweep()
    assert rows() == []


def test_a_run_hands_no_secret_on() -> None:
    first = http("rotate", "http://h.example/", outputs=SECRET)
    for outputs, told in (({"k": READ}, "is secret"), (SECRET, "only what a call answers can")):
        found = examine(runbook("demo", first, outputs=outputs).encode(), "demo.yaml")
        assert told in str([str(each) for each in found.problems])
