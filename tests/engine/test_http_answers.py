"""Answers as an author asks for them, packed and unpacked: what is read and told, and that no call is lost by it."""

from __future__ import annotations

import contextlib
import gzip
import json
import time
import tracemalloc
import zlib
from typing import Any

import brotli
import pytest
import zstandard
from harness import Harness, Target, http
from hypothesis import given
from hypothesis import strategies as st
from local_server import answer
from test_http_step import CANARY, outcome_of

from engine.steps import content_encoding, xml_answer
from engine.steps.content_encoding import decoded
from engine.steps.outcome import Failed, Outcome, Succeeded
from engine.text.redaction import Redactor
from storage.states import ExecutionStatus

MIB = 1024 * 1024
PACK = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


def outputs(outcome: Outcome) -> dict[str, Any]:
    assert isinstance(outcome, Succeeded), outcome
    found: dict[str, Any] = outcome.outputs
    return found


@given(body=st.binary(max_size=5_000), names=st.lists(st.sampled_from(sorted(PACK)), max_size=3))
def test_what_was_packed_is_read_as_it_was(body: bytes, names: list[str]) -> None:
    """Up to three encodings on top of each other are taken off in turn."""
    packed = body
    for name in names:
        packed = PACK[name](packed)
    assert decoded(packed, ", ".join(names).upper(), MIB) == content_encoding.Decoded(body)


