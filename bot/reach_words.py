"""What a version calls, and with which secrets, in one line a host."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

Called = tuple[str, str, bool, Iterable[str]]
"""A step, the host that it calls as written, whether that is known, and the names of the secrets that go there."""

_STEPS = 3
"""Steps that are named for one host."""


def secret_words(secrets: Iterable[str], received: Iterable[str]) -> list[str]:
    """The secrets that go to a host, those that the run itself receives told apart."""
    return [*secrets, *(f"{each} (received by the run)" for each in received)]


def reach_lines(called: Iterable[Called]) -> Iterator[str]:
    """One line for each host, with its steps and secrets."""
    hosts: dict[tuple[str, bool, tuple[str, ...]], list[str]] = {}
    for step, host, known, secrets in called:
        hosts.setdefault((host, known, tuple(secrets)), []).append(step)
    for (host, known, secrets), steps in hosts.items():
        carried = f"with {', '.join(secrets)}" if secrets else "with no secret"
        where = host if known else f"decided when it runs: {host}"
        yield f"{where}, {carried} ({_named(list(dict.fromkeys(steps)))})"


def _named(steps: list[str]) -> str:
    more = len(steps) - _STEPS
    return ", ".join(steps[:_STEPS]) + (f" and {more} more" if more > 0 else "")
