"""Behind a gate means behind its decision, whatever people do to a run: each way round one, tried."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from house import ACCESS, ALICE, BOB, CAROL, DAVE, MINUTE, OSCAR, House, Target, gate, http, runbook
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


def approve(house: House, run: str, who=ALICE, path: str | None = None, digest: str | None = None) -> None:
    voting.vote(house.rt, who, run, path, Decision.APPROVE, digest=digest)


def open_gates(house: House, run: str) -> list[str]:
    return [each.approval.path for each in executions.view(house.rt, run).gates if each.approval.status == "PENDING"]


def digest(house: House, run: str) -> str:
    (found,) = [each.approval for each in executions.view(house.rt, run).gates if each.approval.status == "PENDING"]
    return found.digest


def child(house: House, run: str, path: str = "sub") -> str:
    """The child that a run waits for, as far as it goes by itself."""
    house.advance(run)
    found = house.step(run, path).child
    assert found is not None
    house.run(found)
    return found


# Skipping


def test_a_step_behind_an_open_gate_is_skipped_in_its_turn(house: House, target: Target) -> None:
    """Not before the gate has let on what comes after it."""
    run = house.begin(gate("ok"), http("drain", target.url("/drain")), act(target))
    house.run(run)
    skipping.skip(house.rt, CAROL, run, "drain", "not needed")
    assert house.run(run) == "WAITING"
    assert (target.paths(), house.all_steps(run)["drain"]) == ([], "BLOCKED")
    approve(house, run)
    assert house.run(run) == "SUCCESS"
    assert (target.paths(), house.all_steps(run)["drain"]) == (["/act/x"], "SKIPPED")
    house.check_books(run)


def test_skipping_a_step_shortens_no_delay_before_it(house: House, target: Target) -> None:
    """What it needs has to end first."""
    say = {"id": "say", "type": "message", "with": {"text": "soon"}}
    run = house.begin({"id": "cool", "type": "delay", "with": {"for": "40s"}}, say, act(target))
    house.advance(run)
    skipping.skip(house.rt, CAROL, run, "say", "no need")
    house.advance(run)
    assert acted(target) == []
    before = house.clock.time
    assert house.run(run) == "SUCCESS"
    assert house.clock.time - before >= 40_000


def test_two_steps_that_are_skipped_at_once_each_let_on_what_follows(house: House, target: Target) -> None:
    """Also where the first of them is followed by nothing."""
    run = house.begin(
        http("a", target.url("/a")), http("b", target.url("/b"), needs=["a"], if_="false"),
        http("c", target.url("/c"), needs=["a"], if_="false"), act(target, needs=["c"]),
    )  # fmt: skip
    assert house.run(run) == "SUCCESS"
    assert target.paths() == ["/a", "/act/x"]


@pytest.mark.parametrize("holder", ["branch", "loop", "nested"])
def test_what_holds_a_gate_is_not_skipped(house: House, target: Target, holder: str) -> None:
    """Neither before it has begun nor after."""
    inside = [http("first", target.url("/first")), gate("ok")]
    held = {
        "branch": branch("way", "true", inside),
        "loop": loop("way", *inside, items=[1]),
        "nested": branch("way", "true", [loop("deep", *inside, items=[1])]),
    }[holder]
    run = house.begin(http("a", target.url("/a")), held, act(target))
    with pytest.raises(Conflict, match="holds a gate"):
        skipping.skip(house.rt, CAROL, run, "way", "no")
    house.run(run)
    with pytest.raises(Conflict, match="holds a gate"):
        skipping.skip(house.rt, CAROL, run, "way", "no")
    assert acted(target) == []


def test_a_runbook_step_is_not_skipped_where_the_other_runbook_has_a_gate(house: House, target: Target) -> None:
    """However deep, before it was started and while it waits."""
    house.publish(runbook("grandchild", gate("ok")))
    house.publish(runbook("child", {"id": "deep", "type": "runbook", "with": {"id": "grandchild"}}))
    run = house.begin(http("a", target.url("/a")), SUB, act(target))
    with pytest.raises(Conflict, match="holds a gate"):
        skipping.skip(house.rt, CAROL, run, "sub", "no")
    child(house, run)
    with pytest.raises(Conflict, match="holds a gate"):
        skipping.skip(house.rt, CAROL, run, "sub", "no")


def test_a_step_marked_to_be_skipped_is_not_where_its_runbook_has_a_gate_by_its_turn(
    house: House, target: Target
) -> None:
    """It had none when somebody asked."""
    house.publish(runbook("child", http("b", target.url("/b"))))
    run = house.begin({"id": "cool", "type": "delay", "with": {"for": "40s"}}, SUB, act(target))
    house.advance(run)
    skipping.skip(house.rt, CAROL, run, "sub", "no need")
    house.publish(runbook("child", gate("ok"), http("b", target.url("/b"))))
    house.clock.tick(MINUTE)
    house.sweep()
    assert (house.status(run), acted(target)) == ("RUNNING", [])
    assert open_gates(house, child(house, run)) == ["ok"]
    assert "skip_dropped" in house.event_kinds(run)


def test_what_a_gate_has_let_on_is_skipped_when_an_approver_agrees(house: House, target: Target) -> None:
    """One who chose nothing of it: not the one who asks, nor the requester."""
    target.does["/backup"] = [BROKEN]
    run = house.begin(gate("ok"), http("backup", target.url("/backup")), act(target))
    house.run(run)
    approve(house, run)
    assert house.run(run) == "FAILED"
    skipping.skip(house.rt, ALICE, run, "backup", "the disk is full")
    assert house.run(run) == "FAILED"
    for who in (CAROL, ALICE, BOB):
        with pytest.raises(NotAllowed):
            skipping.agree(house.rt, who, run, "backup")
    assert acted(target) == []
    skipping.agree(house.rt, DAVE, run, "backup")
    assert house.run(run) == "SUCCESS"
    assert acted(target) == ["/act/x"]
    with pytest.raises(Conflict, match="Nobody asks"):
        skipping.agree(house.rt, DAVE, run, "backup")


def test_an_author_says_what_may_be_skipped(house: House, target: Target) -> None:
    """True needs nobody's word behind a decided gate, false forbids it everywhere."""
    free = {**http("free", target.url("/free")), "skippable": True}
    firm = {**http("firm", target.url("/firm")), "skippable": False}
    target.does |= {"/free": [BROKEN], "/firm": [BROKEN]}
    run = house.begin(gate("ok"), free, firm, act(target))
    with pytest.raises(Conflict, match="skippable: false"):
        skipping.skip(house.rt, CAROL, run, "firm", "no")
    house.run(run)
    approve(house, run)
    assert house.run(run) == "FAILED"
    skipping.skip(house.rt, CAROL, run, "free", "done by hand")
    assert house.run(run) == "FAILED"
    with pytest.raises(Conflict, match="skippable: false"):
        skipping.skip(house.rt, CAROL, run, "firm", "no")
    assert acted(target) == []


