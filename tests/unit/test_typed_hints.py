"""What the engine says could be typed, as it is typed in Slack and on the command line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.cli import people
from bot.cli.connect import Refused
from bot.cli.options import Options
from bot.typed_hints import typed_here
from bot.verbs import VERBS


@given(st.sampled_from(VERBS), st.sampled_from(["", " demo@2", ' RUN reason="…"']))
def test_every_verb_in_code_is_typed_as_it_is_here(verb: object, rest: str) -> None:
    hint = f"{verb.name}{rest}"  # type: ignore[attr-defined]
    assert typed_here(f"So: `{hint}`.", "runbook") == f"So: `runbook {hint}`."


@given(st.text(st.characters(exclude_characters="`")))
def test_what_is_no_code_stays(sentence: str) -> None:
    assert typed_here(sentence, "runbook") == sentence


@pytest.mark.parametrize("sentence", ["`runbook sync` reads it", "`adminx y`", "`params.run` is missing"])
def test_other_code_stays(sentence: str) -> None:
    assert typed_here(sentence, "runbook") == sentence


def test_a_refusal_on_the_command_line_says_it_so(capsys: pytest.CaptureFixture[str]) -> None:
    people.refused(Refused(409, {"code": "conflict", "detail": "Not yet: `admin approve demo`."}), Options())
    fields = {"kind": "`runs all` lists them", "": "see `held`"}
    people.refused(Refused(422, {"code": "invalid_parameters", "detail": "x", "fields": fields}), Options())
    assert capsys.readouterr().err.splitlines() == [
        "runbook: Not yet: `runbook admin approve demo`.",
        "runbook: kind: `runbook runs all` lists them",
        "runbook: see `runbook held`",
    ]


def test_programs_are_told_what_the_api_said(capsys: pytest.CaptureFixture[str]) -> None:
    people.refused(Refused(409, {"code": "conflict", "detail": "`held` lists them"}), Options(json=True))
    assert '"`held` lists them"' in capsys.readouterr().out
