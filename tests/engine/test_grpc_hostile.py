"""The grpc step against servers that describe their types, or answer, so as to do harm."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf import timestamp_pb2, wrappers_pb2
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from grpc_reflection.v1alpha.reflection_pb2 import (
    ErrorResponse,
    FileDescriptorResponse,
    ServerReflectionRequest,
    ServerReflectionResponse,
)
from grpc_server import MB, hostile_service
from hypothesis import given, settings
from hypothesis import strategies as st
from test_grpc_step import channels_to, run

from engine.egress import CallFailed
from engine.steps.grpc_files import MAX_EXTENSIONS, MAX_FILES, MAX_NAME_CHARS, MAX_PARTS, SchemaProblem
from engine.steps.grpc_schema import fetch
from engine.steps.grpc_weight import TooHeavy
from engine.steps.outcome import Abandoned, Failed

Files = list[FileDescriptorProto]
Kind = FieldDescriptorProto

SOON = 3.0
"""Seconds of a worker's thread that no answer may take; each took minutes, or gigabytes, without a limit."""


def answer_of(files: list[bytes]) -> bytes:
    return ServerReflectionResponse(
        file_descriptor_response=FileDescriptorResponse(file_descriptor_proto=files)
    ).SerializeToString()


def shop(name: str = "shop.proto", syntax: str = "proto3", **more: Any) -> FileDescriptorProto:
    """A file with `shop.v1.Orders/Cancel`, from and to `shop.v1.Order`, whose fields are the test's to add."""
    file = FileDescriptorProto(name=name, package="shop.v1", syntax=syntax, **more)
    file.message_type.add(name="Order")
    file.service.add(name="Orders").method.add(name="Cancel", input_type=".shop.v1.Order", output_type=".shop.v1.Order")
    return file


def add(file: FileDescriptorProto, kind: int, type_name: str = "", label: int = Kind.LABEL_REPEATED) -> None:
    order = file.message_type[0]
    number = len(order.field) + 1
    order.field.add(name=f"f{number}", number=number, type=kind, label=label, type_name=type_name or None)


def file_of(described: Any) -> FileDescriptorProto:
    return FileDescriptorProto.FromString(described.DESCRIPTOR.serialized_pb)


def many_files() -> list[bytes]:
    return [FileDescriptorProto(name=f"f{n}").SerializeToString() for n in range(45_000)]


def many_imports() -> list[bytes]:
    return [shop(dependency=[f"f{n}" for n in range(200_000)]).SerializeToString()]


def one(file: FileDescriptorProto, *others: FileDescriptorProto) -> list[bytes]:
    return [each.SerializeToString() for each in (file, *others)]


def many_values(count: int) -> list[bytes]:
    file = shop()
    values = file.enum_type.add(name="E").value
    for n in range(count):
        values.add(name=f"v{n}", number=n)
    return one(file)


def many_fields() -> list[bytes]:
    file = shop()
    for _ in range(MAX_PARTS):
        add(file, Kind.TYPE_INT32)
    return one(file)


def extensions() -> list[bytes]:
    file = shop(syntax="proto2")
    file.message_type[0].extension_range.add(start=1, end=500_000)
    for n in [*range(1, 18_000), 1]:
        file.extension.add(
            name=f"x{n}", number=n, type=Kind.TYPE_INT32, label=Kind.LABEL_OPTIONAL, extendee=".shop.v1.Order"
        )
    return one(file)


def deep_types() -> list[bytes]:
    file = shop()
    message = file.message_type[0]
    for _ in range(90):
        message = message.nested_type.add(name="n")
    return one(file)


def ten_thousand_deep() -> list[bytes]:
    raw = b""
    for _ in range(10_000):
        inner = b"\x0a\x01n" + raw
        raw = b"\x1a" + varint(len(inner)) + inner
    return [b"\x0a\x01x\x22" + varint(len(raw)) + raw]


def long_names() -> list[bytes]:
    file = shop()
    file.package = "p" * (MAX_NAME_CHARS + 1)
    return one(file)


def long_nested_names() -> list[bytes]:
    file = shop()
    message = file.message_type[0]
    for _ in range(40):
        message = message.nested_type.add(name="n" * 100)
    return one(file)


