"""Behind a gate means behind its decision, whatever people do to a run: each way round one, tried."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from harness import ACCESS, ALICE, BOB, CAROL, DAVE, MINUTE, OSCAR, Harness, Target, gate, http, runbook
from local_server import answer
from test_containers_and_cleanup import branch, loop

from engine.access import people
from engine.access.policy import Actor
from engine.errors import Conflict, NotAllowed
from engine.orchestration import retry_failed_run, step_completion
from engine.runs import controls, executions, handover, replay_run, skipping, voting
from storage import audit, database
from storage.people_records import PersonRecord
from storage.states import Decision, Scope, Severity

BROKEN = answer(b"no", "400 Bad Request", "Content-Type: text/plain")
FINE = answer(b'{"ok":true}', "200 OK", "Content-Type: application/json")
VALUE = "{{ params.what }}"
WHAT = {"type": "object", "properties": {"what": {"type": "string", "default": "backup"}}}
SUB = {"id": "sub", "type": "runbook", "with": {"id": "child"}}


def act(target: Target, what: str = "x", **keys: Any) -> dict[str, Any]:
    """The effect that must not happen without its gate."""
    return http("act", target.url(f"/act/{what}"), **keys)


def acted(target: Target) -> list[str]:
    return [path for path in target.paths() if path.startswith("/act")]


def approve(harness: Harness, run: str, who=ALICE, path: str | None = None, digest: str | None = None) -> None:
    voting.vote(harness.rt, who, run, path, Decision.APPROVE, digest=digest)


def open_gates(harness: Harness, run: str) -> list[str]:
    return [each.approval.path for each in executions.view(harness.rt, run).gates if each.approval.status == "PENDING"]


def digest(harness: Harness, run: str) -> str:
    (found,) = [each.approval for each in executions.view(harness.rt, run).gates if each.approval.status == "PENDING"]
    return found.digest


def child(harness: Harness, run: str, path: str = "sub") -> str:
    """The child that a run waits for, as far as it goes by itself."""
    harness.advance(run)
    found = harness.step(run, path).child
    assert found is not None
    harness.run(found)
    return found


# Skipping


def test_a_step_behind_an_open_gate_is_skipped_in_its_turn(harness: Harness, target: Target) -> None:
    """Not before the gate has released what comes after it."""
    run = harness.begin(gate("ok"), http("drain", target.url("/drain")), act(target))
    harness.run(run)
    skipping.skip(harness.rt, CAROL, run, "drain", "not needed")
    assert harness.run(run) == "WAITING"
    assert (target.paths(), harness.all_steps(run)["drain"]) == ([], "BLOCKED")
    approve(harness, run)
    assert harness.run(run) == "SUCCESS"
    assert (target.paths(), harness.all_steps(run)["drain"]) == (["/act/x"], "SKIPPED")
    harness.check_books(run)


def test_skipping_a_step_shortens_no_delay_before_it(harness: Harness, target: Target) -> None:
    """What it needs has to end first."""
    say = {"id": "say", "type": "message", "with": {"text": "soon"}}
    run = harness.begin({"id": "cool", "type": "delay", "with": {"for": "40s"}}, say, act(target))
    harness.advance(run)
    skipping.skip(harness.rt, CAROL, run, "say", "no need")
    harness.advance(run)
    assert acted(target) == []
    before = harness.clock.time
    assert harness.run(run) == "SUCCESS"
    assert harness.clock.time - before >= 40_000


def test_two_steps_that_are_skipped_at_once_each_let_on_what_follows(harness: Harness, target: Target) -> None:
    """Also where the first of them is followed by nothing."""
    run = harness.begin(
        http("a", target.url("/a")), http("b", target.url("/b"), needs=["a"], if_="false"),
        http("c", target.url("/c"), needs=["a"], if_="false"), act(target, needs=["c"]),
    )  # fmt: skip
    assert harness.run(run) == "SUCCESS"
    assert target.paths() == ["/a", "/act/x"]


@pytest.mark.parametrize("holder", ["branch", "loop", "nested"])
def test_what_holds_a_gate_is_not_skipped(harness: Harness, target: Target, holder: str) -> None:
    """Neither before it has begun nor after."""
    inside = [http("first", target.url("/first")), gate("ok")]
    held = {
        "branch": branch("way", "true", inside),
        "loop": loop("way", *inside, items=[1]),
        "nested": branch("way", "true", [loop("deep", *inside, items=[1])]),
    }[holder]
    run = harness.begin(http("a", target.url("/a")), held, act(target))
    with pytest.raises(Conflict, match="holds a gate"):
        skipping.skip(harness.rt, CAROL, run, "way", "no")
    harness.run(run)
    with pytest.raises(Conflict, match="holds a gate"):
        skipping.skip(harness.rt, CAROL, run, "way", "no")
    assert acted(target) == []


def test_a_runbook_step_is_not_skipped_where_the_other_runbook_has_a_gate(harness: Harness, target: Target) -> None:
    """However deep, before it was started and while it waits."""
    harness.publish(runbook("grandchild", gate("ok")))
    harness.publish(runbook("child", {"id": "deep", "type": "runbook", "with": {"id": "grandchild"}}))
    run = harness.begin(http("a", target.url("/a")), SUB, act(target))
    with pytest.raises(Conflict, match="holds a gate"):
        skipping.skip(harness.rt, CAROL, run, "sub", "no")
    child(harness, run)
    with pytest.raises(Conflict, match="holds a gate"):
        skipping.skip(harness.rt, CAROL, run, "sub", "no")


def test_a_step_marked_to_be_skipped_is_not_where_its_runbook_has_a_gate_by_its_turn(
    harness: Harness, target: Target
) -> None:
    """It had none when somebody asked."""
    harness.publish(runbook("child", http("b", target.url("/b"))))
    run = harness.begin({"id": "cool", "type": "delay", "with": {"for": "40s"}}, SUB, act(target))
    harness.advance(run)
    skipping.skip(harness.rt, CAROL, run, "sub", "no need")
    harness.publish(runbook("child", gate("ok"), http("b", target.url("/b"))))
    harness.clock.tick(MINUTE)
    harness.sweep()
    assert (harness.status(run), acted(target)) == ("RUNNING", [])
    assert open_gates(harness, child(harness, run)) == ["ok"]
    assert "skip_dropped" in harness.event_kinds(run)


def test_what_a_gate_has_let_on_is_skipped_when_an_approver_agrees(harness: Harness, target: Target) -> None:
    """One who chose nothing of it: not the one who asks, nor the requester."""
    target.does["/backup"] = [BROKEN]
    run = harness.begin(gate("ok"), http("backup", target.url("/backup")), act(target))
    harness.run(run)
    approve(harness, run)
    assert harness.run(run) == "FAILED"
    skipping.skip(harness.rt, ALICE, run, "backup", "the disk is full")
    assert harness.run(run) == "FAILED"
    for who in (CAROL, ALICE, BOB):
        with pytest.raises(NotAllowed):
            skipping.agree(harness.rt, who, run, "backup")
    assert acted(target) == []
    skipping.agree(harness.rt, DAVE, run, "backup")
    assert harness.run(run) == "SUCCESS"
    assert acted(target) == ["/act/x"]
    with pytest.raises(Conflict, match="Nobody asks"):
        skipping.agree(harness.rt, DAVE, run, "backup")


def test_an_author_says_what_may_be_skipped(harness: Harness, target: Target) -> None:
    """True needs nobody's word behind a decided gate, false forbids it everywhere."""
    free = {**http("free", target.url("/free")), "skippable": True}
    firm = {**http("firm", target.url("/firm")), "skippable": False}
    target.does |= {"/free": [BROKEN], "/firm": [BROKEN]}
    run = harness.begin(gate("ok"), free, firm, act(target))
    with pytest.raises(Conflict, match="skippable: false"):
        skipping.skip(harness.rt, CAROL, run, "firm", "no")
    harness.run(run)
    approve(harness, run)
    assert harness.run(run) == "FAILED"
    skipping.skip(harness.rt, CAROL, run, "free", "done by hand")
    assert harness.run(run) == "FAILED"
    with pytest.raises(Conflict, match="skippable: false"):
        skipping.skip(harness.rt, CAROL, run, "firm", "no")
    assert acted(target) == []


