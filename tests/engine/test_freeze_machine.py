"""Whatever people do in whatever order: no run begins inside a freeze that two different people did not override."""

from __future__ import annotations

from contextlib import suppress

from harness import ALICE, BOB, CAROL, DAVE, HOUR, MINUTE, OSCAR, Harness, http, runbook
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from engine.access import freezes, people
from engine.errors import EngineError
from engine.orchestration.admission import Wanted
from engine.runs import break_glass, controls, executions, freezing, held_requests, replay_run
from storage.people_records import PersonRecord
from storage.records import Filter

WHO = st.sampled_from([ALICE, BOB, CAROL, DAVE, OSCAR])
SCOPES = st.sampled_from(["everything", "team:payments", "pay", "free"])
SLUGS = st.sampled_from(["pay", "free"])

EXAMPLES = {"sqlite": 15, "postgresql": 8}


class People(RuleBasedStateMachine):
    """Freezes, requests and time, against what is on record."""

    harness: Harness

    def __init__(self) -> None:
        super().__init__()
        self.seen = {each.id for each in self.runs()}
        self.cases = 0
        self.know()

    def know(self) -> None:
        self.harness.know_groups()
        for each in (ALICE, BOB, CAROL, DAVE):
            person = PersonRecord(each.user_id, each.user_id, None, "member", None, self.harness.clock.time)
            people.remember(self.harness.rt, person)

    def runs(self) -> list:
        return executions.recent(self.harness.rt, Filter(), 500)

    def wanted(self, slug: str) -> Wanted:
        self.cases += 1
        return Wanted(slug, {}, "test", reason="x", incident={"case": self.cases})

    @rule(who=WHO, scope=SCOPES, hours=st.integers(1, 5), hold=st.booleans())
    def freeze(self, who, scope, hours, hold) -> None:
        with suppress(EngineError):
            freezing.freeze(self.harness.rt, who, scope, "x", lasting=f"{hours}h", hold_running=hold)

    @rule(who=WHO, scope=SCOPES, resume=st.booleans())
    def unfreeze(self, who, scope, resume) -> None:
        with suppress(EngineError):
            freezing.unfreeze(self.harness.rt, who, scope, resume=resume)

    @rule(who=WHO, slug=SLUGS)
    def start(self, who, slug) -> None:
        with suppress(EngineError):
            executions.request(self.harness.rt, who, self.wanted(slug))

    @rule(who=WHO, which=st.integers(0, 5))
    def replay(self, who, which) -> None:
        for run in self.runs()[which : which + 1]:
            with suppress(EngineError):
                controls.cancel(self.harness.rt, who, run.id, force=True)
            with suppress(EngineError):
                replay_run.replay(self.harness.rt, who, run.id)

    @rule(who=WHO, slug=SLUGS)
    def hold(self, who, slug) -> None:
        with suppress(EngineError):
            held_requests.hold(self.harness.rt, who, self.wanted(slug))

    @rule(who=WHO)
    def release(self, who) -> None:
        held_requests.release_each(self.harness.rt, who, ["all"])

    @rule(who=WHO, slug=SLUGS)
    def ask(self, who, slug) -> None:
        with suppress(EngineError):
            break_glass.ask(self.harness.rt, who, self.wanted(slug))

    @rule(who=WHO)
    def agree(self, who) -> None:
        for each in break_glass.waiting(self.harness.rt, ALICE):
            with suppress(EngineError):
                break_glass.agree(self.harness.rt, who, each.id)

    @rule(who=WHO)
    def review(self, who) -> None:
        for each in break_glass.waiting(self.harness.rt, ALICE):
            with suppress(EngineError):
                break_glass.review(self.harness.rt, who, each.id, "fine")

    @rule(ms=st.sampled_from([MINUTE, 11 * MINUTE, HOUR, 30 * HOUR]))
    def wait(self, ms) -> None:
        self.harness.clock.tick(ms)
        self.know()

    @invariant()
    def no_run_begins_inside_a_freeze_but_by_two_people(self) -> None:
        """Nothing here moves the clock with a start, so what was in force at it is in force now."""
        for run in self.runs():
            if run.id in self.seen:
                continue
            self.seen.add(run.id)
            if not freezes.covering(self.harness.rt, run):
                continue
            agreed = [each for each in break_glass.waiting(self.harness.rt, ALICE) if each.execution_id == run.id]
            assert agreed, f"{run.id} began inside a freeze"
            assert agreed[0].agreed_by not in (None, agreed[0].requester)
            assert {each.id for each in freezes.covering(self.harness.rt, run)} <= set(agreed[0].overrides["freezes"])
            assert OSCAR.user_id not in (agreed[0].agreed_by, agreed[0].requester)


def test_no_order_of_acts_leads_past_a_freeze(harness: Harness, database_kind: str) -> None:
    harness.publish(runbook("pay", http("a")), runbook("free", http("a"), team=None))
    harness.settle_for(break_glass=True)
    machine = type("Machine", (People,), {"harness": harness})
    run_state_machine_as_test(
        machine, settings=settings(max_examples=EXAMPLES[database_kind], stateful_step_count=20, deadline=None)
    )
