"""The same secret received by two runs: both use it, by the rules of both, and neither learns anything of the other."""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from typing import Any

import pytest
from grpc_server import order_service
from harness import ALICE, CAROL, Harness, Target, gate, http, poll, runbook
from local_server import answer, egress_to
from test_canary import logged, ways_out
from test_received_destinations import mints
from test_received_destinations import uses as grpc_uses
from test_received_secrets import BEARER, JSON, KEY, ONCE, SECRET, gives, quiet, rotate, rows
from test_secret_store import NEW, OLD

from engine.access import secrets as stored
from engine.config.secret_keys import SecretUnreadable
from engine.received_secrets import GRACE_S, ReceivedSecrets
from engine.runs import controls, replay_run
from storage import database, secret_outputs
from storage.secret_tables import SecretOutput

__all__ = ["logged", "quiet"]


def learn(harness: Harness) -> None:
    """As a worker does every second."""
    harness.tools.received.learn(harness.rt.settings, harness.tools.redactor)


def first(harness: Harness, target: Target, **output: Any) -> str:
    """A run that has received the key and waits, known to this process."""
    gives(target)
    outputs = {"key": {**SECRET["key"], **output}}
    run = harness.begin(rotate(target, outputs=outputs), gate("ask"), slug="first")
    harness.run(run)
    assert harness.status(run) == "WAITING"
    learn(harness)
    del target.does["/rotate"]
    return run


def own(target: Target) -> str:
    return f"127.0.0.1:{target.server.port}"


def uses(target: Target, **keys: Any) -> dict[str, Any]:
    return http("use", target.url("/use"), auth=BEARER, retry=ONCE, **keys)


def test_both_runs_use_it(harness: Harness, target: Target, logged: io.StringIO) -> None:
    first(harness, target)
    gives(target)
    run = harness.begin(rotate(target), uses(target), gate("ask"), slug="second")
    harness.run(run)
    assert harness.status(run) == "WAITING", [each.error for each in harness.step_runs(run)]
    assert f"Bearer {KEY}".encode() in target.server.requests[-1]
    assert harness.step(run, "rotate").outputs == {"key": "‹secret rotate.key›", "id": 7}
    assert len(rows()) == 2
    for name, shown in ways_out(harness, run, logged):
        assert KEY not in shown, name


def test_where_it_goes_is_for_both_to_say(harness: Harness, target: Target) -> None:
    """The first run's rule holds for the second, which is told neither whose it is nor what it allows."""
    first(harness, target, hosts=["deploy.example"])
    gives(target)
    key = {"key": {**SECRET["key"], "hosts": [own(target)]}}
    run = harness.begin(rotate(target, outputs=key), uses(target), slug="second")
    assert harness.run(run) == "FAILED"
    error = harness.step(run, "use").error
    assert error["code"] == "secret_destination"
    assert error["message"] == (
        "Nothing was sent: `outputs.key` of step `rotate` was received elsewhere too, where its `hosts` do not let it "
        f"go to {own(target)}."
    )
    assert target.paths() == ["/rotate", "/rotate"]


def test_its_own_rule_holds_too(harness: Harness, target: Target) -> None:
    first(harness, target, hosts=[own(target)])
    gives(target)
    host = "{{ params.host }}"
    where = {"type": "object", "properties": {"host": {"enum": ["127.0.0.1", "other.example"]}}, "required": ["host"]}
    key = {"key": {**SECRET["key"], "hosts": ["other.example"]}}
    use = http("use", f"http://{host}:{target.server.port}/use", auth=BEARER, retry=ONCE)
    harness.publish(runbook("second", rotate(target, outputs=key), use, parameters=where))
    run = harness.start("second", host="127.0.0.1")
    assert harness.run(run) == "FAILED"
    assert "`hosts` of `outputs.key` of step `rotate` is other.example" in harness.step(run, "use").error["message"]
    assert target.paths() == ["/rotate", "/rotate"]


def test_a_rule_is_handed_on_beyond_the_run_that_made_it(harness: Harness, target: Target) -> None:
    """By each who receives it after the other, also when the first has been forgotten for more than an hour."""
    time = [0.0]
    object.__setattr__(harness.tools, "received", ReceivedSecrets(lambda: time[0]))
    run = first(harness, target, hosts=["deploy.example"])
    gives(target)
    second = harness.begin(rotate(target), gate("ask"), slug="second")
    harness.run(second)
    assert rows()[-1]["hosts"] == [None, ["deploy.example"]]
    controls.cancel(harness.rt, CAROL, run)
    learn(harness)
    time[0] = GRACE_S + 1
    learn(harness)
    gives(target)
    third = harness.begin(rotate(target), uses(target), slug="third")
    assert harness.run(third) == "FAILED"
    assert harness.step(third, "use").error["code"] == "secret_destination"
    assert target.paths() == ["/rotate"] * 3


