"""`runbook worker`, but with every step in a commit of its own, also those that may share one: for W1c."""

from __future__ import annotations

from bot import cli
from engine.worker import runner

if __name__ == "__main__":
    runner.MAX_STEPS_PER_COMMIT = 1
    cli.main()
