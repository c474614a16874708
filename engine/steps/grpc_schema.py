"""What a gRPC server's messages look like, asked of the server itself by reflection, and JSON to messages and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from engine.steps.grpc_files import Ask, SchemaProblem, pool_of, shown
from engine.steps.grpc_weight import TooHeavy, weigh
from engine.text.storable import MAX_BYTES
from engine.text.words import did_you_mean, listed
from storage.records import Json

REFLECTION_PATHS = (
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
)
"""Newest first; both carry the same messages."""

MAX_DEPTH = 64
MAX_NAMED_METHODS = 50
"""Compared with a name that is not there, and told."""


@dataclass(frozen=True, slots=True)
class Method:
    """One unary method."""

    path: str
    descriptor: MethodDescriptor
    pool: descriptor_pool.DescriptorPool

    def encode(self, value: Json) -> bytes:
        """JSON to the request's bytes. Raises `SchemaProblem`."""
        try:
            message = message_factory.GetMessageClass(self.descriptor.input_type)()
            json_format.ParseDict(value, message, descriptor_pool=self.pool, max_recursion_depth=MAX_DEPTH)
            return message.SerializeToString()
        except Exception as error:  # what a server calls types can make the library fail in any way
            name = self.descriptor.input_type.full_name
            raise SchemaProblem(f"the message does not fit {name} ({error})") from error

    def decode(self, data: bytes) -> Json:
        """The answer's bytes to JSON, every plain field present (protobuf's JSON names).

        Raises `SchemaProblem`, and `TooHeavy` for what would be more than a step keeps, before anything is made of it.
        """
        try:
            weigh(data, self.descriptor.output_type, self.pool, MAX_BYTES)
            message: Message = message_factory.GetMessageClass(self.descriptor.output_type)()
            message.ParseFromString(data)
            return json_format.MessageToDict(
                message, always_print_fields_with_no_presence=True, descriptor_pool=self.pool
            )
        except TooHeavy:
            raise
        except Exception as error:  # as above
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
            some = [shown(each) for each in islice(methods, MAX_NAMED_METHODS)]
            advice = did_you_mean(name, some) or (f"; there is {listed(sorted(some))}" if some else "")
            raise SchemaProblem(f"{self.service} has no method {name}{advice}")
        found = methods[name]
        if found.client_streaming or found.server_streaming:
            raise SchemaProblem(f"{self.service}/{name} is a stream; steps call unary methods only")
        return Method(f"/{self.service}/{name}", found, self.pool)


def fetch(service: str, ask: Ask, go_on: Callable[[], None]) -> Schema:
    """Everything the server knows of the service's types.

    Raises `SchemaProblem`, and whatever `ask` and `go_on` raise; `go_on` is called all along.
    """
    return Schema(service, pool_of(service, ask, go_on))
