"""Incidents: which channel is one, what runs take of it, and how it ends; who answers for a run; what one may do."""

from __future__ import annotations

from typing import Any

import pytest
from harness import ALICE, BOB, CAROL, DAVE, MINUTE, OSCAR, Harness, Target, at_once, gate, http, runbook
from local_server import answer
from opa import Opa

from engine.access import policy as access
from engine.catalog import catalog, notices, version_approval
from engine.errors import Conflict, InvalidParameters, NotAllowed, NotApproved, NotFound
from engine.orchestration import incidents
from engine.queries import can, incident_story
from engine.runs import controls, executions, handover, replay_run, voting
from storage import audit, database
from storage.records import ExecutionRecord, Filter
from storage.states import Decision

HERE = {"channel": "C0INC0001", "channel_name": "inc-4711-checkout"}
SCHEMA = {
    "type": "object",
    "required": ["service"],
    "properties": {
        "service": {"type": "string", "enum": ["api", "web"], "x-prefill": "incident.service"},
        "hosts": {"type": "array", "items": {"type": "string"}, "x-prefill": "hosts"},
        "count": {"type": "integer", "default": 1, "x-prefill": "incident.count"},
        "title": {"type": "string", "x-prefill": "incident.title"},
    },
}


@pytest.fixture
def harness(harness: Harness, target: Target) -> Harness:
    harness.publish(runbook("demo", gate("ask"), parameters=SCHEMA))
    return harness


def opened(harness: Harness, **fields: str) -> Any:
    return incidents.open_incident(
        harness.rt, CAROL, HERE["channel"], HERE["channel_name"], "It is slow", "sev1", fields
    )


def run(harness: Harness, who: access.Actor = CAROL, **parameters: Any) -> ExecutionRecord:
    return executions.start(harness.rt, who, "demo", parameters, trigger="test", incident=dict(HERE))


def test_a_channel_is_an_incident_by_its_name_or_topic(harness: Harness) -> None:
    """Once; named groups become its facts; a closed one is not opened again by its name."""
    harness.settle_for(incident_channels=r"^inc-(?P<number>[0-9]+)|INC-(?P<number2>[0-9]+)")
    assert incidents.recognise(harness.rt, "C0OTHER01", "general", "Talk") is None
    found = incidents.recognise(harness.rt, "C0INC0001", "inc-4711-checkout", "Checkout is slow")
    assert found is not None
    assert (found.title, found.fields, found.opened_by) == ("Checkout is slow", {"number": "4711"}, "system")
    assert incidents.recognise(harness.rt, "C0INC0001", "inc-4711-checkout", "") == found
    by_topic = incidents.recognise(harness.rt, "C0OTHER02", "war-room", "About INC-12")
    assert by_topic is not None
    assert by_topic.fields == {"number2": "12"}
    incidents.close(harness.rt, CAROL, "C0INC0001")
    assert incidents.recognise(harness.rt, "C0INC0001", "inc-4711-checkout", "Checkout is slow") is None
    harness.settle_for(incident_channels="")
    assert incidents.recognise(harness.rt, "C0INC0003", "inc-1", "") is None


def test_one_incident_is_open_in_a_channel_whoever_comes_at_once(harness: Harness) -> None:
    """Both see the same one."""
    found = at_once(*[lambda: incidents.recognise(harness.rt, "C0INC0009", "inc-9", "")] * 6)
    assert len({each.id for each in found}) == 1
    with pytest.raises(Conflict, match="already"):
        incidents.open_incident(harness.rt, CAROL, "C0INC0009")


