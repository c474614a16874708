"""The slow tests, several at once; what fails beside others is run once more by itself, and only then fails the run.

A test that kills processes and counts seconds may fail because the machine is busy. What failed once is named at the
end all the same: it is to be looked into. Arguments are pytest's. The exit status is pytest's, too.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ONLY_SLOW = ("-m", "slow")
AT_ONCE = ("-n", "3", "--dist", "worksteal")


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


def main(given: list[str]) -> int:
    """Run the slow tests; pytest's exit status of the round that decides."""
    with tempfile.TemporaryDirectory() as folder:
        where = (*ONLY_SLOW, "-o", f"cache_dir={folder}", *given)
        first = subprocess.run([sys.executable, "-m", "pytest", *AT_ONCE, *where], check=False)  # noqa: S603 - our own
        if first.returncode != pytest.ExitCode.TESTS_FAILED:
            return first.returncode  # interrupted, broken or empty: no second round makes that good
        failed = sorted(json.loads((Path(folder) / "v/cache/lastfailed").read_text(encoding="utf-8")))
        print(f"\n{len(failed)} slow tests failed beside others; each is run once more alone.\n", flush=True)
        told = Told(failed)
        status = pytest.main(["-n", "0", "--lf", "--lfnf", "none", *where], plugins=[told])
        return int(status or bool(told.again))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