def test_a_step_of_a_child_behind_its_parents_gate_needs_that_gates_approvers(house: House, target: Target) -> None:
    """The gate let the child run as it is."""
    target.does["/backup"] = [BROKEN]
    house.publish(runbook("child", http("backup", target.url("/backup")), act(target)))
    run = house.begin(gate("ok"), SUB)
    house.run(run)
    approve(house, run)
    started = child(house, run)
    skipping.skip(house.rt, CAROL, started, "backup", "no disk")
    assert (house.run(started), acted(target)) == ("FAILED", [])
    with pytest.raises(NotAllowed):
        skipping.agree(house.rt, CAROL, started, "backup")
    skipping.agree(house.rt, ALICE, started, "backup")
    assert (house.run(started), acted(target)) == ("SUCCESS", ["/act/x"])


# What votes are for


def test_a_skip_voids_the_votes_of_the_gate_that_showed_the_step(house: House, target: Target) -> None:
    """It shows what is left, an old digest is refused, and who chose that does not decide."""
    run = house.begin(gate("ok", min_approvals=2), http("backup", target.url("/backup")), act(target))
    house.run(run)
    old = digest(house, run)
    approve(house, run, ALICE, digest=old)
    skipping.skip(house.rt, BOB, run, "backup", "no")
    (shown,) = executions.view(house.rt, run).gates
    assert (shown.votes, shown.missing) == ((), 2)
    assert shown.approval.preview[0]["instead"] == f"skipped by {BOB.user_id}: no"
    with pytest.raises(Conflict, match="not what you were shown"):
        approve(house, run, ALICE, digest=old)
    changed = next(each for each in house.events(run) if each.kind == "gate_changed")
    assert changed.data["void"] == [ALICE.user_id]
    approve(house, run, ALICE, digest=digest(house, run))
    approve(house, run, DAVE)
    assert (house.run(run), target.paths()) == ("SUCCESS", ["/act/x"])