def test_runs_take_their_parameters_from_the_incident_at_every_door(harness: Harness) -> None:
    """As values of their types; what is given wins; what does not fit is said to have come from there."""
    opened(harness, service="web", hosts="a,b", count="3")
    taken = run(harness).parameters
    assert taken == {"service": "web", "hosts": ["a", "b"], "count": 3, "title": "It is slow"}
    assert run(harness, service="api", count=5).parameters["service"] == "api"
    incidents.edit(harness.rt, CAROL, HERE["channel"], fields={"service": "mail"})
    with pytest.raises(InvalidParameters, match="filled in from the incident"):
        run(harness)
    with pytest.raises(InvalidParameters, match="service"):
        executions.start(harness.rt, CAROL, "demo", {}, trigger="test", incident={"channel": "C0OTHER01"})


def test_a_run_opens_the_incident_that_its_channels_name_tells_of(harness: Harness) -> None:
    """Whatever door it is asked for at, and only by somebody who may run it; one that was closed stays closed."""
    harness.settle_for(incident_channels=r"^inc-(?P<service>[a-z]+)")
    about = {"channel": "C0INC0007", "channel_name": "inc-web"}
    with pytest.raises(NotAllowed):
        executions.start(harness.rt, OSCAR, "demo", {}, trigger="test", incident=dict(about))
    assert incidents.recent(harness.rt, CAROL) == []
    bound = executions.start(harness.rt, CAROL, "demo", {}, trigger="test", incident=dict(about))
    (found,) = incidents.recent(harness.rt, CAROL)
    assert (bound.parameters["service"], bound.incident["case"]) == ("web", found.id)
    incidents.close(harness.rt, CAROL, "C0INC0007", force=True)
    with pytest.raises(InvalidParameters, match="service"):
        executions.start(harness.rt, CAROL, "demo", {}, trigger="test", incident=dict(about))
    assert incidents.current(harness.rt, "C0INC0007") is None


def test_a_run_that_the_external_policy_refuses_opens_no_incident(harness: Harness) -> None:
    opa = Opa("package runbook\n\nallow := false\n")
    harness.settle_for(incident_channels=r"^inc-(?P<service>[a-z]+)", policy_url=opa.url())
    with pytest.raises(NotAllowed):
        executions.start(
            harness.rt, CAROL, "demo", {"service": "web"}, trigger="test",
            incident={"channel": "C0INC0007", "channel_name": "inc-web"},
        )  # fmt: skip
    opa.close()
    assert incidents.recent(harness.rt, CAROL) == []


def test_a_run_that_is_refused_for_its_parameters_opens_no_incident(harness: Harness) -> None:
    """The policy is told of what the run is asked for with, and where, before the incident is there."""
    opa = Opa('package runbook\n\ndefault allow := true\n\nallow := false if input.parameters.service == "api"\n')
    harness.settle_for(incident_channels=r"^inc-(?P<service>[a-z]+)", policy_url=opa.url())
    about = {"channel": "C0INC0007", "channel_name": "inc-web"}
    with pytest.raises(NotAllowed):
        executions.start(harness.rt, CAROL, "demo", {"service": "api"}, trigger="test", incident=dict(about))
    assert incidents.recent(harness.rt, CAROL) == []
    executions.start(harness.rt, CAROL, "demo", {"service": "web"}, trigger="test", incident=dict(about))
    opa.close()
    asked = [each for each in opa.asked if each["action"] == "start"]
    assert all(each["incident"]["channel"] == "C0INC0007" for each in asked)
    assert len(incidents.recent(harness.rt, CAROL)) == 1


def test_a_replay_takes_nothing_anew(harness: Harness) -> None:
    """Its parameters are those of then, and so is its incident."""
    opened(harness, service="web")
    first = run(harness)
    controls.cancel(harness.rt, CAROL, first.id)
    harness.advance(first.id)
    incidents.edit(harness.rt, CAROL, HERE["channel"], title="Another", fields={"service": "api", "count": "9"})
    again = replay_run.replay(harness.rt, CAROL, first.id)
    assert again.parameters == first.parameters
    assert again.incident == first.incident


