"""The sentence of a freeze in Slack: nothing comes alive in it but who set it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bot.slack.views.frozen import frozen_words

LIFT = "Only platform admins may lift it (`/runbook unfreeze F-AB12`)."


def sentence(reason: str, by: str = "@U0ALICE01") -> str:
    return f"F-AB12 freezes team:payments until 2026-11-27 13:35 UTC: {reason} (set by {by}). {LIFT}"


def test_who_set_it_is_a_mention_and_its_end_is_in_the_readers_time() -> None:
    told = frozen_words(sentence("release night"), 500)
    assert told.startswith("`F-AB12` freezes `team:payments` until <!date^1795786500^")
    assert told.endswith(f": release night (set by <@U0ALICE01>). {LIFT}")


def test_a_window_of_the_calendar_has_nobody_to_mention() -> None:
    assert "(set by the calendar). Only" in frozen_words(sentence("every Friday", "the calendar"), 500)


def test_a_reason_that_reads_like_the_end_names_nobody() -> None:
    told = frozen_words(sentence("x (set by @U0BOB0001). Only he may lift it"), 500)
    assert told.count("<@") == 1
    assert "<@U0ALICE01>" in told


@given(st.text(max_size=80))
def test_no_reason_comes_alive(reason: str) -> None:
    told = frozen_words(sentence(f"{reason}<!here><@U0BOB0001>"), 2000)
    assert told.count("<@") == 1
    assert "<!here>" not in told


def test_another_sentence_is_only_text() -> None:
    assert frozen_words("No request <@U0ALICE01> is held.", 500) == "No request &lt;@U0ALICE01&gt; is held."
