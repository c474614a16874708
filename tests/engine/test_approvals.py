"""Gates: who may decide, how many it takes, what a rejection or the end of time does, and what a vote is bound to."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from harness import ALICE, BOB, CAROL, DAVE, GROUPS, MINUTE, OSCAR, Harness, Target, gate, http, runbook

from engine.access import people, roles
from engine.access import policy as access
from engine.access.policy import Action, Actor
from engine.access.roles import GROUPS_FRESH_MS
from engine.catalog import notices
from engine.errors import Conflict, NotAllowed
from engine.runs import executions, voting
from engine.runs.executions import GateView
from engine.steps import approval
from storage import audit, database
from storage.people_records import PersonRecord
from storage.states import Decision

YES, NO = Decision.APPROVE, Decision.REJECT


def at_gate(harness: Harness, target: Target, **keys) -> str:
    """A run that waits at `ask`, with one call behind it."""
    keys.setdefault("min_approvals", 1)
    run = harness.begin(gate("ask", **keys), http("after", target.url("/after")))
    harness.advance(run)
    assert harness.status(run) == "WAITING"
    return run


def vote(harness: Harness, run: str, who: Actor, decision: Decision = YES, **keys) -> GateView:
    if decision is NO:
        keys.setdefault("comment", "as I see it")
    return voting.vote(harness.rt, who, run, None, decision, **keys)


def test_it_takes_as_many_people_as_the_gate_says(harness: Harness, target: Target) -> None:
    """One of two changes nothing but the count; the second lets the run on."""
    run = at_gate(harness, target, min_approvals=2)
    assert vote(harness, run, ALICE).missing == 1
    assert harness.status(run) == "WAITING"
    view = vote(harness, run, DAVE)
    assert (view.approval.status, view.missing) == ("APPROVED", 0)
    harness.advance(run)
    assert harness.status(run) == "SUCCESS"
    assert harness.step(run, "ask").outputs == {
        "approved_by": [ALICE.user_id, DAVE.user_id], "approvals": 2, "comments": [],
    }  # fmt: skip
    assert target.paths() == ["/after"]
    with database.reading():
        rows = audit.of_thing(1, f"execution:{run}")
    assert [(each.actor, each.detail["decision"]) for each in rows if each.action == "approval.vote"] == [
        (ALICE.user_id, "APPROVE"),
        (DAVE.user_id, "APPROVE"),
    ]
    votes = [each for each in harness.events(run) if each.kind == "vote"]
    told = [(each.actor, each.data["approvals"], each.data["needed"]) for each in votes]
    assert told == [(ALICE.user_id, 1, 2), (DAVE.user_id, 2, 2)]
    harness.check_books(run)


def test_one_person_counts_once(harness: Harness, target: Target) -> None:
    """A second vote of the same person is refused, also to change their mind."""
    run = at_gate(harness, target, min_approvals=2)
    vote(harness, run, ALICE)
    for decision in (YES, NO):
        with pytest.raises(Conflict, match="voted"):
            vote(harness, run, ALICE, decision)
    assert harness.status(run) == "WAITING"


def test_one_rejection_decides(harness: Harness, target: Target) -> None:
    """Whoever says no stops the run, whatever was approved before, and nothing behind the gate is called."""
    run = at_gate(harness, target, min_approvals=3)
    vote(harness, run, ALICE)
    view = vote(harness, run, DAVE, NO, comment="Not before noon.")
    assert view.approval.status == "REJECTED"
    assert harness.status(run) == "FAILED"
    assert harness.execution(run).error == {
        "code": "rejected", "message": "ask was rejected: Not before noon.", "step": "ask",
    }  # fmt: skip
    harness.advance(run)
    assert target.hits == []
    harness.check_books(run)


def test_who_asked_for_a_run_does_not_approve_it(harness: Harness, target: Target) -> None:
    """Four eyes means four: not even a platform admin decides about their own run, not even to reject it."""
    harness.begin(gate("ask"), http("after", target.url()))
    run = harness.start("demo", ALICE)
    harness.advance(run)
    for decision in (YES, NO):
        with pytest.raises(NotAllowed, match="others"):
            vote(harness, run, ALICE, decision)
    vote(harness, run, DAVE)
    assert harness.all_steps(run)["ask"] == "SUCCESS"


@pytest.mark.parametrize("by", ["gate", "setting"])
def test_where_it_is_said_openly_who_asked_may_approve(harness: Harness, target: Target, by: str) -> None:
    """`allow_self` on the gate, or the deployment's own setting."""
    harness.settle_for(allow_self_approval=by == "setting")
    harness.begin(gate("ask", allow_self=by == "gate"), http("after", target.url()))
    run = harness.start("demo", ALICE)
    harness.advance(run)
    assert vote(harness, run, ALICE).approval.status == "APPROVED"