@given(data=st.binary(min_size=1, max_size=300), name=st.sampled_from(sorted(PACK)), cut=st.integers(0, 300))
def test_garbage_and_cut_streams_are_told_of(data: bytes, name: str, cut: int) -> None:
    """Whatever comes, something is said about it or it was whole; nothing is raised."""
    for stream in (data, PACK[name](data)[:cut]):
        found = decoded(stream, name, MIB)
        assert found.whole == (found.warning == "")
        assert not stream or found.whole or "no whole" in found.warning or "encoded as" in found.warning
    whole = PACK[name](data * 50)
    assert not decoded(whole[: len(whole) // 2], name, MIB).whole


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_a_crowd_of_empty_members_takes_time_in_proportion(name: str) -> None:
    crowd = PACK[name](b"") * 200_000
    began = time.thread_time()
    assert decoded(crowd, name, MIB) == content_encoding.Decoded(b"")
    assert time.thread_time() - began < 3, "it held a worker's thread"


def test_members_follow_each_other() -> None:
    """gzip and zstd allow streams one after the other; a bare deflate is read too."""
    assert decoded(gzip.compress(b"one ") + gzip.compress(b"two") + b"\0" * 9, "gzip", MIB).body == b"one two"
    assert decoded(PACK["zstd"](b"one ") + PACK["zstd"](b"two"), "zstd", MIB).body == b"one two"
    bare = zlib.compressobj(wbits=-15)
    assert decoded(bare.compress(b"bare") + bare.flush(), "deflate", MIB).body == b"bare"
    broken = decoded(gzip.compress(b"one") + b"junk", "gzip", MIB)
    assert (broken.body, broken.whole) == (b"one", False)


@pytest.mark.parametrize("name", sorted(PACK))
def test_a_bomb_is_read_to_its_bound(name: str) -> None:
    """What grows beyond any use is cut off there, and never takes more memory than that."""
    bomb = PACK[name](b"\0" * (64 * MIB))
    decoded(bomb[:64], name, MIB)  # loads the library
    tracemalloc.start()
    found = decoded(bomb, name, MIB)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert not found.whole
    assert len(found.body) <= MIB
    assert peak < 8 * MIB
    twice = decoded(PACK[name](bomb), f"{name}, {name}", MIB)
    assert not twice.whole
    assert "only its beginning is kept" in twice.warning


@pytest.mark.parametrize("name", sorted(PACK))
def test_a_packed_answer_is_an_answer(name: str) -> None:
    """Redaction goes over what was packed; a success stays one, whatever its body is worth."""
    redactor = Redactor()
    redactor.add("lb_token", CANARY)
    body = json.dumps({"id": 7, "echo": CANARY}).encode()
    head = (f"Content-Encoding: {name}", "Content-Type: application/json")
    found = outcome_of(answer(PACK[name](body), "200 OK", *head), idempotent=False, redactor=redactor)
    assert outputs(found)["json"] == {"id": 7, "echo": "‹secret lb_token›"}
    for bad in (PACK[name](body * 40)[:-9], PACK[name](b"a" * (8 * MIB)), b"\xff\xff\xff junk"):
        outcome = outcome_of(answer(bad, "200 OK", *head), idempotent=False, redactor=redactor)
        assert outputs(outcome)["warning"]
        assert len(outputs(outcome)["text"]) <= 16 * 1024
        assert CANARY[:6] not in repr(outcome)


def test_an_encoding_that_is_not_known_is_told_of() -> None:
    """The call was made, so it does not fail; nothing of a body that cannot be read is shown."""
    for header in ("compress", "gzip, rot13", "gzip, gzip, gzip, gzip"):
        found = outputs(outcome_of(answer(b"xyz", "200 OK", f"Content-Encoding: {header}"), idempotent=False))
        assert found["text"] == ""
        assert "Content-Encoding is not read here" in found["warning"]
    failed = outcome_of(answer(gzip.compress(b'{"error": "no such host"}'), "404 Oops", "Content-Encoding: gzip"))
    assert isinstance(failed, Failed)
    assert "no such host" in failed.message


def read_as(form: str, body: bytes, *headers: str) -> dict[str, Any]:
    return outputs(outcome_of(answer(body, "200 OK", *headers), {"response_format": form}))


def test_an_author_says_what_an_answer_is() -> None:
    """Not its content type, but the step decides where it says so."""
    assert read_as("json", b"7")["json"] == 7
    assert read_as("text", b'{"a": 1}', "Content-Type: application/json")["text"] == '{"a": 1}'
    assert read_as("lines", b"one\r\ntwo\n\nfour")["lines"] == ["one", "two", "", "four"]
    xml = b'<hosts><host name="a">up</host><host name="b"/></hosts>'
    assert read_as("xml", xml)["xml"] == {"hosts": {"host": [{"@name": "a", "#text": "up"}, {"@name": "b"}]}}
    latin = '<?xml version="1.0" encoding="iso-8859-1"?><a>é</a>'.encode("latin-1")
    assert read_as("xml", latin)["xml"] == {"a": "é"}
    no_json = read_as("json", b"Gateway says hello")
    assert (no_json["text"], no_json["warning"]) == ("Gateway says hello", "The answer is no JSON.")


@pytest.mark.parametrize(
    "body",
    [
        '<!DOCTYPE a [<!ENTITY b "{lots}">]><a>&b;</a>',
        '<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;">]><a>&y;</a>',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/evil.dtd"><a/>',
        "<a>" * 40 + "</a>" * 40,
        "<a><b></a>",
        "",
        "no xml",
    ],
)
def test_hostile_xml_is_text_with_a_warning(body: str) -> None:
    """No DTD, no entities, no depth: the call was made, and its text is there."""
    found = read_as("xml", body.encode())
    assert "xml" not in found
    assert "is not read as XML" in found["warning"]
    assert "root:" not in found["text"]


def test_a_crowd_of_elements_is_refused() -> None:
    with pytest.raises(xml_answer.NotRead, match="more than 100000 elements"):
        xml_answer.parse("<a>" + "<b/>" * xml_answer.MAX_ELEMENTS + "</a>")


@given(st.text(max_size=60).map(lambda text: f"<a>{text}</a>"))
def test_xml_of_any_text_is_read_or_refused(text: str) -> None:
    """Nothing else than `NotRead` comes out of it."""
    with contextlib.suppress(xml_answer.NotRead):
        assert set(xml_answer.parse(text)) == {"a"}


@pytest.mark.parametrize("name", ["rot13", "zip", "bz2", "hex", "base64", "unicode_escape", "idna", "punycode", "what"])
def test_no_codec_that_is_no_charset_is_used(name: str) -> None:
    found = read_as("text", b"uryyb", f"Content-Type: text/plain; charset={name}")
    assert found["text"] == "uryyb"
    assert "is not known here" in found["warning"]


def test_outputs_choose_from_a_large_answer(harness: Harness, target: Target) -> None:
    """With `outputs` 8 MiB are read and what they name is kept; without, or above that, the step says what it kept."""
    body = json.dumps({"id": 7, "rows": ["x" * 1000] * 5_000}).encode()
    target.does["/large"] = [answer(body, "200 OK", "Content-Type: application/json")]
    target.does["/huge"] = [answer(b"[" + b"1," * (5 * MIB), "200 OK")]
    once = {"retry": {"max_attempts": 1}, "continue_on_error": True, "method": "POST"}
    mapped = {"outputs": {"id": "{{ response.json.id }}", "rows": "{{ response.json.rows | length }}"}}
    run = harness.begin(
        http("kept", target.url("/large"), **once, **mapped),
        http("whole", target.url("/large"), **once),
        http("huge", target.url("/huge"), **once, outputs={"status": "{{ response.status }}"}),
    )
    assert harness.run(run) is ExecutionStatus.SUCCESS
    kept, whole, huge = harness.step_runs(run)
    assert kept.outputs == {"id": 7, "rows": 5_000}
    assert (whole.error["code"], huge.error["code"]) == ("too_large", "too_large")
    assert "at most 8 MiB" in huge.error["message"]


def test_large_answers_have_few_places(harness: Harness, target: Target) -> None:
    """Where all places are taken and stay so, an answer is cut off, and the place of a step is free behind it."""
    target.does["/large"] = [answer(b"x" * (2 * MIB), "200 OK")]
    large = harness.egress.large_answers
    assert large._free._value == 2
    for _ in range(2):
        large._free.acquire()
    step = http("kept", target.url("/large"), outputs={"status": "{{ response.status }}"}, timeout="1s")
    run = harness.begin({**step, "continue_on_error": True, "retry": {"max_attempts": 1}})
    assert harness.run(run) is ExecutionStatus.SUCCESS
    assert harness.step_runs(run)[0].error["code"] == "too_large"
    large._free.release(2)
    again = harness.start("demo")
    assert harness.run(again) is ExecutionStatus.SUCCESS
    assert harness.step_runs(again)[0].outputs == {"status": 200}
    assert large._free._value == 2