def test_the_rule_of_a_run_that_ended_holds_for_an_hour(harness: Harness, target: Target) -> None:
    time = [0.0]
    object.__setattr__(harness.tools, "received", ReceivedSecrets(lambda: time[0]))
    run = first(harness, target, hosts=["deploy.example"])
    controls.cancel(harness.rt, CAROL, run)
    learn(harness)
    assert rows() == []
    gives(target)
    harness.publish(runbook("second", rotate(target), uses(target)))
    early = harness.start("second")
    assert harness.run(early) == "FAILED"
    assert harness.step(early, "use").error["code"] == "secret_destination"
    learn(harness)
    time[0] = GRACE_S + 1
    learn(harness)
    gives(target)
    late = harness.start("second")
    assert harness.run(late) == "SUCCESS"


def test_the_later_run_binds_the_first_to_nothing(harness: Harness, target: Target) -> None:
    """Whoever could receive it could else keep another run from its work."""
    gives(target)
    ask = gate("ask", timeout="1s", on_timeout="approve")
    run = harness.begin(rotate(target), ask, uses(target), slug="first")
    harness.run(run)
    learn(harness)
    gives(target)
    key = {"key": {**SECRET["key"], "hosts": ["nowhere.example"]}}
    harness.run(harness.begin(rotate(target, outputs=key), gate("ask"), slug="second"))
    learn(harness)
    harness.pass_time(2_000)
    harness.sweep()
    assert harness.run(run) == "SUCCESS", [each.error for each in harness.step_runs(run)]


def test_one_without_hosts_goes_nowhere_where_that_is_strict(harness: Harness, target: Target) -> None:
    """Also by way of a run that lists some."""
    first(harness, target)
    gives(target)
    key = {"key": {**SECRET["key"], "hosts": [own(target)]}}
    run = harness.begin(rotate(target, outputs=key), uses(target), slug="second")
    harness.settle_for(secrets_strict=True)
    assert harness.run(run) == "FAILED"
    assert "received elsewhere too" in harness.step(run, "use").error["message"]
    assert target.paths() == ["/rotate", "/rotate"]


def test_one_from_before_whose_rule_nobody_kept_is_refused(harness: Harness, target: Target) -> None:
    """The run that holds it goes on by what its runbook says."""
    gives(target)
    ask = gate("ask", timeout="1s", on_timeout="approve")
    run = harness.begin(rotate(target), ask, uses(target), slug="first")
    harness.run(run)
    with database.transaction():
        SecretOutput.update(hosts=None).execute()
    learn(harness)
    gives(target)
    second = harness.begin(rotate(target), uses(target), slug="second")
    assert harness.run(second) == "FAILED"
    assert "`outputs.key` came to a secret that is masked already" in harness.step(second, "rotate").error["message"]
    assert target.paths() == ["/rotate", "/rotate"]
    harness.pass_time(2_000)
    harness.sweep()
    assert harness.run(run) == "SUCCESS"


OTHERWISE = [
    "x{{ response.json.key }}",
    "{{ response.json.key | upper }}",
    "{{ response.json.key | replace('-', '_') }}",
    "{{ response.json.key[:16] }}",
    "{{ response.json.key ~ 'x' }}",
    "{{ response.json.key if response.json.key == 'n3w-t0ken-0f-the-run' else response.json.mark }}",
    "{{ response.json[response.json.key] | default(response.json.key) }}",
]


@pytest.mark.parametrize("template", OTHERWISE)
def test_what_is_made_of_it_is_nobodys_new_secret(harness: Harness, target: Target, template: str) -> None:
    """It would go where the first may not, and a condition on it would tell what it is, letter by letter."""
    first(harness, target, hosts=["deploy.example"])
    target.does["/rotate"] = [answer(json.dumps({"key": KEY, "mark": KEY, KEY: KEY}).encode(), "200 OK", JSON)]
    outputs = {"key": {"value": template, "secret": True}}
    run = harness.begin(rotate(target, outputs=outputs), uses(target), slug="second")
    assert harness.run(run) == "FAILED"
    assert "masked already" in harness.step(run, "rotate").error["message"]
    assert target.paths() == ["/rotate", "/rotate"]
    assert len(rows()) == 1