def test_a_step_of_a_child_behind_its_parents_gate_needs_that_gates_approvers(harness: Harness, target: Target) -> None:
    """The gate let the child run as it is."""
    target.does["/backup"] = [BROKEN]
    harness.publish(runbook("child", http("backup", target.url("/backup")), act(target)))
    run = harness.begin(gate("ok"), SUB)
    harness.run(run)
    approve(harness, run)
    started = child(harness, run)
    skipping.skip(harness.rt, CAROL, started, "backup", "no disk")
    assert (harness.run(started), acted(target)) == ("FAILED", [])
    with pytest.raises(NotAllowed):
        skipping.agree(harness.rt, CAROL, started, "backup")
    skipping.agree(harness.rt, ALICE, started, "backup")
    assert (harness.run(started), acted(target)) == ("SUCCESS", ["/act/x"])


# What votes are for


def test_a_skip_voids_the_votes_of_the_gate_that_showed_the_step(harness: Harness, target: Target) -> None:
    """It shows what is left, an old digest is refused, and who chose that does not decide."""
    run = harness.begin(gate("ok", min_approvals=2), http("backup", target.url("/backup")), act(target))
    harness.run(run)
    old = digest(harness, run)
    approve(harness, run, ALICE, digest=old)
    skipping.skip(harness.rt, BOB, run, "backup", "no")
    (shown,) = executions.view(harness.rt, run).gates
    assert (shown.votes, shown.missing) == ((), 2)
    assert shown.approval.preview[0]["instead"] == f"skipped by {BOB.user_id}: no"
    with pytest.raises(Conflict, match="not what you were shown"):
        approve(harness, run, ALICE, digest=old)
    changed = next(each for each in harness.events(run) if each.kind == "gate_changed")
    assert changed.data["void"] == [ALICE.user_id]
    approve(harness, run, ALICE, digest=digest(harness, run))
    approve(harness, run, DAVE)
    assert (harness.run(run), target.paths()) == ("SUCCESS", ["/act/x"])