def test_who_had_a_step_skipped_does_not_decide_about_the_rest(house: House, target: Target) -> None:
    """Although they are an approver and not the requester."""
    run = house.begin(gate("ok"), http("backup", target.url("/backup")), act(target))
    house.run(run)
    skipping.skip(house.rt, ALICE, run, "backup", "no")
    with pytest.raises(NotAllowed, match="skipped"):
        approve(house, run, ALICE)
    approve(house, run, DAVE)
    assert house.run(run) == "SUCCESS"


def test_a_target_that_becomes_known_while_a_gate_is_open_voids_its_votes(house: House, target: Target) -> None:
    """Nobody has voted for what was not shown."""
    target.does["/pick"] = [answer(b'{"host":"web9"}', "200 OK", "Content-Type: application/json")]
    run = house.begin(
        gate("ok", needs=[], min_approvals=2), {"id": "cool", "type": "delay", "with": {"for": "40s"}, "needs": []},
        http("pick", target.url("/pick"), needs=["cool"]),
        http("act", target.url("/act/{{ steps.pick.outputs.json.host }}"), needs=["ok", "pick"]),
    )  # fmt: skip
    house.advance(run)
    approve(house, run, ALICE)
    house.clock.tick(MINUTE)
    house.run(run)
    old = digest(house, run)
    with pytest.raises(Conflict, match="not what you were shown"):
        approve(house, run, DAVE, digest=old)
    assert digest(house, run) != old
    assert executions.view(house.rt, run).gates[0].votes == ()
    for who in (ALICE, DAVE):
        approve(house, run, who)
    assert (house.run(run), acted(target)) == ("SUCCESS", ["/act/web9"])


def test_a_gate_in_a_branch_shows_what_follows_the_branch(house: House, target: Target) -> None:
    """It lets that on too."""
    run = house.begin(branch("way", "true", [gate("ok")]), act(target))
    house.run(run)
    (shown,) = executions.view(house.rt, run).gates
    assert [each["step"] for each in shown.approval.preview] == ["act"]


# Who chose


def test_who_changed_the_parameters_does_not_decide(house: House, target: Target) -> None:
    """Nor does the one who asked for the run at first."""
    target.does["/look"] = [BROKEN, FINE]
    run = house.begin(http("look", target.url("/look")), gate("ok"), act(target, VALUE), parameters=WHAT)
    assert house.run(run) == "FAILED"
    controls.retry(house.rt, ALICE, run, "look", {"what": "drop"})
    house.run(run)
    with pytest.raises(NotAllowed, match="chose values"):
        approve(house, run, ALICE)
    approve(house, run, DAVE)
    assert (house.run(run), acted(target)) == ("SUCCESS", ["/act/drop"])


def test_who_replays_and_whose_values_they_are_do_not_decide(house: House, target: Target) -> None:
    """Alice replays what Dave asked for: both chose."""
    house.publish(runbook("demo", gate("ok"), act(target)))
    run = house.start("demo", DAVE)
    house.run(run)
    approve(house, run, ALICE)
    house.run(run)
    again = replay_run.replay(house.rt, ALICE, run).id
    house.run(again)
    for who in (ALICE, DAVE):
        with pytest.raises(NotAllowed):
            approve(house, again, who)
    assert acted(target) == ["/act/x"]


def test_every_owner_there_was_is_barred_and_nobody_is_silenced(house: House, target: Target) -> None:
    """An offer that is not taken changes nothing; whoever took the run over stays barred after giving it back."""
    run = house.begin(gate("ok"), act(target))
    house.run(run)
    handover.offer(house.rt, CAROL, run, ALICE)
    approve(house, run, ALICE)
    assert house.run(run) == "SUCCESS"
    other = house.start("demo")
    house.run(other)
    handover.offer(house.rt, CAROL, other, ALICE)
    handover.accept(house.rt, ALICE, other)
    handover.offer(house.rt, ALICE, other, CAROL)
    handover.accept(house.rt, CAROL, other)
    with pytest.raises(NotAllowed, match="took this run over"):
        approve(house, other, ALICE)


