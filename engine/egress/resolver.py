"""Names to addresses, in threads, because `getaddrinfo` has no timeout."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from ipaddress import ip_address

from engine.egress.allowed_addresses import Address
from engine.egress.call import Call
from engine.egress.failure import CallFailed

Lookup = Callable[[str, int], Sequence[str]]
"""A host name and a port to addresses as text. Raises OSError."""

_Job = tuple["Future[Sequence[str]]", str, int]


def system_lookup(host: str, port: int) -> list[str]:
    """The addresses of a host as the system's resolver has them, zones left out. Raises `OSError`, `UnicodeError`."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]).partition("%")[0] for entry in found]


class Resolver:
    """Look-up threads, begun when all are busy, `threads` at most: many, so that names that hang hold up no others.

    They are daemons: a hanging look-up never keeps the process from ending.
    """

    def __init__(self, lookup: Lookup = system_lookup, threads: int = 256) -> None:
        self._lookup = lookup
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._most = threads
        self._begun = 0
        self._beginning = threading.Lock()
        self._idle = threading.Semaphore(0)

    def resolve(self, host: str, port: int, call: Call) -> tuple[Address, ...]:
        """Every address of the host, each once. Raises `CallFailed` (dns, timeout, abandoned); nothing is sent."""
        try:
            return (ip_address(host.partition("%")[0]),)
        except ValueError:
            return self._wait(host, port, call)

    def _wait(self, host: str, port: int, call: Call) -> tuple[Address, ...]:
        future: Future[Sequence[str]] = Future()
        self._begin_another()
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

    def _begin_another(self) -> None:
        """Have a thread for one more look-up, unless one is idle or there are as many as may be."""
        with self._beginning:
            if self._idle.acquire(blocking=False) or self._begun == self._most:
                return
            threading.Thread(target=self._work, name=f"resolver-{self._begun}", daemon=True).start()
            self._begun += 1

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, host, port = job
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(self._lookup(host, port))
                except BaseException as error:  # noqa: BLE001 - it is raised again by the thread that waits
                    future.set_exception(error)
            self._idle.release()

    def close(self) -> None:
        """Let each look-up thread end, after the look-up that it is at."""
        with self._beginning:
            for _ in range(self._begun):
                self._jobs.put(None)


def _reason(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "not a valid host name"