def long_chain() -> list[bytes]:
    """Types that lead from one to the next for longer than a library can follow."""
    file = shop()
    add(file, Kind.TYPE_MESSAGE, ".shop.v1.M0")
    for n in range(5_000):
        to = f".shop.v1.M{min(n + 1, 4_999)}"
        file.message_type.add(name=f"M{n}").field.add(name="f", number=1, type=Kind.TYPE_MESSAGE, label=1, type_name=to)
    return one(file)


def needing_any(*others: FileDescriptorProto) -> list[bytes]:
    file = shop(dependency=[each.name for each in others])
    add(file, Kind.TYPE_MESSAGE, ".google.protobuf.Timestamp")
    return one(file, *others)


def another_timestamp() -> list[bytes]:
    other = FileDescriptorProto(name="google/protobuf/timestamp.proto", package="google.protobuf", syntax="proto3")
    other.message_type.add(name="Timestamp").field.add(name="x", number=1, type=Kind.TYPE_STRING, label=1)
    return needing_any(other)


def timestamp_elsewhere() -> list[bytes]:
    other = file_of(timestamp_pb2)
    other.name = "mine.proto"
    return needing_any(other)


def timestamp_by_nesting() -> list[bytes]:
    other = FileDescriptorProto(name="mine.proto", package="google", syntax="proto3")
    other.message_type.add(name="protobuf").nested_type.add(name="Timestamp")
    return needing_any(other)


def a_wrapper_too_many() -> list[bytes]:
    other = file_of(wrappers_pb2)
    other.message_type.add(name="Mine")
    file = shop(dependency=[other.name])
    add(file, Kind.TYPE_MESSAGE, ".google.protobuf.Mine")
    return one(file, other)


def told_twice() -> list[bytes]:
    return one(shop(), shop(dependency=["other"]))


def defined_twice() -> list[bytes]:
    return one(shop(dependency=["b.proto"]), shop("b.proto"))


def message_set() -> list[bytes]:
    file = shop(syntax="proto2")
    file.message_type[0].options.message_set_wire_format = True
    file.message_type[0].extension_range.add(start=4, end=500)
    return one(file)


def unseen_names() -> list[bytes]:
    return one(shop(dependency=["a\x00\x1b[31m\u202eb"]))


def varint(value: int) -> bytes:
    data = b""
    while value > 127:
        data, value = data + bytes([value & 127 | 128]), value >> 7
    return data + bytes([value])


DESCRIPTIONS: list[tuple[Callable[[], list[bytes]], str]] = [
    (many_files, "more than 1,000 files"),
    (many_imports, "more than 1,000 files"),
    (lambda: many_values(100_000), "more than 50,000 types and fields"),
    (lambda: many_values(250_000), "more than 500,000 fields"),
    (many_fields, "more than 50,000 types and fields"),
    (extensions, "more than 1,000 extensions"),
    (ten_thousand_deep, "nested more than 100 deep"),
    (long_names, "a name of more than 512 letters"),
    (long_nested_names, "a name of more than 512 letters"),
    (long_chain, "does not fit shop.v1.Order"),
    (another_timestamp, "its google/protobuf/timestamp.proto is not protobuf's"),
    (timestamp_elsewhere, "it defines google.protobuf.Timestamp anew"),
    (timestamp_by_nesting, "it defines google.protobuf.Timestamp anew"),
    (a_wrapper_too_many, "its google/protobuf/wrappers.proto is not protobuf's"),
    (told_twice, "it tells shop.proto in two ways"),
    (defined_twice, "makes no sense (Couldn't build proto file"),
    (message_set, "Order is a message set"),
    (unseen_names, "a\\u0000\\u001b[31m\\u202eb is missing"),
    (lambda: [b"\x0a\x05sho"], "cannot be read"),
    (lambda: [b"\x0a\x01\x80"], "not UTF-8"),
    (lambda: [b"\x0a\x01a\x1a\x01\x80"], "not UTF-8"),
    (lambda: [b"\x0a\x01a\x22\x03\x0a\x01\x80"], "not UTF-8"),
    (lambda: [b"x" * 5 * MB], "more than 4 MiB"),
    (lambda: [b"\x22\x02\x12\x00" * 400_000], "too large"),
]


