"""Measure the engine and print a table: `python -m bench.run --help`."""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from bench import (
    acks,
    api,
    checking,
    costs,
    fairness,
    machine_ceiling,
    masking,
    outage,
    posts,
    rehearsals,
    scale,
    stalled,
    workloads,
)
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


def w1c(rig: Rig, chosen: argparse.Namespace) -> str:
    """W1 by a worker that commits every step by itself."""
    rig.start_workers(0)
    rig.program = "bench.one_a_commit"
    try:
        rig.start_workers(1)
        return w1(rig, chosen)
    finally:
        rig.start_workers(0)
        rig.program = "bot.cli"
        rig.start_workers(1)


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


def two(rig: Rig, chosen: argparse.Namespace) -> str:
    """W1 and W1h by two worker processes, in turn with one, and how they compare."""
    both = (("W1", "linear"), ("W1h", "calls"))
    return "; ".join(f"{name} {_by_two(rig, chosen, slug):.2f} × one worker process" for name, slug in both)


def _by_two(rig: Rig, chosen: argparse.Namespace, slug: str) -> float:
    """How many times as fast two worker processes are as one."""
    took: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(chosen.rounds):
        for count, seconds in took.items():
            rig.start_workers(count)
            seconds.append(workloads.many(rig, slug, chosen.n))
    rig.start_workers(1)
    return statistics.median(took[1]) / statistics.median(took[2])


def flat(rig: Rig, chosen: argparse.Namespace) -> str:
    """What a step of a long run costs, over what a step of a short one does."""
    short, long = ([workloads.one(rig, f"linear-{size}") / size for _ in range(chosen.rounds)] for size in SIZES)
    return f"a step of {SIZES[1]} costs {statistics.median(long) / statistics.median(short):.2f} × a step of {SIZES[0]}"


def costs_of_a_step(rig: Rig, _chosen: argparse.Namespace) -> str:
    return costs.of_a_step(rig)


def idle(rig: Rig, chosen: argparse.Namespace) -> str:
    return costs.of_waiting(rig, chosen.gates)


def commands(rig: Rig, chosen: argparse.Namespace) -> str:
    """Acks of 100 commands at once while a worker is busy, in both of Slack's modes."""
    told = []
    for mode in ("socket", "http"):
        seconds = [each for _ in range(chosen.rounds) for each in acks.measured(rig, mode)]
        told.append(f"{mode} {percentiles(seconds)}")
    return "; ".join(told)


def waiting(rig: Rig, chosen: argparse.Namespace) -> str:
    return scale.of_waiting(rig, chosen.waiting)


