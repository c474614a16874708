"""The events of a run as the command line reads them from a stream."""

from __future__ import annotations

import json

import httpx
import pytest

from bot.cli.connect import Api, Happened, Unreachable


def told(answer: httpx.Response) -> list[Happened]:
    """What is read where a server answers so."""
    transport = httpx.MockTransport(lambda _: answer)
    with (
        httpx.Client(transport=transport, base_url="http://bot/api/v1/") as client,
        Api(client, "http://bot").events("R-7K2M9Q", 0) as events,
    ):
        return list(events)


def stream(text: str, kind: str = "text/event-stream; charset=utf-8") -> httpx.Response:
    return httpx.Response(200, headers={"content-type": kind}, content=text.encode())


def message(seq: int, **data: str) -> str:
    return f"id: {seq}\nevent: step.done\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"


def test_events_are_read_and_what_is_none_is_left_out() -> None:
    """A sign of life and the end have no number of their own."""
    text = ": still here\n\n" + message(3, a="b") + ": still here\n\n" + message(4) + "event: end\ndata: {}\n\n"
    assert told(stream(text)) == [Happened(3, {"a": "b"}), Happened(4, {})]


@pytest.mark.parametrize("odd", ["\u2028", "\u2029", "\x85"])
def test_a_character_that_some_take_for_the_end_of_a_line_is_text(odd: str) -> None:
    """A target's answer may hold any of them, and JSON need not escape it."""
    assert told(stream(message(3, note=f"one{odd}two"))) == [Happened(3, {"note": f"one{odd}two"})]


def test_a_run_that_has_ended_and_was_told_of_has_no_stream() -> None:
    """Nothing is read, and nothing is wrong."""
    assert told(httpx.Response(204)) == []


def test_who_answers_something_else_is_not_followed() -> None:
    """A page of some other server is not taken for a run in which nothing happens."""
    with pytest.raises(Unreachable, match=r"http://bot does not answer: .*text/event-stream.*text/html"):
        told(stream("<html>", "text/html"))
