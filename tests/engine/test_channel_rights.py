"""Where the bot speaks for somebody, and who sees what belongs to a channel: the rules, and each service that asks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from harness import ALICE, BOB, CAROL, DAVE, Harness, Target, http, runbook
from local_server import answer

from engine.access import channels
from engine.access.channels import Standing
from engine.access.policy import Actor
from engine.catalog import catalog
from engine.conversations import NoSlack, Unasked
from engine.errors import ChannelNotAllowed, ChannelUnknown, NotFound
from engine.orchestration import incidents, message_channels
from engine.orchestration.admission import Wanted
from engine.queries import audit, evidence, incident_story, visibility
from engine.runs import executions, replay_run
from storage.records import ExecutionRecord, Filter

PUBLIC, CLOSED, PRIVATE, SHARED, NONE = "C0PUBLIC1", "C0CLOSED1", "C0SECRET1", "C0SHARED1", "C0NONE001"
AWAY = Unasked("Slack does not answer. Try again in a minute.")
SAY = {"id": "say", "type": "message"}


@pytest.fixture
def harness(harness: Harness) -> Harness:
    """Carol and Alice are in the private channel; Bob is in the public ones alone, and not in `CLOSED`."""
    harness.rooms.members[PRIVATE] = {CAROL.user_id, ALICE.user_id}
    harness.rooms.closed[CLOSED] = {CAROL.user_id}
    harness.rooms.external.add(SHARED)
    harness.rooms.unknown.add(NONE)
    harness.publish(runbook("demo", http("one", "http://127.0.0.1:9/")))
    return harness


def start(harness: Harness, who: Actor, channel: str, slug: str = "demo", **parameters: Any) -> ExecutionRecord:
    incident = {"channel": channel} if channel else {}
    return executions.request(harness.rt, who, Wanted(slug, parameters, "test", incident=incident)).execution


@pytest.mark.parametrize(
    ("channel", "bob", "carol"),
    [
        (PUBLIC, Standing.IN, Standing.IN),
        (CLOSED, Standing.OUT, Standing.IN),
        (PRIVATE, Standing.OUT, Standing.IN),
        (SHARED, Standing.EXTERNAL, Standing.EXTERNAL),
        (NONE, Standing.OUT, Standing.OUT),
    ],
)
def test_the_bot_speaks_for_people_where_they_are(
    harness: Harness, channel: str, bob: Standing, carol: Standing
) -> None:
    """And nowhere for anybody where other workspaces are; being seen there is proof, of everything but that."""
    assert channels.ruling(harness.rt, BOB, channel).standing is bob
    assert channels.ruling(harness.rt, CAROL, channel).standing is carol
    seen = channels.ruling(harness.rt, replace(BOB, here=channel), channel).standing
    assert seen is (Standing.EXTERNAL if channel == SHARED else Standing.IN)
    harness.rooms.away = AWAY
    assert channels.ruling(harness.rt, CAROL, channel).standing is Standing.UNKNOWN
    assert channels.ruling(harness.rt, replace(BOB, here=channel), channel).allowed


def test_a_shared_channel_is_used_where_the_access_file_says_so(harness: Harness) -> None:
    """Its members alone see what belongs to it, as in a private one."""
    harness.rooms.closed[SHARED] = {CAROL.user_id}
    assert not channels.sees(harness.rt, CAROL, SHARED)
    access = (harness.folder / "_access.yaml").read_text()
    harness.sync(_access_yaml=f"{access}external_channels: [{SHARED}]\n")
    assert channels.ruling(harness.rt, CAROL, SHARED).allowed
    assert (channels.sees(harness.rt, CAROL, SHARED), channels.sees(harness.rt, BOB, SHARED)) == (True, False)


def test_an_access_file_names_channels_by_their_ids(harness: Harness) -> None:
    access = (harness.folder / "_access.yaml").read_text()
    for wrong in ("[partner-ops]", "C0SHARED1", "[U0ALICE01]"):
        report = harness.sync(_access_yaml=f"{access}external_channels: {wrong}\n")
        assert any("channel" in str(problem) for problem in report.problems), wrong
    assert harness.sync(_access_yaml=f"{access}external_channel: []\n").problems


@pytest.mark.parametrize("channel", [CLOSED, PRIVATE, SHARED, NONE])
def test_a_run_is_asked_for_only_where_its_requester_is(harness: Harness, channel: str) -> None:
    """Nor is an incident opened, changed or closed elsewhere. The refusal names the channel."""
    acts = [
        lambda: start(harness, BOB, channel),
        lambda: incidents.open_incident(harness.rt, BOB, channel),
        lambda: incidents.edit(harness.rt, BOB, channel, title="Mine"),
        lambda: incidents.close(harness.rt, BOB, channel),
    ]
    for act in acts:
        with pytest.raises(ChannelNotAllowed, match=channel):
            act()
    assert executions.recent(harness.rt, Filter()) == []


def test_without_slack_only_runs_without_a_channel_start(harness: Harness) -> None:
    """Whether it is away or there is none; what was typed in a channel starts there."""
    for conversations in (harness.rooms, NoSlack()):
        harness.rooms.away = AWAY
        harness.rt = replace(harness.rt, conversations=conversations)
        with pytest.raises(ChannelUnknown, match=PUBLIC):
            start(harness, CAROL, PUBLIC)
        assert start(harness, CAROL, "").incident == {}
        assert start(harness, replace(CAROL, here=PRIVATE), PRIVATE).incident == {"channel": PRIVATE}


def test_a_replay_needs_its_requester_in_the_channel_too(harness: Harness) -> None:
    run = start(harness, CAROL, PRIVATE)
    harness.run(run.id)
    with pytest.raises(ChannelNotAllowed, match=f"U0BOB0001 is not in the channel of {run.id}") as refused:
        replay_run.replay(harness.rt, BOB, run.id)
    assert PRIVATE not in str(refused.value)
    harness.rooms.away = AWAY
    with pytest.raises(ChannelUnknown, match=f"who is in the channel of {run.id}"):
        replay_run.replay(harness.rt, BOB, run.id)
    harness.rooms.away = None
    assert replay_run.replay(harness.rt, ALICE, run.id).incident["channel"] == PRIVATE


def test_the_facts_of_a_private_channel_are_its_members(harness: Harness) -> None:
    """A platform admin who is not in it sees the run, and nothing of its incident, wherever they look."""
    made = incidents.open_incident(harness.rt, CAROL, PRIVATE, "breach", "Keys leaked", "sev1", {"who": "mallory"})
    run = start(harness, CAROL, PRIVATE)
    assert run.incident["title"] == "Keys leaked"
    harness.run(run.id)
    secret = ("leaked", "mallory", "breach", PRIVATE)
    for who, sees in ((CAROL, True), (ALICE, True), (DAVE, False), (BOB, False)):
        looks: list[object] = [
            visibility.execution(harness.rt, who, run.id).incident,
            executions.view(harness.rt, run.id, who).execution.incident,
            [each.incident for each in executions.page(harness.rt, who, Filter(slug="demo"))],
            incidents.recent(harness.rt, who),
            evidence.bundle(harness.rt, who, run.id),
        ]
        if who in (ALICE, DAVE):
            looks.append([row.detail for row in audit.search(harness.rt, who)])
        for look in looks:
            assert any(word in str(look) for word in secret) is sees, (who, look)
        assert visibility.execution(harness.rt, who, run.id).id == run.id
    with pytest.raises(NotFound):
        incidents.seen(harness.rt, DAVE, made.id)
    for act in (
        lambda: incident_story.catch_up(harness.rt, DAVE, PRIVATE),
        lambda: executions.page(harness.rt, DAVE, Filter(channel=PRIVATE)),
    ):
        with pytest.raises(ChannelNotAllowed):
            act()
    assert incident_story.catch_up(harness.rt, CAROL, PRIVATE).incident == incidents.seen(harness.rt, CAROL, made.id)
    harness.rooms.away = AWAY
    assert visibility.execution(harness.rt, CAROL, run.id).incident is None


def test_what_an_evidence_file_leaves_out_is_marked(harness: Harness) -> None:
    """The file is whole all the same: whoever checks it sees which row cannot be hashed again."""
    incidents.open_incident(harness.rt, CAROL, PRIVATE, "breach", "Keys leaked")
    run = start(harness, CAROL, PRIVATE)
    for who, masked in ((CAROL, False), (DAVE, True)):
        found = evidence.bundle(harness.rt, who, run.id)
        assert evidence.check(found) == []
        started = next(row for row in found["audit"]["rows"] if row["action"] == "execution.start")
        assert started.get("masked", False) is masked


def test_an_evidence_file_confirms_no_channel_that_somebody_guesses(harness: Harness) -> None:
    """The digest by which the same run is found is made of little else that is not known, and is left out."""
    run = start(harness, CAROL, PRIVATE)
    found = evidence.bundle(harness.rt, BOB, run.id)["run"]
    assert found["incident"] is None
    assert run.same_as
    assert run.same_as not in str(found)


# Messages

DIRECT = "D0CAROL01"
ROOM = {"parameters": {"type": "object", "required": ["room"], "properties": {"room": {"type": "string"}}}}
VALUES = {
    "literal": lambda channel: channel,
    "parameter": lambda _: "{{ params.room }}",
    "output": lambda _: "{{ steps.look.outputs.json.room }}",
    "start": lambda _: "{{ incident.channel }}",
}


def said(harness: Harness, target: Target, source: str, channel: str, who: Actor = BOB) -> tuple[str, dict[str, Any]]:
    """A run whose message names `channel` that way, once it is over: its status and what was told of the message."""
    target.does["/room"] = [answer(f'{{"room":"{channel}"}}'.encode(), "200 OK", "Content-Type: application/json")]
    slug = f"{source}-{channel.lower()}"
    if catalog.find(harness.rt, slug) is None:
        steps = [http("look", target.url("/room"))] if source == "output" else []
        text = {"text": "Half way", "channel": VALUES[source](channel)}
        harness.publish(runbook(slug, *steps, {**SAY, "with": text}, **ROOM))
    run = start(harness, who, channel if source == "start" else PUBLIC, slug, room=channel)
    status = harness.run(run.id)
    events = [each.data for each in harness.events(run.id) if each.kind == "message"]
    return status, {**(events[0] if events else {}), "error": harness.execution(run.id).error, "run": run.id}


@pytest.mark.parametrize("source", ["parameter", "output"])
def test_a_message_to_a_channel_by_value_needs_its_requester_there(
    harness: Harness, target: Target, source: str
) -> None:
    """Else the step fails, naming the channel; in a public channel that they are in it is said."""
    harness.rooms.members[DIRECT] = {CAROL.user_id}
    for channel in (CLOSED, PRIVATE, SHARED, NONE, DIRECT):
        status, told = said(harness, target, source, channel)
        assert (status, told["error"]["code"]) == ("FAILED", "channel_not_allowed")
        assert channel in told["error"]["message"]
        assert "text" not in told
    for who, channel in ((BOB, PUBLIC), (CAROL, CLOSED), (CAROL, PRIVATE), (CAROL, DIRECT)):
        status, told = said(harness, target, source, channel, who)
        assert (status, told["posted"]) == ("SUCCESS", True)


@pytest.mark.parametrize("source", ["literal", "start"])
def test_a_channel_that_was_written_down_or_is_the_runs_own_is_spoken_in(
    harness: Harness, target: Target, source: str
) -> None:
    """An admin approved the one, and the other was judged when the run was asked for."""
    for channel in (PUBLIC, CLOSED, PRIVATE):
        status, told = said(harness, target, source, channel, BOB if source == "literal" else CAROL)
        assert (status, told["posted"]) == ("SUCCESS", True)
        assert message_channels.why_not(harness.rt, harness.execution(told["run"]), told) == ""


def test_a_direct_message_is_its_persons_whoever_wrote_it_down(harness: Harness, target: Target) -> None:
    harness.rooms.members[DIRECT] = {CAROL.user_id}
    assert said(harness, target, "literal", DIRECT)[0] == "FAILED"
    assert said(harness, target, "literal", DIRECT, CAROL)[1]["posted"]


def test_where_slack_does_not_say_a_message_is_kept(harness: Harness, target: Target) -> None:
    """The run goes on; the step's note and the event say why it is not posted. No id of a person is a channel."""
    harness.publish(runbook("talk", {**SAY, "with": {"text": "Half way", "channel": "{{ params.room }}"}}, **ROOM))
    run = start(harness, BOB, PUBLIC, "talk", room=CLOSED)
    harness.rooms.away = AWAY
    assert harness.run(run.id) == "SUCCESS"
    note = harness.step(run.id, "say").note
    assert note.startswith("not posted: Slack did not say who is in C0CLOSED1")
    (told,) = [each.data for each in harness.events(run.id) if each.kind == "message"]
    assert (told["text"], told["posted"]) == ("Half way", False)
    harness.rooms.away = None
    assert message_channels.why_not(harness.rt, harness.execution(run.id), told) == told["unposted"]
    person = start(harness, BOB, PUBLIC, "talk", room=CAROL.user_id)
    assert harness.run(person.id) == "FAILED"


