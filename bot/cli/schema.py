"""`runbook schema`: the JSON Schema of a runbook file, for editors."""

from __future__ import annotations

import json

from engine.definition.schema import document


def run() -> int:
    """Print it, as it was published with this release."""
    print(text(), end="")
    return 0


def text() -> str:
    """The schema as a file."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"
