"""Checks what the bot is made of: writes a list of it (SBOM), and asks whether anything of that is known to be unsafe.

Exit code 1 means that something is unsafe or the list is wrong, 75 that the advisory database could not be asked. With
`--unreachable-is-fine`, as in CI, that is said and passes: a change is not to fail for somebody else's outage.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

LOCK = "requirements.lock"
SBOM = Path("var") / "sbom.json"
AT_MOST_S = 60
UNASKED = 75
BIN = Path(sys.executable).parent


def write_sbom(lock: str) -> bool:
    """The list in CycloneDX's JSON, checked against its schema."""
    SBOM.parent.mkdir(exist_ok=True)
    how = ["requirements", lock, "--output-format", "JSON", "--output-reproducible", "--validate", "-o", str(SBOM)]
    return subprocess.run([BIN / "cyclonedx-py", *how], timeout=AT_MOST_S).returncode == 0  # noqa: S603 - our own words


def advisories(lock: str) -> list[str] | None:
    """What is known to be unsafe, a line each; None where nobody could be asked."""
    how = ["-r", lock, "--require-hashes", "--disable-pip", "--progress-spinner=off", "--timeout=10", "--format=json"]
    try:
        done = subprocess.run(  # noqa: S603 - our own words
            [BIN / "pip-audit", *how], capture_output=True, text=True, timeout=AT_MOST_S
        )
        found = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        return None
    skipped = [each["name"] for each in found["dependencies"] if "skip_reason" in each]
    if len(skipped) == len(found["dependencies"]):
        return None
    if skipped:
        print(f"Not known to the advisory database: {', '.join(skipped)}")
    unsafe = [(each, known) for each in found["dependencies"] for known in each.get("vulns", ())]
    return [
        f"{each['name']} {each['version']}: {known['id']}, fixed in {' or '.join(known['fix_versions'] or ['nothing'])}"
        for each, known in unsafe
    ]


def main() -> int:
    lock = os.environ.get("LOCK", LOCK)
    if not write_sbom(lock):
        return 1
    print(f"{SBOM} lists {len(json.loads(SBOM.read_text())['components'])} packages")
    found = advisories(lock)
    if found is None:
        print("THE ADVISORY DATABASE COULD NOT BE ASKED: nothing is known about known vulnerabilities")
        return 0 if "--unreachable-is-fine" in sys.argv else UNASKED
    print("\n".join(found) or "no known vulnerability")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
