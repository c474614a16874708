"""What a gRPC server's messages look like, asked of the server itself by reflection, and JSON to messages and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.message import DecodeError, Message
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

from engine.definition.words import did_you_mean, listed

Json = Any

REFLECTION_PATHS = (
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
)
"""Newest first; both carry the same messages."""

MAX_FILES = 500
MAX_DEPTH = 64


class SchemaProblem(ValueError):
    """The server does not describe this method, or the message does not fit; the sentence says which."""


Ask = Callable[[bytes], bytes]
"""Sends one reflection request and gives the answer, both as bytes."""


@dataclass(frozen=True, slots=True)
class Method:
    """One unary method."""

    path: str
    descriptor: MethodDescriptor
    pool: descriptor_pool.DescriptorPool

    def encode(self, value: Json) -> bytes:
        """JSON to the request's bytes. Raises `SchemaProblem`."""
        message = message_factory.GetMessageClass(self.descriptor.input_type)()
        try:
            json_format.ParseDict(value, message, descriptor_pool=self.pool, max_recursion_depth=MAX_DEPTH)
            return message.SerializeToString()
        except (json_format.ParseError, ValueError, TypeError, AttributeError) as error:
            name = self.descriptor.input_type.full_name
            raise SchemaProblem(f"the message does not fit {name} ({error})") from error

    def decode(self, data: bytes) -> Json:
        """The answer's bytes to JSON, every plain field present (protobuf's JSON names). Raises `SchemaProblem`."""
        message: Message = message_factory.GetMessageClass(self.descriptor.output_type)()
        try:
            message.ParseFromString(data)
            return json_format.MessageToDict(
                message, always_print_fields_with_no_presence=True, descriptor_pool=self.pool
            )
        except (DecodeError, json_format.Error, ValueError, TypeError, RecursionError) as error:
            name = self.descriptor.output_type.full_name
            raise SchemaProblem(f"the answer is no {name} ({error})") from error


@dataclass(frozen=True, slots=True)
class Schema:
    """One service, with all the types it needs."""

    service: str
    pool: descriptor_pool.DescriptorPool

    def method(self, name: str) -> Method:
        """Raises `SchemaProblem` when there is no such unary method."""
        methods = self.pool.FindServiceByName(self.service).methods_by_name
        if name not in methods:
            advice = did_you_mean(name, methods) or (f"; there is {listed(sorted(methods)[:20])}" if methods else "")
            raise SchemaProblem(f"{self.service} has no method {name}{advice}")
        found = methods[name]
        if found.client_streaming or found.server_streaming:
            raise SchemaProblem(f"{self.service}/{name} is a stream; steps call unary methods only")
        return Method(f"/{self.service}/{name}", found, self.pool)


def fetch(service: str, ask: Ask) -> Schema:
    """Everything the server knows of the service's types. Raises `SchemaProblem`, and whatever `ask` raises."""
    files = {file.name: file for file in _files(ask, ServerReflectionRequest(file_containing_symbol=service), service)}
    while missing := {name for file in files.values() for name in file.dependency} - files.keys():
        name = min(missing)
        files.update((file.name, file) for file in _files(ask, ServerReflectionRequest(file_by_filename=name), name))
        if name not in files or len(files) > MAX_FILES:
            raise SchemaProblem(f"the server does not describe {service} in full: {name} is missing")
    pool = descriptor_pool.DescriptorPool()
    try:
        for file in _in_order(files):
            pool.AddSerializedFile(file.SerializeToString())
        pool.FindServiceByName(service)
    except (TypeError, KeyError, ValueError) as error:
        raise SchemaProblem(f"what the server says of {service} makes no sense ({error})") from error
    return Schema(service, pool)


def _files(ask: Ask, request: ServerReflectionRequest, wanted: str) -> list[FileDescriptorProto]:
    try:
        response = ServerReflectionResponse.FromString(ask(request.SerializeToString()))
        if response.HasField("error_response"):
            raise SchemaProblem(f"the server does not know {wanted} ({response.error_response.error_message})")
        found = response.file_descriptor_response.file_descriptor_proto
        return [FileDescriptorProto.FromString(each) for each in found]
    except DecodeError as error:
        raise SchemaProblem(f"what the server says of {wanted} cannot be read ({error})") from error


def _in_order(files: dict[str, FileDescriptorProto]) -> Iterable[FileDescriptorProto]:
    """Each file after those it imports."""
    waiting = {name: set(file.dependency) for name, file in files.items()}
    while waiting:
        ready = sorted(name for name, needs in waiting.items() if not needs & waiting.keys())
        if not ready:
            raise ValueError("its files import each other in a circle")
        for name in ready:
            del waiting[name]
            yield files[name]
