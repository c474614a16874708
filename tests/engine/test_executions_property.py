"""Any graph, any outcomes, in any order, cancelled anywhere: counted right, and ended as the plain rules say."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from harness import CAROL, Harness, http, runbook
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.runs import controls
from engine.steps.outcome import Failed, Succeeded, Unknown
from engine.steps.perform import Claim

OUTCOMES = {
    "ok": Succeeded({"status": 200}),
    "bad": Failed("http_status", "The server answered 500."),
    "lost": Unknown("timeout", "No answer."),
}


@dataclass(frozen=True)
class Node:
    """A step: what it needs, whether its own condition holds, and what comes of its call."""

    needs: tuple[int, ...]
    wanted: bool
    outcome: str


@dataclass
class Naive:
    """The rules, read off the design with no counters: everything is worked out anew from what each step came to."""

    nodes: list[Node]
    state: dict[int, str] = field(default_factory=dict)
    ending: str | None = None

    def start(self) -> None:
        self.state = dict.fromkeys(range(len(self.nodes)), "BLOCKED")
        self.settle()

    def settle(self) -> None:
        """Make ready whatever may go, until nothing more may."""
        moved = self.ending is None
        while moved:
            moved = False
            for number, node in enumerate(self.nodes):
                if self.state[number] == "BLOCKED" and all(self.over(need) for need in node.needs):
                    self.state[number] = "READY" if node.wanted else "SKIPPED"
                    moved = True

    def over(self, number: int) -> bool:
        return self.state[number] in ("SUCCESS", "SKIPPED")

    def finish(self, number: int, outcome: str) -> None:
        cancelled = self.ending == "CANCELLED"
        self.state[number] = {"ok": "SUCCESS", "bad": "FAILED", "lost": "CANCELLED" if cancelled else "UNKNOWN"}[
            outcome
        ]
        if outcome == "bad":
            self.fail()
        self.settle()

    def fail(self) -> None:
        if self.ending is None:
            self.ending = "FAILED"
            self.replace({"READY": "BLOCKED"})

    def resolve(self, number: int, *, done: bool) -> None:
        self.state[number] = "SUCCESS" if done else "FAILED"
        if not done:
            self.fail()
        self.settle()

    def cancel(self) -> None:
        self.ending = self.ending or "CANCELLED"
        self.replace(dict.fromkeys(("BLOCKED", "READY", "UNKNOWN"), "CANCELLED"))

    def replace(self, changes: dict[str, str]) -> None:
        self.state = {number: changes.get(state, state) for number, state in self.state.items()}

    def shown(self) -> dict[str, str]:
        names = {}
        return {f"s{number}": names.get(state, state) for number, state in self.state.items()}

    def status(self, *, begun: bool) -> str:
        here = set(self.state.values())
        if self.ending is not None:
            if "RUNNING" in here:
                return "RUNNING"
            return "WAITING" if self.ending == "FAILED" and "UNKNOWN" in here else self.ending
        if here <= {"SUCCESS", "SKIPPED"}:
            return "SUCCESS"
        if not begun:
            return "PENDING"
        return "WAITING" if "UNKNOWN" in here and not here & {"READY", "RUNNING"} else "RUNNING"


@st.composite
def graphs(draw: st.DrawFn) -> list[Node]:
    size = draw(st.integers(1, 8))
    return [
        Node(
            tuple(sorted(draw(st.sets(st.integers(0, number - 1), max_size=3)))) if number else (),
            draw(st.integers(0, 4)) > 0,
            draw(st.sampled_from(["ok", "ok", "ok", "ok", "bad", "lost"])),
        )
        for number in range(size)
    ]


def check(harness: Harness, nodes: list[Node], limit: int, data: st.DataObject) -> None:
    """Drive one run by drawn moves, comparing after every one of them."""
    steps = [
        http(
            f"s{number}",
            method="POST",
            needs=[f"s{need}" for need in node.needs],
            if_="true" if node.wanted else "false",
        )
        for number, node in enumerate(nodes)
    ]
    harness.publish(runbook("any", *steps, max_concurrent_steps=limit, name=f"Any {harness.clock.tick(1)}"))
    run, naive, held = harness.start("any"), Naive(nodes), dict[int, Claim]()
    naive.start()
    begun = False
    while True:
        assert harness.all_steps(run) == naive.shown()
        assert harness.status(run) == naive.status(begun=begun)
        harness.check_books(run)
        moves = possible(naive, held, limit)
        if not moves:
            break
        move, number = data.draw(st.sampled_from(moves))
        if move == "claim":
            claim = harness.claim(run)
            number = int(claim.step.id[1:])
            assert naive.state[number] == "READY"
            naive.state[number], held[number], begun = "RUNNING", claim, True
        elif move == "finish":
            harness.finish(held.pop(number), OUTCOMES[nodes[number].outcome])
            naive.finish(number, nodes[number].outcome)
        elif move == "cancel":
            controls.cancel(harness.rt, CAROL, run)
            naive.cancel()
        else:
            controls.resolve(harness.rt, CAROL, run, f"s{number}", move, "I looked.")
            naive.resolve(number, done=move == "done")
    assert harness.status(run).ended
    assert harness.try_claim(run) is None
    assert harness.event_kinds(run)[-1] == "ended"
    assert harness.event_kinds(run).count("ended") == 1


def possible(naive: Naive, held: dict[int, Claim], limit: int) -> list[tuple[str, int]]:
    """What can be done now. Nothing once the run is over."""
    moves = [("finish", number) for number in held]
    if naive.ending is None and len(held) < limit and "READY" in naive.state.values():
        moves += [("claim", -1)] * 3
    unknown = [number for number, state in naive.state.items() if state == "UNKNOWN"]
    moves += [(choice, number) for number in unknown for choice in ("done", "failed")]
    over = not moves
    if not over and naive.ending is None:
        moves.append(("cancel", -1))
    return moves


RELAXED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
@settings(max_examples=60, deadline=None, suppress_health_check=RELAXED)
@given(nodes=graphs(), limit=st.integers(1, 4), data=st.data())
def test_every_run_goes_by_the_rules(harness: Harness, nodes: list[Node], limit: int, data: st.DataObject) -> None:
    """On SQLite, as often as there is time for."""
    check(harness, nodes, limit, data)


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=RELAXED)
@given(nodes=graphs(), limit=st.integers(1, 4), data=st.data())
def test_every_run_goes_by_the_rules_for_longer(
    harness: Harness, nodes: list[Node], limit: int, data: st.DataObject
) -> None:
    """On both databases, many more times."""
    check(harness, nodes, limit, data)
