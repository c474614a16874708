"""The external policy: what it is told, what it may refuse, and that whatever is no clear yes refuses."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from harness import ALICE, BOB, CAROL, DAVE, Harness, Target, gate, http, runbook
from opa import EXAMPLES, Opa, drip, evaluate, say

from engine import doctor
from engine.access import external_policy, people
from engine.access import policy as access
from engine.access.actions import Team
from engine.access.policy import SYSTEM, Action
from engine.catalog import catalog, sync, version_approval
from engine.config import settings
from engine.errors import BadSettings, NotAllowed
from engine.orchestration.admission import Wanted
from engine.queries.can import can
from engine.runs import break_glass, controls, executions, freezing, held_requests, voting
from storage import audit, database
from storage.people_records import PersonRecord
from storage.states import Decision

ALLOW = (EXAMPLES / "allow.rego").read_text(encoding="utf-8")
YES = "package runbook\n\nallow := true\n"


@pytest.fixture
def opa() -> Iterator[Opa]:
    evaluate(YES, "runbook/allow", {})  # it has a second to answer, and starting takes longer
    made = Opa(YES)
    yield made
    made.close()


@pytest.fixture
def harness(harness: Harness, opa: Opa) -> Harness:
    """A runbook that is approved, then a policy."""
    harness.publish(runbook("demo", http("a"), risk="medium", tags=["db"]))
    harness.settle_for(policy_url=opa.url())
    return harness


def row(harness: Harness, thing: str, action: str) -> dict:
    with database.reading():
        return next(each.detail for each in audit.of_thing(1, thing) if each.action == action)


def test_a_deed_is_asked_about_and_its_decision_is_in_the_audit(harness: Harness, opa: Opa) -> None:
    """Once, with who, what, to which thing and when; what is looked at is not asked about."""
    access.authorise(harness.rt, CAROL, Action.VIEW, catalog.get(harness.rt, "demo"))
    assert opa.asked == []
    run = harness.start("demo")
    (asked,) = opa.asked
    assert (asked["actor"]["id"], asked["actor"]["member_of"], asked["action"]) == (
        CAROL.user_id,
        ["payments"],
        "start",
    )
    assert asked["thing"] == {
        "kind": "runbook", "runbook": "demo", "version": 1, "team": "payments", "tags": ["db"], "risk": "medium",
    }  # fmt: skip
    assert asked["parameters"] == {}
    assert asked["incident"]["case"]
    assert asked["time"].startswith("2027-")
    assert row(harness, f"execution:{run}", "execution.start")["policy_decision"] == "d-1"
    controls.pause(harness.rt, CAROL, run)
    assert opa.asked[1]["thing"]["run"] == run
    assert row(harness, f"execution:{run}", "execution.pause")["policy_decision"] == "d-2"


NUMBER = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
SMALL = """
package runbook

default allow := false

allow if not big

