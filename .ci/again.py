"""What failed beside other tests is run once more by itself, and only a second failure counts.

A test that kills processes and waits for them may fail because the machine is busy. What failed once is named all the
same: it is to be looked into. `make test` has no second round.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

CACHE = Path(".pytest_cache")


class Told:
    """Has the summary of the second round say what failed in the first; `again` is what has not passed since."""

    def __init__(self, failed: list[str]) -> None:
        self._failed = failed
        self.again = list(failed)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        passed = {each.nodeid for each in terminalreporter.getreports("passed")}
        self.again = [each for each in self._failed if each not in passed]
        terminalreporter.section("FAILED BESIDE OTHERS, THEN RUN ALONE: LOOK INTO IT", sep="!", red=True)
        for each in self._failed:
            terminalreporter.line(f"{'FAILED AGAIN' if each in self.again else 'then passed'}: {each}", red=True)


def main(cache: Path, *where: str) -> int:
    """Run what failed last, as `cache` has it, among the tests that `where` selects; 1 where that is not made good."""
    kept = cache / "v/cache/lastfailed"
    failed = sorted(json.loads(kept.read_text(encoding="utf-8"))) if kept.exists() else []
    if not failed:
        return 1  # it failed for another reason, which no second round makes good
    print(f"\n{len(failed)} tests failed beside others; each is run once more alone.\n", flush=True)
    told = Told(failed)
    status = pytest.main(["-n", "0", "--lf", "--lfnf", "none", "-o", f"cache_dir={cache}", *where], plugins=[told])
    return int(status or bool(told.again))


if __name__ == "__main__":
    sys.exit(main(CACHE, "-m", "not slow", *sys.argv[1:]))
