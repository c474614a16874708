"""People by name: beside their ids in the API, instead of them on the command line."""

from __future__ import annotations

import re

from api_client import Api
from harness import ALICE, BOB, CAROL, DAVE, Target, gate, http, runbook
from httpx_sse import connect_sse

from bot.cli import show, show_history, show_runbooks
from bot.cli.people_names import Names
from bot.page import story
from engine.access import people
from engine.runs import controls, handover, skipping, voting
from storage.people_records import PersonRecord
from storage.states import Decision

CALLED = {ALICE: "Alice Ames", BOB: "Bob Bell", CAROL: "Carol Cox", DAVE: "Dave Dunn"}
IDS = re.compile("|".join(each.user_id for each in CALLED))


def introduce(api: Api) -> None:
    at = people.now()
    for who, name in CALLED.items():
        people.remember(api.harness.rt, PersonRecord(who.user_id, name, None, "member", None, at))


def held(api: Api, target: Target) -> str:
    """Carol's run that was voted about, paused, let go on, offered to Bob, and of which a step is to be skipped."""
    approvers = {"roles": ["platform_admin"], "minima": [{"user": DAVE.user_id}]}
    steps = [
        gate("sign-off", approvers=approvers, min_approvals=2), http("go", target.url("/go"), needs=["sign-off"]),
        http("last", target.url("/last"), needs=["go"]),
    ]  # fmt: skip
    api.harness.publish(runbook("held", *steps))
    harness = api.harness
    run = harness.start("held")
    harness.run(run)
    skipping.skip(harness.rt, BOB, run, "last", "by hand")
    voting.vote(harness.rt, ALICE, run, "sign-off", Decision.APPROVE, "fine", None)
    controls.pause(harness.rt, BOB, run, "let me look")
    controls.resume(harness.rt, BOB, run)
    handover.offer(harness.rt, CAROL, run, people.as_known(harness.rt, BOB.user_id), "my shift ends")
    return run


def test_the_command_line_shows_names_and_no_ids(api: Api, target: Target) -> None:
    """Status, why, logs, runs, history and the story of an incident."""
    introduce(api)
    run = held(api, target)
    incident = api.post("/incidents", CAROL, {"channel": "C0INC0001", "title": "slow"}).json()["id"]
    shown: dict[str, list[str]] = {
        "status": show.run_lines(api.get(f"/executions/{run}", CAROL)),
        "why": list(show_history.reason_lines(api.get(f"/executions/{run}/why", CAROL))),
        "logs": list(show_history.log_lines(api.get(f"/executions/{run}/logs", CAROL))),
        "runs": show.runs_lines(api.get("/executions", CAROL)["items"]),
        "history": [show_runbooks.version_line("held", each) for each in api.get("/runbooks/held/versions", CAROL)],
        "story": list(show_history.story_lines(api.get(f"/incidents/{incident}/story", CAROL))),
        "tokens": [show.token_line(each) for each in api.get("/tokens", CAROL)],
    }
    told = {what: "\n".join(lines) for what, lines in shown.items()}
    assert not [text for text in told.values() if IDS.search(text)], told
    for what, words in {
        "status": ["Alice Ames approved", "offered to Bob Bell", "among them 1 of Dave Dunn", "skipped by Bob Bell"],
        "why": ["Dave Dunn", "(Alice Ames approved): Go on?"],
        "logs": [
            "Carol Cox started this run",
            "Alice Ames approved",
            "Bob Bell paused",
            "offered this run to Bob Bell",
        ],
        "runs": ["by Carol Cox"],
        "history": ["decided by Alice Ames"],
        "story": ["Carol Cox opened the incident"],
        "tokens": ["Carol Cox"],
    }.items():
        for each in words:
            assert each in told[what], told[what]


