"""Links and cookies: what was signed is read back, and nothing else is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bot.page.signed_links import Pass, Purpose, link, sign, verify

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
PASSES = st.builds(Pass, st.text(max_size=30), st.text(max_size=12), st.integers(1, 2**40))


@given(PASSES, st.sampled_from(Purpose))
def test_what_was_signed_is_read_back(admitted: Pass, purpose: Purpose) -> None:
    """Until it has expired, and not a second longer."""
    text = sign(KEY, purpose, admitted)
    assert verify(KEY, purpose, text, admitted.until - 1) == admitted
    assert verify(KEY, purpose, text, admitted.until) is None


@given(PASSES)
def test_another_key_or_purpose_does_not_count(admitted: Pass) -> None:
    """A link is no cookie, a cookie no link, and another deployment's neither."""
    text = sign(KEY, Purpose.LINK, admitted)
    assert verify(KEY, Purpose.COOKIE, text, 0) is None
    assert verify(OTHER_KEY, Purpose.LINK, text, 0) is None


@given(PASSES, st.data())
def test_a_changed_character_counts_for_nothing(admitted: Pass, data: st.DataObject) -> None:
    """Whichever it is. The last one of each part holds bits that say nothing; so what is read stays what was signed."""
    text = sign(KEY, Purpose.LINK, admitted)
    place = data.draw(st.integers(0, len(text) - 1))
    changed = text[:place] + data.draw(st.sampled_from("AZaz09-_.")) + text[place + 1 :]
    assert verify(KEY, Purpose.LINK, changed, 0) in (None, admitted)


@given(st.text(max_size=200) | st.text(st.characters(), max_size=20))
def test_any_text_is_refused_without_an_accident(text: str) -> None:
    """What a stranger puts into an address is never an error of ours."""
    assert verify(KEY, Purpose.LINK, text, 0) is None


def test_a_link_names_the_run_and_has_no_right_of_its_own() -> None:
    """Under the address that people use, whether or not that ends in a slash."""
    address = link("https://bot.example/", KEY, "U0CAROL01", "R-7K2M9Q")
    path, _, proof = address.partition("?pass=")
    assert path == "https://bot.example/executions/R-7K2M9Q"
    admitted = verify(KEY, Purpose.LINK, proof, 0)
    assert admitted is not None
    assert (admitted.person, admitted.execution_id) == ("U0CAROL01", "R-7K2M9Q")