def test_templates_see_the_incident(harness: Harness, target: Target) -> None:
    """Its facts always, its fields where it has them."""
    url = target.url() + "?t={{ incident.title }}&s={{ incident.severity }}&f={{ incident.zone | default('none') }}"
    harness.publish(runbook("seen", http("call", url)))
    executions.start(harness.rt, CAROL, "seen", {}, trigger="test", incident={"channel": "C0NONE001"})
    opened(harness, zone="eu")
    bound = executions.start(harness.rt, CAROL, "seen", {}, trigger="test", incident=dict(HERE))
    for each in executions.recent(harness.rt, Filter()):
        harness.run(each.id)
    assert set(target.paths()) == {"/?t=&s=&f=none", "/?t=It%20is%20slow&s=sev1&f=eu"}
    assert bound.incident["case"] == incidents.current(harness.rt, HERE["channel"]).id


def test_the_same_run_is_started_once_in_an_incident_and_anew_in_the_next(harness: Harness) -> None:
    """The incident is part of what makes two runs the same."""
    opened(harness, service="web")
    first = run(harness)
    assert run(harness).id == first.id
    incidents.close(harness.rt, CAROL, HERE["channel"], force=True)
    opened(harness, service="web")
    assert run(harness).id != first.id


def test_closing_with_open_runs_asks_again(harness: Harness) -> None:
    """Nothing is closed until that is said on purpose."""
    opened(harness, service="web")
    held = run(harness)
    asked = incidents.close(harness.rt, CAROL, HERE["channel"], "over")
    assert not asked.closed
    assert [each.id for each in asked.open_runs] == [held.id]
    assert incidents.current(harness.rt, HERE["channel"]) is not None
    done = incidents.close(harness.rt, CAROL, HERE["channel"], "over", force=True)
    assert done.closed
    assert (done.incident.closed_by, done.incident.close_reason) == (CAROL.user_id, "over")
    with pytest.raises(Conflict, match="no incident"):
        incidents.close(harness.rt, CAROL, HERE["channel"])
    with database.reading():
        rows = audit.of_thing(harness.rt.workspace_id, f"incident:{done.incident.id}")
    assert [row.action for row in rows] == ["incident.open", "incident.close"]


@pytest.mark.parametrize(
    ("fields", "needle"),
    [
        ({"channel": "C1"}, "the incident's own"),
        ({"ti tle": "x"}, "letters"),
        ({"long": "x" * 1001}, "longer than"),
        ({f"f{n}": "x" for n in range(51)}, "at most 50"),
    ],
)
def test_fields_are_names_with_short_texts(harness: Harness, fields: dict[str, str], needle: str) -> None:
    """And none that an incident has of itself."""
    with pytest.raises(InvalidParameters, match=needle):
        opened(harness, **fields)
    opened(harness)
    with pytest.raises(InvalidParameters, match=needle):
        incidents.edit(harness.rt, CAROL, HERE["channel"], fields=fields)


def test_a_field_is_dropped_by_an_empty_text(harness: Harness) -> None:
    """The others stay."""
    opened(harness, service="web", zone="eu")
    assert incidents.edit(harness.rt, CAROL, HERE["channel"], fields={"zone": ""}).fields == {"service": "web"}


def test_a_change_is_noted_with_all_that_it_changes(harness: Harness) -> None:
    """What is told of it in the channel: title, severity and fields."""
    opened(harness)
    incidents.edit(harness.rt, CAROL, HERE["channel"], title="Worse", severity="1", fields={"zone": "eu"})
    told = notices.pending(harness.rt)[-1].content
    assert told["did"] == "changed"
    assert told["changes"] == {"title": "Worse", "severity": "1", "zone": "eu"}


def test_an_incident_is_for_those_with_a_role(harness: Harness) -> None:
    """An outsider is told whom to ask."""
    with pytest.raises(NotAllowed) as refused:
        incidents.open_incident(harness.rt, OSCAR, HERE["channel"])
    assert refused.value.ask == ("S0ONCALL",)


