"""`# lint: ignore=RULE reason`: what it ignores, what it does not, and what is said of a comment that does not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.definition.lint_rules import RULES
from engine.definition.load import examine

BOOK = """\
apiVersion: runbook/v1
id: x
name: X
steps:
  - id: a
    type: http
    with:
      {above}
      url: http://h.example/x {behind}
"""
WHY = "# lint: ignore=plain-http the network is encrypted"


def examined(above: str = "", behind: str = "", rest: str = "") -> tuple[list[str], list[str]]:
    found = examine((BOOK.format(above=above, behind=behind) + rest).encode(), "x.yaml")
    assert found.problems == ()
    return [f"{each.line}:{each.column} {each.rule}" for each in found.warnings], [
        each.ignored for each in found.ignored
    ]


@pytest.mark.parametrize(
    ("above", "behind"),
    [(WHY, ""), ("", WHY), (f"{WHY}\n      # more words\n\n", ""), ("# lint: ignore=x\n      " + WHY, "")],
)
def test_a_comment_on_the_line_or_alone_above_it_ignores_the_warning(above: str, behind: str) -> None:
    warnings, ignored = examined(above, behind)
    assert "plain-http" not in " ".join(warnings)
    assert ignored == ["the network is encrypted"]


@pytest.mark.parametrize(
    ("comment", "rule"),
    [
        ("# lint: ignore=plain-http", "invalid-ignore"),
        ("# lint: ignore=plain-http   ", "invalid-ignore"),
        ("# lint: ignore=plainhttp it is well", "invalid-ignore"),
        ("# lint: ignore= it is well", "invalid-ignore"),
        ("# lint: disable=plain-http it is well", "invalid-ignore"),
        ("# lint: ignore=unused-ignore it is well", "invalid-ignore"),
        ("# lint: ignore=invalid-ignore it is well", "invalid-ignore"),
        ("# lint: ignore=* it is well", "invalid-ignore"),
        ("# lint: ignore=plain-http,unused-parameter it is well", "invalid-ignore"),
        ("# lint: ignore=unused-parameter it is well", "unused-ignore"),
    ],
)
def test_what_does_not_ignore_is_said_and_the_warning_stays(comment: str, rule: str) -> None:
    warnings, ignored = examined(behind=comment)
    assert warnings == ["9:12 plain-http", f"9:31 {rule}"]
    assert ignored == []


def test_the_nearest_rule_is_named() -> None:
    found = examine(BOOK.format(above="", behind="# lint: ignore=plain-htp why not").encode(), "x.yaml")
    assert "did you mean `plain-http`?" in found.warnings[-1].message


@pytest.mark.parametrize("rest", [
    "name_: 1", "    if: false\n    # lint: ignore=plain-http too late\n",
])  # fmt: skip
def test_a_comment_below_or_elsewhere_ignores_nothing_here(rest: str) -> None:
    if rest.startswith("name_"):
        rest = "  # lint: ignore=plain-http too late\n"
    warnings, ignored = examined(rest=rest)
    assert "9:12 plain-http" in warnings
    assert ignored == []


@pytest.mark.parametrize(
    "description", [f'description: "x {WHY}"', f"description: |\n  x\n  {WHY}", f"description: >-\n  {WHY}\n  x"]
)
def test_the_words_of_a_value_are_no_comment(description: str) -> None:
    """Neither do they ignore anything, nor are they told of."""
    warnings, ignored = examined(rest=f"{description}\n")
    assert (warnings, ignored) == (["9:12 plain-http"], [])


def test_a_comment_right_below_a_block_of_text_is_one() -> None:
    text = f"description: |\n  text about # lint: rules\n{WHY}\nrisk: low\n"
    warnings, _ = examined(rest=text)
    assert [each.split()[1] for each in warnings] == ["plain-http", "unused-ignore"]


def test_an_error_is_never_ignored() -> None:
    text = BOOK.format(above="", behind="").replace("type: http", "type: htp # lint: ignore=plain-http it is well")
    assert examine(text.encode(), "x.yaml").problems


def test_what_only_the_files_of_rules_tell_is_not_called_unused() -> None:
    warnings, _ = examined(behind="# lint: ignore=unlisted-secret it is new")
    assert warnings == ["9:12 plain-http"]


@settings(deadline=None)
@given(
    st.sampled_from(sorted(RULES)),
    st.text(st.characters(codec="ascii", min_codepoint=32, max_codepoint=126), max_size=40),
)
def test_only_this_rule_with_a_reason_ignores_it(rule: str, reason: str) -> None:
    _, ignored = examined(behind=f"# lint: ignore={rule} {reason}")
    assert ignored == ([reason.strip()] if rule == "plain-http" and reason.strip() else [])
