"""Yes and no in the queries of pages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.page.query_words import says_yes
from engine.errors import InvalidParameters
from engine.text.yes_no import NO, YES


@given(st.sampled_from(sorted(YES | NO)), st.booleans(), st.sampled_from(["", " "]))
def test_the_words_of_everywhere_else_are_taken(word: str, loud: bool, around: str) -> None:
    said = f"{around}{word.upper() if loud else word}{around}"
    assert says_yes({"verify": said}, "verify") is (word in YES)


@pytest.mark.parametrize("asked", [{}, {"verify": ""}, {"verify": " "}, {"other": "yes"}])
def test_what_is_not_said_is_no(asked: dict[str, str]) -> None:
    assert says_yes(asked, "verify") is False


@given(st.text(min_size=1).filter(lambda said: said.strip() and said.strip().lower() not in YES | NO))
def test_any_other_word_is_refused_by_name(word: str) -> None:
    """Neither as yes nor as no: a page that guesses shows something that nobody asked for."""
    with pytest.raises(InvalidParameters) as refused:
        says_yes({"verify": word}, "verify")
    assert list(refused.value.fields) == ["verify"]