def test_taking_a_run_over_voids_ones_vote_and_is_not_for_who_decided(house: House, target: Target) -> None:
    """Neither an open gate nor a decided one has its owner's vote."""
    run = house.begin(gate("ok", min_approvals=2), act(target))
    house.run(run)
    approve(house, run, ALICE)
    handover.offer(house.rt, CAROL, run, ALICE)
    handover.accept(house.rt, ALICE, run)
    assert executions.view(house.rt, run).gates[0].votes == ()
    target.does["/slow"] = [BROKEN]
    house.publish(runbook("two", gate("ok"), http("slow", target.url("/slow")), act(target)))
    two = house.start("two")
    house.run(two)
    approve(house, two, ALICE)
    with pytest.raises(Conflict, match="decided a gate"):
        handover.offer(house.rt, CAROL, two, ALICE)
    with pytest.raises(Conflict, match="decided a gate"):
        handover.offer(house.rt, ALICE, two, ALICE)


def test_one_person_with_two_accounts_is_one_person(house: House, target: Target) -> None:
    """By the e-mail address, whatever its case: they neither decide about their own run nor vote twice."""
    for user, mail in (
        ("U0CAROL01", "pat@example.com"),
        ("U0ALICE01", "Pat@Example.com"),
        ("U0DAVE001", "d@example.com"),
    ):
        people.remember(house.rt, PersonRecord(user, user, mail, "member", None, database.now()))
    run = house.begin(gate("ok"), act(target))
    house.run(run)
    with pytest.raises(NotAllowed, match="e-mail address"):
        approve(house, run, ALICE)
    house.publish(
        runbook("two", gate("ok", min_approvals=2, approvers={"roles": ["platform_admin"], "users": ["U0TWIN001"]}))
    )
    people.remember(house.rt, PersonRecord("U0TWIN001", "twin", "d@example.com", "member", None, database.now()))
    two = house.start("two")
    house.run(two)
    approve(house, two, DAVE)
    with pytest.raises(Conflict, match="already, as @U0DAVE001"):
        approve(house, two, Actor("U0TWIN001", standing="member"))


def test_a_child_is_judged_by_the_rights_of_all_who_chose_values_for_it(house: House, target: Target) -> None:
    """Alice may run shop's runbook, Carol of team payments may not: not with her values either."""
    target.does["/look"] = [BROKEN, FINE]
    house.publish(runbook("child", act(target, VALUE), team="shop", parameters=WHAT))
    sub = {"id": "sub", "type": "runbook", "with": {"id": "child", "params": {"what": "{{ params.what }}"}}}
    house.publish(runbook("demo", http("look", target.url("/look")), sub, parameters=WHAT))
    run = house.start("demo", ALICE)
    assert house.run(run) == "FAILED"
    controls.retry(house.rt, CAROL, run, "look", {"what": "drop"})
    assert house.run(run) == "FAILED"
    assert (house.step(run, "sub").error["code"], acted(target)) == ("not_allowed", [])


def test_a_childs_gates_bar_who_chose_for_its_parent_or_owned_it(house: House, target: Target) -> None:
    """Also when they took it over after the child had begun."""
    house.publish(runbook("child", gate("ok"), act(target)))
    house.publish(runbook("demo", SUB))
    run = house.start("demo", DAVE)
    started = child(house, run)
    handover.offer(house.rt, DAVE, run, ALICE)

    with pytest.raises(NotAllowed):
        approve(house, started, DAVE)
    handover.accept(house.rt, ALICE, run)
    with pytest.raises(NotAllowed):
        approve(house, started, ALICE)
    assert acted(target) == []


# Retry and replay