@pytest.mark.parametrize("around", ["Bearer {}", "{}x", "{}{}"])
def test_what_holds_it_among_more_is_refused(harness: Harness, target: Target, around: str) -> None:
    """Whole, it would be another secret, under no rule of the first."""
    first(harness, target)
    gives(target, around.format(KEY, KEY))
    run = harness.begin(rotate(target), uses(target), slug="second")
    assert harness.run(run) == "FAILED"
    assert "masked already" in harness.step(run, "rotate").error["message"]


@pytest.mark.parametrize("hide", ["own", "token"])
def test_what_is_the_bots_own_too_stays_masked(harness: Harness, target: Target, hide: str) -> None:
    """Its secrets and its OAuth 2 tokens are no run's to receive, though a run did before they were known."""
    first(harness, target)
    redactor = harness.tools.redactor
    redactor.add("lb", KEY) if hide == "own" else redactor.lend([("oauth", KEY)])
    gives(target)
    run = harness.begin(rotate(target), uses(target), slug="second")
    assert harness.run(run) == "FAILED"
    assert "masked already" in harness.step(run, "rotate").error["message"]


PUBLIC = ["{{ response.json.key }}", "{{ response.json.key[::-1] }}", "{{ response.json.key[:9] }}",
          "{{ response.text | upper }}", "{{ response.headers['x-key'] | replace('-', '_') }}",
          "{{ response.json.key[0] }}, {{ response.json.key[1] }}, {{ response.json.key[2] }}"]  # fmt: skip


@pytest.mark.parametrize("known", [True, False])
def test_no_public_output_spells_it_otherwise(
    harness: Harness, target: Target, logged: io.StringIO, known: bool
) -> None:
    """Neither one that another run received, nor one that is new."""
    if known:
        first(harness, target)
    gives(target)
    outputs = {**SECRET, **{f"o{number}": template for number, template in enumerate(PUBLIC)}}
    run = harness.begin(rotate(target, outputs=outputs), gate("ask"), slug="second")
    harness.run(run)
    assert harness.status(run) == "WAITING", harness.step(run, "rotate").error
    for name, shown in ways_out(harness, run, logged):
        for piece in (KEY, KEY[::-1], KEY[:9], KEY.upper(), KEY.replace("-", "_"), ", ".join(KEY[:3])):
            assert piece not in shown, (name, piece)


def test_a_run_that_does_not_say_it_is_secret_gets_the_mark(
    harness: Harness, target: Target, logged: io.StringIO
) -> None:
    first(harness, target)
    gives(target)
    get = http("get", target.url("/rotate"), outputs={"key": "{{ response.json.key }}"})
    run = harness.begin(get, gate("ask"), slug="second")
    harness.run(run)
    assert harness.step(run, "get").outputs == {"key": "‹secret rotate.key›"}
    for name, shown in ways_out(harness, run, logged):
        assert KEY not in shown, name


def test_a_guess_is_answered_alike_whether_it_is_right(harness: Harness, target: Target) -> None:
    """A run that has its guess answered as a secret sees the same of it as of any other text."""
    first(harness, target)
    mine = {**rotate(target), "id": "mine"}
    use = http("use", target.url("/use"), auth={"type": "bearer", "token": "{{ steps.mine.outputs.key }}"}, retry=ONCE)
    harness.publish(runbook("second", mine, use))
    told = []
    for guess in (KEY, "n3w-t0ken-0f-the-gun"):
        target.does.clear()
        gives(target, guess)
        run = harness.start("second")
        assert harness.run(run) == "SUCCESS"
        steps = [(each.path, each.status, each.outputs, each.error) for each in harness.step_runs(run)]
        shown = [(each.request, {**each.response, "elapsed_ms": 0}) for each in harness.attempts(run, "mine")]
        told.append(str((steps, shown)).replace(run, "RUN"))
        assert f"Bearer {guess}".encode() in target.server.requests[-1]
    assert told[0] == told[1]