@pytest.mark.parametrize(("description", "told"), DESCRIPTIONS, ids=[each[1] for each in DESCRIPTIONS])
def test_a_description_that_does_harm(description: Callable[[], list[bytes]], told: str) -> None:
    """It fails soon, says what is wrong, and nothing was sent: nobody has to decide about an outcome."""
    files = description()

    def describe(question: ServerReflectionRequest) -> bytes:
        return answer_of(files if question.file_containing_symbol else [])

    with hostile_service(describe) as service, channels_to(service.port) as channels:
        started = time.thread_time()
        outcome = run(channels, service.target, idempotent=False, timeout_ms=20_000)
        assert time.thread_time() - started < SOON
    assert isinstance(outcome, Failed)
    assert outcome.message.startswith("Nothing was sent")
    assert told in outcome.message
    assert (outcome.code, outcome.retryable, service.called) == ("bad_request", False, 0)


def test_a_name_may_be_as_long_as_that() -> None:
    """To the letter: the service is called then."""
    file = shop()
    file.message_type.add(name="n" * (MAX_NAME_CHARS - len(file.package) - 1))
    with hostile_service(lambda _: answer_of(one(file))) as service, channels_to(service.port) as channels:
        run(channels, service.target, idempotent=False, timeout_ms=20_000)
    assert service.called == 1


def endless(question: ServerReflectionRequest) -> bytes:
    """Every file imports one that was not told of yet, beside a megabyte of nothing."""
    name = question.file_by_filename or "f"
    file = shop(name) if name == "f" else FileDescriptorProto(name=name)
    file.dependency.append(f"{name[:1]}{int(name[1:] or 0) + 1}")
    file.options.java_package = "x" * MB
    return answer_of(one(file))


def test_endless_imports_are_not_followed() -> None:
    """The bytes of all answers together are bounded, not those of each."""
    with hostile_service(endless) as service, channels_to(service.port) as channels:
        outcome = run(channels, service.target, idempotent=False)
    assert isinstance(outcome, Failed)
    assert "more than 4 MiB" in outcome.message
    assert (service.asked, service.called) == (4, 0)


def small_and_endless(question: ServerReflectionRequest) -> bytes:
    name = question.file_by_filename or "f"
    file = FileDescriptorProto(name=name, dependency=[f"f{int(name[1:] or 0) + 1}"])
    return answer_of(one(file))


def test_many_small_imports_are_not_followed() -> None:
    """At most a thousand files are asked for."""
    asked = 0

    def ask(question: bytes) -> bytes:
        nonlocal asked
        asked += 1
        return small_and_endless(ServerReflectionRequest.FromString(question))

    with pytest.raises(SchemaProblem, match="more than 1,000 files"):
        fetch("shop.v1.Orders", ask, lambda: None)
    assert asked <= MAX_FILES + 1


def test_a_thousand_files_are_fine() -> None:
    """Exactly as many as are allowed, all in one answer, none in the order of its imports."""
    files = [shop(dependency=["f1"])]
    files += [FileDescriptorProto(name=f"f{n}", dependency=[f"f{n + 1}"]) for n in range(1, MAX_FILES - 1)]
    files += [FileDescriptorProto(name=f"f{MAX_FILES - 1}")]
    schema = fetch("shop.v1.Orders", lambda _question: answer_of(one(*files)), lambda: None)
    assert schema.method("Cancel").path == "/shop.v1.Orders/Cancel"
    files[-1].dependency.append("one more")
    with pytest.raises(SchemaProblem, match="more than 1,000 files"):
        fetch("shop.v1.Orders", lambda _question: answer_of(one(*files)), lambda: None)


def test_as_many_parts_as_are_allowed() -> None:
    """One more is refused; so is one more extension."""
    file = shop(syntax="proto2")
    file.message_type[0].extension_range.add(start=1, end=5_000)
    for n in range(1, MAX_EXTENSIONS + 1):
        file.extension.add(
            name=f"x{n}", number=n, type=Kind.TYPE_INT32, label=Kind.LABEL_OPTIONAL, extendee=".shop.v1.Order"
        )
    values = file.enum_type.add(name="E").value
    for n in range(MAX_PARTS - MAX_EXTENSIONS - 5):  # five: the message, its range, the service, its method, the enum
        values.add(name=f"v{n}", number=n)
    fetch("shop.v1.Orders", lambda _question: answer_of(one(file)), lambda: None)
    values.add(name="more", number=MAX_PARTS)
    with pytest.raises(SchemaProblem, match="types and fields"):
        fetch("shop.v1.Orders", lambda _question: answer_of(one(file)), lambda: None)
    del values[1:]
    extra = file.extension.add(name="more", number=4_000, extendee=".shop.v1.Order")
    extra.type, extra.label = Kind.TYPE_INT32, Kind.LABEL_OPTIONAL
    with pytest.raises(SchemaProblem, match="extensions"):
        fetch("shop.v1.Orders", lambda _question: answer_of(one(file)), lambda: None)