@pytest.mark.parametrize("kind", ["branch", "loop", "loops"])
def test_a_replay_from_a_step_asks_the_gates_of_branches_and_loops_again(
    house: House, target: Target, kind: str
) -> None:
    """Each round's, and nothing else of them is done again."""
    inside = [http("first", target.url("/first")), gate("ok", message="{{ steps.first.outputs.status }}")]
    held = {
        "branch": branch("way", "true", inside),
        "loop": loop("way", *inside, items=[1, 2]),
        "loops": loop("way", loop("deep", *inside, items=["{{ item }}", 4]), items=[1, 2]),
    }[kind]
    run = house.begin(held, act(target))
    house.run(run)
    while open_gates(house, run):
        approve(house, run, path=open_gates(house, run)[0])
        house.run(run)
    assert house.status(run) == "SUCCESS"
    before = list(target.paths())
    again = replay_run.replay(house.rt, CAROL, run, start_from="act", reason="once more").id
    house.run(again)
    asked = open_gates(house, again)
    assert len(asked) == {"branch": 1, "loop": 2, "loops": 4}[kind]
    assert (house.status(again), target.paths()) == ("WAITING", before)
    for path in asked:
        assert house.run(again) == "WAITING"
        approve(house, again, path=path)
    assert house.run(again) == "SUCCESS"
    assert target.paths() == [*before, "/act/x"]
    house.check_books(again)


def test_a_rejected_gate_in_a_branch_ends_the_replay_and_can_be_asked_again(house: House, target: Target) -> None:
    """By a retry, which says who rejected before."""
    run = house.begin(branch("way", "true", [gate("ok")]), act(target))
    house.run(run)
    approve(house, run)
    house.run(run)
    again = replay_run.replay(house.rt, CAROL, run, start_from="act", reason="x").id
    house.run(again)
    voting.vote(house.rt, DAVE, again, None, Decision.REJECT, "not now")
    assert house.run(again) == "FAILED"
    controls.retry(house.rt, CAROL, again)
    assert house.run(again) == "WAITING"
    shown = executions.view(house.rt, again).gates[-1]
    assert [(vote.person, vote.comment) for vote in shown.rejected_before] == [(DAVE.user_id, "not now")]
    approve(house, again, DAVE)
    assert house.run(again) == "SUCCESS"
    assert acted(target) == ["/act/x"] * 2
    house.check_books(again)


def test_a_replay_from_a_step_asks_the_gates_of_a_child_again(house: House, target: Target) -> None:
    """In a new child that does nothing else, its cleanup included."""
    house.publish(
        runbook("child", http("first", target.url("/first")), gate("ok"), http("last", target.url("/last")),
                **{"finally": [http("tidy", target.url("/tidy"))]})
    )  # fmt: skip
    run = house.begin(SUB, act(target))
    approve(house, child(house, run))
    house.run(child(house, run))
    assert house.run(run) == "SUCCESS"
    before = list(target.paths())
    again = replay_run.replay(house.rt, CAROL, run, start_from="act", reason="x").id
    asking_child = child(house, again)
    assert (open_gates(house, asking_child), target.paths()) == (["ok"], before)
    approve(house, asking_child)
    assert house.run(asking_child) == "SUCCESS"
    assert house.run(again) == "SUCCESS"
    assert target.paths() == [*before, "/act/x"]


def test_a_child_that_only_asks_undoes_nothing_when_it_is_rejected(house: House, target: Target) -> None:
    """It did nothing; the run ends, and a retry asks once more."""
    undo = {"type": "http", "with": {"url": target.url("/undo")}}
    house.publish(runbook("child", {**http("first", target.url("/first")), "undo": undo}, gate("ok")))
    run = house.begin(SUB, act(target))
    approve(house, child(house, run))
    house.run(child(house, run))
    assert house.run(run) == "SUCCESS"
    again = replay_run.replay(house.rt, CAROL, run, start_from="act", reason="x").id
    rejected = child(house, again)
    voting.vote(house.rt, DAVE, rejected, None, Decision.REJECT, "no")
    assert (house.run(rejected), house.run(again)) == ("FAILED", "FAILED")
    controls.retry(house.rt, CAROL, again)
    once_more = child(house, again)
    assert once_more != rejected
    assert open_gates(house, once_more) == ["ok"]
    approve(house, once_more)
    house.run(once_more)
    assert house.run(again) == "SUCCESS"
    assert target.paths() == ["/first", "/act/x", "/act/x"]