@pytest.mark.parametrize(("on_timeout", "code"), [("fail", "approval_timeout"), ("reject", "rejected")])
def test_a_gate_whose_time_is_up_fails_the_run(harness: Harness, target: Target, on_timeout: str, code: str) -> None:
    """Not a millisecond early; then the run fails and a vote is refused."""
    run = at_gate(harness, target, timeout="10m", on_timeout=on_timeout)
    harness.clock.tick(10 * MINUTE - 1)
    harness.sweep()
    assert harness.status(run) == "WAITING"
    harness.clock.tick(1)
    harness.sweep()
    assert harness.status(run) == "FAILED"
    assert harness.execution(run).error["code"] == code
    with pytest.raises(Conflict, match="expired"):
        vote(harness, run, ALICE)
    assert target.hits == []
    harness.check_books(run)


def test_a_gate_can_let_the_run_on_when_nobody_objects(harness: Harness, target: Target) -> None:
    """`on_timeout: approve` goes on, names nobody as approver, and the audit log says so loudly."""
    run = at_gate(harness, target, timeout="10m", on_timeout="approve")
    harness.clock.tick(10 * MINUTE)
    harness.sweep()
    harness.advance(run)
    assert harness.status(run) == "SUCCESS"
    assert harness.step(run, "ask").outputs["approved_by"] == []
    with database.reading():
        row = next(each for each in audit.of_thing(1, f"execution:{run}") if each.action == "approval.expire")
    assert (row.actor, row.severity) == ("system", "WARNING")


def test_a_vote_after_time_is_refused_even_before_the_sweep(harness: Harness, target: Target) -> None:
    """The deadline decides, not who comes first after it."""
    run = at_gate(harness, target, timeout="10m")
    harness.clock.tick(10 * MINUTE)
    with pytest.raises(Conflict, match="time"):
        vote(harness, run, ALICE)


@pytest.mark.parametrize("first", [YES, NO])
def test_a_decided_gate_takes_no_more_votes(harness: Harness, target: Target, first: Decision) -> None:
    """What was decided is named."""
    run = at_gate(harness, target)
    vote(harness, run, ALICE, first)
    with pytest.raises(Conflict, match="approved" if first is YES else "rejected"):
        vote(harness, run, DAVE, NO if first is YES else YES)


def test_a_vote_is_bound_to_what_was_shown(harness: Harness, target: Target) -> None:
    """Another digest is refused and not counted; the gate's own is taken."""
    run = at_gate(harness, target)
    shown = executions.view(harness.rt, run).gates[0].approval.digest
    with pytest.raises(Conflict, match="not what you were shown"):
        vote(harness, run, ALICE, digest="sha256:" + "0" * 64)
    assert executions.view(harness.rt, run).gates[0].votes == ()
    assert vote(harness, run, ALICE, digest=shown).approval.status == "APPROVED"


def test_the_digest_differs_with_what_is_shown(harness: Harness, target: Target) -> None:
    """Other parameters, another digest."""
    schema = {"type": "object", "properties": {"host": {"type": "string"}}}
    after = http("after", target.url("/{{ params.host }}"))
    harness.publish(runbook("demo", gate("ask"), after, parameters=schema))
    digests = set()
    for host in ("a", "b"):
        run = harness.start("demo", host=host)
        harness.advance(run)
        found = executions.view(harness.rt, run).gates[0].approval
        assert found.preview[0]["url"].endswith(f"/{host}")
        digests.add(found.digest)
    assert len(digests) == 2


