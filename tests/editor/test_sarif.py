"""What `check --format sarif` writes, by the published schema of SARIF 2.1.0."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema.validators import validator_for

from bot.cli.check_formats import FORMATS
from engine.definition.lint_rules import RULES
from engine.text.problem import Problem

pytestmark = pytest.mark.slow

WORDS = st.text(max_size=40)
PLACE = st.integers(1, 2**31 - 1)
ERRORS = st.builds(Problem, WORDS.filter(bool), PLACE, PLACE, WORDS)
WARNINGS = st.builds(
    Problem, WORDS.filter(bool), PLACE, PLACE, WORDS, st.just("warning"), st.sampled_from(["", *RULES])
)


@pytest.fixture(scope="module")
def faults(sarif_schema: dict[str, Any]) -> Callable[[Any], list[str]]:
    """What is wrong with a log, each with where."""
    checker = validator_for(sarif_schema)
    made = checker(sarif_schema, format_checker=checker.FORMAT_CHECKER)
    return lambda log: [f"{each.json_path}: {each.message}" for each in made.iter_errors(log)]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(ERRORS, WARNINGS), max_size=4))
def test_whatever_is_found_the_log_keeps_to_the_schema(
    faults: Callable[[Any], list[str]], found: list[Problem]
) -> None:
    log = json.loads(FORMATS["sarif"](found, 1))
    assert faults(log) == []
    assert len(log["runs"][0]["results"]) == len(found)


def test_the_schema_would_notice(faults: Callable[[Any], list[str]]) -> None:
    """A line from 0, another level and a key that SARIF does not know."""
    log = json.loads(FORMATS["sarif"]([Problem("a.yaml", 1, 1, "x")], 1))
    (result,) = log["runs"][0]["results"]
    result["locations"][0]["physicalLocation"]["region"]["startLine"] = 0
    result["level"] = "bad"
    log["runs"][0]["rules"] = []
    assert len(faults(log)) == 3