def test_other_parameters_ask_the_gates_of_branches_loops_and_children_again(house: House, target: Target) -> None:
    """Before anything else runs."""
    target.does["/look"] = [BROKEN, FINE]
    house.publish(runbook("child", gate("deep"), http("last", target.url("/last"))))
    run = house.begin(
        branch("way", "true", [gate("ok")]), loop("each", gate("in"), items=[1, 2]), SUB,
        http("look", target.url("/look")), act(target, VALUE), parameters=WHAT,
    )  # fmt: skip
    for _ in range(3):
        house.run(run)
        approve(house, run, path=open_gates(house, run)[0])
    approve(house, child(house, run))
    house.run(child(house, run))
    assert house.run(run) == "FAILED"
    controls.retry(house.rt, CAROL, run, "look", {"what": "drop"})
    house.advance(run)
    assert open_gates(house, run) == ["way.ok"]
    approve(house, run)
    house.advance(run)
    assert open_gates(house, run) == ["each[0].in", "each[1].in"]
    for path in open_gates(house, run):
        approve(house, run, path=path)
    house.advance(run)
    assert target.paths() == ["/last", "/look"]
    approve(house, child(house, run))
    house.run(child(house, run))
    assert house.run(run) == "SUCCESS"
    assert target.paths() == ["/last", "/look", "/look", "/act/drop"]
    house.check_books(run)


@pytest.mark.parametrize("way", ["gate", "branch", "items", "skipped"])
def test_other_parameters_that_lead_by_other_gates(house: House, target: Target, way: str) -> None:
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
    run = house.begin(held, http("look", target.url("/look")), act(target, VALUE), parameters=WHAT)
    assert house.run(run) == "FAILED"
    if way != "gate":
        with pytest.raises(Conflict, match="another way at way"):
            controls.retry(house.rt, CAROL, run, "look", {"what": "drop"})
        assert house.execution(run).parameters == {"what": "backup"}
        return
    controls.retry(house.rt, CAROL, run, "look", {"what": "drop"})
    assert (house.run(run), open_gates(house, run), acted(target)) == ("WAITING", ["ok"], [])
    approve(house, run)
    assert (house.run(run), acted(target)) == ("SUCCESS", ["/act/drop"])


def test_a_replay_at_the_latest_version_takes_no_gate_over_that_was_not_passed(house: House, target: Target) -> None:
    """The branch holds a gate by now; the gate's condition is gone by now."""
    house.publish(runbook("one", branch("way", "true", [http("a", target.url("/a"))]), act(target)))
    house.publish(runbook("two", gate("ok", if_="false"), act(target)))
    for slug, newer in (("one", branch("way", "true", [gate("ok"), http("a", target.url("/a"))])), ("two", gate("ok"))):
        run = house.start(slug)
        assert house.run(run) == "SUCCESS"
        house.publish(runbook(slug, newer, act(target)))
        count = len(acted(target))
        with pytest.raises(Conflict, match="start there or before it"):
            replay_run.replay(house.rt, CAROL, run, start_from="act", latest=True, reason="x")
        assert len(acted(target)) == count


def test_a_child_takes_no_parameters_of_its_own_and_does_not_go_on_past_its_parents_gates(
    house: House, target: Target
) -> None:
    """They come from the run that started it, and so does its leave to run."""
    target.does |= {"/look": [BROKEN], "/late": [BROKEN, FINE]}
    house.publish(runbook("child", http("look", target.url("/look")), act(target, VALUE), parameters=WHAT))
    sub = {**SUB, "continue_on_error": True}
    run = house.begin(gate("ok"), sub, http("late", target.url("/late")), parameters=WHAT)
    house.run(run)
    approve(house, run)
    started = child(house, run)
    assert (house.status(started), house.run(run)) == ("FAILED", "FAILED")
    with pytest.raises(Conflict, match="come from the run that started it"):
        controls.retry(house.rt, CAROL, started, "look", {"what": "drop"})
    controls.retry(house.rt, CAROL, run, "late", {"what": "drop"})
    house.run(run)
    with pytest.raises(Conflict, match="has to let it on first"):
        controls.retry(house.rt, CAROL, started)
    assert acted(target) == []