def test_who_had_a_step_skipped_does_not_decide_about_the_rest(harness: Harness, target: Target) -> None:
    """Although they are an approver and not the requester."""
    run = harness.begin(gate("ok"), http("backup", target.url("/backup")), act(target))
    harness.run(run)
    skipping.skip(harness.rt, ALICE, run, "backup", "no")
    with pytest.raises(NotAllowed, match="skipped"):
        approve(harness, run, ALICE)
    approve(harness, run, DAVE)
    assert harness.run(run) == "SUCCESS"


def test_a_target_that_becomes_known_while_a_gate_is_open_voids_its_votes(harness: Harness, target: Target) -> None:
    """Nobody has voted for what was not shown."""
    target.does["/pick"] = [answer(b'{"host":"web9"}', "200 OK", "Content-Type: application/json")]
    run = harness.begin(
        gate("ok", needs=[], min_approvals=2), {"id": "cool", "type": "delay", "with": {"for": "40s"}, "needs": []},
        http("pick", target.url("/pick"), needs=["cool"]),
        http("act", target.url("/act/{{ steps.pick.outputs.json.host }}"), needs=["ok", "pick"]),
    )  # fmt: skip
    harness.advance(run)
    approve(harness, run, ALICE)
    harness.clock.tick(MINUTE)
    harness.run(run)
    old = digest(harness, run)
    with pytest.raises(Conflict, match="not what you were shown"):
        approve(harness, run, DAVE, digest=old)
    assert digest(harness, run) != old
    assert executions.view(harness.rt, run).gates[0].votes == ()
    for who in (ALICE, DAVE):
        approve(harness, run, who)
    assert (harness.run(run), acted(target)) == ("SUCCESS", ["/act/web9"])


def test_a_gate_in_a_branch_shows_what_follows_the_branch(harness: Harness, target: Target) -> None:
    """It lets that on too."""
    run = harness.begin(branch("way", "true", [gate("ok")]), act(target))
    harness.run(run)
    (shown,) = executions.view(harness.rt, run).gates
    assert [each["step"] for each in shown.approval.preview] == ["act"]


# Who chose


def test_who_changed_the_parameters_does_not_decide(harness: Harness, target: Target) -> None:
    """Nor does the one who asked for the run at first."""
    target.does["/look"] = [BROKEN, FINE]
    run = harness.begin(http("look", target.url("/look")), gate("ok"), act(target, VALUE), parameters=WHAT)
    assert harness.run(run) == "FAILED"
    controls.retry(harness.rt, ALICE, run, "look", {"what": "drop"})
    harness.run(run)
    with pytest.raises(NotAllowed, match="chose values"):
        approve(harness, run, ALICE)
    approve(harness, run, DAVE)
    assert (harness.run(run), acted(target)) == ("SUCCESS", ["/act/drop"])


def test_who_replays_and_whose_values_they_are_do_not_decide(harness: Harness, target: Target) -> None:
    """Alice replays what Dave asked for: both chose."""
    harness.publish(runbook("demo", gate("ok"), act(target)))
    run = harness.start("demo", DAVE)
    harness.run(run)
    approve(harness, run, ALICE)
    harness.run(run)
    again = replay_run.replay(harness.rt, ALICE, run).id
    harness.run(again)
    for who in (ALICE, DAVE):
        with pytest.raises(NotAllowed):
            approve(harness, again, who)
    assert acted(target) == ["/act/x"]


