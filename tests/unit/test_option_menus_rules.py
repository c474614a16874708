"""Rules of choices that need no system: what is kept of answers, and what an option of Slack's carries."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.slack.views import offered
from engine import option_cache
from engine.definition import template_file
from engine.definition.load import examine
from engine.definition.yaml_source import read
from engine.option_cache import MOST_TEXT, MOST_WAITING, Offered, Option, OptionCache, Unavailable

SOURCE = (1, "call", "service")
SCALARS = st.one_of(st.text(max_size=400), st.integers(), st.booleans(), st.floats(allow_nan=False))


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def answer(*values: Any) -> Offered:
    return Offered(tuple(Option(each, str(each)) for each in values), as_of=1)


def away() -> Offered:
    raise Unavailable("no answer")


@given(st.lists(SCALARS, max_size=150))
def test_every_option_fits_slack_and_gives_its_value_back(values: list[Any]) -> None:
    """Whatever a system offers: within Slack's bounds, told apart, and read back as it was or by its hash."""
    found = answer(*values)
    options = offered.suggested(found, None)["options"]
    assert len(options) <= 100
    for one, option in zip(found.options, options, strict=False):
        assert 1 <= len(option["text"]["text"]) <= 75
        assert 1 <= len(option["value"]) <= 150
        if offered.is_hash(option["value"]):
            assert option["value"] == offered.key_of(one.value)
        else:
            assert offered.value_of(option) == one.value
            assert type(offered.value_of(option)) is type(one.value)


@given(st.text(min_size=1, max_size=500))
def test_what_was_typed_is_one_choice_while_nothing_is_known(typed: str) -> None:
    (group,) = offered.suggested(Offered(trouble="away"), typed)["option_groups"]
    (option,) = group["options"]
    assert len(group["label"]["text"]) <= 75
    assert option["value"] == offered.key_of(typed)


def test_a_note_is_no_value() -> None:
    (group,) = offered.suggested(Offered(trouble="away"), None)["option_groups"]
    with pytest.raises(ValueError, match="type the value"):
        offered.value_of(group["options"][0])


@pytest.mark.parametrize("typed", [None, "api"])
def test_at_high_risk_nothing_that_was_typed_can_be_chosen(typed: str | None) -> None:
    (group,) = offered.suggested(Offered(trouble="it answered 503"), typed, unchecked=False)["option_groups"]
    (option,) = group["options"]
    assert group["label"]["text"] == "Could not be asked now: it answered 503"
    assert option["text"]["text"] == "High risk: nothing unchecked runs. Try again once it can be asked"
    with pytest.raises(ValueError, match="nothing unchecked runs at high risk"):
        offered.value_of(option)


@given(st.text(max_size=300))
def test_why_it_could_not_be_asked_fits_above_the_menu(trouble: str) -> None:
    (group,) = offered.suggested(Offered(trouble=f"x{trouble}"), None)["option_groups"]
    assert group["label"]["text"].startswith("Could not be asked now: x")
    assert len(group["label"]["text"]) <= 75


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 40), st.booleans()), max_size=40))
def test_an_answer_is_asked_for_again_when_its_time_is_over(moves: list[tuple[str, int, bool]]) -> None:
    """Within its time what is kept is given; after it the system is asked, unless it failed less than 5 s before."""
    clock = Clock()
    cache = OptionCache(clock)
    kept: dict[str, float] = {}
    failed = -100.0
    for search, later, works in moves:
        clock.now += later
        asked: list[str] = []

        def question(search: str = search, works: bool = works, asked: list[str] = asked) -> Offered:
            asked.append(search)
            return answer(search) if works else away()

        found = cache.ask((SOURCE, search), 10_000, question)
        fresh = search in kept and clock.now - kept[search] < 10
        assert bool(asked) == (not fresh and clock.now - failed >= option_cache.PAUSE_S)
        if asked and works:
            kept[search], failed = clock.now, -100.0
        elif asked:
            failed = clock.now
        assert (found.options == ()) == (search not in kept)
        assert bool(found.trouble) == (not fresh and not (asked and works))


def test_what_is_kept_is_bounded() -> None:
    """What was asked for longest ago goes first, and the last answer is there whatever its size."""
    cache = OptionCache()
    for number in range(50):
        cache.ask((SOURCE, str(number)), 10_000, lambda: answer(*("x" * 2_000 for _ in range(200))))
    assert cache._size <= MOST_TEXT
    assert 1 < len(list(cache.lists(SOURCE))) < 50
    cache.ask((SOURCE, "huge"), 10_000, lambda: answer("x" * (MOST_TEXT + 1)))
    assert len(list(cache.lists(SOURCE))) == 1