def test_a_new_child_says_who_rejected_the_one_before(house: House, target: Target) -> None:
    """The step that starts it was retried."""
    house.publish(runbook("child", gate("ok")))
    run = house.begin(SUB, act(target))
    first = child(house, run)
    voting.vote(house.rt, DAVE, first, None, Decision.REJECT, "too risky")
    assert house.run(run) == "FAILED"
    controls.retry(house.rt, CAROL, run)
    (shown,) = executions.view(house.rt, child(house, run)).gates
    assert [(vote.person, vote.comment) for vote in shown.rejected_before] == [(DAVE.user_id, "too risky")]


def test_a_token_that_only_reads_agrees_to_nothing(house: House, target: Target) -> None:
    """Agreeing is deciding."""
    target.does["/backup"] = [BROKEN]
    run = house.begin(gate("ok"), http("backup", target.url("/backup")), act(target))
    house.run(run)
    approve(house, run)
    house.run(run)
    skipping.skip(house.rt, CAROL, run, "backup", "no disk")
    with pytest.raises(NotAllowed, match="lacks the scope approve"):
        skipping.agree(house.rt, replace(DAVE, scopes=frozenset({Scope.READ, Scope.RUN})), run, "backup")


@pytest.mark.parametrize("inside", [False, True])
def test_a_child_that_had_no_gate_then_is_taken_over_as_it_was(house: House, target: Target, inside: bool) -> None:
    """Although the newest version of its runbook has one: nothing of it is done again."""
    house.publish(runbook("child", http("b", target.url("/b"))))
    run = house.begin(branch("way", "true", [SUB]) if inside else SUB, act(target))
    assert house.run(child(house, run, "way.sub" if inside else "sub")) == "SUCCESS"
    assert house.run(run) == "SUCCESS"
    house.publish(runbook("child", gate("ok"), http("b", target.url("/b"))))
    again = replay_run.replay(house.rt, CAROL, run, start_from="act", reason="x").id
    assert house.run(again) == "SUCCESS"
    assert target.paths() == ["/b", "/act/x", "/act/x"]
    house.check_books(again)


def test_what_a_person_had_skipped_stays_skipped_in_a_replay(house: House, target: Target) -> None:
    """A branch that holds a run without gates, too; and who had it skipped does not decide about what is left."""
    house.publish(runbook("child", http("b", target.url("/b"))))
    run = house.begin(http("a", target.url("/a")), branch("way", "true", [SUB]), gate("ok"), act(target))
    skipping.skip(house.rt, BOB, run, "way", "not needed")
    house.run(run)
    approve(house, run)
    assert house.run(run) == "SUCCESS"
    again = replay_run.replay(house.rt, CAROL, run, start_from="act", reason="x").id
    house.run(again)
    approve(house, again)
    assert house.run(again) == "SUCCESS"
    assert target.paths() == ["/a", "/act/x", "/act/x"]


# What nobody tolerates


@pytest.mark.parametrize("how", ["rejected", "expired", "cancelled"])
def test_continue_on_error_covers_no_gate_of_a_child(house: House, target: Target, how: str) -> None:
    """Rejected, out of time, or the child cancelled before its gate was decided: nothing behind it runs."""
    house.publish(runbook("child", gate("ok")))
    run = house.begin({**SUB, "continue_on_error": True}, act(target))
    started = child(house, run)
    if how == "rejected":
        voting.vote(house.rt, DAVE, started, None, Decision.REJECT, "no")
    elif how == "cancelled":
        controls.cancel(house.rt, CAROL, started)
    else:
        house.clock.tick(15 * MINUTE)
        house.sweep(work=False)
    house.run(started)
    assert (house.run(run), acted(target)) == ("FAILED", [])


def test_a_child_without_gates_is_still_put_up_with(house: House, target: Target) -> None:
    """As its author wrote."""
    target.does["/look"] = [BROKEN]
    house.publish(runbook("child", http("look", target.url("/look"))))
    run = house.begin({**SUB, "continue_on_error": True}, act(target))
    child(house, run)
    assert (house.run(run), acted(target)) == ("SUCCESS", ["/act/x"])


# The last line


def bypassed(house: House, run: str, target: Target) -> None:
    """The run has ended for it, loudly, and nothing behind the gate was done."""
    assert house.status(run) == "FAILED"
    assert (house.execution(run).error["code"], acted(target)) == ("gate_bypassed", [])
    with database.reading():
        rows = audit.of_thing(house.rt.workspace_id, f"execution:{run}")
    assert [each.action for each in rows if each.severity is Severity.CRITICAL] == ["gate.bypassed"]
    house.check_books(run)