def test_every_owner_there_was_is_barred_and_nobody_is_silenced(harness: Harness, target: Target) -> None:
    """An offer that is not taken changes nothing; whoever took the run over stays barred after giving it back."""
    run = harness.begin(gate("ok"), act(target))
    harness.run(run)
    handover.offer(harness.rt, CAROL, run, ALICE)
    approve(harness, run, ALICE)
    assert harness.run(run) == "SUCCESS"
    other = harness.start("demo")
    harness.run(other)
    handover.offer(harness.rt, CAROL, other, ALICE)
    handover.accept(harness.rt, ALICE, other)
    handover.offer(harness.rt, ALICE, other, CAROL)
    handover.accept(harness.rt, CAROL, other)
    with pytest.raises(NotAllowed, match="took this run over"):
        approve(harness, other, ALICE)


def test_taking_a_run_over_voids_ones_vote_and_is_not_for_who_decided(harness: Harness, target: Target) -> None:
    """Neither an open gate nor a decided one has its owner's vote."""
    run = harness.begin(gate("ok", min_approvals=2), act(target))
    harness.run(run)
    approve(harness, run, ALICE)
    handover.offer(harness.rt, CAROL, run, ALICE)
    handover.accept(harness.rt, ALICE, run)
    assert executions.view(harness.rt, run).gates[0].votes == ()
    target.does["/slow"] = [BROKEN]
    harness.publish(runbook("two", gate("ok"), http("slow", target.url("/slow")), act(target)))
    two = harness.start("two")
    harness.run(two)
    approve(harness, two, ALICE)
    with pytest.raises(Conflict, match="decided a gate"):
        handover.offer(harness.rt, CAROL, two, ALICE)
    with pytest.raises(Conflict, match="decided a gate"):
        handover.offer(harness.rt, ALICE, two, ALICE)


def test_one_person_with_two_accounts_is_one_person(harness: Harness, target: Target) -> None:
    """By the e-mail address, whatever its case: they neither decide about their own run nor vote twice."""
    for user, mail in (
        ("U0CAROL01", "pat@example.com"),
        ("U0ALICE01", "Pat@Example.com"),
        ("U0DAVE001", "d@example.com"),
    ):
        people.remember(harness.rt, PersonRecord(user, user, mail, "member", None, database.now()))
    run = harness.begin(gate("ok"), act(target))
    harness.run(run)
    with pytest.raises(NotAllowed, match="e-mail address"):
        approve(harness, run, ALICE)
    harness.publish(
        runbook("two", gate("ok", min_approvals=2, approvers={"roles": ["platform_admin"], "users": ["U0TWIN001"]}))
    )
    people.remember(harness.rt, PersonRecord("U0TWIN001", "twin", "d@example.com", "member", None, database.now()))
    two = harness.start("two")
    harness.run(two)
    approve(harness, two, DAVE)
    with pytest.raises(Conflict, match="already, as @U0DAVE001"):
        approve(harness, two, Actor("U0TWIN001", standing="member"))


def test_a_child_is_judged_by_the_rights_of_all_who_chose_values_for_it(harness: Harness, target: Target) -> None:
    """Alice may run shop's runbook, Carol of team payments may not: not with her values either."""
    target.does["/look"] = [BROKEN, FINE]
    harness.publish(runbook("child", act(target, VALUE), team="shop", parameters=WHAT))
    sub = {"id": "sub", "type": "runbook", "with": {"id": "child", "params": {"what": "{{ params.what }}"}}}
    harness.publish(runbook("demo", http("look", target.url("/look")), sub, parameters=WHAT))
    run = harness.start("demo", ALICE)
    assert harness.run(run) == "FAILED"
    controls.retry(harness.rt, CAROL, run, "look", {"what": "drop"})
    assert harness.run(run) == "FAILED"
    assert (harness.step(run, "sub").error["code"], acted(target)) == ("not_allowed", [])


def test_a_childs_gates_bar_who_chose_for_its_parent_or_owned_it(harness: Harness, target: Target) -> None:
    """Also when they took it over after the child had begun."""
    harness.publish(runbook("child", gate("ok"), act(target)))
    harness.publish(runbook("demo", SUB))
    run = harness.start("demo", DAVE)
    started = child(harness, run)
    handover.offer(harness.rt, DAVE, run, ALICE)

    with pytest.raises(NotAllowed):
        approve(harness, started, DAVE)
    handover.accept(harness.rt, ALICE, run)
    with pytest.raises(NotAllowed):
        approve(harness, started, ALICE)
    assert acted(target) == []


# Retry and replay


