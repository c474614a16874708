"""A server's description of its types: files asked for by reflection, counted and checked before they become types.

What a server says is bounded three times over: in files, in bytes, and in what the bytes would become. All of it takes
time in proportion to its size, and between any two files somebody looks whether the time is up.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from graphlib import CycleError, TopologicalSorter
from typing import Any

from google.protobuf import (
    any_pb2,
    descriptor_pool,
    duration_pb2,
    empty_pb2,
    field_mask_pb2,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FileDescriptorProto,
    ServiceDescriptorProto,
)
from google.protobuf.message import DecodeError
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

from engine.steps.grpc_weight import Malformed, TooHeavy, weigh
from engine.text.redaction import cut
from storage.records import Json

MAX_FILES = 1_000
MAX_BYTES = 4 * 1024 * 1024
"""Of all answers to one step's questions together."""

MAX_PARTS = 50_000
"""Messages, fields, enums, their values, services and methods in all files together."""

MAX_EXTENSIONS = 1_000
"""protobuf takes time with the square of their number when it turns a file down."""

MAX_NAME_CHARS = 512
"""Of a full name. protobuf keeps each in full, so that long packages would be multiplied by what is in them."""

_KNOWN = (any_pb2, duration_pb2, empty_pb2, field_mask_pb2, struct_pb2, timestamp_pb2, wrappers_pb2)
_KNOWN_FILES: dict[str, FileDescriptorProto] = {
    each.DESCRIPTOR.name: FileDescriptorProto.FromString(each.DESCRIPTOR.serialized_pb) for each in _KNOWN
}
_KNOWN_TYPES = {
    f"google.protobuf.{each.name}": name for name, file in _KNOWN_FILES.items() for each in file.message_type
}


class SchemaProblem(ValueError):
    """The server does not describe this method, or the message does not fit; the sentence says which."""


Ask = Callable[[bytes], bytes]
"""Sends one reflection request and gives the answer, both as bytes."""


def shown(name: str) -> str:
    """A name from a server, fit for a sentence: short, on one line, and nothing in it that cannot be seen."""
    return cut("".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in name), 100)


def pool_of(service: str, ask: Ask, go_on: Callable[[], None]) -> Any:
    """A `DescriptorPool` of everything that the server knows of the service's types.

    Raises `SchemaProblem`, and whatever `ask` and `go_on` raise; `go_on` is called between files.
    """
    files = _Files(service, ask, go_on)
    files.gather()
    pool = descriptor_pool.DescriptorPool()
    try:
        for name in TopologicalSorter(files.needs).static_order():
            go_on()
            pool.AddSerializedFile(files.raw[name])
        pool.FindServiceByName(service)
    except CycleError as error:
        raise files.nonsense("its files import each other in a circle") from error
    except (TypeError, KeyError, ValueError, RecursionError) as error:
        raise files.nonsense(str(error)) from error
    for full_name, home in _KNOWN_TYPES.items():
        if _home(pool, full_name) not in (None, home):
            raise files.nonsense(f"it defines {full_name} anew")
    return pool


def _home(pool: Any, full_name: str) -> str | None:
    try:
        return str(pool.FindMessageTypeByName(full_name).file.name)
    except KeyError:
        return None


_CONTAINERS = (DescriptorProto, EnumDescriptorProto, ServiceDescriptorProto)
Container = FileDescriptorProto | DescriptorProto | EnumDescriptorProto | ServiceDescriptorProto


