"""The engine as a state machine: whatever workers, people, events, crashes and time do in whatever order."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest import mock

import gate_invariants
import invariants
from anyrunbook import APPROVERS, runbooks
from gate_invariants import GateBooks
from harness import ALICE, BOB, CAROL, DAVE, OSCAR, Clock, Harness, gate, http, runbook
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from engine import boot
from engine.access import choosers
from engine.catalog import catalog
from engine.config import settings
from engine.errors import EngineError
from engine.orchestration import skip_rules
from engine.orchestration.admission import Wanted
from engine.runs import controls, executions, handover, incoming_events, manual_tasks, replay_run, skipping, voting
from engine.steps.outcome import Failed, Outcome, Succeeded, Unknown
from engine.steps.perform import Claim
from engine.worker import worker_process
from storage import database
from storage.records import ApprovalRecord, ExecutionRecord, Filter, StepRunRecord
from storage.states import Decision

MOST_RUNS = 3
PARAMETERS = {"type": "object", "properties": {"n": {"type": "integer", "default": 0}}}
OUTCOMES: dict[str, Outcome] = {
    "ok": Succeeded({"status": 200}),
    "bad": Failed("http_status", "The server answered 400."),
    "again": Failed("not_sent", "Nobody listens there.", retryable=True),
    "lost": Unknown("timeout", "No answer."),
}
PICK = st.integers(0, 1_000)
PEOPLE = st.sampled_from([ALICE, DAVE, BOB, CAROL, OSCAR])


class EngineMachine(RuleBasedStateMachine):
    """A database an example: `new_database` gives the URL of one that is migrated and empty.

    `held` are the attempts of living workers, `zombies` those of dead ones, `shown` what people saw of gates earlier.
    """

    def __init__(self, new_database: Callable[[], str], folder: Path) -> None:
        super().__init__()
        # Ids order runs that began at once: were they others each time, the same moves would meet other runs.
        self.same_ids = mock.patch("engine.orchestration.admission.secrets", random.Random(0))
        self.same_ids.start()
        (folder / "runbooks").mkdir(exist_ok=True)
        loaded = settings.load({"DATABASE_URL": new_database(), "RUNBOOKS_DIR": str(folder / "runbooks")}, folder)
        clock = Clock()
        rt = boot.open_engine(loaded)
        database.use_clock(clock)
        self.harness = Harness(rt, clock)
        self.names = ["w1"]
        self.held: list[Claim] = []
        self.zombies: list[Claim] = []
        self.fences: dict[int, int] = {}
        self.fixed: dict[str, ExecutionRecord] = {}
        self.shown: dict[tuple[str, str], str] = {}
        self.gates = GateBooks()

    @initialize(body=runbooks(), gated=st.booleans())
    def publish(self, body: dict[str, Any], gated: bool) -> None:
        text = json.loads(runbook("any", **{**body, "steps": None}, parameters=PARAMETERS))
        asks = [gate("ask", timeout="10m", approvers=APPROVERS)] if gated else []
        child = runbook("child", *asks, http("only", method="POST"))
        self.harness.publish(json.dumps({**text, "steps": body["steps"]}), child)
        self.start(CAROL)

    # Workers

    @rule(pick=PICK)
    def claim(self, pick: int) -> None:
        for run in self.some(self.open_runs(), pick):
            claim = self.harness.try_claim(run.id)
            self.held += [claim] if claim else []

    @precondition(lambda self: self.held)
    @rule(pick=PICK, outcome=st.sampled_from(["ok", "ok", "ok", "bad", "again", "lost"]), straight_on=st.booleans())
    def finish(self, pick: int, outcome: str, straight_on: bool) -> None:
        claim = self.held.pop(pick % len(self.held))
        came = self.outcome_of(claim, outcome)
        if not straight_on:
            self.harness.finish(claim, came)
            return
        following = self.harness.record(claim, came)
        self.harness.runner._held.drop(claim.step_run)
        self.held += [following] if following else []

    @rule()
    def crash(self) -> None:
        """The worker dies, and another takes its place; what it held is nobody's until a sweep."""
        dead = self.names[-1]
        self.harness.alive.discard(dead)
        worker_process.declare_dead(dead)
        self.zombies += self.held
        self.held = []
        self.names.append(f"w{len(self.names) + 1}")
        self.harness.runner = self.harness.worker(self.names[-1])

    @precondition(lambda self: self.zombies)
    @rule(pick=PICK, outcome=st.sampled_from(["ok", "bad", "lost"]))
    def late_result(self, pick: int, outcome: str) -> None:
        """A worker that was taken for dead comes back with a result: it may count only if nothing was taken over."""
        claim = self.zombies.pop(pick % len(self.zombies))
        self.harness.finish(claim, self.outcome_of(claim, outcome))

    @rule()
    def sweep(self) -> None:
        self.harness.sweep(work=False)

    @rule(seconds=st.sampled_from([1, 5, 30, 660, 3_700]))
    def time_passes(self, seconds: int) -> None:
        self.later(seconds * 1_000)

    # People and events

    @precondition(lambda self: len(self.runs()) < MOST_RUNS)
    @rule(who=PEOPLE)
    def start(self, who: Any) -> None:
        wanted = Wanted("any", {}, "test", reason="because")
        with suppress(EngineError):
            executions.request(self.harness.rt, who, wanted, force=True)

    @rule(gated=st.booleans(), approved=st.booleans())
    def edit_the_child(self, gated: bool, approved: bool) -> None:
        """Its newest version has a gate, or none, whatever runs were begun with; nobody need have approved it."""
        asks = [gate("ask", timeout="10m", approvers=APPROVERS)] if gated else []
        self.harness.sync(child=runbook("child", *asks, http("only", method="POST")))
        if approved:
            with suppress(EngineError):  # it is like that already
                self.harness.approve("child")

    @rule(pick=PICK)
    def pause(self, pick: int) -> None:
        self.control(pick, lambda run: controls.pause(self.harness.rt, CAROL, run))

    @rule(pick=PICK)
    def resume(self, pick: int) -> None:
        self.control(pick, lambda run: controls.resume(self.harness.rt, CAROL, run))

    @rule(pick=PICK, force=st.booleans())
    def cancel(self, pick: int, force: bool) -> None:
        self.control(pick, lambda run: controls.cancel(self.harness.rt, CAROL, run, "enough", force=force))

    @precondition(lambda self: len(self.runs()) < MOST_RUNS)
    @rule(pick=PICK, in_the_middle=st.booleans(), who=PEOPLE)
    def replay(self, pick: int, in_the_middle: bool, who: Any) -> None:
        for run in self.some([run for run in self.runs() if run.status.ended], pick):
            steps = [each.path for each in self.harness.step_runs(run.id) if each.scope == "" and each.phase == "main"]
            start = steps[pick % len(steps)] if in_the_middle else None
            with suppress(EngineError):
                replay_run.replay(self.harness.rt, who, run.id, start_from=start, reason="once more")

    @rule(pick=PICK, number=st.integers(0, 2), who=PEOPLE)
    def retry(self, pick: int, number: int, who: Any) -> None:
        failed = [run for run in self.runs() if run.status == "FAILED"]
        for run in self.some(failed, pick):
            paths = [each.path for each in self.harness.step_runs(run.id) if each.status == "FAILED"]
            for path in self.some(paths, pick):
                with suppress(EngineError):
                    controls.retry(self.harness.rt, who, run.id, path, {"n": number} if number else None)
                    self.fixed.pop(run.id, None)

    @rule(pick=PICK, who=PEOPLE)
    def skip(self, pick: int, who: Any) -> None:
        for run in self.some(self.runs(), pick):
            for path in self.some([each.path for each in self.harness.step_runs(run.id)], pick):
                with suppress(EngineError):
                    skipping.skip(self.harness.rt, who, run.id, path, "not today")
                    self.fixed.pop(run.id, None)

    @rule(pick=PICK, who=PEOPLE)
    def agree(self, pick: int, who: Any) -> None:
        for run in self.some(self.runs(), pick):
            asked = [
                each for each in self.harness.step_runs(run.id) if each.skip and not skip_rules.skip_agreed(each.skip)
            ]
            for step in self.some(asked, pick):
                with suppress(EngineError):
                    skipping.agree(self.harness.rt, who, run.id, step.path)
                    with database.reading():
                        assert who.user_id not in (step.skip["by"], *choosers.of_run(run)), "who chose has agreed"
                    self.fixed.pop(run.id, None)

    @rule(pick=PICK, who=PEOPLE, to=PEOPLE)
    def hand_over(self, pick: int, who: Any, to: Any) -> None:
        self.control(pick, lambda run: handover.offer(self.harness.rt, who, run, to))

    @rule(pick=PICK, who=PEOPLE)
    def take_over(self, pick: int, who: Any) -> None:
        self.control(pick, lambda run: handover.accept(self.harness.rt, who, run))

    @rule(pick=PICK, choice=st.sampled_from(controls.CHOICES))
    def resolve(self, pick: int, choice: str) -> None:
        for run, path in self.some(self.steps_that(status="UNKNOWN"), pick):
            with suppress(EngineError):
                controls.resolve(self.harness.rt, CAROL, run, path, choice, "I looked.")

    @rule(pick=PICK)
    def look_at_a_gate(self, pick: int) -> None:
        """Somebody sees it now, and may vote on what they saw much later."""
        for run, path in self.some(self.steps_that(status="WAITING", kind="approval"), pick):
            self.shown[run, path] = self.gate(run, path).digest

    @rule(pick=PICK, who=PEOPLE, decision=st.sampled_from([*[Decision.APPROVE] * 3, Decision.REJECT]))
    def vote(self, pick: int, who: Any, decision: Decision) -> None:
        for run, path in self.some(self.steps_that(status="WAITING", kind="approval"), pick):
            digest = self.shown.get((run, path))
            with database.reading():
                chose = gate_invariants.choosers(executions.find(self.harness.rt, run))
            answers = {"slot": 3} if self.gate(run, path).form else None
            with suppress(EngineError):
                voting.vote(self.harness.rt, who, run, path, decision, "as I see it", digest, answers)
                assert digest in (None, self.gate(run, path).digest), "a vote on what was shown before has counted"
                assert who.user_id not in chose, f"{who.user_id} chose what {path} of {run} does, and voted"

    @rule(pick=PICK, who=PEOPLE, done=st.booleans(), slot=st.sampled_from([3, 3, 99]))
    def do_by_hand(self, pick: int, who: Any, done: bool, slot: int) -> None:
        """Sometimes with answers that its form does not take."""
        for run, path in self.some(self.steps_that(status="WAITING", kind="manual"), pick):
            with suppress(EngineError):
                self.say_of(run, path, who, done=done, slot=slot)

    @rule(pick=PICK, who=PEOPLE)
    def withdraw(self, pick: int, who: Any) -> None:
        for run, path in self.some(self.steps_that(status="WAITING", kind="approval"), pick):
            with suppress(EngineError):
                voting.withdraw(self.harness.rt, who, run, path)

    @rule(number=st.integers(1, 5))
    def event(self, number: int) -> None:
        """Sometimes one that came before."""
        incoming_events.deliver(self.harness.rt, "k", f"e{number}", "ci", {"n": number})

    # What must hold

    @invariant()
    def books_are_right(self) -> None:
        for run in self.runs():
            invariants.check(run.id)
            for step in self.harness.step_runs(run.id):
                assert step.fence >= self.fences.get(step.id, 0), f"the fence of {step.path} went back"
                self.fences[step.id] = step.fence

    @invariant()
    def nothing_began_before_its_gates(self) -> None:
        self.gates.look()

    @invariant()
    def what_has_ended_stays_so(self) -> None:
        for run in self.runs():
            if run.status.ended:
                before = self.fixed.setdefault(run.id, run)
                assert (run.status, run.ended_at, run.result) == (before.status, before.ended_at, before.result)
            else:
                assert run.id not in self.fixed, f"{run.id} was {self.fixed[run.id].status} and is {run.status}"

    def teardown(self) -> None:
        try:
            if self.runs():
                self.drain()
        finally:
            self.harness.close()
            database.use_clock(None)
            database.close_database()
            self.same_ids.stop()
            catalog.forget_definitions()

    def drain(self) -> None:
        """With workers alive, people who say yes, and events that come, everything ends."""
        self.crash()
        for _ in range(400):
            if not self.open_runs():
                return
            for run in self.open_runs():
                self.kindly(run)
            self.later(5_000)
            self.books_are_right()
        stuck = {
            run.id: (run.status, run.phase, run.pending_result, self.harness.all_steps(run.id))
            for run in self.open_runs()
        }
        raise AssertionError(f"these never ended: {stuck}")

    def kindly(self, run: ExecutionRecord) -> None:
        if run.status == "PAUSED":
            controls.resume(self.harness.rt, CAROL, run.id)
        while (claim := self.harness.try_claim(run.id)) is not None:
            self.harness.finish(claim, self.outcome_of(claim, "ok"))
        for step in self.harness.step_runs(run.id):
            if step.status == "UNKNOWN":
                controls.resolve(self.harness.rt, CAROL, run.id, step.path, "done", "I looked.")
            elif step.status == "WAITING" and step.kind == "approval":
                for who in (ALICE, DAVE, BOB, CAROL):
                    answers = {"slot": 3} if self.gate(run.id, step.path).form else None
                    with suppress(EngineError):  # they chose, or a vote before it, or the time, has decided it
                        voting.vote(self.harness.rt, who, run.id, step.path, Decision.APPROVE, answers=answers)
            elif step.status == "WAITING" and step.kind == "manual":
                with suppress(EngineError):  # its time is up
                    self.say_of(run.id, step.path, CAROL, done=True, slot=3)
            elif step.status == "WAITING" and step.kind == "wait":
                incoming_events.deliver(self.harness.rt, "k", f"drain-{run.id}-{step.path}", "ci", {})

    def later(self, ms: int) -> None:
        self.harness.clock.tick(ms)
        self.harness.know_groups()  # what is known of groups would go stale
        self.harness.sweep(work=False)

    # Looking

    def runs(self) -> list[ExecutionRecord]:
        return executions.recent(self.harness.rt, Filter(), 100)

    def open_runs(self) -> list[ExecutionRecord]:
        return executions.recent(self.harness.rt, Filter(open=True), 100)

    def say_of(self, run: str, path: str, who: Any, *, done: bool, slot: int) -> None:
        """Say that a manual step is done, with what its form asks for, or that it could not be."""
        if not done:
            manual_tasks.could_not(self.harness.rt, who, run, path, "it is locked")
            return
        task = manual_tasks.open_at(self.harness.rt, run, path).task
        manual_tasks.done(self.harness.rt, who, run, path, "", {"slot": slot} if task.form else {}, task.id)

    def gate(self, run: str, path: str) -> ApprovalRecord:
        """The gate that stands there now, or stood there last."""
        return [each.approval for each in executions.view(self.harness.rt, run).gates if each.approval.path == path][-1]

    def steps_that(self, **wanted: str) -> list[tuple[str, str]]:
        def fits(step: StepRunRecord) -> bool:
            return all(getattr(step, name) == value for name, value in wanted.items())

        return [
            (run.id, each.path) for run in self.open_runs() for each in self.harness.step_runs(run.id) if fits(each)
        ]

    def control(self, pick: int, act: Any) -> None:
        for run in self.some(self.open_runs(), pick):
            with suppress(EngineError):
                act(run.id)

    def outcome_of(self, claim: Claim, wanted: str) -> Outcome:
        """Calls come to what is wanted; what needs nobody outside does what it does."""
        if claim.step.kind != "http":
            return self.harness.act(claim)
        return OUTCOMES["again" if wanted == "lost" and claim.step.idempotent else wanted]

    @staticmethod
    def some(things: Iterable[Any], pick: int) -> list[Any]:
        """One of them, or none where there is none."""
        found = list(things)
        return [found[pick % len(found)]] if found else []