def test_well_known_types_of_another_compiler_are_fine() -> None:
    """Options, JSON names and what a file's syntax is called differ from one compiler to the next."""
    other = file_of(timestamp_pb2)
    other.options.Clear()
    for field in other.message_type[0].field:
        field.json_name = field.name
    fetch("shop.v1.Orders", lambda _question: answer_of(needing_any(other)), lambda: None)


def test_the_deadline_holds_while_types_are_looked_at() -> None:
    """Between questions and between files; nothing was sent, so it may be tried again."""

    def slow(question: ServerReflectionRequest) -> bytes:
        time.sleep(0.02)
        return small_and_endless(question)

    with hostile_service(slow) as service, channels_to(service.port) as channels:
        started = time.monotonic()
        outcome = run(channels, service.target, idempotent=False, timeout_ms=300)
        assert time.monotonic() - started < 2
        assert isinstance(outcome, Failed)
        assert (outcome.code, outcome.retryable, service.called) == ("timeout", True, 0)
        assert outcome.message.startswith("Nothing was sent")
        outcome = run(channels, service.target, idempotent=False, abandoned=lambda: service.asked > 20)
        assert isinstance(outcome, Abandoned)


def test_time_is_looked_at_between_files() -> None:
    """Many files in one answer do not hold a thread past its deadline."""
    looked = 0

    def go_on() -> None:
        nonlocal looked
        looked += 1
        if looked == 500:
            raise CallFailed("timeout", "late")

    files = [shop().SerializeToString(), *(FileDescriptorProto(name=f"f{n}").SerializeToString() for n in range(900))]
    with pytest.raises(CallFailed):
        fetch("shop.v1.Orders", lambda _question: answer_of(files), go_on)


def test_an_unforeseen_failure_before_the_call_is_no_unknown_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever breaks while types are looked at, nothing was sent."""
    monkeypatch.setattr("engine.steps.grpc_schema.pool_of", lambda *_: {}["nothing"])
    with hostile_service(lambda _: b"") as service, channels_to(service.port) as channels:
        outcome = run(channels, service.target, idempotent=False)
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.retryable) == ("internal", True)
    assert outcome.message.startswith("Nothing was sent: the bot itself failed")


@settings(deadline=None)
@given(st.text(max_size=200))
def test_what_a_server_says_of_an_error_is_fit_to_be_shown(text: str) -> None:
    """No control character and nothing unseen comes through, and not more than a sentence of it."""
    error = ServerReflectionResponse(error_response=ErrorResponse(error_code=5, error_message=text))
    with pytest.raises(SchemaProblem) as told:
        fetch("shop.v1.Orders", lambda _question: error.SerializeToString(), lambda: None)
    assert str(told.value).isprintable()
    assert len(str(told.value)) < 700


def _orders() -> bytes:
    file = shop(dependency=["google/protobuf/timestamp.proto"])
    for kind, name in (
        (Kind.TYPE_STRING, ""),
        (Kind.TYPE_MESSAGE, ".google.protobuf.Timestamp"),
        (Kind.TYPE_INT64, ""),
    ):
        add(file, kind, name)
    return answer_of(one(file, file_of(timestamp_pb2)))


ORDERS = _orders()
EDITS = st.lists(st.tuples(st.integers(0, len(ORDERS) - 1), st.integers(0, 255)), max_size=6)


@settings(deadline=None)
@given(EDITS, st.binary(max_size=60))
def test_a_damaged_description_ends_in_a_sentence(edits: list[tuple[int, int]], data: bytes) -> None:
    """With any bytes of it changed, and any bytes as the answer, nothing else is raised."""
    damaged = bytearray(ORDERS)
    for place, byte in edits:
        damaged[place] = byte
    with contextlib.suppress(SchemaProblem, TooHeavy):
        method = fetch("shop.v1.Orders", lambda _question: bytes(damaged), lambda: None).method("Cancel")
        method.encode({"f1": ["x"], "f3": [1]})
        method.decode(data)
