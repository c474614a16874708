"""Where the bot speaks for somebody, and who sees what belongs to a channel: the rules, and each service that asks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from house import ALICE, BOB, CAROL, DAVE, House, Target, http, runbook
from local_server import answer

from engine.access import channels
from engine.access.channels import Standing
from engine.access.policy import Actor
from engine.catalog import catalog
from engine.conversations import NoSlack, Unasked
from engine.errors import ChannelNotAllowed, ChannelUnknown, NotFound
from engine.orchestration import incidents, message_channels
from engine.orchestration.admission import Wanted
from engine.queries import audit, catchup, evidence, visibility
from engine.runs import executions, replay_run
from storage.records import ExecutionRecord, Filter

PUBLIC, CLOSED, PRIVATE, SHARED, NONE = "C0PUBLIC1", "C0CLOSED1", "C0SECRET1", "C0SHARED1", "C0NONE001"
AWAY = Unasked("Slack does not answer. Try again in a minute.")
SAY = {"id": "say", "type": "message"}


@pytest.fixture
def house(house: House) -> House:
    """Carol and Alice are in the private channel; Bob is in the public ones alone, and not in `CLOSED`."""
    house.rooms.members[PRIVATE] = {CAROL.user_id, ALICE.user_id}
    house.rooms.closed[CLOSED] = {CAROL.user_id}
    house.rooms.external.add(SHARED)
    house.rooms.unknown.add(NONE)
    house.publish(runbook("demo", http("one", "http://127.0.0.1:9/")))
    return house


def start(house: House, who: Actor, channel: str, slug: str = "demo", **parameters: Any) -> ExecutionRecord:
    incident = {"channel": channel} if channel else {}
    return executions.request(house.rt, who, Wanted(slug, parameters, "test", incident=incident)).execution


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
def test_the_bot_speaks_for_people_where_they_are(house: House, channel: str, bob: Standing, carol: Standing) -> None:
    """And nowhere for anybody where other workspaces are; being seen there is proof, of everything but that."""
    assert channels.ruling(house.rt, BOB, channel).standing is bob
    assert channels.ruling(house.rt, CAROL, channel).standing is carol
    seen = channels.ruling(house.rt, replace(BOB, here=channel), channel).standing
    assert seen is (Standing.EXTERNAL if channel == SHARED else Standing.IN)
    house.rooms.away = AWAY
    assert channels.ruling(house.rt, CAROL, channel).standing is Standing.UNKNOWN
    assert channels.ruling(house.rt, replace(BOB, here=channel), channel).allowed


def test_a_shared_channel_is_used_where_the_access_file_says_so(house: House) -> None:
    """Its members alone see what belongs to it, as in a private one."""
    house.rooms.closed[SHARED] = {CAROL.user_id}
    assert not channels.sees(house.rt, CAROL, SHARED)
    access = (house.folder / "_access.yaml").read_text()
    house.sync(_access_yaml=f"{access}external_channels: [{SHARED}]\n")
    assert channels.ruling(house.rt, CAROL, SHARED).allowed
    assert (channels.sees(house.rt, CAROL, SHARED), channels.sees(house.rt, BOB, SHARED)) == (True, False)


def test_an_access_file_names_channels_by_their_ids(house: House) -> None:
    access = (house.folder / "_access.yaml").read_text()
    for wrong in ("[partner-ops]", "C0SHARED1", "[U0ALICE01]"):
        report = house.sync(_access_yaml=f"{access}external_channels: {wrong}\n")
        assert any("channel" in str(problem) for problem in report.problems), wrong
    assert house.sync(_access_yaml=f"{access}external_channel: []\n").problems


@pytest.mark.parametrize("channel", [CLOSED, PRIVATE, SHARED, NONE])
def test_a_run_is_asked_for_only_where_its_requester_is(house: House, channel: str) -> None:
    """Nor is an incident opened, changed or closed elsewhere. The refusal names the channel."""
    acts = [
        lambda: start(house, BOB, channel),
        lambda: incidents.open_incident(house.rt, BOB, channel),
        lambda: incidents.edit(house.rt, BOB, channel, title="Mine"),
        lambda: incidents.close(house.rt, BOB, channel),
    ]
    for act in acts:
        with pytest.raises(ChannelNotAllowed, match=channel):
            act()
    assert executions.recent(house.rt, Filter()) == []


def test_without_slack_only_runs_without_a_channel_start(house: House) -> None:
    """Whether it is away or there is none; what was typed in a channel starts there."""
    for conversations in (house.rooms, NoSlack()):
        house.rooms.away = AWAY
        house.rt = replace(house.rt, conversations=conversations)
        with pytest.raises(ChannelUnknown, match=PUBLIC):
            start(house, CAROL, PUBLIC)
        assert start(house, CAROL, "").incident == {}
        assert start(house, replace(CAROL, here=PRIVATE), PRIVATE).incident == {"channel": PRIVATE}


def test_a_replay_needs_its_requester_in_the_channel_too(house: House) -> None:
    run = start(house, CAROL, PRIVATE)
    house.run(run.id)
    with pytest.raises(ChannelNotAllowed, match=f"U0BOB0001 is not in the channel of {run.id}") as refused:
        replay_run.replay(house.rt, BOB, run.id)
    assert PRIVATE not in str(refused.value)
    house.rooms.away = AWAY
    with pytest.raises(ChannelUnknown, match=f"who is in the channel of {run.id}"):
        replay_run.replay(house.rt, BOB, run.id)
    house.rooms.away = None
    assert replay_run.replay(house.rt, ALICE, run.id).incident["channel"] == PRIVATE


def test_the_facts_of_a_private_channel_are_its_members(house: House) -> None:
    """A platform admin who is not in it sees the run, and nothing of its incident, wherever they look."""
    made = incidents.open_incident(house.rt, CAROL, PRIVATE, "breach", "Keys leaked", "sev1", {"who": "mallory"})
    run = start(house, CAROL, PRIVATE)
    assert run.incident["title"] == "Keys leaked"
    house.run(run.id)
    secret = ("leaked", "mallory", "breach", PRIVATE)
    for who, sees in ((CAROL, True), (ALICE, True), (DAVE, False), (BOB, False)):
        looks: list[object] = [
            visibility.execution(house.rt, who, run.id).incident,
            executions.view(house.rt, run.id, who).execution.incident,
            [each.incident for each in executions.page(house.rt, who, Filter(slug="demo"))],
            incidents.recent(house.rt, who),
            evidence.bundle(house.rt, who, run.id),
        ]
        if who in (ALICE, DAVE):
            looks.append([row.detail for row in audit.search(house.rt, who)])
        for look in looks:
            assert any(word in str(look) for word in secret) is sees, (who, look)
        assert visibility.execution(house.rt, who, run.id).id == run.id
    with pytest.raises(NotFound):
        incidents.seen(house.rt, DAVE, made.id)
    for act in (
        lambda: catchup.catch_up(house.rt, DAVE, PRIVATE),
        lambda: executions.page(house.rt, DAVE, Filter(channel=PRIVATE)),
    ):
        with pytest.raises(ChannelNotAllowed):
            act()
    assert catchup.catch_up(house.rt, CAROL, PRIVATE).incident == incidents.seen(house.rt, CAROL, made.id)
    house.rooms.away = AWAY
    assert visibility.execution(house.rt, CAROL, run.id).incident is None


def test_what_an_evidence_file_leaves_out_is_marked(house: House) -> None:
    """The file is whole all the same: whoever checks it sees which row cannot be hashed again."""
    incidents.open_incident(house.rt, CAROL, PRIVATE, "breach", "Keys leaked")
    run = start(house, CAROL, PRIVATE)
    for who, masked in ((CAROL, False), (DAVE, True)):
        found = evidence.bundle(house.rt, who, run.id)
        assert evidence.check(found) == []
        started = next(row for row in found["audit"]["rows"] if row["action"] == "execution.start")
        assert started.get("masked", False) is masked


def test_an_evidence_file_confirms_no_channel_that_somebody_guesses(house: House) -> None:
    """The digest by which the same run is found is made of little else that is not known, and is left out."""
    run = start(house, CAROL, PRIVATE)
    found = evidence.bundle(house.rt, BOB, run.id)["run"]
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


def said(house: House, target: Target, source: str, channel: str, who: Actor = BOB) -> tuple[str, dict[str, Any]]:
    """A run whose message names `channel` that way, once it is over: its status and what was told of the message."""
    target.does["/room"] = [answer(f'{{"room":"{channel}"}}'.encode(), "200 OK", "Content-Type: application/json")]
    slug = f"{source}-{channel.lower()}"
    if catalog.find(house.rt, slug) is None:
        steps = [http("look", target.url("/room"))] if source == "output" else []
        text = {"text": "Half way", "channel": VALUES[source](channel)}
        house.publish(runbook(slug, *steps, {**SAY, "with": text}, **ROOM))
    run = start(house, who, channel if source == "start" else PUBLIC, slug, room=channel)
    status = house.run(run.id)
    events = [each.data for each in house.events(run.id) if each.kind == "message"]
    return status, {**(events[0] if events else {}), "error": house.execution(run.id).error, "run": run.id}


@pytest.mark.parametrize("source", ["parameter", "output"])
def test_a_message_to_a_channel_by_value_needs_its_requester_there(house: House, target: Target, source: str) -> None:
    """Else the step fails, naming the channel; in a public channel that they are in it is said."""
    house.rooms.members[DIRECT] = {CAROL.user_id}
    for channel in (CLOSED, PRIVATE, SHARED, NONE, DIRECT):
        status, told = said(house, target, source, channel)
        assert (status, told["error"]["code"]) == ("FAILED", "channel_not_allowed")
        assert channel in told["error"]["message"]
        assert "text" not in told
    for who, channel in ((BOB, PUBLIC), (CAROL, CLOSED), (CAROL, PRIVATE), (CAROL, DIRECT)):
        status, told = said(house, target, source, channel, who)
        assert (status, told["posted"]) == ("SUCCESS", True)


@pytest.mark.parametrize("source", ["literal", "start"])
def test_a_channel_that_was_written_down_or_is_the_runs_own_is_spoken_in(
    house: House, target: Target, source: str
) -> None:
    """An admin approved the one, and the other was judged when the run was asked for."""
    for channel in (PUBLIC, CLOSED, PRIVATE):
        status, told = said(house, target, source, channel, BOB if source == "literal" else CAROL)
        assert (status, told["posted"]) == ("SUCCESS", True)
        assert message_channels.why_not(house.rt, house.execution(told["run"]), told) == ""


def test_a_direct_message_is_its_persons_whoever_wrote_it_down(house: House, target: Target) -> None:
    house.rooms.members[DIRECT] = {CAROL.user_id}
    assert said(house, target, "literal", DIRECT)[0] == "FAILED"
    assert said(house, target, "literal", DIRECT, CAROL)[1]["posted"]


def test_where_slack_does_not_say_a_message_is_kept(house: House, target: Target) -> None:
    """The run goes on; the step's note and the event say why it is not posted. No id of a person is a channel."""
    house.publish(runbook("talk", {**SAY, "with": {"text": "Half way", "channel": "{{ params.room }}"}}, **ROOM))
    run = start(house, BOB, PUBLIC, "talk", room=CLOSED)
    house.rooms.away = AWAY
    assert house.run(run.id) == "SUCCESS"
    note = house.step(run.id, "say").note
    assert note.startswith("not posted: Slack did not say who is in C0CLOSED1")
    (told,) = [each.data for each in house.events(run.id) if each.kind == "message"]
    assert (told["text"], told["posted"]) == ("Half way", False)
    house.rooms.away = None
    assert message_channels.why_not(house.rt, house.execution(run.id), told) == told["unposted"]
    person = start(house, BOB, PUBLIC, "talk", room=CAROL.user_id)
    assert house.run(person.id) == "FAILED"


