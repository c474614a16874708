"""What `runbook check` found, as text, as JSON, as GitHub's annotations and as SARIF 2.1.0."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import PurePath
from urllib.parse import quote

from bot.cli import show
from engine.definition.lint_rules import RULES
from engine.text.problem import Problem
from storage.records import Json

INVALID = "invalid-file"
"""The rule of every error, for which SARIF asks too."""
_SARIF = "https://json.schemastore.org/sarif-2.1.0.json"


def _text(found: Sequence[Problem], files: int) -> str:
    lines = [show.safe([str(problem)]) for problem in found]
    if not any(problem.severity == "error" for problem in found):
        lines.append(f"{files} file{'s are' if files > 1 else ' is'} fine")
    return _lines(lines)


def _lines(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _json(found: Sequence[Problem], files: int) -> str:
    problems = [
        {
            "file": each.file, "line": each.line, "column": each.column, "severity": each.severity,
            "rule": each.rule or None, "message": each.message,
        }
        for each in found
    ]  # fmt: skip
    return json.dumps({"files": files, "problems": problems}, indent=2) + "\n"


def _github(found: Sequence[Problem], _files: int) -> str:
    """Workflow commands: what would end a value or the command is percent-encoded, as GitHub decodes it."""
    return _lines([_annotation(each) for each in found])


def _annotation(problem: Problem) -> str:
    place = {"file": problem.file, "line": problem.line, "col": problem.column, "title": problem.rule or INVALID}
    properties = ",".join(f"{key}={_in_property(str(value))}" for key, value in place.items())
    return f"::{problem.severity} {properties}::{_in_data(show.safe([problem.told]))}"


def _in_data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _in_property(text: str) -> str:
    return _in_data(text).replace(":", "%3A").replace(",", "%2C")


def _sarif(found: Sequence[Problem], _files: int) -> str:
    ids = [INVALID, *RULES]
    texts = ["The file is broken.", *(rule.finds for rule in RULES.values())]
    driver = {
        "name": "runbook check",
        "version": version("runbook-bot"),
        "rules": [{"id": each, "shortDescription": {"text": text}} for each, text in zip(ids, texts, strict=True)],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(each, ids) for each in found],
    }
    return json.dumps({"$schema": _SARIF, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _result(problem: Problem, ids: Sequence[str]) -> Json:
    place = {
        "artifactLocation": {"uri": _uri(problem.file)},
        "region": {"startLine": problem.line, "startColumn": problem.column},
    }
    rule = {"ruleId": problem.rule, "ruleIndex": ids.index(problem.rule)} if problem.rule else {}
    if problem.severity == "error":
        rule = {"ruleId": INVALID, "ruleIndex": 0}
    message = {"text": show.safe([problem.message])}
    return {**rule, "level": problem.severity, "message": message, "locations": [{"physicalLocation": place}]}


def _uri(file: str) -> str:
    """A path as a URI: one below the working folder stays relative to it, as code scanning wants it."""
    path = PurePath(os.path.relpath(file)) if os.path.isabs(file) else PurePath(file)
    return quote(PurePath(os.path.abspath(file)).as_posix() if ".." in path.parts else path.as_posix())


FORMATS: Mapping[str, Callable[[Sequence[Problem], int], str]] = {
    "text": _text,
    "json": _json,
    "github": _github,
    "sarif": _sarif,
}
"""How the problems of so many files are put, by the word behind `--format`."""