@pytest.mark.parametrize("kind", ["branch", "loop", "loops"])
def test_a_replay_from_a_step_asks_the_gates_of_branches_and_loops_again(
    harness: Harness, target: Target, kind: str
) -> None:
    """Each round's, and nothing else of them is done again."""
    inside = [http("first", target.url("/first")), gate("ok", message="{{ steps.first.outputs.status }}")]
    held = {
        "branch": branch("way", "true", inside),
        "loop": loop("way", *inside, items=[1, 2]),
        "loops": loop("way", loop("deep", *inside, items=["{{ item }}", 4]), items=[1, 2]),
    }[kind]
    run = harness.begin(held, act(target))
    harness.run(run)
    while open_gates(harness, run):
        approve(harness, run, path=open_gates(harness, run)[0])
        harness.run(run)
    assert harness.status(run) == "SUCCESS"
    before = list(target.paths())
    again = replay_run.replay(harness.rt, CAROL, run, start_from="act", reason="once more").id
    harness.run(again)
    asked = open_gates(harness, again)
    assert len(asked) == {"branch": 1, "loop": 2, "loops": 4}[kind]
    assert (harness.status(again), target.paths()) == ("WAITING", before)
    for path in asked:
        assert harness.run(again) == "WAITING"
        approve(harness, again, path=path)
    assert harness.run(again) == "SUCCESS"
    assert target.paths() == [*before, "/act/x"]
    harness.check_books(again)


def test_a_rejected_gate_in_a_branch_ends_the_replay_and_can_be_asked_again(harness: Harness, target: Target) -> None:
    """By a retry, which says who rejected before."""
    run = harness.begin(branch("way", "true", [gate("ok")]), act(target))
    harness.run(run)
    approve(harness, run)
    harness.run(run)
    again = replay_run.replay(harness.rt, CAROL, run, start_from="act", reason="x").id
    harness.run(again)
    voting.vote(harness.rt, DAVE, again, None, Decision.REJECT, "not now")
    assert harness.run(again) == "FAILED"
    controls.retry(harness.rt, CAROL, again)
    assert harness.run(again) == "WAITING"
    shown = executions.view(harness.rt, again).gates[-1]
    assert [(vote.person, vote.comment) for vote in shown.rejected_before] == [(DAVE.user_id, "not now")]
    approve(harness, again, DAVE)
    assert harness.run(again) == "SUCCESS"
    assert acted(target) == ["/act/x"] * 2
    harness.check_books(again)


def test_a_replay_from_a_step_asks_the_gates_of_a_child_again(harness: Harness, target: Target) -> None:
    """In a new child that does nothing else, its cleanup included."""
    harness.publish(
        runbook("child", http("first", target.url("/first")), gate("ok"), http("last", target.url("/last")),
                **{"finally": [http("tidy", target.url("/tidy"))]})
    )  # fmt: skip
    run = harness.begin(SUB, act(target))
    approve(harness, child(harness, run))
    harness.run(child(harness, run))
    assert harness.run(run) == "SUCCESS"
    before = list(target.paths())
    again = replay_run.replay(harness.rt, CAROL, run, start_from="act", reason="x").id
    asking_child = child(harness, again)
    assert (open_gates(harness, asking_child), target.paths()) == (["ok"], before)
    approve(harness, asking_child)
    assert harness.run(asking_child) == "SUCCESS"
    assert harness.run(again) == "SUCCESS"
    assert target.paths() == [*before, "/act/x"]


def test_a_child_that_only_asks_undoes_nothing_when_it_is_rejected(harness: Harness, target: Target) -> None:
    """It did nothing; the run ends, and a retry asks once more."""
    undo = {"type": "http", "with": {"url": target.url("/undo")}}
    harness.publish(runbook("child", {**http("first", target.url("/first")), "undo": undo}, gate("ok")))
    run = harness.begin(SUB, act(target))
    approve(harness, child(harness, run))
    harness.run(child(harness, run))
    assert harness.run(run) == "SUCCESS"
    again = replay_run.replay(harness.rt, CAROL, run, start_from="act", reason="x").id
    rejected = child(harness, again)
    voting.vote(harness.rt, DAVE, rejected, None, Decision.REJECT, "no")
    assert (harness.run(rejected), harness.run(again)) == ("FAILED", "FAILED")
    controls.retry(harness.rt, CAROL, again)
    once_more = child(harness, again)
    assert once_more != rejected
    assert open_gates(harness, once_more) == ["ok"]
    approve(harness, once_more)
    harness.run(once_more)
    assert harness.run(again) == "SUCCESS"
    assert target.paths() == ["/first", "/act/x", "/act/x"]