big if {
	input.actor.id == "U0BOB0001"
	input.action == "start"
	input.thing.runbook == "demo"
	not input.parameters.n < 100
}
"""


def test_it_is_told_of_the_version_that_would_run(harness: Harness, opa: Opa) -> None:
    """With ON_EDIT=keep a draft lowers no risk and drops no tag of what is started; what is edited is the draft."""
    harness.settle_for(on_edit="keep", policy_url=opa.url())
    opa.asked.clear()
    harness.sync(demo=runbook("demo", http("b"), risk="low"))
    harness.start("demo")
    access.authorise(harness.rt, CAROL, Action.START, catalog.get(harness.rt, "demo"))
    access.authorise(harness.rt, BOB, Action.EDIT, catalog.get(harness.rt, "demo"))
    told = [(each["thing"]["version"], each["thing"]["risk"], each["thing"]["tags"]) for each in opa.asked]
    assert told == [(1, "medium", ["db"])] * 2 + [(2, "low", [])]


def test_it_is_told_what_is_frozen_and_reported_on(harness: Harness, opa: Opa) -> None:
    """A scope as it is typed, with the team that it belongs to."""
    frozen = freezing.freeze(harness.rt, BOB, "team:payments", "no", lasting="6h").freeze
    freezing.unfreeze(harness.rt, BOB, frozen.id)
    access.authorise(harness.rt, BOB, Action.REPORT, Team("payments"))
    scope = {"kind": "scope", "scope": "team:payments", "team": "payments"}
    told = [(each["action"], each["thing"]) for each in opa.asked]
    assert told == [("freeze", scope), ("unfreeze", scope), ("report", {"kind": "team", "team": "payments"})]


def test_kept_requests_are_asked_about_with_their_parameters(harness: Harness, opa: Opa) -> None:
    """Of who asks, agrees, releases and drops alike: what the policy keeps from Bob he does not do for Carol."""
    harness.publish(runbook("demo", http("b"), parameters=NUMBER))
    remember(harness)
    frozen = freezing.freeze(harness.rt, ALICE, "demo", "no", lasting="6h").freeze
    harness.settle_for(policy_url=opa.url(), break_glass=True)
    opa.source = SMALL
    small, big = (Wanted("demo", {"n": n}, "test", reason="down") for n in (1, 1000))
    for refused in (held_requests.hold, break_glass.ask):
        with pytest.raises(NotAllowed, match="external policy"):
            refused(harness.rt, BOB, big)
    held = held_requests.hold(harness.rt, CAROL, big).held.id
    mine = held_requests.hold(harness.rt, BOB, small).held.id
    asked = break_glass.ask(harness.rt, CAROL, big).id
    with pytest.raises(NotAllowed, match="external policy"):
        break_glass.agree(harness.rt, BOB, asked)
    break_glass.agree(harness.rt, BOB, break_glass.ask(harness.rt, CAROL, small).id)
    freezing.unfreeze(harness.rt, ALICE, frozen.id)
    for refused in (held_requests.release, held_requests.drop):
        with pytest.raises(NotAllowed, match="external policy"):
            refused(harness.rt, BOB, held)
    held_requests.release(harness.rt, BOB, mine)


def test_a_child_is_asked_about_with_its_parameters_for_all_who_chose_them(
    harness: Harness, opa: Opa, target: Target
) -> None:
    """Bob changes them in a retry of the parent, which Carol has asked for."""
    harness.publish(runbook("demo", http("a", target.url("/demo")), parameters=NUMBER))
    call = {"id": "c", "type": "runbook", "with": {"id": "demo", "params": {"n": "{{ params.n }}"}}, "needs": ["x"]}
    harness.publish(runbook("parent", http("x", target.url("/x")), call, parameters=NUMBER))
    target.does["/x"] = [answer("400 No"), answer("200 OK")]
    opa.source = SMALL
    remember(harness)
    run = harness.start("parent", n=1)
    assert harness.run(run) == "FAILED"
    controls.retry(harness.rt, BOB, run, parameters={"n": 1000})
    assert harness.run(run) == "FAILED"
    assert harness.step(run, "c").child is None
    assert target.paths() == ["/x", "/x"]


def remember(harness: Harness) -> None:
    for each in (ALICE, BOB, CAROL):
        record = PersonRecord(each.user_id, each.user_id, None, "member", None, harness.clock.time)
        people.remember(harness.rt, record)


def answer(status: str):
    return lambda conn, _: conn.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())


def test_it_refuses_with_its_reason(harness: Harness, opa: Opa) -> None:
    """Nothing is done, and the sentence says who refused and why."""
    opa.source = 'package runbook\n\nallow := {"allow": false, "reason": "not on Fridays"}\n'
    with pytest.raises(NotAllowed, match=r"external policy refuses this: not on Fridays Its decision is d-1\."):
        harness.start("demo")
    with database.reading():
        assert [each.action for each in audit.recent(1, 50) if each.action.startswith("execution")] == []
    opa.source = "package runbook\n\nother := true\n"
    with pytest.raises(NotAllowed, match="says nothing about this"):
        harness.start("demo")


def test_it_gives_nobody_a_right(harness: Harness, opa: Opa) -> None:
    """What our own rules refuse it is not even asked about."""
    with pytest.raises(NotAllowed, match="Only a platform admin"):
        access.authorise(harness.rt, BOB, Action.APPROVE, catalog.version(harness.rt, "demo"))
    assert opa.asked == []


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda request: say(request, b'{"result": true}', 500), "answered with status 500"),
        (lambda request: say(request, b"", 302, Location="/v1/data/runbook/allow"), "answered with status 302"),
        (lambda request: say(request, b"yes"), "no JSON"),
        (lambda request: say(request, b"[true]"), "no decision"),
        (lambda request: say(request, b'{"result": "true"}'), "no decision"),
        (lambda request: say(request, b'{"result": 1}'), "no decision"),
        (lambda request: say(request, b'{"result": {"allow": "yes"}}'), "no decision"),
        (lambda request: say(request, b'{"result": {"reason": "x"}}'), "no decision"),
        (lambda request: say(request, b" " * 70_000 + b'{"result": true}'), "more than 64 KiB"),
        (lambda request: request.close_connection, "could not be asked|within 1 s"),
        (drip, "within 1 s"),
    ],
)
def test_whatever_is_no_clear_yes_refuses(harness: Harness, opa: Opa, answer, words: str) -> None:
    """Within a good second, in words that say what is the matter."""
    opa.instead = answer
    began = time.monotonic()
    with pytest.raises(NotAllowed, match=words):
        harness.start("demo")
    assert time.monotonic() - began < 2.0


@pytest.mark.parametrize("allow", [b"true", b"false"])
def test_what_it_says_can_be_kept_and_shown(harness: Harness, opa: Opa, allow: bytes) -> None:
    """Its words and the id of its decision: half a character can be neither sent nor kept."""
    canary = harness.rt.settings.secret_variables["RUNBOOK_SECRET_CANARY"]
    said = b'"\\ud800 %s \\u0000"' % canary.encode()
    answer = b'{"result": {"allow": %s, "reason": %s}, "decision_id": %s}' % (allow, said, said)
    opa.instead = lambda request: say(request, answer)
    told = external_policy.ask(harness.rt, {})
    for text in (told.reason, told.id):
        assert text.encode()
        assert canary not in text
        assert "\0" not in text


def test_with_the_policy_away_nobody_does_anything_and_everybody_looks(harness: Harness, opa: Opa) -> None:
    """The doctor says so; the bot itself goes on reading the folder."""
    opa.close()
    with pytest.raises(NotAllowed, match="could not be asked"):
        harness.start("demo")
    executions.prepare(harness.rt, CAROL, "demo")
    sync.sync(harness.rt, SYSTEM)
    (found,) = doctor.of_policy(harness.rt)
    assert (found.level, "nobody can do anything" in found.advice) == ("bad", True)


def test_the_doctor_asks_it(harness: Harness) -> None:
    """What it answers is of no matter."""
    (found,) = doctor.of_policy(harness.rt)
    assert found.level == "ok"
    harness.settle_for(policy_url=None)
    assert list(doctor.of_policy(harness.rt)) == []


def test_it_is_never_asked_while_a_transaction_is_open(
    harness: Harness, opa: Opa, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was decided before counts inside, of starting, steering, voting, approving and retrying."""
    real, inside = external_policy.ask, []

    def watched(*arguments):
        inside.append(database.in_transaction())
        return real(*arguments)

    monkeypatch.setattr(external_policy, "ask", watched)
    harness.sync(gated=runbook("gated", gate("ask")))
    version_approval.approve(harness.rt, ALICE, "gated", 1)
    run = harness.start("gated")
    harness.advance(run)
    voting.vote(harness.rt, DAVE, run, "ask", Decision.REJECT, "no")
    harness.run(run)
    harness.start("demo")
    sync.sync(harness.rt, ALICE)
    version_approval.deprecate(harness.rt, ALICE, "demo")
    assert len(inside) >= 6
    assert not any(inside)


