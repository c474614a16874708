"""Names to addresses, in threads, because `getaddrinfo` has no timeout."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from ipaddress import ip_address

from engine.egress.call import Call
from engine.egress.failure import CallFailed
from engine.egress.policy import Address

Lookup = Callable[[str, int], Sequence[str]]
"""A host name and a port to addresses as text. Raises OSError."""

_Job = tuple["Future[Sequence[str]]", str, int]


def system_lookup(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]).partition("%")[0] for entry in found]


class Resolver:
    """A bounded set of look-up threads. They are daemons: a hanging look-up never keeps the process from ending."""

    def __init__(self, lookup: Lookup = system_lookup, threads: int = 8) -> None:
        self._lookup = lookup
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._threads = threads
        for number in range(threads):
            threading.Thread(target=self._work, name=f"resolver-{number}", daemon=True).start()

    def resolve(self, host: str, port: int, call: Call) -> tuple[Address, ...]:
        """Every address of the host, each once. Raises `CallFailed` (dns, timeout, abandoned); nothing is sent."""
        try:
            return (ip_address(host.partition("%")[0]),)
        except ValueError:
            return self._wait(host, port, call)

    def _wait(self, host: str, port: int, call: Call) -> tuple[Address, ...]:
        future: Future[Sequence[str]] = Future()
        self._jobs.put((future, host, port))
        try:
            while not future.done():
                wait([future], timeout=call.patience())
            found = future.result()
        except (OSError, UnicodeError) as error:
            message = f"Nothing was sent: the name {host} could not be resolved ({_reason(error)})."
            raise CallFailed("dns", message) from error
        finally:
            future.cancel()
        if not found:
            raise CallFailed("dns", f"Nothing was sent: the name {host} has no address.")
        return tuple(dict.fromkeys(ip_address(text) for text in found))

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, host, port = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(self._lookup(host, port))
            except BaseException as error:  # noqa: BLE001 - it is raised again by the thread that waits
                future.set_exception(error)

    def close(self) -> None:
        for _ in range(self._threads):
            self._jobs.put(None)


def _reason(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "not a valid host name"