def test_the_api_says_the_name_beside_the_id(api: Api, target: Target) -> None:
    """The ids stay where they were; who is not known has no name, and nobody else is named."""
    introduce(api)
    run = held(api, target)
    found = api.get(f"/executions/{run}", CAROL)
    assert (found["requester"], found["people"][CAROL.user_id]) == (CAROL.user_id, "Carol Cox")
    (asked,) = found["gates"]
    assert asked["votes"][0]["person"] == ALICE.user_id
    assert asked["people"] == {ALICE.user_id: "Alice Ames", DAVE.user_id: "Dave Dunn", BOB.user_id: "Bob Bell"}
    (listed,) = api.get("/executions", CAROL, runbook="held")["items"]
    assert listed["people"] == {CAROL.user_id: "Carol Cox", BOB.user_id: "Bob Bell"}
    assert api.post(f"/executions/{run}/pause", CAROL).json()["people"][CAROL.user_id] == "Carol Cox"


def test_events_that_are_followed_have_names(api: Api, target: Target) -> None:
    """Each as it happens."""
    introduce(api)
    run = held(api, target)
    headers = {"Authorization": f"Bearer {api.token(CAROL)}"}
    with connect_sse(api.client, "GET", f"/api/v1/executions/{run}/events", headers=headers) as source:
        event = next(told.json() for told in source.iter_sse() if '"paused"' in told.data)
    assert event["people"] == {BOB.user_id: "Bob Bell"}
    assert show_history.event_line(event).endswith("Bob Bell paused this run: let me look")


def test_a_word_in_an_answer_that_looks_like_an_id_names_nobody(api: Api, target: Target) -> None:
    """What a target said is shown as it was."""
    introduce(api)
    parameters = {"type": "object", "properties": {"whom": {"type": "string"}}}
    api.harness.publish(runbook("told", http("go", target.url("/go")), parameters=parameters))
    run = api.harness.start("told", CAROL, whom=DAVE.user_id)
    assert DAVE.user_id not in api.get(f"/executions/{run}", CAROL)["people"]


def names(**known: str) -> Names:
    return Names({"people": known})


def test_two_people_with_one_name_are_told_apart() -> None:
    """By their ids; what is not known stays what it is; no name breaks a line."""
    told = names(U0ALICE01="Kim", U0BOB0001="Kim", U0CAROL01="Carol\nCox")
    assert [told(each) for each in ("U0ALICE01", "U0BOB0001", "U0CAROL01", "U0DAVE001", "system", None)] == [
        "Kim (U0ALICE01)", "Kim (U0BOB0001)", "Carol Cox", "U0DAVE001", "system", "",
    ]  # fmt: skip
    assert told.noted("skipped by U0CAROL01: ask U0CAROL01") == "skipped by Carol Cox: ask U0CAROL01"
    assert (
        told.in_sentence("@U0CAROL01 and @U0DAVE001 and group UNKNOWN") == "Carol Cox and @U0DAVE001 and group UNKNOWN"
    )
    assert Names({})("U0ALICE01") == "U0ALICE01"


def test_who_calls_himself_like_somebody_else_is_told_from_them(api: Api, target: Target) -> None:
    """Though the other is in none of these answers, and whatever is put into the name."""
    api.harness.publish(runbook("held", gate("ok"), http("a", target.url("/a"))))
    run = api.harness.start("held", BOB)
    api.harness.run(run)
    for called in (
        "Alice Ames",
        "alice\u2003 Ames",
        "Ａlice Ames",
        f"Alice ({ALICE.user_id})",
        f"Al （{ALICE.user_id}）",
    ):
        for who, name in ((ALICE, "Alice Ames"), (BOB, called)):
            people.remember(api.harness.rt, PersonRecord(who.user_id, name, None, "member", None, people.now()))
        shown = [
            show.runs_lines(api.get("/executions", CAROL)["items"]),
            show_history.log_lines(api.get(f"/executions/{run}/logs", CAROL)),
            [each.text for each in story.story(api.harness.rt, run).happenings],
        ]
        for lines in shown:
            assert f"({BOB.user_id})" in "\n".join(lines), called


def test_the_page_names_who_had_a_step_skipped(api: Api, target: Target) -> None:
    """Among what happened too."""
    introduce(api)
    run = held(api, target)
    told = " ".join(each.text for each in story.story(api.harness.rt, run).happenings)
    assert not IDS.search(told), told