def test_no_more_people_wait_than_may() -> None:
    """Who types beyond that is told so at once; a start is still answered."""
    cache, go = OptionCache(), threading.Event()

    def slowly() -> Offered:
        go.wait(10)
        return answer("a")

    threads = [
        threading.Thread(target=cache.ask, args=((SOURCE, str(number)), 1_000, slowly))
        for number in range(MOST_WAITING)
    ]
    for each in threads:
        each.start()
    while cache._waiting < MOST_WAITING:
        pass
    assert "too many" in cache.ask((SOURCE, "more"), 1_000, away).trouble
    assert cache.ask((SOURCE, "start"), 1_000, lambda: answer("b"), patient=True) == answer("b")
    go.set()
    for each in threads:
        each.join(10)
    assert cache._waiting == 0


def test_a_fault_of_ours_reaches_whoever_waits_and_is_not_kept() -> None:
    cache = OptionCache()

    def broken() -> Offered:
        raise RuntimeError("a bug")

    for _ in range(2):
        with pytest.raises(RuntimeError):
            cache.ask((SOURCE, ""), 1_000, broken)
    assert cache.ask((SOURCE, ""), 1_000, lambda: answer("a")) == answer("a")


MISTAKES = {
    "url: https://a.example, target: b": "needs either `url` or `target`",
    "url: 'https://a.example/{{ params.other }}'": "`params` is not there",
    "url: 'https://{{ params.other }}.example/'": "`params` is not there",
    "url: 'https://a.example/{{ secrets.token }}'": "only `secrets` may be read, in",
    "url: https://a.example, query: {a: '{{ execution.id }}'}": "`execution` is not there",
    "url: https://a.example, items: response.json": "must be a template",
    "url: https://a.example, items: '{{ reponse.json }}'": "did you mean `response`",
    "url: https://a.example, value: '{{ item.id }} {{ steps.a }}'": "`steps` is not there",
    "url: https://a.example, label: '{{ params.other }}'": "`params` is not there",
    "url: https://a.example, label: '{{ secrets.token }}'": "secrets may stand",
    "url: https://a.example, items: '{{ item }}'": "`item` is not there outside",
    "url: https://a.example, cache: 2h": "must be between 1s and 1h",
    "url: https://a.example, cache: soon": "is not a duration",
    "url: https://a.example, serch: q": "did you mean `search`",
    "url: https://a.example, headers: {Host: x}": "is set by the bot itself",
    "url: https://a.example, search: q, query: {q: 1}": "stands in `query` too",
}
STEP = "{id: d, type: delay, with: {for: 1s}}"
FILE = """apiVersion: runbook/v1
id: a
name: A
parameters:
  type: object
  properties:
    other: {type: string}
    service: {RULES}
steps:
  - {id: d, type: delay, with: {for: 1s}}
"""


def problems(rules: str) -> list[str]:
    found = examine(FILE.replace("{RULES}", f"{{{rules}}}").encode(), "a.yaml")
    assert all(each.line == 8 for each in found.problems), found.problems
    return [each.message for each in found.problems]


@pytest.mark.parametrize("said", MISTAKES)
def test_a_mistake_is_told_where_it_is(said: str) -> None:
    told = problems(f"type: string, x-options: {{{said}}}")
    assert any(MISTAKES[said] in each for each in told), told


@pytest.mark.parametrize(
    "rules",
    [
        "type: object, x-options: {url: https://a.example}",
        "x-options: {url: https://a.example}",
        "type: string, enum: [a], x-options: {url: https://a.example}",
        "type: array, items: {type: object}, x-options: {url: https://a.example}",
        "type: array, items: {type: string, x-options: {url: https://a.example}}",
    ],
)
def test_it_is_for_a_plain_value_or_a_list_of_them(rules: str) -> None:
    assert any("x-options" in each for each in problems(rules))


def test_targets_and_secrets_are_right() -> None:
    assert (
        problems("type: string, x-options: {target: cmdb, path: /hosts, headers: {X-Key: '{{ secrets.key }}'}}") == []
    )
    assert problems("type: [integer, 'null'], x-options: {url: '{{ targets.cmdb.url }}/hosts'}") == []


def test_a_template_has_none() -> None:
    """Nobody fills its parameters in."""
    parameters = "{type: object, properties: {x: {type: string, x-options: {url: https://a.example}}}}"
    text = f"apiVersion: runbook/v1\nkind: template\nparameters: {parameters}\nsteps: [{STEP}]\n"
    assert any("those of a template" in each.message for each in template_file.check(read(text.encode(), "a.yaml")))
