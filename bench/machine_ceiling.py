"""What the machine itself can do, measured in the same run: the ceiling that figures are compared with."""

from __future__ import annotations

import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from bench.rig import THREADS, Rig

_COMMITS, _POSTS = 500, 800


def commits(folder: Path) -> float:
    """SQLite commits a second of one row each, WAL and synchronous=FULL, by one thread."""
    connection = sqlite3.connect(folder / "limit.db", isolation_level=None)
    for statement in ("PRAGMA journal_mode=wal", "PRAGMA synchronous=full", "CREATE TABLE t (a)"):
        connection.execute(statement)
    began = time.perf_counter()
    for number in range(_COMMITS):
        connection.execute("INSERT INTO t VALUES (?)", (number,))
    spent = time.perf_counter() - began
    connection.close()
    return _COMMITS / spent


def posts(rig: Rig) -> float:
    """Calls a second to the trivial server by 8 threads, each with a kept-alive httpx client of its own."""
    own = threading.local()
    url = f"http://127.0.0.1:{rig.target}/step"

    def post(_number: int) -> None:
        if not hasattr(own, "client"):
            own.client = httpx.Client()
        own.client.post(url, json={"a": 1}).raise_for_status()

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(post, range(THREADS * 5)))
        began = time.perf_counter()
        list(pool.map(post, range(_POSTS)))
        return _POSTS / (time.perf_counter() - began)