def test_the_same_in_each_round(harness: Harness, target: Target) -> None:
    """A run that receives it again holds it already."""
    for _ in range(3):
        gives(target)
    inner = [rotate(target), uses(target, needs=["rotate"])]
    run = harness.begin({"id": "each", "type": "loop", "with": {"items": [1, 2, 3], "steps": inner}})
    assert harness.run(run) == "SUCCESS", [each.error for each in harness.step_runs(run)]
    sent = [request for request in target.server.requests if request.startswith(b"GET /use")]
    assert [KEY.encode() in request for request in sent] == [True] * 3


def test_two_receive_it_at_once(harness: Harness, target: Target) -> None:
    """Both are answered before either is recorded: none held it before the other, so each goes by its own rule."""
    gives(target)
    gives(target)
    key = {"key": {**SECRET["key"], "hosts": ["deploy.example"]}}
    harness.publish(runbook("first", rotate(target, outputs=key), gate("ask")))
    harness.publish(runbook("second", rotate(target), uses(target)))
    one, other = harness.start("first"), harness.start("second")
    claims = harness.claim(one), harness.claim(other)
    outcomes: list[Any] = []

    def both(_path: str) -> None:
        target.on_request = lambda _path: None
        outcomes.append(harness.act(claims[1]))

    target.on_request = both
    outcomes.append(harness.act(claims[0]))
    for claim, outcome in zip(reversed(claims), outcomes, strict=True):
        harness.finish(claim, outcome)
    assert harness.run(other) == "SUCCESS", [each.error for each in harness.step_runs(other)]
    assert [each["hosts"] for each in rows()] == [[["deploy.example"]]]


@pytest.mark.parametrize("made", ["{{ steps.rotate.outputs.key }}", "{{ steps.rotate.outputs.key[:12] }}"])
def test_one_is_received_while_another_is_sent(harness: Harness, target: Target, made: str) -> None:
    """This process knows it by the attempt alone, and what a template made of it; the rule holds all the same."""
    gives(target)
    gives(target)
    key = {"key": {**SECRET["key"], "hosts": [own(target), "deploy.example"]}}
    use = http("send", target.url("/send"), headers={"X-Key": made}, retry=ONCE)
    harness.publish(runbook("first", rotate(target, outputs=key), use, gate("ask")))
    harness.publish(runbook("second", rotate(target), uses(target), gate("ask")))
    run, other = harness.start("first"), harness.start("second")

    def meanwhile(path: str) -> None:
        if path == "/send":
            harness.run(other)

    target.on_request = meanwhile
    harness.run(run)
    assert harness.status(other) == "WAITING", [each.error for each in harness.step_runs(other)]
    assert f"Bearer {KEY}".encode() in target.server.requests[-1]
    assert {each["execution_id"]: each["hosts"] for each in rows()} == {
        run: [[own(target), "deploy.example"]], other: [None, [own(target), "deploy.example"]],
    }  # fmt: skip


def test_a_replay_within_the_hour_may_receive_it_again(harness: Harness, target: Target) -> None:
    gives(target)
    gives(target)
    target.does["/use"] = [answer(b"no", "500 Oops"), answer(b"ok")]
    run = harness.begin(rotate(target), gate("ask", timeout="1s", on_timeout="approve"), uses(target))
    harness.run(run)
    learn(harness)
    harness.pass_time(2_000)
    harness.sweep()
    assert harness.run(run) == "FAILED"
    again = replay_run.replay(harness.rt, CAROL, run, start_from="rotate", reason="again")
    harness.run(again.id)
    harness.pass_time(2_000)
    harness.sweep()
    assert harness.run(again.id) == "SUCCESS", [each.error for each in harness.step_runs(again.id)]
    assert KEY.encode() in target.server.requests[-1]


@pytest.mark.parametrize("form", ["json", "text", "lines", "xml", "header"])
def test_however_it_is_answered(harness: Harness, target: Target, logged: io.StringIO, form: str) -> None:
    first(harness, target)
    body, template = {
        "json": (json.dumps([{"key": KEY}]), "{{ response.json[0].key }}"),
        "text": (f"{KEY}\n", "{{ response.text | trim }}"),
        "lines": (f"new\n{KEY}", "{{ response.lines | last }}"),
        "xml": (f"<a><key>{KEY}</key></a>", "{{ response.xml.a.key }}"),
        "header": ("none", "{{ response.headers['x-key'] }}"),
    }[form]
    target.does["/rotate"] = [answer(body.encode(), "200 OK", f"X-Key: {KEY}")]
    step = rotate(target, outputs={"key": {"value": template, "secret": True}})
    step["with"]["response_format"] = "text" if form == "header" else form
    run = harness.begin(step, uses(target), gate("ask"), slug="second")
    harness.run(run)
    assert harness.status(run) == "WAITING", [each.error for each in harness.step_runs(run)]
    assert f"Bearer {KEY}".encode() in target.server.requests[-1]
    for name, shown in ways_out(harness, run, logged):
        assert KEY not in shown, name


