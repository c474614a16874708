"""Rehearsals as text for a terminal and as JUnit XML for CI. Pure: from results to text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING
from xml.etree import ElementTree as Xml

if TYPE_CHECKING:
    from engine.rehearsal.rehearse import CaseResult, FileResult

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_text(results: Sequence[FileResult], *, coverage: bool) -> list[str]:
    """A line a case, what is wrong below it, and the sum at the end."""
    lines = [line for each in results for line in _of_file(each, coverage=coverage)]
    cases = [case for each in results for case in each.cases]
    failed = sum(bool(case.failures) for case in cases)
    broken = sum(bool(each.problems) for each in results)
    said = [f"{len(cases) - failed} passed"] + [f"{failed} failed"] * bool(failed)
    said += [f"{broken} file{'s' * (broken > 1)} with mistakes"] * bool(broken)
    return [*lines, f"{', '.join(said)} in {sum(case.seconds for case in cases):.2f} s"]


def _of_file(result: FileResult, *, coverage: bool) -> Iterator[str]:
    yield result.file
    yield from (f"  {each}" for each in result.problems)
    for case in result.cases:
        yield f"  {'✕' if case.failures else '✓'} {case.name}"
        yield from (f"      {each}" for each in case.failures)
    if coverage and not result.problems:
        yield f"  {coverage_words(result.points, len(result.missed))}"
        yield from (f"      {each}" for each in result.missed)


def coverage_words(points: int, missed: int) -> str:
    return f"{points - missed} of {points} steps and ways covered ({(points - missed) * 100 // max(1, points)} %)"


def as_junit(results: Sequence[FileResult]) -> str:
    """One testsuite a file; mistakes in a file are an error of a case of their own."""
    root = Xml.Element("testsuites", name="runbook rehearse")
    for each in results:
        suite = Xml.SubElement(root, "testsuite", _counts(each))
        for case in each.cases:
            _case(suite, each, case)
        if each.problems:
            case_ = Xml.SubElement(suite, "testcase", name="the file", classname=_xml(each.file), time="0.000")
            wrong = Xml.SubElement(case_, "error", message=_xml(each.problems[0]))
            wrong.text = _xml("\n".join(each.problems))
    Xml.indent(root)
    return Xml.tostring(root, encoding="unicode", xml_declaration=False)


def _counts(result: FileResult) -> dict[str, str]:
    broken = bool(result.problems)
    return {
        "name": _xml(result.file),
        "tests": str(len(result.cases) + broken),
        "failures": str(sum(bool(case.failures) for case in result.cases)),
        "errors": str(int(broken)),
        "time": f"{sum(case.seconds for case in result.cases):.3f}",
    }


def _case(suite: Xml.Element, result: FileResult, case: CaseResult) -> None:
    about = {"name": _xml(case.name), "classname": _xml(result.runbook), "file": _xml(result.file)}
    made = Xml.SubElement(suite, "testcase", {**about, "line": str(case.line), "time": f"{case.seconds:.3f}"})
    if case.failures:
        wrong = Xml.SubElement(made, "failure", message=_xml(case.failures[0]))
        wrong.text = _xml("\n".join(case.failures))


def _xml(text: str) -> str:
    """The text without what no XML may hold."""
    return _NOT_XML.sub("�", text)
