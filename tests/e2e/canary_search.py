"""Where a deployment may show a value: everything that it keeps, says, sends and is started with, as bytes by name."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from urllib.parse import quote, quote_plus

import httpx
import redis
from deployment import ALICE, Deployment

from engine import local_redis

API = ("", "/steps", "/logs", "/why", "/evidence", "/evidence?format=html")
PAGES = ("/runbooks", "/executions", "/secrets", "/secrets/edge_key", "/audit", "/audit/export", "/freezes")


def spellings(value: str) -> set[bytes]:
    """The value plain, in capitals, as JSON, URL-quoted, in hex and in base64, wherever it begins in a longer text.

    What stands behind its quotation mark is looked for by itself, so that no depth of escapes hides it.
    """
    found: set[bytes] = set()
    behind = value.partition('"')[2]
    for text in (value, value.upper(), behind, behind.upper()):
        plain = text.encode()
        found |= {plain, json.dumps(text)[1:-1].encode(), plain.hex().encode(), plain.hex().upper().encode()}
        found |= {quote(text, safe="").encode(), quote_plus(text).encode()}
        for ahead in range(3):
            # The first and the last group also hold bits of what stands around the value.
            whole = base64.b64encode(b"x" * ahead + plain)[4 if ahead else 0 :].rstrip(b"=")[:-1]
            found |= {whole, whole.replace(b"+", b"-").replace(b"/", b"_")}
    return found


@contextmanager
def monitored(deployment: Deployment) -> Iterator[list[bytes]]:
    """What Redis is asked for as long as the block, as its MONITOR prints it."""
    printed: list[bytes] = []
    with client(deployment) as kept, kept.monitor() as monitor:

        def listen() -> None:
            try:
                while True:
                    printed.append(bytes(monitor.connection.read_response(disable_decoding=True)))
            except (redis.ConnectionError, OSError, ValueError, AttributeError) as ended:
                printed.append(f"ended: {type(ended).__name__}".encode())

        thread = Thread(target=listen, daemon=True)
        thread.start()
        yield printed
        assert thread.is_alive(), printed[-1]


def client(deployment: Deployment) -> redis.Redis:
    return redis.Redis.from_url(str(local_redis.find_url(deployment.folder / "var")))


def in_redis(deployment: Deployment) -> Iterator[tuple[str, bytes]]:
    """Every key with its value, which is read by its type: a dump may be packed."""
    with client(deployment) as kept:
        for key in kept.scan_iter():
            yield f"redis {key!r}", repr((key, value_of(kept, key), kept.dump(key))).encode()


def value_of(kept: redis.Redis, key: bytes) -> object:
    """None for one that has expired since it was listed."""
    reads: dict[bytes, Callable[[], object]] = {
        b"string": lambda: kept.get(key),
        b"list": lambda: kept.lrange(key, 0, -1),
        b"set": lambda: kept.smembers(key),
        b"hash": lambda: kept.hgetall(key),
        b"zset": lambda: kept.zrange(key, 0, -1, withscores=True),
    }
    kind = kept.type(key)
    return None if kind == b"none" else reads[kind]()


def on_disk(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file but those that secrets come from."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != ".env" and path.parent.name != "secrets.d":
            yield str(path.relative_to(folder)), path.read_bytes()


def in_api(asks: httpx.Client, run: str) -> Iterator[tuple[str, bytes]]:
    """Each answer whole, its head included."""
    steps = [step["id"] for step in asks.get(f"/executions/{run}").json()["steps"]]
    paths = [f"/executions/{run}{path}" for path in API] + [f"/executions/{run}/steps/{step}" for step in steps]
    paths += [
        "/executions",
        "/runbooks/canary",
        "/runbooks/canary/versions/1",
        "/secrets",
        "/secrets/edge_key/versions",
    ]
    for path in (*paths, "/audit", "/audit/export", "/audit/export?format=cef"):
        yield f"api {path}", told(asks.get(path))
    yield "api events", events(asks, run)


def events(asks: httpx.Client, run: str) -> bytes:
    """The stream up to what has happened by now; it ends with the run."""
    with asks.stream("GET", f"/executions/{run}/events") as answer:
        assert answer.status_code == 200
        return b"".join(answer.iter_raw())


def in_pages(deployment: Deployment) -> Iterator[tuple[str, bytes]]:
    """What a platform admin sees in a browser, let in by the link that Slack gives to the page of a run."""
    deployment.click(ALICE, "run.page")
    address = re.findall(r"<(http[^|]+)\|", deployment.said(ALICE, "Open the page"))[-1]
    with httpx.Client(base_url=deployment.base, trust_env=False, follow_redirects=True, timeout=30) as browser:
        yield "page of a run", told(browser.get(address))
        for path in PAGES:
            yield f"page {path}", told(browser.get(path))
        yield "metrics", told(browser.get("/metrics"))


def told(answer: httpx.Response) -> bytes:
    assert answer.status_code == 200, (answer.url, answer.status_code, answer.text[:500])
    return repr(answer.headers).encode() + answer.content


def command_lines(deployment: Deployment) -> Iterator[tuple[str, bytes]]:
    """Of `runbook up` and of every process below it."""
    assert deployment.process is not None
    pids = [deployment.process.pid]
    for pid in pids:
        try:
            for thread in Path(f"/proc/{pid}/task").iterdir():
                pids += map(int, (thread / "children").read_text().split())
            yield f"command line of {pid}", Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended meanwhile