def test_a_poll_receives_it_too(harness: Harness, target: Target) -> None:
    """Its condition sees the mark alone."""
    first(harness, target)
    gives(target)
    asks = poll("rotate", target.url("/rotate"), "response.json.key == '‹secret rotate.key›'", timeout="9s")
    run = harness.begin({**asks, "outputs": SECRET}, uses(target), slug="second")
    assert harness.run(run) == "SUCCESS", [each.error for each in harness.step_runs(run)]
    assert f"Bearer {KEY}".encode() in target.server.requests[-1]


@pytest.mark.parametrize("hosts", [None, ["deploy.example"]])
def test_a_grpc_answer_gives_it_too(harness: Harness, target: Target, logged: io.StringIO, hosts: Any) -> None:
    first(harness, target, **({"hosts": hosts} if hosts else {}))
    with order_service() as orders, egress_to(allow=orders.target) as egress:
        known = harness.tools.received
        harness.tools = type(harness.tools)(egress, harness.tools.secrets, harness.tools.redactor, known)
        harness.runner = harness.worker("w-grpc")
        run = harness.begin(mints(orders), grpc_uses(orders), slug="second")
        harness.run(run)
        assert harness.status(run) == ("FAILED" if hosts else "SUCCESS"), [e.error for e in harness.step_runs(run)]
        assert any(each.get("authorization") == KEY for each in orders.seen) is not bool(hosts)
    for name, shown in ways_out(harness, run, logged):
        assert KEY not in shown, name


def test_a_redirect_leads_it_nowhere_that_the_first_forbids(harness: Harness, target: Target) -> None:
    """The host that is written is for both, the one that is led to for the second alone."""
    other = f"localhost:{target.server.port}"
    first(harness, target, hosts=[own(target)])
    gives(target)
    key = {"key": {**SECRET["key"], "hosts": [own(target), other]}}
    target.does["/use"] = [answer(b"", "302 Found", f"Location: http://{other}/stolen?k={KEY}")]
    use = uses(target)
    use["with"]["redirects"] = 2
    run = harness.begin(rotate(target, outputs=key), use, slug="second")
    assert harness.run(run) == "FAILED"
    assert harness.step(run, "use").error["code"] == "secret_destination"
    assert "/stolen" not in str(target.paths())


def test_another_run_reads_nothing_of_it(harness: Harness, target: Target) -> None:
    """Each row opens for its own run alone, and a child's step by that name is another one."""
    run = first(harness, target)
    gives(target)
    second = harness.begin(rotate(target), gate("ask"), slug="second")
    harness.run(second)
    with database.transaction():
        mine, theirs = (secret_outputs.of_execution(each)[0] for each in (second, run))
        SecretOutput.update(**asdict(theirs.sealed)).where(SecretOutput.id == mine.id).execute()
    with database.reading():
        (moved,) = secret_outputs.of_execution(second)
    with pytest.raises(SecretUnreadable):
        harness.rt.unsealed(moved)


def test_a_crash_between_answer_and_record_leaves_no_holder(harness: Harness, target: Target) -> None:
    gives(target)
    gives(target)
    tries = {**rotate(target), "idempotent": True, "retry": {"max_attempts": 3}}
    harness.publish(runbook("second", tries, uses(target)))
    run = harness.start("second")
    claim = harness.claim(run)
    harness.act(claim)
    assert rows() == []
    assert harness.tools.received.held_for(KEY) == []
    harness.runner._held.drop(claim.step_run)
    harness.alive.discard("w1")
    harness.runner = harness.worker("w2")
    harness.pass_time(120_000)
    harness.sweep()
    assert harness.run(run) == "SUCCESS"


def test_a_rotation_of_keys_keeps_the_rule(harness: Harness, target: Target) -> None:
    harness.settle_for(secret_keys=(OLD,))
    first(harness, target, hosts=["deploy.example"])
    harness.settle_for(secret_keys=(NEW, OLD))
    assert stored.rotate_keys(harness.rt, ALICE).rewrapped == 1
    assert [(each["key_id"], each["hosts"]) for each in rows()] == [("k2", [["deploy.example"]])]
