"""What the bot did and what was wrong with it: the log of Web API calls, and of every refusal."""

from __future__ import annotations

import time

from bot.simulator.json_value import Json

MISTAKES = frozenset(
    {
        "invalid_arguments", "invalid_blocks", "invalid_blocks_format", "invalid_json", "invalid_payload",
        "json_not_object", "markdown_text_conflict", "metadata_too_large", "msg_blocks_too_long", "no_text",
        "push_limit_reached", "view_too_large",
    }
)  # fmt: skip
"""Refusals of calls that Slack's published arguments and limits forbid, whatever the workspace is like."""


class Journal:
    """Calls and problems in the order they happened; times are seconds since the epoch.

    A problem with `mistake` is the bot's own: no workspace would have taken what it sent.
    """

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
        mistake = kind in ("unknown_method", "missing_text") or details.get("error") in MISTAKES
        self.problems.append({"kind": kind, "message": message, "time": time.time(), "mistake": mistake, **details})
