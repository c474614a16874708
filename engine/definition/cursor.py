"""Where in a runbook's text a cursor stands, read from the indentation alone: a text that is being typed is broken."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_KEY = re.compile(r"""^( *)((?:- +)*)(?:["']?([A-Za-z0-9_.$-]+)["']?:(?=\s|$)(.*))?""")
_BARE_ITEM = re.compile(r"^( *)-\s*$")
_SCALAR = re.compile(r"\s*[|>][-+0-9]*\s*(#.*)?$")
ITEM = "[]"
"""What stands in a path for an item of a list."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line as far as its indentation tells; `dashes` is how wide its list marks are."""

    indent: int
    dashes: int
    key: str
    rest: str

    @property
    def column(self) -> int:
        """Where its key begins."""
        return self.indent + self.dashes


@dataclass(frozen=True, slots=True)
class Place:
    """The mapping that a line belongs to: the keys that lead to it, and the kind of the innermost step around it.

    `in_text` says that the line is a part of a text of several lines.
    """

    path: tuple[str, ...]
    kind: str = ""
    in_text: bool = False


def line_of(text: str) -> Line:
    """A line's indentation, list marks, key and what stands behind the key; the key is "" where there is none."""
    bare = _BARE_ITEM.match(text)
    if bare:
        return Line(len(bare[1]), 2, "", "")
    found = _KEY.match(text)
    assert found is not None, "it matches every text"
    return Line(len(found[1]), len(found[2]), found[3] or "", found[4] or "")


def place_of(lines: Sequence[str], row: int) -> Place:
    """Where the line `row`, counted from 0, stands."""
    here = line_of(lines[row])
    path: list[str] = []
    kind, column, in_item = "", here.column, False
    if here.dashes:
        path.append(ITEM)
        column, in_item = here.indent, True
    rows = range(row - 1, -1, -1)
    for above in rows:
        if not lines[above].strip() or lines[above].lstrip().startswith("#"):
            continue
        line = line_of(lines[above])
        if line.key and (line.column < column or (in_item and line.column == column)):
            if not path and _SCALAR.fullmatch(line.rest):
                return Place((), in_text=True)
            path.append(line.key)
            kind = kind or (_kind(lines, above, line.column) if line.key == "with" else "")
        elif not (line.dashes and not in_item and line.column == column) and not (
            line.dashes and not line.key and line.indent < column
        ):
            continue
        if line.dashes:
            path.append(ITEM)
        column, in_item = (line.indent, True) if line.dashes else (line.column, False)
    return Place(tuple(reversed(path)), kind)


def _kind(lines: Sequence[str], row: int, column: int) -> str:
    """The `type` beside the key that stands at this row and column."""
    for step in (-1, 1):
        at = row
        while 0 <= at < len(lines):
            line = line_of(lines[at])
            outside = bool(lines[at].strip()) and line.column < column
            next_item = line.dashes > 0 and line.column == column
            if outside or (step > 0 and next_item and at != row):
                break
            if line.key == "type" and line.column == column:
                return line.rest.split("#")[0].strip().strip("\"'")
            if next_item and step < 0:
                break
            at += step
    return ""
