"""Comments that ignore a warning: `# lint: ignore=RULE reason`, on its line or alone on the line above."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import yaml

from engine.definition.lint_rules import RULES
from engine.definition.yaml_source import Location
from engine.text.problem import Problem
from engine.text.words import did_you_mean, shortened

_COMMENT = re.compile(r"(?<!\S)#[ \t]*lint:(.*)")
_IGNORE = re.compile(r"\s*ignore=(\S*)\s*(.*)")
_FORM = "write `# lint: ignore=RULE reason`"
_ABOUT_COMMENTS = frozenset({"invalid-ignore", "unused-ignore"})


@dataclass(frozen=True, slots=True)
class Ignore:
    """One such comment: the line of the warnings that it ignores, where it stands itself, its rule and its reason."""

    line: int
    at: Location
    rule: str
    reason: str


def apply(source: bytes, file: str, found: Sequence[Problem]) -> list[Problem]:
    """These warnings of a sound file, each that it ignores with its reason, and what is wrong with the comments."""
    ignores, wrong = _read(source, file) if b"lint:" in source else ([], [])
    reasons = {(each.line, each.rule): each.reason for each in ignores}
    told = [replace(each, ignored=reasons.get((each.line, each.rule), "")) for each in found]
    met = {(each.line, each.rule) for each in found}
    for each in ignores:
        if (each.line, each.rule) not in met and not RULES[each.rule].beside:
            message = f"there is no warning `{each.rule}` here to ignore: take the comment out"
            wrong.append(Problem(file, *each.at, message, "warning", "unused-ignore"))
    return [*told, *wrong]


def _read(source: bytes, file: str) -> tuple[list[Ignore], list[Problem]]:
    ignores: list[Ignore] = []
    wrong: list[Problem] = []
    for (line, column), target, words in _comments(source.decode("utf-8")):
        form = _IGNORE.fullmatch(words)
        rule, reason = form.groups() if form else ("", "")
        fault = _fault(rule, reason.strip())
        if fault:
            wrong.append(Problem(file, line, column, fault, "warning", "invalid-ignore"))
        else:
            ignores.append(Ignore(target, (line, column), rule, reason.strip()))
    return ignores, wrong


def _fault(rule: str, reason: str) -> str:
    if not rule:
        return f"this comment says nothing that is known: {_FORM}"
    if rule not in RULES or rule in _ABOUT_COMMENTS:
        return f"there is no rule `{shortened(rule, 60)}` to ignore{did_you_mean(rule, RULES)}"
    return "" if reason else f"why `{rule}` is ignored is not said, so it is not: {_FORM}"


def _comments(text: str) -> Iterator[tuple[Location, int, str]]:
    """Each `lint:` comment: its line and column, the line that it is about, and what stands behind the colon."""
    inside = _inside_scalars(text)
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        found = _COMMENT.search(line)
        if found and (number, found.start()) not in inside:
            alone = not line[: found.start()].strip()
            yield (number, found.start() + 1), _next(lines, number) if alone else number, found[1]


def _next(lines: Sequence[str], number: int) -> int:
    """The next line that holds more than a comment."""
    following = (at for at in range(number + 1, len(lines) + 1) if not lines[at - 1].lstrip().startswith("#"))
    return next((at for at in following if lines[at - 1].strip()), number)


class _Inside:
    """The places in a text that belong to values, where a `#` begins no comment. The spans are in the text's order."""

    def __init__(self, spans: Sequence[tuple[Location, Location]]) -> None:
        self._spans = spans

    def __contains__(self, place: Location) -> bool:
        at = bisect_right(self._spans, place, key=lambda span: span[0]) - 1
        return at >= 0 and place < self._spans[at][1]


def _inside_scalars(text: str) -> _Inside:
    """Where the values of a file stand, of which only those that hold such a word matter."""
    spans = []
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.ScalarEvent) and "lint:" in event.value and event.start_mark and event.end_mark:
            start, end = event.start_mark, event.end_mark
            spans.append(((start.line + 1, start.column), (end.line + 1, end.column)))
    return _Inside(spans)
