"""Channels over REST: where a run, an incident or a list of runs may be asked for, and who reads incidents' facts."""

from __future__ import annotations

from typing import Any

import pytest
from api_client import Api, refused
from harness import ALICE, BOB, CAROL, DAVE

from engine.conversations import Unasked

PUBLIC, PRIVATE, SHARED, NONE = "C0PUBLIC1", "C0SECRET1", "C0SHARED1", "C0NONE001"
SECRET = ("leaked", "mallory", PRIVATE)


@pytest.fixture
def api(api: Api) -> Api:
    """Carol and Alice are in the private channel, nobody else is; one incident is open there."""
    rooms = api.harness.rooms
    rooms.members[PRIVATE] = {CAROL.user_id, ALICE.user_id}
    rooms.external.add(SHARED)
    rooms.unknown.add(NONE)
    made = api.post("/incidents", CAROL, {"channel": PRIVATE, "title": "Keys leaked", "fields": {"who": "mallory"}})
    assert made.status_code == 201, made.text
    return api


def start(api: Api, who: Any, channel: str | None = None) -> Any:
    about = {"incident": {"channel": channel}} if channel else {}
    return api.post("/runbooks/drain/execute", who, {"parameters": {"service": "api"}, **about})


def test_a_channel_has_to_be_ones_own(api: Api) -> None:
    """For a run and for an incident alike; the refusal names it, and nothing is started."""
    for channel in (PRIVATE, SHARED, NONE):
        problem = refused(start(api, BOB, channel), 403, "channel_not_allowed")
        assert channel in problem["detail"]
        refused(api.post("/incidents", BOB, {"channel": channel}), 403, "channel_not_allowed")
    assert api.get("/executions", BOB)["items"] == []
    assert start(api, BOB, PUBLIC).status_code == 202
    assert start(api, CAROL, PRIVATE).status_code == 202
    assert start(api, CAROL, "U0BOB0001").status_code == 422


def test_slack_away_keeps_only_channels_from_being_named(api: Api) -> None:
    api.harness.rooms.away = Unasked("Slack does not answer. Try again in a minute.")
    problem = refused(start(api, CAROL, PUBLIC), 503, "channel_unknown")
    assert PUBLIC in problem["detail"]
    assert "Slack does not answer" in problem["detail"]
    assert start(api, CAROL).status_code == 202


def test_an_incident_of_a_private_channel_is_its_members(api: Api) -> None:
    """A platform admin who is not in the channel finds none: not in the list, not by its number, not to change it."""
    (mine,) = api.get("/incidents", ALICE)
    assert mine["channel"] == PRIVATE
    at = f"/incidents/{mine['id']}"
    assert api.get("/incidents", DAVE) == []
    for method, path, body in (
        ("GET", at, None),
        ("GET", f"{at}/story", None),
        ("PATCH", at, {"title": "x"}),
        ("POST", f"{at}/close", {}),
    ):
        refused(api.ask(method, path, DAVE, body), 404, "not_found")
    assert api.get(f"{at}/story", ALICE)["runs"] == []
    refused(api.ask("GET", "/executions", DAVE, channel=PRIVATE), 403, "channel_not_allowed")
    assert api.get("/executions", ALICE, channel=PRIVATE)["items"] == []


def test_a_run_stays_visible_without_its_incident(api: Api) -> None:
    """Whatever is answered: one run, a list, what steering it gives back, its evidence, the audit."""
    run = start(api, CAROL, PRIVATE).json()["execution"]
    assert run["incident"]["who"] == "mallory"
    (about,) = api.get("/incidents", ALICE)
    at = f"/executions/{run['id']}"
    for who, sees in ((ALICE, True), (DAVE, False)):
        answers = [
            api.ask("GET", at, who),
            api.ask("GET", "/executions", who),
            api.ask("GET", "/runbooks/drain", who),
            api.ask("GET", "/runbooks/drain/executions", who),
            api.post(f"{at}/pause", who, {}),
            api.post(f"{at}/resume", who, {}),
            api.ask("GET", f"{at}/evidence", who),
            api.ask("GET", "/audit", who),
            api.ask("GET", "/audit", who, thing=f"incident:{about['id']}"),
        ]
        for answer in answers:
            assert answer.status_code == 200, answer.text
            assert any(word in answer.text for word in SECRET) is sees, (who, answer.url, answer.text)
    quiet = [f"{at}{path}" for path in ("/steps", "/why", "/logs")]
    assert not any(word in api.ask("GET", path, DAVE).text for word in SECRET for path in quiet)
    assert api.get(at, DAVE)["incident"] is None
    refused(api.post(f"{at}/replay", DAVE, {}), 409, "conflict")
    api.harness.run(run["id"])
    refused(api.post(f"{at}/replay", DAVE, {}), 403, "channel_not_allowed")
    assert api.post(f"{at}/replay", ALICE, {}).status_code == 202


def test_a_refusal_does_not_say_which_private_channel_it_was(api: Api) -> None:
    """Who may replay the run and is not in its channel is told that it is one, and no id."""
    run = start(api, CAROL, PRIVATE).json()["execution"]["id"]
    api.harness.run(run)
    problem = refused(api.post(f"/executions/{run}/replay", DAVE, {}), 403, "channel_not_allowed")
    assert PRIVATE not in str(problem)


def test_a_run_that_is_asked_for_again_is_told_without_an_incident_that_is_theirs_no_more(api: Api) -> None:
    """The answer that is kept for an idempotency key says what may be seen now; nothing is started anew."""
    body = {"parameters": {"service": "api"}, "incident": {"channel": PRIVATE}}
    keyed = {"Idempotency-Key": "k1"}
    first = api.post("/runbooks/drain/execute", CAROL, body, **keyed)
    same = api.post("/runbooks/drain/execute", CAROL, body, **keyed)
    assert same.json() == first.json()
    assert "mallory" in same.text
    api.harness.rooms.members[PRIVATE] = set()
    again = api.post("/runbooks/drain/execute", CAROL, body, **keyed)
    assert again.status_code == 202
    assert again.json()["execution"] == {**first.json()["execution"], "incident": None}
    assert not any(word in again.text for word in SECRET)


def test_an_incident_that_is_opened_again_is_told_to_who_is_in_its_channel_still(api: Api) -> None:
    api.harness.rooms.members["C0SECRET2"] = {CAROL.user_id}
    body, keyed = {"channel": "C0SECRET2", "title": "Takeover"}, {"Idempotency-Key": "k1"}
    first = api.post("/incidents", CAROL, body, **keyed)
    assert api.post("/incidents", CAROL, body, **keyed).json() == first.json()
    closing = f"/incidents/{first.json()['id']}/close"
    assert api.post(closing, CAROL, {"reason": "Sold"}, **{"Idempotency-Key": "k2"}).status_code == 200
    api.harness.rooms.members["C0SECRET2"] = set()
    refused(api.post("/incidents", CAROL, body, **keyed), 404, "not_found")
    refused(api.post(closing, CAROL, {"reason": "Sold"}, **{"Idempotency-Key": "k2"}), 404, "not_found")
