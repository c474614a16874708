"""What an answer would become is known before anything is made of it."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from google.protobuf import (
    any_pb2,
    descriptor_pool,
    field_mask_pb2,
    json_format,
    message_factory,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from grpc_server import MB, POOL, Order, hostile_service
from hypothesis import given, settings
from hypothesis import strategies as st
from test_grpc_hostile import SOON, add, answer_of, file_of, one, shop, varint
from test_grpc_step import channels_to, run

from engine.steps.grpc_weight import MAX_UNPACKED_BYTES, Malformed, TooHeavy, weigh
from engine.steps.outcome import Failed, Succeeded

Kind = FieldDescriptorProto
KNOWN = (any_pb2, struct_pb2, timestamp_pb2, wrappers_pb2, field_mask_pb2)


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def wide(fields: int, label: int = Kind.LABEL_REPEATED) -> FileDescriptorProto:
    """An `Order` that holds many of a type with many fields."""
    file = shop()
    add(file, Kind.TYPE_MESSAGE, ".shop.v1.Wide")
    inner: DescriptorProto = file.message_type.add(name="Wide")
    for n in range(1, fields + 1):
        inner.field.add(name=f"f{n}", number=n, type=Kind.TYPE_MESSAGE, label=label, type_name=".shop.v1.Order")
    return file


def with_known() -> FileDescriptorProto:
    file = shop(dependency=[each.DESCRIPTOR.name for each in KNOWN])
    for name in ("Any", "ListValue", "Value", "FieldMask", "Int64Value", "Struct"):
        add(file, Kind.TYPE_MESSAGE, f".google.protobuf.{name}")
    return file


def plain(kind: int, type_name: str = "") -> FileDescriptorProto:
    file = shop()
    colour = file.enum_type.add(name="Colour")
    colour.value.add(name="N" * 480, number=0)
    add(file, kind, type_name)
    return file


def nested_any(levels: int, held: bytes) -> bytes:
    for _ in range(levels):
        held = field(1, b"t/google.protobuf.Any") + field(2, held)
    return held


def groups() -> FileDescriptorProto:
    file = shop(syntax="proto2")
    order = file.message_type[0]
    group = order.nested_type.add(name="Part")
    for n in range(1, 1_000):
        group.field.add(name=f"f{n}", number=n, type=Kind.TYPE_STRING, label=Kind.LABEL_OPTIONAL)
    group.extension_range.add(start=2_000, end=3_000)
    order.field.add(
        name="part", number=1, type=Kind.TYPE_GROUP, label=Kind.LABEL_REPEATED, type_name=".shop.v1.Order.Part"
    )
    file.extension.add(
        name="more",
        number=2_000,
        type=Kind.TYPE_MESSAGE,
        label=Kind.LABEL_REPEATED,
        type_name=".shop.v1.Order.Part",
        extendee=".shop.v1.Order.Part",
    )
    return file


ANSWERS: list[tuple[str, FileDescriptorProto, bytes]] = [
    ("keys", wide(1_000), field(1, b"") * 1_000),
    ("memory", wide(2_000, Kind.LABEL_OPTIONAL), field(1, b"") * 80_000),
    ("empty messages", wide(1), field(1, b"") * 2 * MB),
    ("numbers", plain(Kind.TYPE_INT64), field(1, b"\0" * 4_000_000)),
    ("fixed", plain(Kind.TYPE_FIXED32), field(1, b"\0" * 4_000_000)),
    ("enum", plain(Kind.TYPE_ENUM, ".shop.v1.Colour"), field(1, b"\0" * 4_000_000)),
    ("unpacked", plain(Kind.TYPE_BOOL), b"\x08\0" * 2_000_000),
    ("unknown", shop(), b"\x08\0" * 2_000_000),
    ("bytes", plain(Kind.TYPE_BYTES), field(1, b"\0" * 4_000_000)),
    ("anys", with_known(), field(1, b"") * 2_000_000),
    (
        "an any of much",
        with_known(),
        field(1, field(1, b"t/google.protobuf.StringValue") + field(2, field(1, b"x" * 4_000_000))),
    ),
    ("any in any", with_known(), field(1, nested_any(500, field(5, b"x" * 100_000)))),
    (
        "list",
        with_known(),
        field(1, field(1, b"t/google.protobuf.ListValue") + field(2, field(1, b"") * 1_900_000)),
    ),
    ("list by itself", with_known(), field(2, field(1, b"") * 1_900_000)),
    ("mask", with_known(), field(4, field(1, b"") * 1_900_000)),
    ("struct", with_known(), field(6, field(1, b"") * 1_900_000)),
    ("groups", groups(), b"\x0b\x0c" * 2_000_000),
    ("extensions", groups(), b"\x0b" + field(2_000, b"") * 1_000_000 + b"\x0c"),
]


@pytest.mark.parametrize(("file", "data"), [each[1:] for each in ANSWERS], ids=[each[0] for each in ANSWERS])
def test_an_answer_that_would_be_too_much(file: FileDescriptorProto, data: bytes) -> None:
    """The call was made and answered: it failed, and says why, and nobody has to decide."""
    files = one(file, *(file_of(each) for each in KNOWN))
    with hostile_service(lambda _: answer_of(files), data) as service, channels_to(service.port) as channels:
        started = time.thread_time()
        outcome = run(channels, service.target, idempotent=False, timeout_ms=20_000)
        assert time.thread_time() - started < SOON
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.retryable, service.called) == ("too_large", False, 1)
    assert outcome.message.startswith("The call was made, but the answer is too large")


def test_an_any_in_two_halves_is_refused() -> None:
    """protobuf merges messages: the type from one half, and the bytes from the other."""
    halves = field(3, field(1, b"t/shop.v1.Wide")) + field(3, field(2, field(1, b"") * 100))
    file = wide(100)
    file.dependency.append("google/protobuf/any.proto")
    add(file, Kind.TYPE_INT32)
    add(file, Kind.TYPE_MESSAGE, ".google.protobuf.Any", Kind.LABEL_OPTIONAL)
    files = one(file, file_of(any_pb2))
    with hostile_service(lambda _: answer_of(files), halves) as service, channels_to(service.port) as channels:
        outcome = run(channels, service.target, idempotent=False)
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.retryable) == ("protocol", False)
    assert "holds twice what may be there once" in outcome.message


@pytest.mark.parametrize("data", [b"\x0a", b"\x0a\x05a", b"\x0b", b"\x0c", b"\x0f", b"\xff" * 12, b"\x0d\0"])
def test_garbage_is_no_answer(data: bytes) -> None:
    """The call was made: it failed, whatever came back."""
    with (
        hostile_service(lambda _: answer_of(one(plain(Kind.TYPE_STRING))), data) as service,
        channels_to(service.port) as channels,
    ):
        outcome = run(channels, service.target, idempotent=False)
    assert isinstance(outcome, Failed)
    assert outcome.code == "protocol"


def test_unknown_fields_and_groups_are_skipped() -> None:
    """A newer server may tell of more than it described."""
    data = b"\x13\x08\x01\x1b\x1c\x14" + field(9, b"new") + field(1, b"told")
    with (
        hostile_service(lambda _: answer_of(one(plain(Kind.TYPE_STRING))), data) as service,
        channels_to(service.port) as channels,
    ):
        outcome = run(channels, service.target)
    assert isinstance(outcome, Succeeded)
    assert outcome.outputs["json"] == {"f1": ["told"]}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=4),
    max_leaves=20,
)
ORDERS = st.fixed_dictionaries(
    {},
    optional={
        "orderId": st.text(max_size=5),
        "count": st.integers(-(2**63), 2**63 - 1),
        "extra": st.dictionaries(st.text(max_size=2), JSON, max_size=5),
        "tags": st.lists(st.text(max_size=3), max_size=9),
        "colour": st.sampled_from(["NONE", "RED"]),
        "blob": st.sampled_from(["", "AAE=", "AAECAwQFBgcICQoL"]),
        "at": st.sampled_from(["2026-01-02T03:04:05Z", "1970-01-01T00:00:00Z"]),
    },
)


@settings(deadline=None)
@given(ORDERS)
def test_nothing_that_fits_is_refused(order: dict[str, Any]) -> None:
    """The weight is never more than the JSON's own size."""
    message = json_format.ParseDict(order, Order(), descriptor_pool=POOL)
    written = json_format.MessageToDict(message, always_print_fields_with_no_presence=True, descriptor_pool=POOL)
    size = len(json.dumps(written, ensure_ascii=False, separators=(",", ":")).encode())
    weigh(message.SerializeToString(), Order.DESCRIPTOR, POOL, max_json=size)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["Struct", "ListValue", "Value", "Int64Value", "StringValue"]), JSON)))