def test_a_run_is_handed_to_somebody_who_may_run_it(harness: Harness) -> None:
    """Who answers for it changes when the other takes it, is told and audited; nobody who owned it decides."""
    held = run(harness, service="web")
    harness.advance(held.id)
    offered = handover.offer(harness.rt, CAROL, held.id, BOB, "end of shift")
    assert (offered.responsible, offered.offered_to) == (CAROL.user_id, BOB.user_id)
    assert harness.events(held.id)[-1].data == {"to": BOB.user_id, "reason": "end of shift"}
    with pytest.raises(Conflict, match="not offered to you"):
        handover.accept(harness.rt, ALICE, held.id)
    done = handover.accept(harness.rt, BOB, held.id)
    assert (done.requester, done.owner, done.responsible) == (CAROL.user_id, BOB.user_id, BOB.user_id)
    assert harness.events(held.id)[-1].data == {"to": BOB.user_id, "was": CAROL.user_id, "reason": ""}
    assert [each.id for each in executions.recent(harness.rt, Filter(requester=BOB.user_id))] == [held.id]
    with database.reading():
        assert audit.of_thing(harness.rt.workspace_id, f"execution:{held.id}")[-1].action == "execution.handover"
    with pytest.raises(Conflict, match="already"):
        handover.offer(harness.rt, CAROL, held.id, BOB)
    with pytest.raises(NotAllowed, match="Only members and admins"):
        handover.offer(harness.rt, CAROL, held.id, OSCAR)
    with pytest.raises(NotAllowed):
        handover.offer(harness.rt, OSCAR, held.id, CAROL)
    handover.offer(harness.rt, ALICE, held.id, ALICE)
    for owner in (BOB, ALICE):
        with pytest.raises(NotAllowed, match="took this run over"):
            voting.vote(harness.rt, owner, held.id, None, Decision.APPROVE)
    voting.vote(harness.rt, DAVE, held.id, None, Decision.APPROVE)
    harness.advance(held.id)
    with pytest.raises(Conflict, match="ended"):
        handover.offer(harness.rt, ALICE, held.id, BOB)


def test_can_says_the_rule_for_anybody(harness: Harness) -> None:
    """And what is in the way although they may."""
    may = can.can(harness.rt, BOB, "run", "demo")
    assert (may.verdict.allowed, may.verdict.role, may.but) == (True, "an admin of team payments", "")
    not_ = can.can(harness.rt, OSCAR, "run", "demo")
    assert (not_.verdict.allowed, not_.verdict.ask) == (False, (BOB.user_id, "S0PAYMENTS"))
    assert not_.verdict.rule == "Only members and admins of team payments and platform admins may run demo."
    held = run(harness, service="web")
    harness.advance(held.id)
    assert not can.can(harness.rt, CAROL, "approve", held.id).verdict.allowed
    assert can.can(harness.rt, ALICE, "approve", held.id).verdict.allowed
    assert can.can(harness.rt, CAROL, "cancel", held.id.lower()).verdict.allowed
    assert can.can(harness.rt, CAROL, "cancel", "demo").thing == "a run of demo"
    assert not can.can(harness.rt, BOB, "admin approve", "demo@1").verdict.allowed
    assert can.can(harness.rt, OSCAR, "why").verdict.allowed
    harness.publish(runbook("draft", http("a")))
    version_approval.deprecate(harness.rt, ALICE, "draft")
    assert "DEPRECATED" in can.can(harness.rt, BOB, "run", "draft").but
    for verb, target, error in (("fly", "demo", Conflict), ("run", "", Conflict), ("run", "nothing", NotFound)):
        with pytest.raises(error):
            can.can(harness.rt, BOB, verb, target)


