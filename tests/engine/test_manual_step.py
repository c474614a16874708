"""The `manual` step: somebody does it by hand, and says so once, with the answers that its form asks for."""

from __future__ import annotations

from typing import Any

import pytest
from harness import ALICE, BOB, CAROL, MINUTE, OSCAR, Harness, Target, gate, http, runbook

from engine.access import people
from engine.definition.load import examine
from engine.errors import Conflict, InvalidParameters, NotAllowed, ReasonRequired
from engine.runs import controls, executions, manual_tasks, skipping, voting
from storage import audit, database
from storage.states import Decision

FORM = {
    "type": "object",
    "required": ["region"],
    "properties": {"region": {"type": "string", "enum": ["eu", "us"]}, "count": {"type": "integer", "default": 1}},
}


def manual(name: str = "swap", **keys: Any) -> dict[str, Any]:
    with_ = {key: keys.pop(key) for key in ("assignees", "form") if key in keys}
    with_["instructions"] = keys.pop("instructions", "Swap the disk.")
    return {"id": name, "type": "manual", "with": with_, **keys}


def asked(harness: Harness, *steps: dict[str, Any], **top: Any) -> str:
    """A run that stands at its manual step."""
    run = harness.begin(*steps, **top)
    harness.advance(run)
    assert harness.status(run) == "WAITING"
    return run


def audited(harness: Harness, run: str) -> list[Any]:
    with database.reading():
        return audit.of_thing(harness.rt.workspace_id, f"execution:{run}")


def task_of(harness: Harness, run: str) -> Any:
    return executions.view(harness.rt, run).tasks[-1]


def test_what_is_done_lets_the_run_go_on(harness: Harness, target: Target) -> None:
    """The answers are outputs beside who, when and the note, and who asked for the run may do it."""
    after = http("act", target.url("/{{ steps.swap.outputs.region }}/{{ steps.swap.outputs.count }}"))
    run = asked(harness, manual(form=FORM), after)
    manual_tasks.done(harness.rt, CAROL, run, None, "new one is in", {"region": "eu"})
    assert harness.run(run) == "SUCCESS"
    assert target.paths() == ["/eu/1"]
    outputs = harness.step(run, "swap").outputs
    assert (outputs["by"], outputs["note"]) == (CAROL.user_id, "new one is in")
    assert outputs["at"].endswith("Z")
    assert (task_of(harness, run).status, task_of(harness, run).answers) == ("DONE", {"region": "eu", "count": 1})


def test_what_could_not_be_done_fails_the_run(harness: Harness, target: Target) -> None:
    """With the note; a retry asks anew, and what was shown before is no longer answered."""
    run = asked(harness, manual(), http("act", target.url("/act")))
    before = task_of(harness, run)
    with pytest.raises(ReasonRequired):
        manual_tasks.could_not(harness.rt, BOB, run, "swap", " ")
    manual_tasks.could_not(harness.rt, BOB, run, "swap", "no spare part")
    assert harness.run(run) == "FAILED"
    error = harness.step(run, "swap").error
    assert error["code"] == "could_not"
    assert "no spare part" in error["message"]
    controls.retry(harness.rt, BOB, run, "swap")
    harness.advance(run)
    with pytest.raises(Conflict, match="asked anew"):
        manual_tasks.done(harness.rt, BOB, run, "swap", task_id=before.id)
    manual_tasks.done(harness.rt, BOB, run, "swap", task_id=task_of(harness, run).id)
    assert harness.run(run) == "SUCCESS"
    assert target.paths() == ["/act"]


def test_it_ends_once(harness: Harness) -> None:
    """Whoever comes second is told who was first, whatever they say."""
    run = asked(harness, manual())
    manual_tasks.done(harness.rt, BOB, run, None)
    for late in (
        lambda: manual_tasks.done(harness.rt, CAROL, run, None),
        lambda: manual_tasks.could_not(harness.rt, CAROL, run, "swap", "broken"),
    ):
        with pytest.raises(Conflict, match="is done already by @U0BOB0001"):
            late()
    assert harness.run(run) == "SUCCESS"


