"""How many cases `runbook rehearse` plays a minute, in a process of its own; `bench.checking` measures `check`."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REHEARSALS, CASES, STEPS = 20, 10, 5


def of_files() -> str:
    """`runbook rehearse` of 200 cases of five calls each, one of them retried."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(REHEARSALS):
            _write(folder, f"book-{number}")
            (folder / f"book-{number}.rehearsal.yaml").write_text(json.dumps({"cases": list(map(_case, range(CASES)))}))
        seconds = _took(folder)
    cases = REHEARSALS * CASES
    return f"{cases} cases of {STEPS} calls in {seconds:.1f} s: {60 * cases / seconds:.0f} a minute"


def _write(folder: Path, slug: str) -> None:
    steps = [
        {"id": f"s{n}", "type": "http", "with": {"url": f"https://api.example.com/{slug}/{n}"}} for n in range(STEPS)
    ]
    (folder / f"{slug}.yaml").write_text(
        json.dumps({"apiVersion": "runbook/v1", "id": slug, "name": slug, "steps": steps}, indent=1)
    )


def _case(number: int) -> dict[str, object]:
    stubs = {"s0": [{"status": 503}, {"status": 200}], "GET https://api.example.com/*": {"json": {"n": number}}}
    path = [f"s{n}" for n in range(STEPS)]
    return {"name": f"case {number}", "stubs": stubs, "expect": {"outcome": "SUCCESS", "path": path}}


def _took(folder: Path) -> float:
    began = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "bot.cli", "rehearse", str(folder)], check=True, stdout=subprocess.DEVNULL, timeout=600
    )
    return time.monotonic() - began