def test_an_answer_counts_for_exactly_the_same_and_not_for_long(harness: Harness, opa: Opa, monkeypatch) -> None:
    """Another person, another thing or another time is asked about anew."""
    demo = catalog.get(harness.rt, "demo")
    access.authorise(harness.rt, CAROL, Action.START, demo)
    with database.transaction():
        access.authorise(harness.rt, CAROL, Action.START, demo)
        assert len(opa.asked) == 1
        access.authorise(harness.rt, DAVE, Action.START, demo)
        assert len(opa.asked) == 2
        access.authorise(harness.rt, CAROL, Action.START, demo, access.About({"x": 1}, {}))
        assert len(opa.asked) == 3
        monkeypatch.setattr(external_policy, "USED_FOR_S", 0.0)
        access.authorise(harness.rt, CAROL, Action.START, demo)
        assert len(opa.asked) == 4


def test_a_refusal_is_not_kept(harness: Harness, opa: Opa) -> None:
    """Nor is a yes from before: outside of a transaction each deed is asked about."""
    demo = catalog.get(harness.rt, "demo")
    access.authorise(harness.rt, CAROL, Action.START, demo)
    opa.source = "package runbook\n\nallow := false\n"
    with pytest.raises(NotAllowed):
        access.authorise(harness.rt, CAROL, Action.START, demo)


