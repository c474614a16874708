"""What a `message` step leaves behind: markup for Slack, text for others, a file where it is long, and no secret."""

from __future__ import annotations

import json
from typing import Any

from harness import CAROL, Harness

from engine.queries import evidence, messages
from engine.runs import executions
from engine.steps import message
from engine.steps.outcome import Failed, Posted
from engine.text.redaction import Redactor
from storage.records import EventRecord


def said(harness: Harness, **with_: Any) -> tuple[str, EventRecord]:
    """The run of one message step, and the event that tells what it says."""
    run = harness.begin({"id": "tell", "type": "message", "with": with_})
    harness.run(run)
    (event,) = [each for each in harness.events(run) if each.kind == "message"]
    return run, event


def test_a_short_message_is_markup_and_text(harness: Harness) -> None:
    """A template's own name is a value, which mentions nobody."""
    run, event = said(
        harness, text="<!subteam^S0ONCALL>: {{ runbook.name ~ '<!here>' }} in <https://h.io/{{ execution.id }}|it>"
    )
    assert event.data["said"].startswith("<!subteam^S0ONCALL>: ")
    assert "<!here>" not in event.data["said"]
    assert event.data["said"].endswith(f"&lt;!here&gt; in <https://h.io/{run}|it>")
    assert event.data["text"].endswith(f"<!here> in it (https://h.io/{run})")
    assert event.data["text"] == harness.step(run, "tell").outputs["text"]
    assert not event.data["file"]


def test_plain_text_needs_no_markup(harness: Harness) -> None:
    _, event = said(harness, text="1 < 2 & {{ '<!here>' }}")
    assert (event.data["text"], event.data["said"]) == ("1 < 2 & <!here>", "")


def test_a_long_message_is_a_file_that_is_kept_whole(harness: Harness) -> None:
    """Its beginning is said, mentions and all; the try keeps every character."""
    numbers = ", ".join(["0"] * 100)
    lines = f"{{% for each in [{numbers}] %}}{'x' * 40} & {{{{ loop.index }}}}\n{{% endfor %}}"
    run, event = said(harness, text=f"Look, <!subteam^S0ONCALL>:\n{lines}")
    assert event.data["file"]
    assert event.data["said"].startswith("Look, <!subteam^S0ONCALL>:\nxxx")
    assert len(event.data["said"]) <= message.HEAD
    text = messages.file_text(harness.rt, executions.view(harness.rt, run), event)
    assert text.startswith("Look, @S0ONCALL:\n")
    assert text.endswith(f"{'x' * 40} & 100")
    assert harness.attempts(run, "tell")[-1].request == {"body": text}
    assert f"{'x' * 40} & 100" in json.dumps(evidence.bundle(harness.rt, CAROL, run))
    assert len(harness.step(run, "tell").outputs["text"]) == message.MAX_CHARS


def test_a_message_may_be_a_file_though_it_is_short(harness: Harness) -> None:
    run, event = said(harness, text="a <@U0ALICE01>", **{"as": "file"})
    assert (event.data["said"], event.data["file"]) == ("", True)
    assert messages.file_text(harness.rt, executions.view(harness.rt, run), event) == "a @U0ALICE01"


def test_no_secret_is_in_a_message_or_its_file() -> None:
    """Also where it has signs that markup writes otherwise, stands in a link, or is put together by its marks."""
    redactor = Redactor()
    redactor.add("token", "cAn4ry<&>token")
    for text in (
        "cAn4ry&lt;&amp;&gt;token",
        "<https://h.io/cAn4ry%3C%26%3Etoken|x>",
        "<https://h.io/|cAn4ry&lt;&amp;&gt;token>",
    ):
        for with_ in ({"text": text}, {"text": text + " y" * 2_000}, {"text": text, "as": "file"}):
            outcome = message.run(dict(with_), redact=redactor.redact_json)
            assert isinstance(outcome, Posted)
            assert "cAn4ry" not in f"{outcome.text}{outcome.said}{outcome.file}"
            assert "‹secret token›" in outcome.text


def test_more_than_a_step_keeps_is_refused() -> None:
    """Nothing of a text is left out in silence."""
    outcome = message.run({"text": "ü" * 140_000}, redact=lambda value: value)
    assert outcome == Failed("too_large", "The text has 140,000 characters, and a message of at most 256 KiB is kept.")


def test_a_loop_may_be_about_files(harness: Harness) -> None:
    """`as` of a message is no name of a round: it clashes with none."""
    steps = [{"id": "tell", "type": "message", "with": {"text": "{{ file }}", "as": "file"}}]
    run = harness.begin({"id": "each", "type": "loop", "with": {"items": ["a.txt"], "as": "file", "steps": steps}})
    assert harness.run(run) == "SUCCESS"
    assert harness.step(run, "each[0].tell").outputs == {"text": "a.txt"}
