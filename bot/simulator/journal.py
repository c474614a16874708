"""What the bot did and what was wrong with it: the log of Web API calls, and of every refusal."""

from __future__ import annotations

import time
from typing import Any

Json = Any


class Journal:
    """Calls and problems in the order they happened; times are seconds since the epoch."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Json]] = []
        self.problems: list[dict[str, Json]] = []

    def call(self, method: str, args: dict[str, Json]) -> dict[str, Json]:
        """Opens the entry of one call; its outcome is filled in when it is known. Tokens are left out."""
        entry = {
            "number": len(self.calls) + 1,
            "method": method,
            "args": {name: value for name, value in args.items() if name != "token"},
            "time": time.time(),
            "status": None,
            "ok": None,
            "error": None,
        }
        self.calls.append(entry)
        return entry

    def problem(self, kind: str, message: str, **details: Json) -> None:
        self.problems.append({"kind": kind, "message": message, "time": time.time(), **details})
