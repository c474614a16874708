"""Any runbook, under anything that can happen to it: its books are right after every move, and it comes to an end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from machine import EngineMachine

RELAXED = list(HealthCheck)
NewDatabase = Callable[[], str]


def run(
    new_database: NewDatabase,
    folder: Path,
    examples: int,
    steps: int,
    *,
    derandomize: bool = False,
    shrink: bool = True,
    machine: type[EngineMachine] = EngineMachine,
) -> None:
    """Raise what an example raises; with `shrink` that is the shortest one found."""
    phases = [Phase.explicit, Phase.reuse, Phase.generate]  # to explain as well takes far too long
    wanted = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=RELAXED,
        phases=[*phases, Phase.shrink] if shrink else phases,
        derandomize=derandomize,
    )
    run_state_machine_as_test(lambda: machine(new_database, folder), settings=wanted)


def test_anything_may_happen(new_database: NewDatabase, tmp_path: Path) -> None:
    """A few seconds' worth of it, always the same."""
    run(new_database, tmp_path, examples=25, steps=25, derandomize=True)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_anything_may_happen_for_longer(new_database: NewDatabase, database_kind: str, tmp_path: Path) -> None:
    """A few minutes' worth of it."""
    run(new_database, tmp_path, examples=300 if database_kind == "sqlite" else 60, steps=50)
