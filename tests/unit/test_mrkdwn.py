"""Messages: what an author wrote is markup, and no value ever is, however it is split or wherever it stands."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.definition import load
from engine.expressions import ExpressionError, render_markup
from engine.text import mrkdwn

USER, GROUP, CHANNEL = "U0123ABC", "S0123ABC", "C0123ABC"
SIGNS = ["<", ">", "&", "|", "@", "!", "#", "!here", "!channel", "!subteam^", USER, GROUP, "https://", "evil.com", "/"]
NASTY = st.lists(st.one_of(st.sampled_from([*SIGNS, "\0", "&lt;", "&gt;", "\n", "..", "<@U0123ABC>"]), st.text())).map(
    "".join
)
WRITTEN = st.lists(
    st.one_of(st.just(mrkdwn.HOLE), st.sampled_from(SIGNS), st.text(st.characters(exclude_characters="\0")))
)
LIVE = re.compile(r"<[^>]*>")


def rendered(template: str, **params: Any) -> str:
    return render_markup(template, {"params": params})


@pytest.mark.parametrize(
    ("template", "params", "shown"),
    [
        ("*b* <@U0123ABC>, <!subteam^S0123ABC> <#C0123ABC>", {}, "*b* <@U0123ABC>, <!subteam^S0123ABC> <#C0123ABC>"),
        ("<!here> <!channel> <!everyone|x>", {}, "<!here> <!channel> <!everyone>"),
        ("<https://h.example.com/a?b=1&c=2|the page>", {}, "<https://h.example.com/a?b=1&amp;c=2|the page>"),
        ("<@{{ params.who }}>", {"who": USER}, f"<@{USER}>"),
        ("<!subteam^{{ params.who }}|them>", {"who": GROUP}, f"<!subteam^{GROUP}>"),
        ("{% for who in params.all %}<@{{ who }}>{% endfor %}", {"all": [USER, "U0123ABD"]}, f"<@{USER}><@U0123ABD>"),
        ("<https://h.io/{{ params.a }}?q={{ params.b }}|{{ params.b }}>", {"a": "x/y|z", "b": "<!here>"},
         "<https://h.io/x%2Fy%7Cz?q=%3C%21here%3E|&lt;!here&gt;>"),
        ("<!date^{{ params.at }}^{date_short}|{{ params.at }}>", {"at": 5}, "<!date^5^{date_short}|5>"),
        ("1 < 2 && 3 > 2, &lt;b&gt;", {}, "1 &lt; 2 &amp;&amp; 3 &gt; 2, &lt;b&gt;"),
    ],
)  # fmt: skip
def test_what_an_author_may_write(template: str, params: dict[str, Any], shown: str) -> None:
    assert rendered(template, **params) == shown


@pytest.mark.parametrize(
    ("template", "params"),
    [
        ("{{ params.a }}", {"a": "<!channel>"}),
        ("{{ '<!channel>' }}", {}),
        ("<{{ params.a }}>", {"a": "!channel"}),
        ("<{{ params.a }}>", {"a": f"@{USER}"}),
        ("<{{ params.a }}|the page>", {"a": "https://evil.com"}),
        ("<{{ params.a }}{{ params.b }}>", {"a": "!", "b": "here"}),
        ("<!{{ params.a }}>", {"a": "here"}),
        ("<!subteam^{{ params.a }}>", {"a": USER}),
        ("<@{{ params.a }}>", {"a": GROUP}),
        ("<@{{ params.a }}>", {"a": f"{USER}|ceo"}),
        ("<@{{ params.a }}>", {"a": f"{USER}> <!here"}),
        ("<@{{ params.a }}>", {"a": "\0"}),
        ("<@{{ params.a }}{{ params.b }}>", {"a": "U012", "b": "3ABC"}),
        ("<@U0{{ params.a }}>", {"a": "123ABC"}),
        ("{{ params.a }}@U0123ABC>", {"a": "<"}),
        ("<@U0123ABC{{ params.a }}", {"a": ">"}),
        ("&{{ params.a }}", {"a": "lt;!here&gt;"}),
        ("<https://{{ params.a }}/x|y>", {"a": "evil.com"}),
        ("<https://h.io{{ params.a }}|y>", {"a": ".evil.com/"}),
        ("<https://h.io{{ params.a }}/|y>", {"a": "@evil.com"}),
        ("<https://h.io/a/{{ params.a }}/b|y>", {"a": ".."}),
        ("<https://bank.com@h.io/|y>", {}),
        ("<mailto:{{ params.a }}|y>", {"a": "x@evil.com"}),
        ("<javascript:alert(1)|y>", {}),
        ("<!date^1^{date}^https://evil.com|{{ params.a }}>", {"a": "x"}),
    ],
)  # fmt: skip
def test_what_never_comes_alive(template: str, params: dict[str, Any]) -> None:
    """Nothing is left that Slack would read as more than text."""
    assert not LIVE.search(rendered(template, **params))


@given(st.lists(NASTY, max_size=3))
def test_values_alone_are_text_whatever_is_in_them(values: list[str]) -> None:
    template = "".join(f"{{{{ params.v[{index}] }}}}" for index in range(len(values)))
    made = rendered(template, v=values)
    assert not set(made) & {"<", ">"}
    assert mrkdwn.readable(made) == "".join(values)


@given(WRITTEN, st.data())
def test_values_add_no_markup_to_what_was_written(written: list[str], data: st.DataObject) -> None:
    """No more is alive than the author wrote, and nothing rings everybody that does not say so by itself."""
    text = "".join(written)
    values = data.draw(st.lists(NASTY, min_size=text.count("\0"), max_size=text.count("\0")))
    made = mrkdwn.composed(text, values)
    alive = LIVE.findall(made)
    assert len(alive) == made.count("<") == made.count(">") <= len(mrkdwn.markup(text))
    everybody = [each for each in alive if each in ("<!here>", "<!channel>", "<!everyone>")]
    assert len(everybody) == len(mrkdwn.calls_everybody(text))
    whole = made.replace("\0", "")
    assert mrkdwn.composed(whole, ()) == whole


@given(WRITTEN, st.integers(20, 80))
def test_a_beginning_tears_nothing(written: list[str], limit: int) -> None:
    made = mrkdwn.composed("".join(written).replace("\0", "x"), ())
    begins = mrkdwn.head(made, limit)
    assert len(begins) <= limit
    assert begins.count("<") == begins.count(">") == len(LIVE.findall(begins))
    assert not re.search(r"&(?!(amp|lt|gt);)", begins)


def test_a_beginning_closes_its_code() -> None:
    assert mrkdwn.head("a\n```\nb\nccccccccccccccccccc", 16) == "a\n```\nb\n```"


def test_markup_reads_as_text() -> None:
    made = rendered("*a* <@U0123ABC> <!subteam^S0123ABC> <!here> <#C0123ABC> <https://h.io/|the page> <mailto:a@h.io>")
    assert mrkdwn.readable(made) == "*a* @U0123ABC @S0123ABC @here #C0123ABC the page (https://h.io/) a@h.io"


@pytest.mark.parametrize("written", ["<|x>", "<|>", "a <|b|c> d"])
def test_what_names_nothing_reads_as_it_is_written(written: str) -> None:
    assert mrkdwn.readable(written) == written


@given(NASTY)
def test_any_text_can_be_read(text: str) -> None:
    """Also one that nobody composed: instructions come from wherever they were kept."""
    assert ("<" in mrkdwn.readable(f"{text}&lt;")) is True


def test_what_is_missing_or_too_much_is_an_error() -> None:
    with pytest.raises(ExpressionError, match="who"):
        rendered("<@{{ params.who }}>")
    with pytest.raises(ExpressionError, match="more than 262144"):
        rendered("{% for i in params.n %}{{ params.a }}{% endfor %}", n=[1] * 5, a="x" * 60_000)


def warnings(step: str) -> list[str]:
    text = f"apiVersion: runbook/v1\nid: demo\nname: Demo\nsteps:\n  - {step}\n"
    return [str(each) for each in load.examine(text.encode(), "f.yaml").warnings]


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("{id: a, type: message, with: {text: 'Down! <!channel>'}}", "`<!channel>` rings everybody"),
        ("{id: a, type: message, with: {text: 'See <@bob>'}}", "`<@bob>` is shown as text"),
        ("{id: a, type: message, with: {text: '<{{ execution.id }}|it>'}}", "`<{{ … }}|it>` is shown as text"),
        ("{id: a, type: message, with: {text: 'Hi <@U0123ABC>', as: file}}", "only text in a file"),
        ("{id: a, type: check, with: {that: 'execution.team is none', message: 'Ask <@U0123ABC>'}}", "as text here"),
        ("{id: a, type: manual, with: {instructions: 'Swap it, <!here>'}}", "`<!here>` rings everybody"),
        ("{id: a, type: approval, with: {approvers: {users: [U0123ABC]}, message: 'Ok <!here>?'}}", "as text here"),
    ],
)  # fmt: skip
def test_what_deserves_a_second_look(step: str, said: str) -> None:
    (warning,) = warnings(step)
    assert said in warning
    assert warning.startswith("f.yaml:5:")


def test_sound_markup_is_not_warned_of() -> None:
    assert (
        warnings(
            "{id: a, type: message, with: {text: '<@{{ execution.requester }}> <https://h.io/{{ execution.id }}|x>'}}"
        )
        == []
    )
