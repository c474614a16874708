"""Whatever people do in whatever order: nobody approves their own edit, or makes a call that nobody else agreed to."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from harness import ALICE, CAROL, DAVE, Harness, Target, gate, http, runbook
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from engine.access import people
from engine.access.policy import Actor
from engine.catalog import authoring, catalog, version_approval
from engine.errors import EngineError
from engine.orchestration.admission import Wanted
from engine.runs import controls, executions, handover, replay_run, voting
from storage import database, runbooks
from storage.people_records import PersonRecord
from storage.records import ExecutionRecord, Filter
from storage.states import Decision

TWIN = Actor("U0TWIN001", standing="member")
"""Another account with Alice's address."""
ADDRESSES = {
    ALICE: "alice@example.com",
    TWIN: "alice@example.com",
    DAVE: "dave@example.com",
    CAROL: "carol@example.com",
}
WHO = st.sampled_from(list(ADDRESSES))
ROLES = st.sampled_from([(ALICE, TWIN, DAVE), (ALICE, TWIN), (DAVE, CAROL), (TWIN, DAVE, CAROL)])
SHOPS = st.sampled_from(["one", "two"])
EXAMPLES = {"sqlite": 25, "postgresql": 10}


class People(RuleBasedStateMachine):
    """Roles, edits, approvals, runs and votes, against the calls that came to the target.

    What one example leaves is there for the next, so what is known of it is kept as long.
    """

    harness: Harness
    target: Target
    approved: set[str]
    chose: dict[str, set[str]]
    agreed: dict[str, set[str]]
    number: Iterator[int]

    @initialize()
    def begin(self) -> None:
        self.looked_at = len(self.target.paths())
        for who, address in ADDRESSES.items():
            record = PersonRecord(who.user_id, who.user_id, address, "member", None, self.harness.clock.time)
            people.remember(self.harness.rt, record)
        self.grant((ALICE, TWIN, DAVE))
        self.edit(ALICE)
        self.approve(DAVE)

    def runs(self) -> list[ExecutionRecord]:
        return executions.recent(self.harness.rt, Filter(), 300)

    def text(self) -> str:
        parameters = {"type": "object", "required": ["shop"], "properties": {"shop": {"enum": ["one", "two"]}}}
        effect = http("effect", self.target.url("/effect/{{ execution.id }}"), query={"shop": "{{ params.shop }}"})
        fails = http("fails", self.target.url("/missing"))
        return runbook("pay", gate("ok"), effect, fails, parameters=parameters, description=f"Edit {next(self.number)}")

    @rule(admins=ROLES)
    def grant(self, admins: tuple[Actor, ...]) -> None:
        names = ", ".join(each.user_id for each in admins)
        members = ", ".join(each.user_id for each in ADDRESSES)
        roles = f"platform_admins: [{names}]\nteams: {{payments: {{admins: [{members}], members: []}}}}\n"
        self.harness.sync(_access_yaml=roles)

    @rule(who=WHO)
    def edit(self, who: Actor) -> None:
        with suppress(EngineError):
            authoring.create(self.harness.rt, who, self.text())
        with suppress(EngineError):
            authoring.update(self.harness.rt, who, "pay", self.text())

    @rule(who=WHO)
    def approve(self, who: Actor) -> None:
        with suppress(EngineError):
            version = catalog.version(self.harness.rt, "pay")
            version_approval.approve(self.harness.rt, who, "pay", version.number)
            assert ADDRESSES[who] != address_of(version.author), "somebody approved their own edit"
            self.approved.add(version.digest)

    @rule(who=WHO, shop=SHOPS)
    def start(self, who: Actor, shop: str) -> None:
        with suppress(EngineError):
            wanted = Wanted("pay", {"shop": shop}, "test", incident={"case": next(self.number)})
            self.chose[executions.request(self.harness.rt, who, wanted).execution.id] = {ADDRESSES[who]}
        self.work()

    @rule(who=WHO, to=WHO, which=st.integers(0, 3))
    def hand_over(self, who: Actor, to: Actor, which: int) -> None:
        for run in self.runs()[which : which + 1]:
            with suppress(EngineError):
                handover.offer(self.harness.rt, who, run.id, to)
                handover.accept(self.harness.rt, to, run.id)

    @rule(who=WHO, which=st.integers(0, 3))
    def vote(self, who: Actor, which: int) -> None:
        for run in self.runs()[which : which + 1]:
            with suppress(EngineError):
                voting.vote(self.harness.rt, who, run.id, "ok", Decision.APPROVE, "")
                self.agreed.setdefault(run.id, set()).add(ADDRESSES[who])
        self.work()

    @rule(who=WHO, which=st.integers(0, 3), shop=st.none() | SHOPS)
    def retry(self, who: Actor, which: int, shop: str | None) -> None:
        for run in self.runs()[which : which + 1]:
            with suppress(EngineError):
                controls.retry(self.harness.rt, who, run.id, parameters={"shop": shop} if shop else None)
                if shop and shop != run.parameters["shop"]:
                    self.chose[run.id].add(ADDRESSES[who])
                    self.agreed[run.id] = set()
        self.work()

    @rule(who=WHO, which=st.integers(0, 3))
    def replay(self, who: Actor, which: int) -> None:
        for run in self.runs()[which : which + 1]:
            with suppress(EngineError):
                made: Any = replay_run.replay(self.harness.rt, who, run.id)
                self.chose[getattr(made, "execution", made).id] = {ADDRESSES[who]}

    @rule()
    def work(self) -> None:
        for run in self.runs():
            if not run.status.ended:
                self.harness.advance(run.id)

    @invariant()
    def every_call_was_agreed_to_by_somebody_else(self) -> None:
        if not hasattr(self, "looked_at"):
            return
        calls = self.target.paths()[self.looked_at :]
        self.looked_at += len(calls)
        for run_id in (path.split("/effect/")[1].split("?")[0] for path in calls if "/effect/" in path):
            run = executions.find(self.harness.rt, run_id)
            with database.reading():
                version = runbooks.version_by_id(run.version_id)
            assert version.digest in self.approved, f"{run_id} ran what nobody approved"
            assert self.agreed.get(run_id, set()) - self.chose[run_id], f"nobody else agreed to {run_id}"


def address_of(user: str | None) -> str | None:
    return next((address for who, address in ADDRESSES.items() if who.user_id == user), None)


def test_no_order_of_acts_leads_to_an_effect_of_ones_own(harness: Harness, target: Target, database_kind: str) -> None:
    known = {"approved": set(), "chose": {}, "agreed": {}, "number": itertools.count(1)}
    machine = type("Machine", (People,), {"harness": harness, "target": target, **known})
    run_state_machine_as_test(
        machine, settings=settings(max_examples=EXAMPLES[database_kind], stateful_step_count=30, deadline=None)
    )
    assert any("/effect/" in path for path in target.paths()), "no order of acts led to an effect at all"
