"""What is wrong with a file, for who wrote it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong with a file, where, and what to do. Lines and columns count from 1. A warning stops nothing.

    `rule` is the stable id of a warning's rule, "" for what has none. `ignored` is the reason that the file gives for
    ignoring it, "" where it does not.
    """

    file: str
    line: int
    column: int
    message: str
    severity: Literal["error", "warning"] = "error"
    rule: str = ""
    ignored: str = ""

    @property
    def told(self) -> str:
        """What is wrong without its place, with the rule's id."""
        return with_rule(self.message, self.rule)

    def __str__(self) -> str:
        mark = "warning: " if self.severity == "warning" else ""
        return f"{self.file}:{self.line}:{self.column}: {mark}{self.told}"


def with_rule(message: str, rule: str) -> str:
    """A sentence with the id of its rule behind it, where it has one."""
    return f"{message} [{rule}]" if rule else message