def test_a_message_is_judged_again_as_it_is_posted(house: House) -> None:
    """By the people as they are then: whoever has left the channel is not spoken for there."""
    house.publish(runbook("talk", {**SAY, "with": {"text": "Half way", "channel": "{{ params.room }}"}}, **ROOM))
    run = start(house, CAROL, PUBLIC, "talk", room=CLOSED)
    assert house.run(run.id) == "SUCCESS"
    (told,) = [each.data for each in house.events(run.id) if each.kind == "message"]
    assert message_channels.why_not(house.rt, house.execution(run.id), told) == ""
    house.rooms.closed[CLOSED] = set()
    assert "is not in C0CLOSED1" in message_channels.why_not(house.rt, house.execution(run.id), told)
    house.rooms.away = AWAY
    assert "did not say" in message_channels.why_not(house.rt, house.execution(run.id), told)
    literal = {**told, "by_value": False}
    assert "does not answer" in message_channels.why_not(house.rt, house.execution(run.id), literal)
    house.rooms.away = None
    house.rooms.external.add(CLOSED)
    assert "Slack Connect" in message_channels.why_not(house.rt, house.execution(run.id), literal)


def test_a_child_speaks_for_who_asked_for_the_first_run(house: House) -> None:
    child = runbook("child", {**SAY, "with": {"text": "Half way", "channel": "{{ params.room }}"}}, **ROOM)
    sub = {"id": "sub", "type": "runbook", "with": {"id": "child", "params": {"room": "{{ params.room }}"}}}
    house.publish(child, runbook("root", sub, **ROOM))
    for who, status in ((CAROL, "SUCCESS"), (BOB, "FAILED")):
        run = start(house, who, PUBLIC, "root", room=CLOSED).id
        house.advance(run)
        assert house.run(str(house.step(run, "sub").child)) == house.run(run) == status
