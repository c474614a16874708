"""Changed parameters are told at every door, as what they were, what they are, and by whom."""

from __future__ import annotations

import json
from dataclasses import replace

from api_client import Api
from harness import BOB, CAROL, Target, http, runbook
from local_server import answer

from bot.cli import show, show_history
from bot.page import story as page
from bot.parameter_change_text import change_words
from bot.slack.views import card, thread, why
from bot.slack.views import story as stories
from engine.queries import explain, incident_story
from engine.runs import controls, executions, replay_run

HERE = {"channel": "C0INC0001", "channel_name": "checkout"}
SECRET = "s3cret-of-the-l0ad-balancer"
WORDS = "service: cellar → web"


def book(target: Target, service: str = "web") -> str:
    """A runbook of which no service is given, whose step reads it."""
    named = {"type": "object", "properties": {"service": {"type": "string", "default": service}}}
    step = http("drain", target.url("/drain") + "?s={{ params.service }}", retry={"max_attempts": 1})
    return runbook("drain", step, parameters=named)


def failed(api: Api, target: Target, service: str) -> str:
    target.does = {"/drain": [answer(b"no", "500 Broken"), answer(b"{}", "200 OK", "Content-Type: application/json")]}
    api.harness.publish(book(target))
    started = executions.start(
        api.harness.rt, CAROL, "drain", {"service": service}, trigger="test", incident=dict(HERE)
    ).id
    assert api.harness.run(started) == "FAILED"
    return started


def test_a_retry_tells_what_it_changed_everywhere(api: Api, target: Target) -> None:
    """Card, thread, why, catch-up, page, command line and REST, all in the same words."""
    harness = api.harness
    run = failed(api, target, "cellar")
    controls.retry(harness.rt, BOB, run, "drain", {"service": "web"}, "a typo")
    (changed,) = api.get(f"/executions/{run}", CAROL)["changes"]
    assert (changed["by"], changed["changes"]) == (
        BOB.user_id, [{"name": "service", "old": "cellar", "new": "web"}],
    )  # fmt: skip
    view = executions.view(harness.rt, run)
    (event,) = [each for each in harness.events(run) if each.kind == "step_retried"]
    explained = explain.explain(harness.rt, run)
    told = incident_story.catch_up(harness.rt, CAROL, HERE["channel"])
    for shown in (
        card.card(view).blocks,
        card.short_card(view).blocks,
        thread.line(event, view),
        why.why_view(explained, "/runbook").blocks,
        stories.catchup_view(told, "/runbook").blocks,
    ):
        assert f"`{WORDS}`" in (text := str(shown)), text
        assert f"<@{BOB.user_id}>" in text
    paged = page.story(harness.rt, run)
    assert ("Parameters changed", f"{WORDS}, by {BOB.user_id}") in paged.facts
    assert any(WORDS in each.text for each in paged.happenings)
    status = show.run_lines(api.get(f"/executions/{run}", CAROL))
    reasons = list(show_history.reason_lines(api.get(f"/executions/{run}/why", CAROL)))
    logs = list(show_history.log_lines(api.get(f"/executions/{run}/logs", CAROL)))
    for lines in (status, reasons, logs):
        assert any(WORDS in line and BOB.user_id in line for line in lines), lines


def test_the_story_of_an_incident_tells_it_on_the_command_line(api: Api, target: Target) -> None:
    """Among who did what."""
    harness = api.harness
    incident = api.post("/incidents", CAROL, {**HERE, "title": "slow"}).json()["id"]
    run = failed(api, target, "cellar")
    controls.retry(harness.rt, BOB, run, "drain", {"service": "web"})
    lines = list(show_history.story_lines(api.get(f"/incidents/{incident}/story", CAROL)))
    assert any(f"retried a step of {run} (drain) with {WORDS}" in line for line in lines), lines


def test_a_replay_with_other_defaults_tells_them(api: Api, target: Target) -> None:
    """At the version of now a parameter that the old run did not have has the default of now."""
    harness = api.harness
    first = failed(api, target, "cellar")
    named = {
        "type": "object",
        "properties": {"service": {"type": "string"}, "zone": {"type": "string", "default": "eu"}},
    }
    harness.publish(runbook("drain", http("drain", target.url("/drain")), parameters=named))
    again = replay_run.replay(harness.rt, BOB, first, latest=True).id
    view = executions.view(harness.rt, again)
    assert "`zone: not given → eu`" in str(card.card(view).blocks)
    assert any("zone: not given → eu" in each.text for each in page.story(harness.rt, again).happenings)
    line = thread.line(harness.events(again)[0], view) or ""
    assert "with other parameters (`zone: not given → eu`)" in line
    assert api.get(f"/executions/{first}", CAROL)["changes"] == []
    harness.run(again)
    same = replay_run.replay(harness.rt, CAROL, again).id
    assert thread.line(harness.events(same)[0], executions.view(harness.rt, same)) is None


def test_what_is_secret_of_a_changed_value_stays_so(api: Api, target: Target) -> None:
    """What an event keeps is masked, whatever was given as a parameter."""
    harness = api.harness
    run = failed(api, target, "cellar")
    settings = replace(harness.rt.settings, secret_variables={"RUNBOOK_SECRET_LB": SECRET})
    controls.retry(replace(harness.rt, settings=settings), CAROL, run, "drain", {"service": f"x {SECRET}"})
    assert SECRET not in json.dumps(api.get(f"/executions/{run}", CAROL)["changes"])
    assert SECRET not in str([each.data for each in harness.events(run)])
    assert "‹secret lb›" in " ".join(show.changed(api.get(f"/executions/{run}/why", CAROL)))


def test_the_words_of_a_change() -> None:
    """What was not there or is not any more says so; many are counted; long values are cut."""
    many = [{"name": f"p{n}", "old": n, "new": n + 1} for n in range(8)]
    assert change_words(many).endswith("p4: 4 → 5, and 3 more")
    assert change_words([{"name": "a", "old": [1, "x"]}], "Carol") == 'a: [1, "x"] → not given, by Carol'
    assert change_words([], "Carol") == ""
    assert len(change_words([{"name": "a", "old": "x" * 900, "new": "y" * 900}])) < 140
