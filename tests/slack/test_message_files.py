"""What `message` steps say: markup of their authors, and files. Whatever Slack does, the run and its thread go on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from stage import ALICE, CAROL, CHANNEL, OTHER_CHANNEL, Stage, ready, stage, wait_for

from engine.runs import executions

TOP = "apiVersion: runbook/v1\nid: {0}\nname: A runbook for {0}\n"
PARAMETERS = "parameters: {type: object, properties: {text: {type: string, default: hello}}}\n"
LONG = "{% for each in [" + ",".join(["0"] * 600) + "] %}line {{ loop.index }}\\n{% endfor %}"
BOOKS = {
    "marked": '{text: "<!subteam^S0ONCALL> <{{ params.text }}> {{ params.text }}"}',
    "long": f'{{text: "<@U0ALICE01>, look:\\n{LONG}"}}',
    "filed": '{text: "{{ params.text }} <@U0ALICE01>", as: file}',
    "aside": '{text: "{{ params.text }}", as: file, channel: C0GENERAL, thread: false}',
    "nowhere": '{text: "{{ params.text }}", as: file, channel: C0PRIVATE, thread: false}',
}


@pytest.fixture(scope="module")
def bot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("messages"), socket_mode=False) as running:
        for slug, with_ in BOOKS.items():
            text = f"{TOP.format(slug)}{PARAMETERS}steps:\n  - {{id: tell, type: message, with: {with_}}}\n"
            (running.rt.settings.runbooks_dir / f"{slug}.yaml").write_text(text)
        ready(running)
        for slug in BOOKS:
            assert "is approved" in running.say(f"admin approve {slug}@1", ALICE)
        yield running


@pytest.fixture(autouse=True)
def calm(bot: Stage) -> Iterator[None]:
    yield
    bot.http.delete("faults")


def told(bot: Stage, run: str) -> list[dict[str, Any]]:
    """The thread of a run, once its end is told there."""
    ts = wait_for(lambda: bot.card(run))["ts"]
    return wait_for(
        lambda: "Succeeded" in "".join(bot.in_thread(ts)) and bot.messages(channel=CHANNEL, thread_ts=ts), 30
    )


def files(messages: list[dict[str, Any]]) -> list[str]:
    """What the files that were shared hold."""
    addresses = [file["url_private"] for each in messages for file in each.get("files") or []]
    return [httpx.get(address, trust_env=False).text for address in addresses]


def words(messages: list[dict[str, Any]]) -> str:
    return "\n".join(str(each.get("blocks")) + each.get("text", "") for each in messages)


def test_an_author_mentions_and_a_value_does_not(bot: Stage) -> None:
    said = words(told(bot, bot.start('run marked text="!channel"')))
    assert "<!subteam^S0ONCALL> &lt;!channel&gt; !channel" in said
    assert "<!channel>" not in said


def test_a_long_text_is_a_file_below_its_beginning(bot: Stage) -> None:
    """Once, and whole."""
    thread = told(bot, bot.start("run long"))
    (text,) = files(thread)
    assert text.splitlines()[0] == "@U0ALICE01, look:"
    assert text.splitlines()[-1] == "line 600"
    said = words(thread)
    assert "<@U0ALICE01>, look:" in said
    assert "says it in the file below" in said
    assert "line 599" not in said


def test_a_file_may_be_asked_for(bot: Stage) -> None:
    """Markup is readable text in it."""
    thread = told(bot, bot.start('run filed text="for the record"'))
    assert files(thread) == ["for the record @U0ALICE01"]
    assert "<@U0ALICE01>" not in words([each for each in thread if "says it in" in words([each])])


def test_a_file_in_another_channel_stands_below_its_message(bot: Stage) -> None:
    told(bot, bot.start('run aside text="over there"'))
    posted = bot.find(lambda each: "says it in the file" in words([each]), channel=OTHER_CHANNEL)
    assert posted
    assert files(bot.messages(channel=OTHER_CHANNEL, thread_ts=posted["ts"])) == ["over there"]


def test_where_the_bot_is_not_the_file_is_in_the_runs_thread(bot: Stage) -> None:
    thread = told(bot, bot.start('run nowhere text="kept here"'))
    assert "could not be posted in" in words(thread)
    assert files(thread) == ["kept here"]


@pytest.mark.parametrize("method", ["files.getUploadURLExternal", "files.completeUploadExternal"])
def test_a_file_that_slack_refuses_is_said_to_be_missing(bot: Stage, method: str) -> None:
    """Nobody waits for it: the run ends, its thread goes on, and the log of the step has all of it."""
    bot.post("faults", method=method, kind="error:missing_scope", times=500)
    run = bot.start(f'run filed text="all of it, {method}"')
    thread = told(bot, run)
    assert files(thread) == []
    assert "could not be shared as a file (`missing_scope`)" in words(thread)
    assert words(thread).count("says it in the file below") == 2  # its block, and the text beside it
    assert f"all of it, {method}" in bot.say(f"logs {run} tell", CAROL)


def test_a_file_whose_answer_was_lost_is_there_once(bot: Stage) -> None:
    """The message is not posted again with it either."""
    bot.post("faults", method="files.completeUploadExternal", kind="reset_after_commit", times=1)
    thread = told(bot, bot.start('run filed text="only once"'))
    assert files(thread) == ["only once @U0ALICE01"]
    assert words(thread).count("says it in the file below") == 2


def test_a_file_that_had_to_wait_comes(bot: Stage) -> None:
    """A limit is waited for, and the run has ended long before."""
    bot.post("faults", method="files.getUploadURLExternal", kind="429", times=1, retry_after=2)
    run = bot.start('run filed text="a little later"')
    wait_for(lambda: executions.find(bot.rt, run).status == "SUCCESS")
    assert files(told(bot, run)) == ["a little later @U0ALICE01"]