def test_secrets_never_go_out(harness: Harness, opa: Opa) -> None:
    """Wherever in the facts they stand; the token goes in its header."""
    harness.settle_for(policy_token="t0ken-of-the-policy")
    canary = harness.rt.settings.secret_variables["RUNBOOK_SECRET_CANARY"]
    parameters = {"type": "object", "properties": {"x": {"type": "string"}}}
    harness.publish(runbook("told", http("a"), parameters=parameters))
    executions.start(
        harness.rt, CAROL, "told", {"x": f"see {canary}"}, trigger="test", incident={"case": f"{canary} leaked"}
    )
    assert canary not in str(opa.asked)
    assert opa.asked[-1]["parameters"]["x"].startswith("see ")
    assert opa.tokens[-1] == "Bearer t0ken-of-the-policy"


def test_a_decision_is_nobody_elses(harness: Harness, opa: Opa) -> None:
    """What another person did afterwards in this thread bears no id, nor what the bot did."""
    access.authorise(harness.rt, CAROL, Action.START, catalog.get(harness.rt, "demo"))
    assert external_policy.decision_of(CAROL.user_id) == "d-1"
    assert external_policy.decision_of(DAVE.user_id) == ""
    access.authorise(harness.rt, CAROL, Action.VIEW)
    assert external_policy.decision_of(CAROL.user_id) == ""


def test_can_says_who_has_the_last_word(harness: Harness, opa: Opa) -> None:
    """Without asking it."""
    assert can(harness.rt, CAROL, "run", "demo").but == external_policy.RULE
    assert can(harness.rt, CAROL, "show", "demo").but == ""
    assert opa.asked == []


def input_of(**changes) -> dict:
    thing = {"kind": "runbook", "runbook": "demo", "team": "payments", "tags": ["db"], "risk": "high"}
    given = {
        "action": "start",
        "actor": {"id": "U0X", "scopes": None},
        "thing": thing,
        "parameters": {},
        "incident": None,
    }
    return {**given, "time": "2026-11-26T12:00:00Z", **changes}


@pytest.mark.parametrize(
    ("given", "allowed"),
    [
        (input_of(), True),
        (input_of(actor={"id": "U0X", "scopes": ["run"]}), False),
        (input_of(actor={"id": "U0X", "scopes": ["run"]}, action="cancel"), True),
        (input_of(thing={"kind": "runbook", "team": "search", "risk": "low"}), False),
        (input_of(thing=None, action="sync"), True),
    ],
)
def test_the_short_example_says_what_it_says(given: dict, allowed: bool) -> None:
    """As the page has it, by a Rego engine."""
    assert evaluate(ALLOW, "runbook/allow", given) is allowed


FRIDAY = "2026-11-27T12:00:00Z"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (input_of(), None),
        (input_of(time=FRIDAY), "databases are left alone from Friday to Sunday, but for an incident"),
        (input_of(time=FRIDAY, incident={"channel": "C0INC0001"}), None),
        (input_of(time=FRIDAY, action="cancel"), None),
        (input_of(parameters={"region": "us"}), "only region eu may be changed"),
        (input_of(parameters={"region": "eu"}), None),
    ],
)
def test_the_long_example_says_what_it_says(given: dict, reason: str | None) -> None:
    """Likewise."""
    found = evaluate((EXAMPLES / "decision.rego").read_text(encoding="utf-8"), "runbook/change/decision", given)
    assert found == ({"allow": True} if reason is None else {"allow": False, "reason": reason})


@pytest.mark.parametrize("url", ["http://opa.example.com/v1/data/x", "opa", "https://u:p@opa/x", "https://opa/x?y=1"])
def test_where_it_may_be(tmp_path, url: str) -> None:
    """Over TLS, or on this machine."""
    with pytest.raises(BadSettings, match="POLICY_URL"):
        settings.load({"POLICY_URL": url}, tmp_path)
