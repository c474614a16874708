"""What buttons and forms carry, there and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.slack import ids
from bot.slack.forms import actions, modals
from bot.slack.ids import parameter_block
from bot.slack.payload_values import BadValue, GateRef, RunForm, RunRef, VersionRef, VoteRef, decode, encode


@given(st.text(), st.text(), st.text(), st.integers(-(2**63), 2**63 - 1))
def test_values_come_back(one: str, two: str, three: str, number: int) -> None:
    """Whatever is in an id, the codec returns it."""
    for ref in (
        RunRef(one),
        GateRef(one, two, three),
        VersionRef(one, number, three),
        VoteRef(one, number, three, number),
        RunForm(one, number, two, three),
    ):
        assert decode(type(ref), encode(ref)) == ref


@pytest.mark.parametrize(
    "text", ["", "{}", "1", '["a"]', '["a","b",1]', '["a","b","c","d"]', "[null,null,null]", "[" * 9999]
)
def test_foreign_values_are_refused(text: str) -> None:
    """A value of another version of the bot, or of somebody's making, is told apart."""
    with pytest.raises(BadValue):
        decode(GateRef, text)


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**400])
def test_a_number_that_no_column_holds_is_foreign(number: int) -> None:
    """It would be an accident where it is looked for."""
    with pytest.raises(BadValue):
        decode(VersionRef, encode(VersionRef("drain", number, "")))


def test_every_id_has_a_handler() -> None:
    """No button or form is drawn that nobody answers."""
    assert set(actions._CLICKS) == set(ids.Action)
    assert set(modals._FORMS) == set(ids.Form)


@given(st.text())
def test_block_ids_fit(name: str) -> None:
    """A parameter of any name has a block_id that Slack takes."""
    assert len(parameter_block(name)) <= 255
