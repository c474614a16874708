"""How much the web server takes on at once, and how long it waits for a client."""

from __future__ import annotations

from dataclasses import dataclass

MOST_CONNECTIONS = 2000
RESERVED = frozenset({"/slack/events", "/livez", "/readyz", "/healthz"})
"""What is answered also when the server is full: Slack waits 3 s, and whoever watches the bot would start it anew."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Counts are of one process; times are seconds, sizes bytes.

    `connections` may be open, `by_address` of them from one public address, each idle for `idle_s`: longer than common
    proxies keep one. `at_work` requests may be carried out at once beside those to `RESERVED` addresses; others wait up
    to `turn_s` for a turn. A head has to be there in `head_s`, a body in `body_s` with some of it every `stall_s`; an
    answer has to be taken in `write_s`, beyond that at `slowest` bytes a second. A body may have `body` bytes; of all
    together `bodies` are held, for `RESERVED` ones `spare_bodies` more, and `unread` of answers. `streams` are followed
    at once, `streams_each` by one person.
    """

    connections: int = MOST_CONNECTIONS
    by_address: int = MOST_CONNECTIONS // 4
    at_work: int = MOST_CONNECTIONS - 64
    streams: int = MOST_CONNECTIONS // 2
    streams_each: int = MOST_CONNECTIONS // 8
    idle_s: int = 75
    head_s: float = 10.0
    body_s: float = 30.0
    stall_s: float = 10.0
    write_s: float = 30.0
    turn_s: float = 5.0
    slowest: int = 16 << 10
    body: int = 1 << 20
    bodies: int = 64 << 20
    spare_bodies: int = 16 << 20
    unread: int = 64 << 20


def within(descriptors: int) -> Limits:
    """Limits for a process that may have so many descriptors, of which databases, files and Slack need some too."""
    spare = min(512, max(128, descriptors // 4))
    connections = max(32, min(MOST_CONNECTIONS, descriptors - spare))
    return Limits(
        connections=connections,
        by_address=connections // 4,
        at_work=connections - max(8, connections // 8),
        streams=connections // 2,
        streams_each=max(8, connections // 8),
    )