def test_an_approver_who_lost_the_role_no_longer_counts(harness: Harness, target: Target) -> None:
    """Rights are asked at the deciding vote, for every vote given so far; what is missing is said truly."""
    run = at_gate(harness, target, min_approvals=2)
    vote(harness, run, ALICE)
    demoted = {**GROUPS, "S0PLATFORM": ("platform", {"U0DAVE001", "U0BOB0001"})}
    harness.know_groups(demoted)
    view = vote(harness, run, DAVE)
    assert view.approval.status == "PENDING"
    assert view.missing == 1
    assert vote(harness, run, BOB).approval.status == "APPROVED"
    assert harness.step(run, "ask").outputs["approved_by"] == [DAVE.user_id, BOB.user_id]


def test_an_approver_whose_account_was_closed_no_longer_counts(harness: Harness, target: Target) -> None:
    """What Slack last said of a person holds for the votes they gave before."""
    run = at_gate(harness, target, min_approvals=2)
    vote(harness, run, ALICE)
    gone = PersonRecord(ALICE.user_id, "Alice", None, "deleted", None, harness.clock.time)
    people.remember(harness.rt, gone)
    assert vote(harness, run, DAVE).approval.status == "PENDING"


@pytest.mark.parametrize(
    ("approvers", "allowed"),
    [
        ({"roles": ["platform_admin"]}, "alice dave"),
        ({"roles": ["team_admin"]}, "bob"),
        ({"roles": ["team_member"]}, "bob carol"),
        ({"roles": ["responder"]}, "carol"),
        ({"users": ["U0OSCAR01"]}, "oscar"),
        ({"groups": ["S0PLATFORM"]}, "alice dave"),
        ({"groups": ["oncall"]}, "carol"),
        ({"roles": ["team_admin"], "users": ["U0OSCAR01"], "groups": ["platform"]}, "alice dave bob oscar"),
    ],
)
def test_who_may_decide(harness: Harness, target: Target, approvers, allowed: str) -> None:
    """Roles, people, and groups by id and by handle."""
    run = at_gate(harness, target, approvers=approvers)
    opened = access.Gate(executions.view(harness.rt, run).gates[0].approval, harness.execution(run))
    opened = replace(opened, execution=replace(opened.execution, requester="U0SOMEBODY", chosen_by=["U0SOMEBODY"]))
    everybody = {"alice": ALICE, "dave": DAVE, "bob": BOB, "carol": CAROL, "oscar": OSCAR}
    could = [name for name, who in everybody.items() if access.verdict(harness.rt, who, Action.VOTE, opened).allowed]
    assert could == allowed.split()


@pytest.mark.parametrize(
    "approvers", [{"groups": ["S0PLATFORM"]}, {"groups": ["platform"]}, {"roles": ["platform_admin"]}]
)
def test_groups_that_were_not_heard_of_lately_let_nobody_in(harness: Harness, target: Target, approvers) -> None:
    """Stale group data fails closed and says so; heard of again, it counts again."""
    run = at_gate(harness, target, approvers=approvers, timeout="2h")
    harness.clock.tick(GROUPS_FRESH_MS)
    vote_ok = harness.clock.time
    harness.clock.tick(1)
    with pytest.raises(NotAllowed, match="could not be asked"):
        vote(harness, run, ALICE)
    harness.clock.time = vote_ok
    assert vote(harness, run, ALICE).approval.status == "APPROVED"


def test_one_whose_standing_is_not_a_members_decides_nothing(harness: Harness, target: Target) -> None:
    """Guests, bots, strangers and people Slack can't name are refused, whatever list they are on."""
    run = at_gate(harness, target, approvers={"users": ["U0ALICE01"]})
    for standing in ("guest", "bot", "deleted", "stranger", "unknown"):
        with pytest.raises(NotAllowed):
            vote(harness, run, Actor("U0ALICE01", standing=standing))
    assert harness.status(run) == "WAITING"


