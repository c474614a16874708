"""Manual steps over REST: what is asked stands with the run, and the first word of who may say it counts."""

from __future__ import annotations

from typing import Any

from api_client import Api, refused
from harness import ALICE, BOB, CAROL, OSCAR, at_once, runbook

FORM = {"type": "object", "required": ["slot"], "properties": {"slot": {"type": "integer", "maximum": 24}}}
STEP = {"id": "swap", "type": "manual", "with": {"instructions": "Swap it.", "form": FORM}}


def asked(api: Api, **with_: Any) -> str:
    api.harness.publish(runbook("by-hand", {**STEP, "with": {**STEP["with"], **with_}}))
    run = api.harness.start("by-hand")
    api.harness.advance(run)
    return run


def test_what_is_asked_is_answered(api: Api) -> None:
    run = asked(api)
    (task,) = api.get(f"/executions/{run}", CAROL)["tasks"]
    assert (task["step"], task["status"], task["form"]) == ("swap", "OPEN", FORM)
    path = f"/executions/{run}/steps/swap"
    refused(api.post(f"{path}/done", OSCAR, {"answers": {"slot": 3}}), 404, "not_found")
    wrong = refused(api.post(f"{path}/done", CAROL, {"answers": {"slot": 99}}), 422, "invalid_parameters")
    assert "slot" in str(wrong)
    refused(api.post(f"{path}/could-not", CAROL, {}), 422, "reason_required")
    refused(api.post(f"{path}/done", CAROL, {"answers": {"slot": 3}, "task": task["id"] + 1}), 409, "conflict")
    done = api.post(f"{path}/done", CAROL, {"answers": {"slot": 3}, "note": "in", "task": task["id"]}).json()
    assert (done["status"], done["ended_by"], done["answers"]) == ("DONE", CAROL.user_id, {"slot": 3})
    assert api.harness.run(run) == "SUCCESS"


def test_a_key_says_it_once(api: Api) -> None:
    """What is sent again is answered the same; another word about it is refused."""
    run = asked(api)
    path, body = f"/executions/{run}/steps/swap", {"answers": {"slot": 3}}
    first = api.post(f"{path}/done", BOB, body, **{"Idempotency-Key": "k1"})
    again = api.post(f"{path}/done", BOB, body, **{"Idempotency-Key": "k1"})
    assert (first.status_code, again.status_code, first.json()) == (200, 200, again.json())
    assert "is done already" in refused(api.post(f"{path}/could-not", ALICE, {"note": "x"}), 409, "conflict")["detail"]


def test_two_at_once_end_it_once(api: Api) -> None:
    run = asked(api)
    path = f"/executions/{run}/steps/swap"
    answers = at_once(
        lambda: api.post(f"{path}/done", BOB, {"answers": {"slot": 3}}).status_code,
        lambda: api.post(f"{path}/could-not", ALICE, {"note": "no"}).status_code,
    )
    assert sorted(answers) == [200, 409]


def test_a_token_of_whom_it_names_sees_the_run(api: Api) -> None:
    """Somebody without any role sees by a token only what asks for them."""
    run = asked(api, assignees={"users": [OSCAR.user_id]})
    assert api.get(f"/executions/{run}", OSCAR)["tasks"][0]["assignees"] == f"@{OSCAR.user_id}"
    refused(api.post(f"/executions/{run}/steps/swap/done", CAROL, {"answers": {"slot": 1}}), 403, "not_allowed")
    assert api.post(f"/executions/{run}/steps/swap/done", OSCAR, {"answers": {"slot": 1}}).status_code == 200
