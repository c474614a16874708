"""What `run` was told: its own options are no parameters, unless the runbook has one of that name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import run_options
from bot.grammar import Command, GrammarError
from engine.config.setting_values import boolean
from engine.definition.parameters import coerce
from engine.text.yes_no import NO, YES, yes_or_no

SCHEMA = {"type": "object", "properties": {"shop": {"type": "string"}}}
WORDS = st.sampled_from(sorted(YES | NO))


def read(options: dict[str, str], schema: dict[str, object] = SCHEMA) -> run_options.RunOptions:
    return run_options.read(Command("run", ("note",), options), schema)


@given(WORDS, WORDS)
def test_an_option_is_no_parameter_whether_it_says_yes_or_no(force: str, hold: str) -> None:
    found = read({"shop": "x", "force": force, "hold": hold, "reuse_within": "2m", "reason": " r "})
    assert (found.given, found.reason, found.reuse_within_ms) == ({"shop": "x"}, "r", 120_000)
    assert found.force is (force in YES)
    assert found.keep == ("hold" if hold in YES else "")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"hold": "perhaps"}, "hold=yes or hold=no"),
        ({"break_glass": ""}, "break_glass=yes or break_glass=no"),
        ({"hold": "yes", "break_glass": "on"}, "not both"),
        ({"hold": "yes", "plan": "P1-x"}, "does not go with hold=yes"),
        ({"break_glass": "1", "plan": ""}, "does not go with break_glass=yes"),
        ({"reuse_within": "soon"}, "reuse_within: "),
    ],
)
def test_what_cannot_be_meant_is_refused(options: dict[str, str], said: str) -> None:
    with pytest.raises(GrammarError, match=said):
        read(options)


def test_what_is_declined_goes_with_a_plan() -> None:
    found = read({"hold": "no", "break_glass": "off", "force": "n", "plan": "P1-x"})
    assert (found.given, found.plan, found.keep, found.force) == ({}, "P1-x", "", False)


def test_a_parameter_of_that_name_is_the_parameter() -> None:
    names = ("force", "reuse_within", "hold", "break_glass", "plan")
    options = dict.fromkeys(names, "yes")
    found = read(options, {"type": "object", "properties": {name: {"type": "string"} for name in names}})
    assert (found.given, found.keep, found.plan, found.force, found.reuse_within_ms) == (options, "", None, False, 0)


@given(WORDS, st.sampled_from([str.upper, str.lower, str.title]))
def test_the_same_words_say_yes_everywhere(word: str, spelt: object) -> None:
    """In a command, a setting and a parameter; where a number may stand, 1 is one."""
    text = f" {spelt(word)} "  # type: ignore[operator]
    means = word in YES
    assert yes_or_no(text) is boolean(text) is means
    assert Command("cancel", (), {"force": text}).says_yes("force") is means
    assert coerce({"properties": {"x": {"type": "boolean"}}}, {"x": text}) == {"x": means}
    either = coerce({"properties": {"x": {"type": ["boolean", "integer"]}}}, {"x": text})["x"]
    assert type(either) is (int if word in ("0", "1") else bool)


@given(st.text(max_size=8).filter(lambda text: text.strip().lower() not in YES | NO))
def test_nothing_else_says_either(text: str) -> None:
    with pytest.raises(ValueError, match="neither"):
        yes_or_no(text)
