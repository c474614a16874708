"""The same secret received by two runs: both use it, by the rules of both, and neither learns anything of the other."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from harness import CAROL, Harness, Target, gate, http, runbook
from local_server import answer
from test_canary import logged, ways_out
from test_received_secrets import BEARER, JSON, KEY, ONCE, SECRET, gives, quiet, rotate, rows

from engine.received_secrets import GRACE_S, ReceivedSecrets
from engine.runs import controls, replay_run
from storage import database
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
    target.does["/rotate"].append(answer(json.dumps({"key": KEY, "mark": KEY, KEY: KEY}).encode(), "200 OK", JSON))
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


PUBLIC = ["{{ response.json.key }}", "{{ response.json.key | reverse }}", "{{ response.json.key[:9] }}",
          "{{ response.text | upper }}", "{{ response.headers['x-key'] | list }}"]  # fmt: skip


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
        for piece in (KEY, KEY[::-1], KEY[:9], KEY.upper(), "', '".join(KEY[:4]), '", "'.join(KEY[:4])):
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
    told = []
    for guess in (KEY, "n3w-t0ken-0f-the-gun"):
        gives(target, guess)
        run = harness.begin(rotate(target), uses(target), slug="second") if not told else harness.start("second")
        assert harness.run(run) == "SUCCESS"
        steps = [(each.path, each.status, each.outputs, each.error) for each in harness.step_runs(run)]
        shown = [(each.request, {**each.response, "elapsed_ms": 0}) for each in harness.attempts(run, "rotate")]
        told.append(str((steps, shown)).replace(run, "RUN"))
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
    """Both were answered before either is recorded; the second holds to the rule of the first."""
    gives(target)
    gives(target)
    key = {"key": {**SECRET["key"], "hosts": ["deploy.example"]}}
    harness.publish(runbook("first", rotate(target, outputs=key), gate("ask")))
    harness.publish(runbook("second", rotate(target), uses(target)))
    one, other = harness.start("first"), harness.start("second")
    claims = harness.claim(one), harness.claim(other)
    outcomes: list[Any] = []
    target.on_request = lambda _path: outcomes.append(harness.act(claims[1])) if not outcomes else None
    outcomes.append(harness.act(claims[0]))
    assert len(outcomes) == 2
    for claim, outcome in zip(reversed(claims), outcomes, strict=True):
        harness.finish(claim, outcome)
    assert harness.run(other) == "SUCCESS"
    assert len(rows()) == 1


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