def test_a_deprecated_runbook_names_its_successor(harness: Harness) -> None:
    """Until it is approved again."""
    harness.publish(runbook("better", http("a")))
    with pytest.raises(NotFound):
        version_approval.deprecate(harness.rt, ALICE, "demo", successor="nothing")
    with pytest.raises(Conflict, match="its own place"):
        version_approval.deprecate(harness.rt, ALICE, "demo", successor="demo")
    version_approval.deprecate(harness.rt, ALICE, "demo", reason="slow", successor="better")
    with pytest.raises(NotApproved, match="Use `run better` instead"):
        run(harness, service="web")
    version_approval.rollback(harness.rt, ALICE, "demo")
    harness.approve("demo")
    assert catalog.get(harness.rt, "demo").successor is None


def test_a_latecomer_gets_the_story(harness: Harness, target: Target) -> None:
    """The incident's runs in order, what is open, what failed and who did what; nothing from before it."""
    harness.settle_for(incident_channels="")
    before = run(harness, service="api")
    controls.cancel(harness.rt, CAROL, before.id)
    harness.advance(before.id)
    harness.clock.tick(MINUTE)
    opened(harness)
    target.does["/x"] = [answer(b"", "500 Broken")]
    harness.publish(runbook("fails", http("call", target.url("/x"), retry={"max_attempts": 1})))
    failed = executions.start(harness.rt, CAROL, "fails", {}, trigger="test", incident=dict(HERE))
    harness.run(failed.id)
    harness.clock.tick(MINUTE)
    held = run(harness, service="web")
    harness.advance(held.id)
    story = incident_story.catch_up(harness.rt, OSCAR, HERE["channel"])
    assert story.incident is not None
    assert [each.id for each in story.runs] == [failed.id, held.id]
    assert [each.execution.id for each in story.open] == [held.id]
    assert [each.kind for each in story.open[0].reasons] == ["gate"]
    assert [each.execution.id for each in story.failures] == [failed.id]
    assert [(row.actor, row.action) for row in story.deeds] == [
        (CAROL.user_id, "incident.open"), (CAROL.user_id, "execution.start"), (CAROL.user_id, "execution.start")
    ]  # fmt: skip
    executions.start(harness.rt, CAROL, "fails", {}, trigger="test", incident={"channel": "C0CALM001"})
    (calm,) = incident_story.catch_up(harness.rt, OSCAR, "C0CALM001").runs
    harness.clock.tick(incident_story.WITHOUT_INCIDENT_MS + 1)
    assert calm.slug == "fails"
    assert incident_story.catch_up(harness.rt, OSCAR, "C0CALM001").runs == ()
    elsewhere = incident_story.catch_up(harness.rt, OSCAR, "C0QUIET01")
    assert (elsewhere.incident, elsewhere.runs, elsewhere.deeds) == (None, (), ())


def test_the_story_counts_what_it_leaves_out(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs, open ones, failed ones and acts: an open run that is older than all that are listed is explained too."""
    monkeypatch.setattr(incident_story, "MOST_RUNS", 3)
    monkeypatch.setattr(incident_story, "MOST_EXPLAINED", 2)
    monkeypatch.setattr(incident_story, "MOST_FAILURES", 1)
    monkeypatch.setattr(incident_story, "MOST_DEEDS", 2)
    opened(harness)
    made = []
    for number in range(7):
        made.append(run(harness, service="web", count=number).id)
        harness.clock.tick(MINUTE)
    for each in made[2:]:
        controls.cancel(harness.rt, CAROL, each, "enough")
        harness.advance(each)
    story = incident_story.catch_up(harness.rt, OSCAR, HERE["channel"])
    assert [each.id for each in story.runs] == made[4:]
    assert [each.execution.id for each in story.open] == made[:2]
    assert story.left_out == incident_story.LeftOut(runs=4, open=0, failures=0, deeds=1 + 2 * 3 - 2)
    later = [run(harness, service="web", count=number).id for number in (8, 9)]
    story = incident_story.catch_up(harness.rt, OSCAR, HERE["channel"])
    assert {each.execution.id for each in story.open} == set(later)
    assert (story.left_out.open, story.more) == (2, True)