class _Files:
    """What the server has told so far."""

    def __init__(self, service: str, ask: Ask, go_on: Callable[[], None]) -> None:
        self.raw: dict[str, bytes] = {}
        self.needs: dict[str, list[str]] = {}
        self._service = service
        self._ask = ask
        self._go_on = go_on
        self._wanted: dict[str, None] = {}
        self._bytes = self._parts = self._extensions = 0

    def nonsense(self, why: str) -> SchemaProblem:
        return SchemaProblem(f"what the server says of {self._service} makes no sense ({shown(why)})")

    def gather(self) -> None:
        """Ask for the service's file, and for every file that is imported, until none is missing."""
        self._take(ServerReflectionRequest(file_containing_symbol=self._service), self._service)
        while self._wanted:
            name = next(iter(self._wanted))
            self._take(ServerReflectionRequest(file_by_filename=name), name)
            if name not in self.raw:
                missing = f"{shown(name)} is missing"
                raise SchemaProblem(f"the server does not describe {self._service} in full: {missing}")

    def _take(self, request: ServerReflectionRequest, wanted: str) -> None:
        self._go_on()
        answer = self._ask(request.SerializeToString())
        self._bytes += len(answer)
        if self._bytes > MAX_BYTES:
            raise self._too_much(f"{MAX_BYTES // 1024 // 1024} MiB")
        response = _read(ServerReflectionResponse, answer, wanted)
        if response.HasField("error_response"):
            told = shown(response.error_response.error_message)
            raise SchemaProblem(f"the server does not know {shown(wanted)} ({told})")
        for raw in response.file_descriptor_response.file_descriptor_proto:
            self._go_on()
            self._add(raw, wanted)

    def _add(self, raw: bytes, wanted: str) -> None:
        if len(self.raw) + len(self._wanted) > MAX_FILES:
            raise self._too_much(f"{MAX_FILES:,} files")
        file: FileDescriptorProto = _read(FileDescriptorProto, raw, wanted)
        self._check_names(file.name, file.package, *file.dependency)
        if file.name in self.raw:
            if self.raw[file.name] != raw:
                raise self.nonsense(f"it tells {shown(file.name)} in two ways")
            return
        self._count(file)
        if file.name in _KNOWN_FILES and _outline(file) != _outline(_KNOWN_FILES[file.name]):
            raise self.nonsense(f"its {file.name} is not protobuf's")
        self.raw[file.name], self.needs[file.name] = raw, list(file.dependency)
        self._wanted.pop(file.name, None)
        for name in file.dependency:
            if name not in self.raw:
                self._wanted[name] = None

    def _check_names(self, *names: str | bytes) -> None:
        """Refuse a name that is no text: protobuf gives bytes for one that is not UTF-8."""
        if any(isinstance(name, bytes) for name in names):
            raise self.nonsense("it has a name that is not UTF-8")

    def _count(self, file: FileDescriptorProto) -> None:
        if len(file.dependency) > MAX_FILES:
            raise self._too_much(f"{MAX_FILES:,} files")
        waiting: list[tuple[int, Container]] = [(len(file.package), file)]
        while waiting:
            before, one = waiting.pop()
            self._count_parts(one)
            for each in (each for several in _parts(one) for each in several):
                own, json_name = getattr(each, "name", ""), getattr(each, "json_name", "")
                self._check_names(own, json_name)
                length = before + 1 + len(own)
                if max(length, len(json_name)) > MAX_NAME_CHARS:
                    raise self.nonsense(f"it has a name of more than {MAX_NAME_CHARS} letters")
                if isinstance(each, _CONTAINERS):
                    waiting.append((length, each))

    def _count_parts(self, one: Container) -> None:
        self._parts += sum(map(len, _parts(one)))
        if self._parts > MAX_PARTS:
            raise self._too_much(f"{MAX_PARTS:,} types and fields")
        if isinstance(one, FileDescriptorProto | DescriptorProto):
            self._extensions += len(one.extension)
        if self._extensions > MAX_EXTENSIONS:
            raise self._too_much(f"{MAX_EXTENSIONS:,} extensions")
        if isinstance(one, DescriptorProto) and one.options.message_set_wire_format:
            raise self.nonsense(f"{one.name} is a message set")

    def _too_much(self, what: str) -> SchemaProblem:
        return SchemaProblem(f"the server describes {self._service} with more than {what}")


def _read(kind: Any, raw: bytes, wanted: str) -> Any:
    try:
        weigh(raw, kind.DESCRIPTOR, descriptor_pool.Default(), max_json=sys.maxsize)
        return kind.FromString(raw)
    except TooHeavy as error:
        raise SchemaProblem(f"what the server says of {shown(wanted)} is too large: {error}") from error
    except (DecodeError, Malformed) as error:
        raise SchemaProblem(f"what the server says of {shown(wanted)} cannot be read ({error})") from error


def _parts(one: Container) -> tuple[Any, ...]:
    """The lists of what stands in a file, message, enum or service."""
    match one:
        case FileDescriptorProto():
            return one.message_type, one.enum_type, one.service, one.extension
        case DescriptorProto():
            inner = (one.nested_type, one.enum_type, one.field, one.extension, one.oneof_decl)
            return (*inner, one.extension_range, one.reserved_range, one.reserved_name)
        case EnumDescriptorProto():
            return one.value, one.reserved_range, one.reserved_name
        case _:
            return (one.method,)


def _outline(one: FileDescriptorProto | DescriptorProto) -> Json:
    """What makes types the same, whoever compiled them and with which options."""
    inner = one.message_type if isinstance(one, FileDescriptorProto) else one.nested_type
    fields = () if isinstance(one, FileDescriptorProto) else one.field
    return (
        one.package if isinstance(one, FileDescriptorProto) else one.name,
        [(each.name, each.number, each.label, each.type, each.type_name) for each in fields],
        [[each.name, *((value.name, value.number) for value in each.value)] for each in one.enum_type],
        [_outline(each) for each in inner],
    )
