"""Where a secret may go that several runs received, which templates take one as it is, and what masks all but such."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.egress.received_rules import ReceivedRules
from engine.expressions import is_pick, render
from engine.received_secrets import Holding, ReceivedSecrets
from engine.text.redaction import Redactor, shows_mark

HOSTS = ("a.example", "b.example", "c.example")
LISTS = st.none() | st.lists(st.sampled_from(HOSTS), unique=True).map(tuple)
NAME = "rotate.key"


@given(own=LISTS, shared=st.frozensets(LISTS), strict=st.booleans(), host=st.sampled_from(HOSTS))
def test_every_list_has_to_allow_a_host(
    own: tuple[str, ...] | None, shared: frozenset[tuple[str, ...] | None], strict: bool, host: str
) -> None:
    rules = ReceivedRules({NAME: own}, strict, {NAME: shared})
    may = all(host in each if each is not None else not strict for each in {own, *shared})
    assert (not list(rules.refused_sending([NAME], f"https://{host}/"))) == may


def test_whose_rule_it_is_is_not_told() -> None:
    rules = ReceivedRules({NAME: None}, shared={NAME: frozenset({("bank.example",)})})
    (told,) = rules.refused_sending([NAME], "https://a.example/")
    where = "was received elsewhere too, where its `hosts` do not let it go to a.example:443"
    assert told == f"`outputs.key` of step `rotate` {where}"


@pytest.mark.parametrize(
    ("template", "taken"),
    [
        ("{{ response.json.key }}", True),
        ("{{ response.json['a-b'][0].key }}", True),
        ("{{ response.json.keys | last | trim }}", True),
        ("{{ response.text }}", True),
        (" {{ response.json.key }}", False),
        ("{{ response.json.a }}{{ response.json.b }}", False),
        ("{{ response.json.key[1:] }}", False),
        ("{{ response.json[response.json.key] }}", False),
        ("{{ response.json.key | upper }}", False),
        ("{{ response.json.key | upper | trim }}", False),
        ("{{ response.json.key or 'x' }}", False),
        ("{{ 'a' if response.json.key else 'b' }}", False),
        ("{{ [response.json.key] | first }}", False),
        ("{{ response.json.key | default('abcdefgh1') }}", False),
        ("{% if response.json.key %}{{ response.json.key }}{% endif %}", False),
        ("{{ 'abcdefgh1' }}", False),
        ("abcdefgh1", False),
    ],
)
def test_what_takes_a_value_as_it_is(template: str, taken: bool) -> None:
    assert is_pick(template) is taken


@given(st.text(min_size=1), st.lists(st.sampled_from([" | trim", " | first", " | last"]), max_size=2))
def test_a_pick_gives_a_part_of_what_stands_there(value: str, filters: list[str]) -> None:
    template = "{{ response.json.key" + "".join(filters) + " }}"
    assert is_pick(template)
    assert str(render(template, {"response": {"json": {"key": value}}}) or "") in value


@given(st.text(min_size=8).filter(lambda text: len(text.strip()) >= 8), st.sampled_from(["own", "token", "received"]))
def test_all_but_what_runs_received_stays_masked(value: str, whose: str) -> None:
    redactor = Redactor()
    lend = {
        "own": lambda: redactor.add("x", value),
        "token": lambda: redactor.lend([("x", value)]),
        "received": lambda: redactor.lend_received([("x", value)]),
    }
    lend[whose]()
    answer = {"key": value}
    assert redactor.redact_json(answer) == {"key": "‹secret x›"}
    assert redactor.redact_but_received(answer) == (answer if whose == "received" else {"key": "‹secret x›"})


def test_what_is_received_and_the_bots_own_stays_masked() -> None:
    redactor = Redactor()
    redactor.add("lb", "hunter2-hunter2")
    redactor.lend_received([("a.key", "hunter2-hunter2")])
    assert redactor.redact_but_received(["hunter2-hunter2"]) == ["‹secret lb›"]
    redactor.take_back([("a.key", "hunter2-hunter2")])
    redactor.take_back_received([("a.key", "hunter2-hunter2")])
    assert redactor.redact("hunter2-hunter2") == "‹secret lb›"


def test_who_holds_it_is_known_as_long_as_the_attempt_lasts() -> None:
    """However often it is held, and whole: another text, though it holds the same or is held in it, is nobody's."""
    known, redactor = ReceivedSecrets(), Redactor()
    held = Holding("a.key", "hunter2-hunter2", frozenset({("a.example",)}))
    with known.meanwhile(redactor) as hold:
        hold([held])
        with known.meanwhile(redactor) as again:
            again([held, Holding("b.key", "hunter2-hunter2", None)])
            assert sorted(map(str, known.held_for("hunter2-hunter2"))) == ["None", "frozenset({('a.example',)})"]
        assert known.held_for("hunter2-hunter2") == [frozenset({("a.example",)})]
        assert known.held_for("hunter2") == known.held_for("hunter2-hunter2!") == known.held_for("") == []
        assert redactor.redact("hunter2-hunter2") == "‹secret a.key›"
    assert known.held_for("hunter2-hunter2") == []
    assert redactor.redact("hunter2-hunter2") == "hunter2-hunter2"
    assert "hunter2" not in repr(held)


@pytest.mark.parametrize("cut", ["‹secret rotate.k", "‹SECRET ROTATE.KEY›", "‹Secret a.b›", "x‹secret a, b›y"])
def test_a_mark_is_one_however_a_template_left_it(cut: str) -> None:
    assert shows_mark(cut)
