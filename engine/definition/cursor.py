"""Where in a runbook's text a cursor stands, read from the indentation alone: a text that is being typed is broken."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_KEY = re.compile(r"""^( *)((?:- +)*)(?:("[^"]*"|'[^']*'|[A-Za-z0-9_.$/[\]-]+|[A-Z]+ [^\s"'{]+):(?=\s|$)(.*))?""")
_BARE_ITEM = re.compile(r"^( *)((?:- +)*)-\s*$")
_SCALAR = re.compile(r"\s*[|>][-+0-9]*\s*(#.*)?$")
ITEM = "[]"
"""What stands in a path for an item of a list."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line as far as its indentation tells; `dashes` is how wide its list marks are, `marks` where each stands."""

    indent: int
    dashes: int
    key: str
    rest: str
    marks: tuple[int, ...] = ()

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
        return Line(len(bare[1]), len(bare[2]) + 2, "", "", _marks(len(bare[1]), f"{bare[2]}-"))
    found = _KEY.match(text)
    assert found is not None, "it matches every text"
    return Line(
        len(found[1]), len(found[2]), (found[3] or "").strip("\"'"), found[4] or "", _marks(len(found[1]), found[2])
    )


def _marks(indent: int, dashes: str) -> tuple[int, ...]:
    return tuple(indent + place for place, sign in enumerate(dashes) if sign == "-")


def place_of(lines: Sequence[str], row: int) -> Place:
    """Where the line `row`, counted from 0, stands."""
    here = line_of(lines[row])
    path: list[str] = [ITEM] * len(here.marks)
    kind, column, in_item = "", here.indent if here.marks else here.column, bool(here.marks)
    for above in range(row - 1, -1, -1):
        if not lines[above].strip() or lines[above].lstrip().startswith("#"):
            continue
        line = line_of(lines[above])
        marks = line.marks
        if line.key and (line.column < column or (in_item and line.column == column)):
            if not path and _SCALAR.fullmatch(line.rest):
                return Place((), in_text=True)
            path.append(line.key)
            kind = kind or (kind_beside(lines, above, line.column) if line.key == "with" else "")
        else:
            marks = _around(line, column, in_item=in_item)
            if not marks:
                continue
        path += [ITEM] * len(marks)
        column, in_item = (marks[0], True) if marks else (line.column, False)
    return Place(tuple(reversed(path)), kind)


def _around(line: Line, column: int, *, in_item: bool) -> tuple[int, ...]:
    """The marks of a line above that begin items around what stands at this column, or is an item there."""
    if not in_item and line.key and line.column == column:
        return line.marks
    if not line.key or (in_item and column in line.marks):
        return tuple(each for each in line.marks if each < column)
    return ()


def kind_beside(lines: Sequence[str], row: int, column: int) -> str:
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
                return line.rest.split("#")[0].strip("\"', ")
            if next_item and step < 0:
                break
            at += step
    return ""