def test_only_whom_it_names_may_do_it(harness: Harness) -> None:
    """Without assignees whoever may steer the run; with them nobody else, platform admins neither."""
    run = asked(harness, manual(assignees={"groups": ["oncall"]}))
    for other in (ALICE, BOB, OSCAR):
        with pytest.raises(NotAllowed, match="group oncall"):
            manual_tasks.done(harness.rt, other, run, None)
    assert manual_tasks.doers(harness.rt, task_of(harness, run), 5) == [CAROL.user_id]
    assert [each.task.path for each in manual_tasks.waiting_for(harness.rt, CAROL, 5)] == ["swap"]
    manual_tasks.done(harness.rt, CAROL, run, None)
    free = asked(harness, manual())
    with pytest.raises(NotAllowed):
        manual_tasks.done(harness.rt, OSCAR, free, None)


def test_slack_is_asked_about_whom_it_names(harness: Harness) -> None:
    """Nobody would be known to be in a group, or to be a member still, that nothing else depends on."""
    run = asked(harness, manual(assignees={"groups": ["hands"], "users": ["U0HANDS01"]}))
    assert "hands" in people.groups_named(harness.rt)
    assert "U0HANDS01" in people.due_for_refresh(harness.rt, 0, 100)
    controls.cancel(harness.rt, CAROL, run)
    assert "hands" not in people.groups_named(harness.rt)
    assert "U0HANDS01" not in people.due_for_refresh(harness.rt, 0, 100)


@pytest.mark.parametrize(
    "answers", [{}, {"region": "asia"}, {"region": "eu", "other": 1}, {"region": "eu", "count": "x"}]
)
def test_wrong_answers_end_nothing(harness: Harness, answers: dict[str, Any]) -> None:
    run = asked(harness, manual(form=FORM))
    with pytest.raises(InvalidParameters):
        manual_tasks.done(harness.rt, BOB, run, None, "", answers)
    assert task_of(harness, run).status == "OPEN"


def test_without_a_form_nothing_is_answered(harness: Harness) -> None:
    run = asked(harness, manual())
    with pytest.raises(InvalidParameters, match="not a field of this form"):
        manual_tasks.done(harness.rt, BOB, run, None, "", {"by": "somebody else"})


def test_what_is_not_done_in_time_fails(harness: Harness) -> None:
    """People are reminded before, as of a gate, and a late word changes nothing."""
    run = asked(harness, manual(timeout="20m"))
    harness.clock.tick(11 * MINUTE)
    harness.sweep(work=False)
    assert [each.data["left_ms"] for each in harness.events(run) if each.kind == "task_reminder"] == [9 * MINUTE]
    harness.clock.tick(9 * MINUTE)
    with pytest.raises(Conflict, match="time for swap"):
        manual_tasks.done(harness.rt, BOB, run, None)
    harness.sweep()
    assert harness.run(run) == "FAILED"
    assert harness.step(run, "swap").error["code"] == "manual_timeout"
    assert task_of(harness, run).status == "EXPIRED"


def test_a_tolerated_failure_goes_on(harness: Harness, target: Target) -> None:
    run = asked(harness, manual(continue_on_error=True), http("act", target.url("/act")))
    manual_tasks.could_not(harness.rt, BOB, run, None, "it is locked")
    assert harness.run(run) == "SUCCESS"
    assert target.paths() == ["/act"]


def test_after_a_cancel_nothing_is_asked(harness: Harness) -> None:
    run = asked(harness, manual())
    controls.cancel(harness.rt, BOB, run)
    with pytest.raises(Conflict, match="not asked any more"):
        manual_tasks.done(harness.rt, BOB, run, None)
    assert harness.run(run) == "CANCELLED"
    assert task_of(harness, run).status == "CANCELLED"