def history(rig: Rig, chosen: argparse.Namespace) -> str:
    return scale.of_history(rig, chosen.history, chosen.n // 2)


def loops(rig: Rig, _chosen: argparse.Namespace) -> str:
    return scale.of_loops(rig)


def recovery(rig: Rig, _chosen: argparse.Namespace) -> str:
    rig.start_workers(0)
    seconds = costs.of_a_death(rig)
    return f"{seconds:.1f} s from kill -9 to the next attempt"


def status_reads(rig: Rig, chosen: argparse.Namespace) -> str:
    """Status reads over REST at 50 a second: by themselves, and beside clients that start and follow runs."""
    run = workloads.start(rig, "linear")
    with api.serving(rig) as (port, secret, cpu):
        before = cpu()
        times = api.reads(port, secret, run, chosen.seconds / 2)
        spent = 1000 * (cpu() - before) / len(times)
        quiet = f"{percentiles(times)}, {spent:.1f} ms of CPU each"
        with ThreadPoolExecutor(1) as pool:
            crowd = pool.submit(api.followed, port, secret, chosen.seconds / 2, api.CLIENTS / api.RUNS_A_SECOND)
            busy = percentiles(api.reads(port, secret, run, chosen.seconds / 2))
            crowd.result()
    return f"{quiet}; beside {api.RUNS_A_SECOND} runs/s started and followed {busy}"


def follow(rig: Rig, chosen: argparse.Namespace) -> str:
    """Many clients start runs over REST and follow each to its end; nothing may be lost, doubled or out of order."""
    with api.serving(rig) as (port, secret, _):
        runs, seconds = api.followed(port, secret, chosen.seconds)
    return f"{api.CLIENTS} clients, {runs} runs in {seconds:.0f} s, every stream complete and in order"


def masked(_rig: Rig, _chosen: argparse.Namespace) -> str:
    return masking.of_many_secrets()


def checked(_rig: Rig, _chosen: argparse.Namespace) -> str:
    return checking.of_many_files()


def authors(_rig: Rig, _chosen: argparse.Namespace) -> str:
    return rehearsals.of_files()


def fair(rig: Rig, _chosen: argparse.Namespace) -> str:
    return fairness.measured(rig)


def away(rig: Rig, chosen: argparse.Namespace) -> str:
    return outage.measured(rig, chosen.outage)


def redis_stalled(rig: Rig, chosen: argparse.Namespace) -> str:
    return stalled.measured(rig, chosen.stall)


def shown(rig: Rig, _chosen: argparse.Namespace) -> str:
    """Under Slack's limits: buttons of gates that open at once, and runs that ended while Slack was away."""
    return f"{posts.of_gates(rig)}; {posts.of_runs(rig)}"


SIZES = (10, 190)
MEASURES: dict[str, Callable[[Rig, argparse.Namespace], str]] = {
    "W1": w1, "W1c": w1c, "W1h": w1h, "W2": w2, "W3": w3, "W3i": w3i, "two": two, "flat": flat, "step": costs_of_a_step,
    "reads": status_reads, "follow": follow, "idle": idle, "acks": commands, "loops": loops,
    "history": history, "waiting": waiting, "recovery": recovery, "masking": masked, "check": checked,
    "rehearse": authors,
    "fairness": fair, "outage": away, "stalled": redis_stalled, "posts": shown,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the engine.")
    parser.add_argument("-n", type=int, default=200, help="executions of W1 and W1h")
    parser.add_argument("--fan", type=int, default=199, help="parallel steps of W2; a runbook has at most 200 steps")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=60, help="runs of W3")
    parser.add_argument("--idle-runs", type=int, default=12, help="runs of W3i")
    parser.add_argument("--seconds", type=float, default=60, help="how long clients follow runs over REST")
    parser.add_argument("--gates", type=int, default=1000, help="runs that wait at a gate")
    parser.add_argument("--waiting", type=int, default=1000, help="runs at gates, events and delays")
    parser.add_argument("--history", type=int, default=100_000, help="finished step runs in the tables")
    parser.add_argument("--outage", type=float, default=30, help="seconds for which the database is away")
    parser.add_argument("--stall", type=float, default=20, help="seconds for which Redis stands still")
    parser.add_argument("--only", nargs="*", choices=MEASURES, default=list(MEASURES))
    parser.add_argument("--on", nargs="*", choices=DATABASES, default=DATABASES)
    chosen = parser.parse_args()
    print(
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}"
    )
    for kind in chosen.on:
        with built(kind) as rig:
            measure(rig, chosen)


def measure(rig: Rig, chosen: argparse.Namespace) -> None:
    """Everything that was chosen, on one database."""
    workloads.publish(rig, chosen.fan, SIZES)
    ceiling = f"{machine_ceiling.commits(rig.folder):.0f} SQLite commits/s, {machine_ceiling.posts(rig):.0f} POSTs/s"
    print(f"{rig.kind:11} limits   {ceiling}")
    rig.start_workers(1)
    workloads.one(rig, "linear")
    for name in chosen.only:
        print(f"{rig.kind:11} {name:8} {MEASURES[name](rig, chosen)}", flush=True)


if __name__ == "__main__":
    main()