def test_a_skip_that_lets_on_what_follows_is_caught_at_the_claim(house: House, target: Target, monkeypatch) -> None:
    """The bug this promise began with, put back."""
    real = skipping._do

    def releasing(transition: Any, actor: Any, step: Any, wish: Any) -> None:
        step_completion.skip(transition, step, "skipped at once", actor.user_id)

    monkeypatch.setattr(skipping, "_do", releasing)
    run = house.begin(gate("ok"), http("drain", target.url("/drain")), act(target))
    house.run(run)
    skipping.skip(house.rt, CAROL, run, "drain", "now")
    house.run(run)
    bypassed(house, run, target)
    monkeypatch.setattr(skipping, "_do", real)


@pytest.mark.parametrize("kind", ["gate", "branch", "child"])
def test_parameters_that_change_without_asking_are_caught_at_the_claim(
    house: House, target: Target, monkeypatch, kind: str
) -> None:
    """Whatever holds the gate."""
    target.does["/look"] = [BROKEN, FINE]
    house.publish(runbook("child", gate("ok")))
    held = {"gate": gate("ok"), "branch": branch("way", "true", [gate("ok")]), "child": SUB}[kind]
    run = house.begin(held, http("look", target.url("/look")), act(target, VALUE), parameters=WHAT)
    house.advance(run)
    approve(house, child(house, run) if kind == "child" else run)
    if kind == "child":
        house.run(child(house, run))
    assert house.run(run) == "FAILED"
    monkeypatch.setattr(retry_failed_run, "reopen_gates", lambda transition: None)
    controls.retry(house.rt, CAROL, run, "look", {"what": "drop"})
    house.run(run)
    bypassed(house, run, target)


def test_a_gate_that_its_requester_decided_is_caught_at_the_claim(house: House, target: Target, monkeypatch) -> None:
    """Were the policy to let them."""
    from engine.access import policy as access

    monkeypatch.setattr(access, "_chose", lambda *_: "")
    house.publish(runbook("demo", gate("ok"), act(target)))
    run = house.start("demo", ALICE)
    house.run(run)
    approve(house, run, ALICE)
    house.run(run)
    bypassed(house, run, target)


def test_the_gates_before_a_step(house: House) -> None:
    """Along needs, around it, and inside what it needs; another runbook counts as what may hold one."""
    from engine.definition import gate_graph as before

    inner = branch("way", "true", [gate("deep"), http("leaf")])
    text = runbook("demo", gate("ok"), inner, SUB, http("act"), http("free", needs=[]), http("beside", needs=["way"]))
    house.publish(text)
    from engine.catalog import catalog

    found = before.before(catalog.definition(catalog.version(house.rt, "demo")))
    assert {key: set(value) for key, value in found.items()} == {
        "ok": set(), "way": {"ok"}, "sub": {"ok", "way"}, "act": {"ok", "way", "sub"}, "free": set(),
        "beside": {"ok", "way"}, "deep": {"ok"}, "leaf": {"deep", "ok"},
    }  # fmt: skip


def test_who_may_run_what_is_kept_running_is_decided_by_that_version(house: House, target: Target) -> None:
    """Not by a draft that nobody has approved, which would let in everybody on call, or shut the team out."""
    house.settle_for(on_edit="keep")
    house.publish(runbook("demo", act(target), team="payments"))
    house.sync(demo=runbook("demo", act(target), gate("more"), team=None))
    house.write(_access_yaml=ACCESS.replace("responders: [S0ONCALL]", "responders: [U0OSCAR01]"))
    house.sync()
    with pytest.raises(NotAllowed, match="members and admins of team payments"):
        house.start("demo", OSCAR)
    assert house.run(house.start("demo", BOB)) == "SUCCESS"


def test_a_branch_that_took_no_way_holds_nothing_back(house: House, target: Target) -> None:
    """Its gate is on the way that the run did not take, and there is no other."""
    run = house.begin(branch("way", "false", [gate("inner")]), http("after", target.url("/after")))
    assert house.run(run) == "SUCCESS"
    assert target.paths() == ["/after"]