def test_other_parameters_ask_the_gates_of_branches_loops_and_children_again(harness: Harness, target: Target) -> None:
    """Before anything else runs."""
    target.does["/look"] = [BROKEN, FINE]
    harness.publish(runbook("child", gate("deep"), http("last", target.url("/last"))))
    run = harness.begin(
        branch("way", "true", [gate("ok")]), loop("each", gate("in"), items=[1, 2]), SUB,
        http("look", target.url("/look")), act(target, VALUE), parameters=WHAT,
    )  # fmt: skip
    for _ in range(3):
        harness.run(run)
        approve(harness, run, path=open_gates(harness, run)[0])
    approve(harness, child(harness, run))
    harness.run(child(harness, run))
    assert harness.run(run) == "FAILED"
    controls.retry(harness.rt, CAROL, run, "look", {"what": "drop"})
    harness.advance(run)
    assert open_gates(harness, run) == ["way.ok"]
    approve(harness, run)
    harness.advance(run)
    assert open_gates(harness, run) == ["each[0].in", "each[1].in"]
    for path in open_gates(harness, run):
        approve(harness, run, path=path)
    harness.advance(run)
    assert target.paths() == ["/last", "/look"]
    approve(harness, child(harness, run))
    harness.run(child(harness, run))
    assert harness.run(run) == "SUCCESS"
    assert target.paths() == ["/last", "/look", "/look", "/act/drop"]
    harness.check_books(run)


@pytest.mark.parametrize("way", ["gate", "branch", "items", "skipped"])
def test_other_parameters_that_lead_by_other_gates(harness: Harness, target: Target, way: str) -> None:
    """A gate that its own condition had skipped is asked; a retry that would take another way is refused."""
    target.does["/look"] = [BROKEN, FINE]
    drops = "params.what == 'drop'"
    items = "{{ [params.what] }}"
    held = {
        "gate": gate("ok", if_=drops),
        "branch": branch("way", drops, [gate("ok")]),
        "items": loop("way", gate("ok", if_="item == 'drop'"), items=items),
        "skipped": {**branch("way", "true", [gate("ok")]), "if": drops},
    }[way]
    run = harness.begin(held, http("look", target.url("/look")), act(target, VALUE), parameters=WHAT)
    assert harness.run(run) == "FAILED"
    if way != "gate":
        with pytest.raises(Conflict, match="another way at way"):
            controls.retry(harness.rt, CAROL, run, "look", {"what": "drop"})
        assert harness.execution(run).parameters == {"what": "backup"}
        return
    controls.retry(harness.rt, CAROL, run, "look", {"what": "drop"})
    assert (harness.run(run), open_gates(harness, run), acted(target)) == ("WAITING", ["ok"], [])
    approve(harness, run)
    assert (harness.run(run), acted(target)) == ("SUCCESS", ["/act/drop"])


def test_a_replay_at_the_latest_version_takes_no_gate_over_that_was_not_passed(
    harness: Harness, target: Target
) -> None:
    """The branch holds a gate by now; the gate's condition is gone by now."""
    harness.publish(runbook("one", branch("way", "true", [http("a", target.url("/a"))]), act(target)))
    harness.publish(runbook("two", gate("ok", if_="false"), act(target)))
    for slug, newer in (("one", branch("way", "true", [gate("ok"), http("a", target.url("/a"))])), ("two", gate("ok"))):
        run = harness.start(slug)
        assert harness.run(run) == "SUCCESS"
        harness.publish(runbook(slug, newer, act(target)))
        count = len(acted(target))
        with pytest.raises(Conflict, match="start there or before it"):
            replay_run.replay(harness.rt, CAROL, run, start_from="act", latest=True, reason="x")
        assert len(acted(target)) == count


def test_a_child_takes_no_parameters_of_its_own_and_does_not_go_on_past_its_parents_gates(
    harness: Harness, target: Target
) -> None:
    """They come from the run that started it, and so does its leave to run."""
    target.does |= {"/look": [BROKEN], "/late": [BROKEN, FINE]}
    harness.publish(runbook("child", http("look", target.url("/look")), act(target, VALUE), parameters=WHAT))
    sub = {**SUB, "continue_on_error": True}
    run = harness.begin(gate("ok"), sub, http("late", target.url("/late")), parameters=WHAT)
    harness.run(run)
    approve(harness, run)
    started = child(harness, run)
    assert (harness.status(started), harness.run(run)) == ("FAILED", "FAILED")
    with pytest.raises(Conflict, match="come from the run that started it"):
        controls.retry(harness.rt, CAROL, started, "look", {"what": "drop"})
    controls.retry(harness.rt, CAROL, run, "late", {"what": "drop"})
    harness.run(run)
    with pytest.raises(Conflict, match="has to release it first"):
        controls.retry(harness.rt, CAROL, started)
    assert acted(target) == []


