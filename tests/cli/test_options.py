"""The command line's own options, help, and what it answers to words that it does not know."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.cli import help_page, host_commands, main, people
from bot.cli.options import NAMES, Options, Usage, default_token_file, split, token_of
from bot.cli.show import safe
from bot.grammar import VERBS


def test_our_options_stand_anywhere() -> None:
    """Before the verb, between words, behind them; everything else is left in order."""
    words = ["--json", "run", "x", "--timeout", "90s", "a=1", "--url=http://h", "--service", "api", "--no-wait"]
    options, rest = split(words)
    assert options == Options(url="http://h", json=True, wait=False, timeout_s=90.0)
    assert rest == ["run", "x", "a=1", "--service", "api"]


def test_a_parameter_called_like_an_option_is_written_without_dashes() -> None:
    """`url=…` is the runbook's, `--url …` is ours, and behind `--` nothing is."""
    assert split(["run", "x", "url=y", "json=1"]) == (Options(), ["run", "x", "url=y", "json=1"])
    assert split(["run", "--", "--json"]) == (Options(), ["run", "--json"])


@given(st.lists(st.sampled_from([*NAMES, "run", "a=1", "--", "30s", "--x"]), max_size=8))
def test_any_words_are_split_or_refused(words: list[str]) -> None:
    """Nothing else is raised, and what is left are words that were there."""
    try:
        _, rest = split(words)
    except Usage:
        return
    assert [word for word in rest if word not in words] == []


@pytest.mark.parametrize("words", [["--url"], ["--timeout", "soon"], ["run", "--timeout"]])
def test_a_value_that_is_missing_or_wrong_is_said(words: list[str]) -> None:
    """With what to write instead."""
    with pytest.raises(Usage, match=r"needs a value|such as 90s"):
        split(words)


def test_where_a_token_comes_from(tmp_path: Path) -> None:
    """What is typed, the environment, one's own file; in that order."""
    path = default_token_file({"XDG_CONFIG_HOME": str(tmp_path)})
    path.parent.mkdir(parents=True)
    path.write_text("rbk_file\n")
    path.chmod(0o600)
    environ = {"XDG_CONFIG_HOME": str(tmp_path)}
    assert token_of(Options(), environ) == "rbk_file"
    assert token_of(Options(), {**environ, "RUNBOOK_TOKEN": "rbk_env"}) == "rbk_env"
    assert token_of(Options(token="rbk_option"), {**environ, "RUNBOOK_TOKEN": "rbk_env"}) == "rbk_option"
    assert token_of(Options(token_file=path), {**environ, "RUNBOOK_TOKEN": "rbk_env"}) == "rbk_file"
    path.chmod(0o640)
    with pytest.raises(Usage, match="chmod 600"):
        token_of(Options(), environ)
    with pytest.raises(Usage, match="Who are you"):
        token_of(Options(token_file=tmp_path / "none"), {})


@pytest.mark.parametrize("words", [[], ["help"], ["--help"], ["-h"]])
def test_help_without_words_tells_everything(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Every verb, every operator's verb and every option, and no error."""
    assert main(words) == 0
    told = capsys.readouterr().out
    assert all(f"\n  {verb.name} " in told for verb in VERBS if verb.name not in ("help", "token"))
    assert all(f"  {name} " in told for name in host_commands.VERBS)
    assert all(name in told for name in NAMES if name not in ("-V", "-h", "--help", "--token"))
    assert max(len(line) for line in told.splitlines()) <= 120


@pytest.mark.parametrize("verb", [verb.name for verb in VERBS if verb.name != "help"])
def test_help_about_one_verb(verb: str) -> None:
    """Its usage and an example."""
    told = help_page.page(verb)
    assert verb in told
    assert "For example: runbook " in told or verb in (
        "audit",
        "incident",
        "token",
    )  # two head families, one is an operator's


def test_the_version_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """As one line."""
    assert main(["--version"]) == 0
    assert re.fullmatch(r"runbook \d+\.\d+\.\d+\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("typed", "meant"), [("docter", "doctor"), ("aprove", "approve"), ("rnu", "run"), ("migrat", "migrate")]
)
def test_a_misspelt_verb_is_answered_with_the_nearest(
    typed: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """People's and operators' alike; 2, and nothing was asked."""
    assert main([typed]) == 2
    assert f"Did you mean “{meant}”?" in capsys.readouterr().err


def test_every_verb_of_slack_works_here() -> None:
    """Help is the command line's own."""
    assert {verb.name for verb in VERBS} - {"help"} <= set(people.VERBS)


@given(st.text())
def test_nothing_shown_moves_the_cursor(text: str) -> None:
    """Whatever people and machines wrote: a terminal gets characters, and lines of our own."""
    shown = safe([text])
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", shown)
