"""A real gRPC service on loopback, described by reflection, that does to its clients whatever a call's id says."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, duration_pb2, message_factory, struct_pb2
from google.protobuf import timestamp_pb2 as timestamps
from google.rpc import error_details_pb2, status_pb2
from grpc_reflection.v1alpha import reflection
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest

SERVICE = "shop.v1.Orders"
MB = 1024 * 1024


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="shop/v1/orders.proto",
        package="shop.v1",
        syntax="proto3",
        dependency=["google/protobuf/timestamp.proto", "google/protobuf/struct.proto"],
    )
    kinds = descriptor_pb2.FieldDescriptorProto
    colour = file.enum_type.add(name="Colour")
    colour.value.add(name="NONE", number=0)
    colour.value.add(name="RED", number=1)
    order = file.message_type.add(name="Order")
    fields: list[tuple[str, Any, str, bool]] = [
        ("order_id", kinds.TYPE_STRING, "", False),
        ("at", kinds.TYPE_MESSAGE, ".google.protobuf.Timestamp", False),
        ("count", kinds.TYPE_INT64, "", False),
        ("extra", kinds.TYPE_MESSAGE, ".google.protobuf.Struct", False),
        ("tags", kinds.TYPE_STRING, "", True),
        ("colour", kinds.TYPE_ENUM, ".shop.v1.Colour", False),
        ("blob", kinds.TYPE_BYTES, "", False),
    ]
    for number, (name, kind, type_name, repeated) in enumerate(fields, 1):
        label = kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL
        order.field.add(name=name, number=number, type=kind, label=label, type_name=type_name or None)
    service = file.service.add(name="Orders")
    service.method.add(name="Cancel", input_type=".shop.v1.Order", output_type=".shop.v1.Order")
    service.method.add(name="Watch", input_type=".shop.v1.Order", output_type=".shop.v1.Order", server_streaming=True)
    return file


def _pool() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    for known in (timestamps, struct_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
    pool.Add(_file())
    return pool


POOL = _pool()
Order = message_factory.GetMessageClass(POOL.FindMessageTypeByName("shop.v1.Order"))


class OrderService:
    """Counts what it really did. `seen` holds the metadata of each call that reached a handler."""

    def __init__(
        self, *, described: bool = True, tls: tuple[bytes, bytes] | None = None, clients: bytes | None = None
    ) -> None:
        self.seen: list[dict[str, Any]] = []
        self.cancelled = threading.Event()
        self.release = threading.Event()
        self.cut: list[Any] = []
        self._server = grpc.server(
            ThreadPoolExecutor(8),
            options=[("grpc.max_send_message_length", 32 * MB), ("grpc.max_receive_message_length", 32 * MB)],
        )
        handlers = {
            "Cancel": grpc.unary_unary_rpc_method_handler(
                self._cancel, Order.FromString, lambda message: message.SerializeToString()
            )
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        if described:
            reflection.enable_server_reflection([SERVICE, reflection.SERVICE_NAME], self._server, pool=POOL)
        if tls is None:
            self.port = self._server.add_insecure_port("127.0.0.1:0")
        else:
            credentials = grpc.ssl_server_credentials([tls], clients, clients is not None)
            self.port = self._server.add_secure_port("127.0.0.1:0", credentials)
        self._server.start()

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    def close(self) -> None:
        self.release.set()
        self._server.stop(0).wait(5)

    def _cancel(self, order: Any, context: grpc.ServicerContext) -> Any:
        self.seen.append({each.key: each.value for each in context.invocation_metadata()})
        word, _, rest = order.order_id.partition(":")
        match word:
            case "fail":
                context.set_trailing_metadata((("x-told", "some"), ("trace-bin", b"\xff\x00")))
                context.abort(grpc.StatusCode[rest], "the server says no")
            case "pushback":
                code, after = rest.split(":")
                context.set_trailing_metadata((("grpc-retry-pushback-ms", after),))
                context.abort(grpc.StatusCode[code], "later")
            case "retry-info":
                self._retry_info(context, grpc.StatusCode[rest])
            case "hang":
                context.add_callback(self.cancelled.set)
                self.release.wait(20)
            case "cut":
                self.cut[0]()
                self.release.wait(5)
            case "big":
                return Order(blob=b"x" * int(rest))
            case "crash":
                raise RuntimeError("a bug in the service")
            case "mint":
                order.tags.append(rest[::-1])
                context.set_trailing_metadata((("x-key", rest[::-1]),))
            case "mint-and-fail":
                context.set_trailing_metadata((("x-key", rest[::-1]),))
                context.abort(grpc.StatusCode.INTERNAL, f"no, and the key is {rest[::-1]}")
            case "echo-metadata":
                order.tags.append(str(self.seen[-1].get("authorization")))
                context.set_trailing_metadata((("x-echo", str(self.seen[-1].get("authorization"))),))
        return order

    def _retry_info(self, context: grpc.ServicerContext, code: grpc.StatusCode) -> None:
        packed = any_pb2.Any()
        packed.Pack(error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=2, nanos=500_000_000)))
        status = status_pb2.Status(code=code.value[0], message="later", details=[packed])
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(code, "later")


class HostileService:
    """Describes itself by whatever bytes it is given, and answers every call with whatever bytes it is given.

    `describe` gets each question asked by reflection; `asked` and `called` count.
    """

    def __init__(self, describe: Callable[[ServerReflectionRequest], bytes], answer: bytes = b"") -> None:
        self.asked = self.called = 0
        self._describe = describe
        self._answer = answer
        self._server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.max_send_message_length", 32 * MB)])
        self._server.add_generic_rpc_handlers((self,))
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        if details.method.endswith("/ServerReflectionInfo"):
            return grpc.stream_stream_rpc_method_handler(self._reflection)
        return grpc.unary_unary_rpc_method_handler(self._call)

    def _reflection(self, questions: Iterator[bytes], _context: Any) -> Iterator[bytes]:
        for question in questions:
            self.asked += 1
            yield self._describe(ServerReflectionRequest.FromString(question))

    def _call(self, _message: bytes, _context: Any) -> bytes:
        self.called += 1
        return self._answer

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    def close(self) -> None:
        self._server.stop(0).wait(5)


class Relay:
    """Hands bytes on to a server, and cuts every connection when told to."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._open: list[socket.socket] = []
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        for each in self._open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for each in self._open:
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                conn, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            onward = socket.create_connection(("127.0.0.1", self._to))
            self._open += [conn, onward]
            for one, other in ((conn, onward), (onward, conn)):
                threading.Thread(target=self._copy, args=(one, other), daemon=True).start()

    @staticmethod
    def _copy(one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
        with contextlib.suppress(OSError):
            other.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def order_service(**how: Any) -> Iterator[OrderService]:
    service = OrderService(**how)
    try:
        yield service
    finally:
        service.close()


@contextlib.contextmanager
def hostile_service(describe: Callable[[ServerReflectionRequest], bytes], answer: bytes = b"") -> Iterator[Any]:
    service = HostileService(describe, answer)
    try:
        yield service
    finally:
        service.close()


@contextlib.contextmanager
def relay_to(service: OrderService) -> Iterator[Relay]:
    relay = Relay(service.port)
    service.cut.append(relay.cut)
    try:
        yield relay
    finally:
        relay.close()


def until(holds: Any, seconds: float = 5.0) -> bool:
    """Whether something comes true before the time is up."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
