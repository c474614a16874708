"""The slow tests, several at once; what fails beside others is run once more by itself, and only then fails the run.

Arguments are pytest's. The exit status is pytest's, too.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import again
import pytest

ONLY_SLOW = ("-m", "slow")
AT_ONCE = ("-n", "3", "--dist", "worksteal")


def main(given: list[str]) -> int:
    """Run the slow tests; pytest's exit status of the round that decides."""
    with tempfile.TemporaryDirectory() as folder:
        where = (*ONLY_SLOW, *given)
        command = [sys.executable, "-m", "pytest", *AT_ONCE, "-o", f"cache_dir={folder}", *where]
        first = subprocess.run(command, check=False)  # noqa: S603 - our own
        if first.returncode != pytest.ExitCode.TESTS_FAILED:
            return first.returncode  # interrupted, broken or empty: no second round makes that good
        return again.main(Path(folder), *where)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