def test_what_is_done_in_a_pause_goes_on_at_resume(harness: Harness, target: Target) -> None:
    run = asked(harness, manual(), http("act", target.url("/act")))
    controls.pause(harness.rt, BOB, run)
    manual_tasks.done(harness.rt, BOB, run, None)
    harness.sweep()
    assert (harness.status(run), target.paths()) == ("PAUSED", [])
    controls.resume(harness.rt, BOB, run)
    assert harness.run(run) == "SUCCESS"
    assert target.paths() == ["/act"]


def test_a_skip_ends_the_asking(harness: Harness) -> None:
    run = asked(harness, manual())
    skipping.skip(harness.rt, BOB, run, "swap", "done last week")
    assert task_of(harness, run).status == "CANCELLED"
    assert harness.run(run) == "SUCCESS"
    with pytest.raises(Conflict):
        manual_tasks.done(harness.rt, BOB, run, None)


def test_it_is_no_gate(harness: Harness, target: Target) -> None:
    """Nobody votes on it, and behind a gate it is asked once that has released it."""
    run = asked(harness, gate("ask"), manual(), http("act", target.url("/act")))
    with pytest.raises(Conflict, match="no step waiting to be done by hand"):
        manual_tasks.done(harness.rt, BOB, run, None)
    voting.vote(harness.rt, ALICE, run, None, Decision.APPROVE)
    harness.advance(run)
    with pytest.raises(Conflict, match="has no gate swap"):
        voting.vote(harness.rt, ALICE, run, "swap", Decision.APPROVE)
    manual_tasks.done(harness.rt, CAROL, run, None)
    assert harness.run(run) == "SUCCESS"


def test_a_secret_in_a_note_is_masked(harness: Harness) -> None:
    run = asked(harness, manual(form={"type": "object", "properties": {"said": {"type": "string"}}}))
    harness.rt.redactor().add("lb_token", "hunter2-hunter2")
    manual_tasks.done(harness.rt, BOB, run, None, "it is hunter2-hunter2", {"said": "hunter2-hunter2"})
    told = str([harness.step(run, "swap"), task_of(harness, run), harness.events(run), *audited(harness, run)])
    assert "hunter2-hunter2" not in told
    assert "‹secret lb_token›" in told


@pytest.mark.parametrize(
    ("step", "complaint"),
    [
        (manual(form={"type": "object", "properties": {"by": {}}}), "`by` is an output of every such step"),
        (manual(form={"type": "object", "properties": {"x": {"type": "strin"}}}), "string"),
        (manual(form={"type": "object", "required": ["x"]}), "`x` is required but not in `properties`"),
        (manual(on_timeout="approve"), "`on_timeout`: approve is for approvals"),
        (manual(retry={"max_attempts": 2}), "is for http and grpc steps only"),
        (manual(assignees={}), "must name at least one of roles, users and groups"),
    ],
)
def test_what_is_wrong_is_told(step: dict[str, Any], complaint: str) -> None:
    problems = examine(runbook("demo", step).encode(), "demo.yaml").problems
    assert complaint in str(problems)


def test_an_answer_that_is_not_asked_for_is_a_typo() -> None:
    step = http("act", "http://127.0.0.1:9/{{ steps.swap.outputs.regio }}")
    problems = examine(runbook("demo", manual(form=FORM), step).encode(), "demo.yaml").problems
    assert "has no output `regio`" in str(problems)


def test_its_author_mentions_people_and_values_do_not(harness: Harness) -> None:
    """What the author wrote is markup; a value in it is text, whatever it holds."""
    words = "Ask <!subteam^S0ONCALL> about {{ params.what }}"
    parameters = {"type": "object", "properties": {"what": {"type": "string"}}}
    harness.publish(runbook("by-hand", manual(instructions=words), parameters=parameters))
    run = harness.start("by-hand", what="<!channel> & <@U0OSCAR01>")
    harness.advance(run)
    assert task_of(harness, run).instructions == (
        "Ask <!subteam^S0ONCALL> about &lt;!channel&gt; &amp; &lt;@U0OSCAR01&gt;"
    )
