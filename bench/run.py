"""Measure the engine and print a table: `python -m bench.run --help`."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

from bench import workloads
from bench.rig import DATABASES, Rig, built


def median(values: Sequence[float], unit: str, digits: int = 0) -> str:
    middle, low, high = (f"{value:.{digits}f}" for value in (statistics.median(values), min(values), max(values)))
    return f"{middle} [{low}–{high}] {unit}"


def percentiles(seconds: Sequence[float]) -> str:
    ordered = sorted(1000 * each for each in seconds)
    return f"p50 {statistics.median(ordered):.1f} ms, p99 {ordered[round(0.99 * (len(ordered) - 1))]:.1f} ms"


def w1(rig: Rig, chosen: argparse.Namespace, slug: str = "linear") -> str:
    workloads.many(rig, slug, chosen.n // 5)  # warm
    steps = chosen.n * workloads.STEPS
    return median([steps / workloads.many(rig, slug, chosen.n) for _ in range(chosen.rounds)], "steps/s")


def w1h(rig: Rig, chosen: argparse.Namespace) -> str:
    return w1(rig, chosen, "calls")


def w2(rig: Rig, chosen: argparse.Namespace) -> str:
    return median([workloads.one(rig, "fan") for _ in range(chosen.rounds)], "s", 3)


def w3(rig: Rig, chosen: argparse.Namespace) -> str:
    times = []
    for _ in range(chosen.runs):
        time.sleep(0.005)
        times.append(workloads.one(rig, "linear"))
    return percentiles(times)


def w3i(rig: Rig, chosen: argparse.Namespace) -> str:
    times = []
    for _ in range(chosen.idle_runs):
        time.sleep(1)
        times.append(workloads.one(rig, "linear"))
    return percentiles(times)


MEASURES: dict[str, Callable[[Rig, argparse.Namespace], str]] = {"W1": w1, "W1h": w1h, "W2": w2, "W3": w3, "W3i": w3i}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the engine.")
    parser.add_argument("-n", type=int, default=200, help="executions of W1 and W1h")
    parser.add_argument("--fan", type=int, default=199, help="parallel steps of W2; a runbook has at most 200")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=60, help="runs of W3")
    parser.add_argument("--idle-runs", type=int, default=12, help="runs of W3i")
    parser.add_argument("--only", nargs="*", choices=MEASURES, default=list(MEASURES))
    parser.add_argument("--on", nargs="*", choices=DATABASES, default=DATABASES)
    chosen = parser.parse_args()
    for kind in chosen.on:
        with built(kind) as rig:
            workloads.publish(rig, chosen.fan)
            rig.start_workers(1)
            workloads.one(rig, "linear")
            for name in chosen.only:
                print(f"{kind:11} {name:4} {MEASURES[name](rig, chosen)}", flush=True)


if __name__ == "__main__":
    main()