def test_nothing_special_that_fits_is_refused(values: list[tuple[str, Any]]) -> None:
    """Nor is it for what protobuf writes in ways of its own."""
    pool = descriptor_pool.Default()
    written, data = [], b""
    holder = any_pb2.Any()
    for name, value in values:
        kind = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"google.protobuf.{name}"))
        try:
            message = json_format.ParseDict(value, kind())
        except (json_format.ParseError, TypeError, ValueError):
            continue
        holder.Pack(message)
        written.append(json_format.MessageToDict(holder))
        data += field(1, holder.SerializeToString())
    file = shop("anys.proto", dependency=["google/protobuf/any.proto"])
    file.package = "anys.v1"
    del file.service[:]
    add(file, Kind.TYPE_MESSAGE, ".google.protobuf.Any")
    size = len(json.dumps({"f1": written}, ensure_ascii=False, separators=(",", ":")).encode())
    weigh(data, _described(file), pool, max_json=size)


def _described(file: FileDescriptorProto) -> Any:
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(any_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return pool.FindMessageTypeByName(f"{file.package}.Order")


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_have_a_weight_or_are_none(data: bytes) -> None:
    """Nothing else is raised; and what protobuf can read, and holds no half twice, is weighed."""
    try:
        weigh(data, Order.DESCRIPTOR, POOL, max_json=MAX_UNPACKED_BYTES)
    except (TooHeavy, Malformed):
        return