def test_a_new_child_says_who_rejected_the_one_before(harness: Harness, target: Target) -> None:
    """The step that starts it was retried."""
    harness.publish(runbook("child", gate("ok")))
    run = harness.begin(SUB, act(target))
    first = child(harness, run)
    voting.vote(harness.rt, DAVE, first, None, Decision.REJECT, "too risky")
    assert harness.run(run) == "FAILED"
    controls.retry(harness.rt, CAROL, run)
    (shown,) = executions.view(harness.rt, child(harness, run)).gates
    assert [(vote.person, vote.comment) for vote in shown.rejected_before] == [(DAVE.user_id, "too risky")]


def test_a_token_that_only_reads_agrees_to_nothing(harness: Harness, target: Target) -> None:
    """Agreeing is deciding."""
    target.does["/backup"] = [BROKEN]
    run = harness.begin(gate("ok"), http("backup", target.url("/backup")), act(target))
    harness.run(run)
    approve(harness, run)
    harness.run(run)
    skipping.skip(harness.rt, CAROL, run, "backup", "no disk")
    with pytest.raises(NotAllowed, match="lacks the scope approve"):
        skipping.agree(harness.rt, replace(DAVE, scopes=frozenset({Scope.READ, Scope.RUN})), run, "backup")


@pytest.mark.parametrize("inside", [False, True])
def test_a_child_that_had_no_gate_then_is_taken_over_as_it_was(harness: Harness, target: Target, inside: bool) -> None:
    """Although the newest version of its runbook has one: nothing of it is done again."""
    harness.publish(runbook("child", http("b", target.url("/b"))))
    run = harness.begin(branch("way", "true", [SUB]) if inside else SUB, act(target))
    assert harness.run(child(harness, run, "way.sub" if inside else "sub")) == "SUCCESS"
    assert harness.run(run) == "SUCCESS"
    harness.publish(runbook("child", gate("ok"), http("b", target.url("/b"))))
    again = replay_run.replay(harness.rt, CAROL, run, start_from="act", reason="x").id
    assert harness.run(again) == "SUCCESS"
    assert target.paths() == ["/b", "/act/x", "/act/x"]
    harness.check_books(again)


def test_what_a_person_had_skipped_stays_skipped_in_a_replay(harness: Harness, target: Target) -> None:
    """A branch that holds a run without gates, too; and who had it skipped does not decide about what is left."""
    harness.publish(runbook("child", http("b", target.url("/b"))))
    run = harness.begin(http("a", target.url("/a")), branch("way", "true", [SUB]), gate("ok"), act(target))
    skipping.skip(harness.rt, BOB, run, "way", "not needed")
    harness.run(run)
    approve(harness, run)
    assert harness.run(run) == "SUCCESS"
    again = replay_run.replay(harness.rt, CAROL, run, start_from="act", reason="x").id
    harness.run(again)
    approve(harness, again)
    assert harness.run(again) == "SUCCESS"
    assert target.paths() == ["/a", "/act/x", "/act/x"]


# What nobody tolerates


@pytest.mark.parametrize("how", ["rejected", "expired", "cancelled"])
def test_continue_on_error_covers_no_gate_of_a_child(harness: Harness, target: Target, how: str) -> None:
    """Rejected, out of time, or the child cancelled before its gate was decided: nothing behind it runs."""
    harness.publish(runbook("child", gate("ok")))
    run = harness.begin({**SUB, "continue_on_error": True}, act(target))
    started = child(harness, run)
    if how == "rejected":
        voting.vote(harness.rt, DAVE, started, None, Decision.REJECT, "no")
    elif how == "cancelled":
        controls.cancel(harness.rt, CAROL, started)
    else:
        harness.clock.tick(15 * MINUTE)
        harness.sweep(work=False)
    harness.run(started)
    assert (harness.run(run), acted(target)) == ("FAILED", [])


def test_a_child_without_gates_is_still_put_up_with(harness: Harness, target: Target) -> None:
    """As its author wrote."""
    target.does["/look"] = [BROKEN]
    harness.publish(runbook("child", http("look", target.url("/look"))))
    run = harness.begin({**SUB, "continue_on_error": True}, act(target))
    child(harness, run)
    assert (harness.run(run), acted(target)) == ("SUCCESS", ["/act/x"])


# The last line