def test_a_vote_is_taken_back_by_who_gave_it(harness: Harness, target: Target) -> None:
    """While the gate is open; it counts no more, and the story says who did it."""
    run = at_gate(harness, target, min_approvals=2)
    vote(harness, run, ALICE)
    with pytest.raises(Conflict, match="have not voted"):
        voting.withdraw(harness.rt, DAVE, run, "ask")
    assert voting.withdraw(harness.rt, ALICE, run, "ask").missing == 2
    told = harness.events(run)[-1]
    assert (told.kind, told.path, told.actor) == ("vote_withdrawn", "ask", ALICE.user_id)
    vote(harness, run, DAVE)
    assert harness.status(run) == "WAITING"


def test_platform_admins_are_told_of_drafts(harness: Harness) -> None:
    """At most as many as asked for."""
    harness.sync()
    assert [each.user_id for each in notices.admins(harness.rt, 5)] == [ALICE.user_id, DAVE.user_id]
    assert [each.user_id for each in notices.admins(harness.rt, 1)] == [ALICE.user_id]


def test_what_minima_lack_is_told_in_words(harness: Harness) -> None:
    """With the team whose people are meant."""
    of = [{"role": "team_admin"}, {"role": "team_member"}, {"role": "responder"}, {"group": "oncall"}, {"user": "U0X"}]
    approvers = {"minima": [{**each, "count": 2} for each in of]}
    told = ["2 of admins of team payments", "2 of members of team payments", "2 of responders", "2 of group oncall"]
    assert roles.unmet(harness.rt, approvers, [], "payments") == [*told, "2 of @U0X"]
    assert roles.unmet(harness.rt, approvers, [], None)[:2] == ["2 of team admins", "2 of team members"]


def test_with_several_gates_open_one_has_to_say_which(harness: Harness, target: Target) -> None:
    """Nothing is guessed about a decision."""
    run = harness.begin(gate("one"), gate("two", needs=[]))
    harness.advance(run)
    with pytest.raises(Conflict, match="one, two"):
        vote(harness, run, ALICE)
    voting.vote(harness.rt, ALICE, run, "two", YES)
    assert harness.all_steps(run) == {"one": "WAITING", "two": "SUCCESS"}
    with pytest.raises(Conflict, match="no gate three"):
        voting.vote(harness.rt, ALICE, run, "three", YES)
    harness.check_books(run)


def test_a_gate_shows_what_comes_next_with_secrets_masked(harness: Harness, target: Target) -> None:
    """Up to the next gate, rendered as far as it can be."""
    secret = http("b", target.url("/b"), method="POST", headers={"X-Key": "{{ secrets.canary }}"})
    harness.publish(runbook("demo", gate("ask"), secret, gate("again"), http("c", target.url("/c"))))
    run = harness.start("demo")
    harness.advance(run)
    (shown,) = executions.view(harness.rt, run).gates
    assert [each["step"] for each in shown.approval.preview] == ["b", "again"]
    assert "canary" in shown.approval.preview[0]["headers"]["X-Key"]
    assert "c4nary" not in json.dumps(shown.approval.preview)


HOSTS = {"type": "array", "items": {"type": "string"}}
SERVICE = {"type": "object", "properties": {"svc": {"enum": ["pay"]}, "hosts": HOSTS}}


def shown_behind(harness: Harness, *steps: dict[str, Any]) -> list[Any]:
    """What a gate in front of `steps` shows."""
    harness.publish(runbook("child", http("x"), parameters=SERVICE))
    harness.publish(runbook("demo", gate("ask"), *steps, parameters=SERVICE))
    run = harness.start("demo", svc="pay", hosts=["a", "b"])
    harness.advance(run)
    (found,) = executions.view(harness.rt, run).gates
    assert "c4nary" not in json.dumps(found.approval.preview)
    return list(found.approval.preview)


