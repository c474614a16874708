"""Gates with a form, manual steps and how steps ended, over REST and by the command line's words."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from typing import Any

import pytest
from api_client import Api, refused
from harness import ALICE, BOB, CAROL, DAVE, OSCAR, Actor, gate, http, runbook

from bot.cli import connect, people
from bot.cli.options import Options
from bot.grammar import parse

FORM = {
    "type": "object",
    "required": ["slot"],
    "properties": {"slot": {"type": "integer", "maximum": 24}, "side": {"type": "string", "default": "left"}},
}
SWAP = {"id": "swap", "type": "manual", "with": {"instructions": "Swap it.", "form": FORM}}


def waiting(api: Api, *steps: dict[str, Any], **top: Any) -> str:
    api.harness.publish(runbook("asks", *steps, **top))
    run = api.harness.start("asks")
    api.harness.advance(run)
    return run


def typed(api: Api, who: Actor, words: str) -> str:
    """What the command line prints. Raises `Refused`."""
    with connect.to_server(api.url, api.token(who)) as asked, redirect_stdout(io.StringIO()) as told:
        people.answer(asked, parse(words), Options(wait=False))
    return told.getvalue()


def test_a_vote_answers_the_form_over_rest(api: Api) -> None:
    """Wrong and missing answers count for nothing, and those of two people have to be the same."""
    run = waiting(api, gate("ask", form=FORM, min_approvals=2), outputs={"slot": "{{ steps.ask.outputs.slot }}"})
    path = f"/executions/{run}/steps/ask/approve"
    for wrong in ({}, {"slot": 99}, {"slot": "x"}, {"slot": 1, "approved_by": "me"}):
        refused(api.post(path, ALICE, {"answers": wrong}), 422, "invalid_parameters")
    refused(api.post(path, BOB, {"answers": {"slot": 3}}), 403, "not_allowed")
    refused(api.post(path, CAROL, {"answers": {"slot": 3}}), 403, "not_allowed")
    first = api.post(path, ALICE, {"answers": {"slot": 3}}).json()
    assert (first["status"], first["missing"], first["form"]) == ("PENDING", 1, FORM)
    assert api.post(path, DAVE, {"answers": {"slot": 4}}).json()["status"] == "PENDING"
    assert api.post(f"/executions/{run}/steps/ask/withdraw", DAVE).status_code == 200
    assert api.post(path, DAVE, {"answers": {"slot": 3, "side": "left"}}).json()["status"] == "APPROVED"
    assert api.harness.run(run) == "SUCCESS"
    assert api.get(f"/executions/{run}", CAROL)["result"] == {"slot": 3}


def test_a_vote_answers_the_form_on_the_command_line(api: Api) -> None:
    """As text, which the form makes numbers of."""
    run = waiting(api, gate("ask", form=FORM))
    for wrong in ("", " slot=99", " slot=three", " slot=1 other=2"):
        with pytest.raises(connect.Refused):
            typed(api, ALICE, f"approve {run} ask{wrong}")
    with pytest.raises(connect.Refused):
        typed(api, BOB, f"approve {run} ask slot=3")
    typed(api, ALICE, f'approve {run} ask slot=3 comment="as seen"')
    assert api.harness.run(run) == "SUCCESS"
    outputs = api.harness.step(run, "ask").outputs
    assert (outputs["slot"], outputs["comments"]) == (3, [{"by": ALICE.user_id, "comment": "as seen"}])


def test_a_manual_step_is_done_on_the_command_line(api: Api) -> None:
    run = waiting(api, SWAP)
    with pytest.raises(connect.Refused) as hidden:
        typed(api, OSCAR, f"done {run} swap slot=3")
    assert hidden.value.status == 404
    with pytest.raises(connect.Refused):
        typed(api, CAROL, f"done {run} swap slot=99")
    assert "swap" in typed(api, CAROL, f"status {run}")
    assert f"swap of {run} is done." in typed(api, CAROL, f'done {run} slot=3 note="new one is in"')
    with pytest.raises(connect.Refused) as late:
        typed(api, BOB, f"could-not {run} swap note=locked")
    assert late.value.status == 409
    assert api.harness.run(run) == "SUCCESS"
    assert api.harness.step(run, "swap").outputs["note"] == "new one is in"


def test_what_could_not_be_done_is_said_on_the_command_line(api: Api) -> None:
    """With why, and how it ended is there for cleanup and whoever looks."""
    tell = {"id": "tell", "type": "message", "with": {"text": "{{ steps.swap.status }}: {{ steps.swap.error.code }}"}}
    run = waiting(api, SWAP, on_failure=[tell])
    with pytest.raises(connect.Refused) as unsaid:
        typed(api, CAROL, f"could-not {run} swap")
    assert unsaid.value.status == 422
    assert f"swap of {run} could not be done." in typed(api, CAROL, f'could-not {run} swap note="no spare part"')
    assert api.harness.run(run) == "FAILED"
    said = [event.data["text"] for event in api.harness.events(run) if event.kind == "message"]
    assert said == ["FAILED: could_not"]
    assert "no spare part" in typed(api, CAROL, f"status {run}")


def test_how_a_step_ended_is_an_output_over_rest(api: Api) -> None:
    """Behind a failure that is tolerated, with its code and nothing of what is not there."""
    outputs = {"how": "{{ steps.call.status }}", "why": "{{ steps.call.error.code }}", "none": "{{ steps.ok.error }}"}
    ok = {"id": "ok", "type": "check", "with": {"that": "true"}, "continue_on_error": True}
    api.harness.publish(runbook("ends", ok, http("call", continue_on_error=True), outputs=outputs))
    run = api.harness.start("ends")
    assert api.harness.run(run) == "SUCCESS"
    found = api.get(f"/executions/{run}", CAROL)["result"]
    assert (found["how"], found["none"]) == ("FAILED", None)
    assert found["why"] == api.harness.step(run, "call").error["code"]


def test_who_answered_is_named_to_those_who_decide(api: Api) -> None:
    """They are kept from it at both doors, and both say why."""
    run = waiting(api, SWAP, gate("ask", message="Slot {{ steps.swap.outputs.slot }}?"))
    assert api.post(f"/executions/{run}/steps/swap/done", ALICE, {"answers": {"slot": 3}}).status_code == 200
    api.harness.advance(run)
    (shown,) = api.get(f"/executions/{run}", CAROL)["gates"]
    assert shown["barred"] == [ALICE.user_id]
    answer = refused(api.post(f"/executions/{run}/steps/ask/approve", ALICE, {}), 403, "not_allowed")
    assert "gave answers that it shows" in answer["detail"]
    with pytest.raises(connect.Refused, match="gave answers that it shows"):
        typed(api, ALICE, f"approve {run} ask")
    typed(api, DAVE, f"approve {run} ask")
    assert api.harness.run(run) == "SUCCESS"