def bypassed(harness: Harness, run: str, target: Target) -> None:
    """The run has ended for it, loudly, and nothing behind the gate was done."""
    assert harness.status(run) == "FAILED"
    assert (harness.execution(run).error["code"], acted(target)) == ("gate_bypassed", [])
    with database.reading():
        rows = audit.of_thing(harness.rt.workspace_id, f"execution:{run}")
    assert [each.action for each in rows if each.severity is Severity.CRITICAL] == ["gate.bypassed"]
    harness.check_books(run)


def test_a_skip_that_lets_on_what_follows_is_caught_at_the_claim(harness: Harness, target: Target, monkeypatch) -> None:
    """The bug this promise began with, put back."""
    real = skipping._do

    def releasing(transition: Any, actor: Any, step: Any, wish: Any) -> None:
        step_completion.skip(transition, step, "skipped at once", actor.user_id)

    monkeypatch.setattr(skipping, "_do", releasing)
    run = harness.begin(gate("ok"), http("drain", target.url("/drain")), act(target))
    harness.run(run)
    skipping.skip(harness.rt, CAROL, run, "drain", "now")
    harness.run(run)
    bypassed(harness, run, target)
    monkeypatch.setattr(skipping, "_do", real)


@pytest.mark.parametrize("kind", ["gate", "branch", "child"])
def test_parameters_that_change_without_asking_are_caught_at_the_claim(
    harness: Harness, target: Target, monkeypatch, kind: str
) -> None:
    """Whatever holds the gate."""
    target.does["/look"] = [BROKEN, FINE]
    harness.publish(runbook("child", gate("ok")))
    held = {"gate": gate("ok"), "branch": branch("way", "true", [gate("ok")]), "child": SUB}[kind]
    run = harness.begin(held, http("look", target.url("/look")), act(target, VALUE), parameters=WHAT)
    harness.advance(run)
    approve(harness, child(harness, run) if kind == "child" else run)
    if kind == "child":
        harness.run(child(harness, run))
    assert harness.run(run) == "FAILED"
    monkeypatch.setattr(retry_failed_run, "reopen_gates", lambda transition: None)
    controls.retry(harness.rt, CAROL, run, "look", {"what": "drop"})
    harness.run(run)
    bypassed(harness, run, target)


def test_a_gate_that_its_requester_decided_is_caught_at_the_claim(
    harness: Harness, target: Target, monkeypatch
) -> None:
    """Were the policy to let them."""
    from engine.access import rules

    monkeypatch.setattr(rules, "_chose", lambda *_: "")
    harness.publish(runbook("demo", gate("ok"), act(target)))
    run = harness.start("demo", ALICE)
    harness.run(run)
    approve(harness, run, ALICE)
    harness.run(run)
    bypassed(harness, run, target)


def test_the_gates_before_a_step(harness: Harness) -> None:
    """Along needs, around it, and inside what it needs; another runbook counts as what may hold one."""
    from engine.definition import gate_graph as before

    inner = branch("way", "true", [gate("deep"), http("leaf")])
    text = runbook("demo", gate("ok"), inner, SUB, http("act"), http("free", needs=[]), http("beside", needs=["way"]))
    harness.publish(text)
    from engine.catalog import catalog

    found = before.before(catalog.definition(catalog.version(harness.rt, "demo")))
    assert {key: set(value) for key, value in found.items()} == {
        "ok": set(), "way": {"ok"}, "sub": {"ok", "way"}, "act": {"ok", "way", "sub"}, "free": set(),
        "beside": {"ok", "way"}, "deep": {"ok"}, "leaf": {"deep", "ok"},
    }  # fmt: skip


def test_who_may_run_what_is_kept_running_is_decided_by_that_version(harness: Harness, target: Target) -> None:
    """Not by a draft that nobody has approved, which would let in everybody on call, or shut the team out."""
    harness.settle_for(on_edit="keep")
    harness.publish(runbook("demo", act(target), team="payments"))
    harness.sync(demo=runbook("demo", act(target), gate("more"), team=None))
    harness.write(_access_yaml=ACCESS.replace("responders: [S0ONCALL]", "responders: [U0OSCAR01]"))
    harness.sync()
    with pytest.raises(NotAllowed, match="members and admins of team payments"):
        harness.start("demo", OSCAR)
    assert harness.run(harness.start("demo", BOB)) == "SUCCESS"


def test_a_branch_that_took_no_way_holds_nothing_back(harness: Harness, target: Target) -> None:
    """Its gate is on the way that the run did not take, and there is no other."""
    run = harness.begin(branch("way", "false", [gate("inner")]), http("after", target.url("/after")))
    assert harness.run(run) == "SUCCESS"
    assert target.paths() == ["/after"]