def test_a_gate_shows_of_every_kind_what_it_would_do(harness: Harness) -> None:
    """Where a call goes and what it carries, a child's parameters, conditions, keys, lengths and words."""
    metadata = {"x-key": "{{ secrets.canary }}"}
    grpc = {"target": "{{ params.svc }}.example:443", "service": "a.B", "method": "C", "message": {"id": "7"}}
    call, child, wait, delay, say = shown_behind(
        harness,
        {"id": "call", "type": "grpc", "with": {**grpc, "metadata": metadata}},
        {"id": "child", "type": "runbook", "with": {"id": "child", "params": {"svc": "{{ params.svc }}"}}},
        {"id": "hold", "type": "wait", "with": {"key": "pull-{{ params.svc }}"}},
        {"id": "pause", "type": "delay", "with": {"for": "90s"}},
        {"id": "say", "type": "message", "with": {"text": "{{ params.svc }} is back"}},
    )
    masked = {"metadata": {"x-key": "‹secret canary›"}}
    assert call == {"step": "call", "kind": "grpc", **grpc, "target": "pay.example:443", **masked}
    assert child == {"step": "child", "kind": "runbook", "id": "child", "params": {"svc": "pay"}}
    assert wait == {"step": "hold", "kind": "wait", "key": "pull-pay"}
    assert (delay["for"], say["text"]) == ("1m30s", "pay is back")


def test_what_is_not_known_yet_hides_nothing_else(harness: Harness, target: Target) -> None:
    """Only the part that reads a later step stays as it is written."""
    later = "{{ steps.first.outputs.status }}"
    headers = {"X-Key": "{{ secrets.canary }}", "X-Was": later}
    url = target.url("/{{ params.svc }}")
    _, second = shown_behind(
        harness, http("first"), http("second", url, method="POST", headers=headers, json=[later, 1])
    )
    assert second["url"].endswith("/pay")
    assert second["headers"] == {"X-Key": "‹secret canary›", "X-Was": later}
    assert second["json"] == [later, 1]


def test_a_gate_shows_what_branches_and_loops_hold(harness: Harness, target: Target) -> None:
    """With what they go over or ask, and all of it."""
    inner = http("each-host", target.url("/{{ params.svc }}"), method="POST", json={"host": "{{ item }}"})
    many = [http(f"n{number}", needs=[], json="x" * 3000) for number in range(22)]
    choice = {"if": "params.svc == 'pay'", "then": [http("yes", target.url("/yes"))], "else": many}
    loop, branch = shown_behind(
        harness,
        {"id": "all", "type": "loop", "with": {"items": "{{ params.hosts }}", "steps": [inner]}},
        {"id": "choose", "type": "branch", "with": choice},
    )
    (held,) = loop["steps"]
    assert (loop["items"], held["json"]) == (["a", "b"], {"host": "{{ item }}"})
    assert held["url"].endswith("/pay")
    assert branch["if"] == "params.svc == 'pay'"
    assert [each["step"] for each in branch["then"]] == ["yes"]
    assert [each["step"] for each in branch["else"]] == [f"n{number}" for number in range(22)]
    assert all(each["json"] == "x" * 3000 for each in branch["else"])


def test_a_gate_says_how_much_it_cannot_keep(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond what is kept of a plan nothing vanishes unseen: how much it was, and the digest of all of it."""
    monkeypatch.setattr(approval, "MAX_SHOWN_CHARS", 1_000)
    first, second = shown_behind(harness, http("first", json="x" * 2_000), http("second", json={"a": 1}))
    assert re.fullmatch(r"x{900,}… and [0-9]+ more characters, not kept \([0-9a-f]{16}\)", first["json"])
    assert second["step"] == "second"
    assert "more characters, not kept" in second["json"]


def test_a_gate_in_a_loop_does_not_lend_its_item_to_a_loop_behind_it(harness: Harness) -> None:
    """The inner loop's steps will get items of their own."""
    inner = {"id": "inner", "type": "loop", "with": {"items": [1], "steps": [http("x", json="{{ item }}")]}}
    steps = [gate("ask"), http("beside", json="{{ item }}"), inner]
    run = harness.begin({"id": "outer", "type": "loop", "with": {"items": ["mine"], "steps": steps}})
    harness.advance(run)
    (found,) = executions.view(harness.rt, run).gates
    beside, behind = found.approval.preview
    assert (beside["json"], behind["steps"][0]["json"]) == ("mine", "{{ item }}")