def test_a_message_is_judged_again_as_it_is_posted(harness: Harness) -> None:
    """By the people as they are then: whoever has left the channel is not spoken for there."""
    harness.publish(runbook("talk", {**SAY, "with": {"text": "Half way", "channel": "{{ params.room }}"}}, **ROOM))
    run = start(harness, CAROL, PUBLIC, "talk", room=CLOSED)
    assert harness.run(run.id) == "SUCCESS"
    (told,) = [each.data for each in harness.events(run.id) if each.kind == "message"]
    assert message_channels.why_not(harness.rt, harness.execution(run.id), told) == ""
    harness.rooms.closed[CLOSED] = set()
    assert "is not in C0CLOSED1" in message_channels.why_not(harness.rt, harness.execution(run.id), told)
    harness.rooms.away = AWAY
    assert "did not say" in message_channels.why_not(harness.rt, harness.execution(run.id), told)
    literal = {**told, "by_value": False}
    assert "does not answer" in message_channels.why_not(harness.rt, harness.execution(run.id), literal)
    harness.rooms.away = None
    harness.rooms.external.add(CLOSED)
    assert "Slack Connect" in message_channels.why_not(harness.rt, harness.execution(run.id), literal)


def test_a_child_speaks_for_who_asked_for_the_first_run(harness: Harness) -> None:
    child = runbook("child", {**SAY, "with": {"text": "Half way", "channel": "{{ params.room }}"}}, **ROOM)
    sub = {"id": "sub", "type": "runbook", "with": {"id": "child", "params": {"room": "{{ params.room }}"}}}
    harness.publish(child, runbook("root", sub, **ROOM))
    for who, status in ((CAROL, "SUCCESS"), (BOB, "FAILED")):
        run = start(harness, who, PUBLIC, "root", room=CLOSED).id
        harness.advance(run)
        assert harness.run(str(harness.step(run, "sub").child)) == harness.run(run) == status
