"""A real server that counts what really arrived, by Idempotency-Key."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable

from local_server import LocalServer, answer

_FINE = answer(b'{"ok":true}', "200 OK", "Content-Type: application/json")
_BAD = answer(b"no", "400 Bad Request", "Content-Type: text/plain")


class CountingServer:
    """`/broken` answers 400, `/flaky` does so once for each key, all else 200. `arrived` counts (method, key).

    `takes` says in seconds how long the next answer takes.
    """

    def __init__(self) -> None:
        self.server = LocalServer(self._behave)
        self.arrived: Counter[tuple[str, str]] = Counter()
        self.takes: Callable[[], float] = lambda: 0.0
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    def close(self) -> None:
        self.server.close()

    def _behave(self, conn: socket.socket, request: bytes) -> None:
        head = request.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ")
        key = next(line.partition(":")[2].strip() for line in head if line.lower().startswith("idempotency-key:"))
        with self._lock:
            self.arrived[method, key] += 1
            count = self.arrived[method, key]
        time.sleep(self.takes())
        bad = path == "/broken" or (path == "/flaky" and count == 1)
        (_BAD if bad else _FINE)(conn, request)
