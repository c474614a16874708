"""How a run's parameters were changed: by a retry with other ones, by a replay at a version with other defaults."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from storage import events
from storage.records import EventRecord, ExecutionRecord, Json

KINDS = ("step_retried", "started")
"""The events that tell of changed parameters, under `changes`."""
_LONGEST = 200
"""Characters of a value that an event keeps: what is longer is told by its beginning."""


@dataclass(frozen=True, slots=True)
class Changed:
    """Who changed parameters when. Each of `changes` has `name`, and `old` and `new` where there was and is a value."""

    by: str
    at: int
    changes: tuple[Mapping[str, Json], ...]


def between(was: Mapping[str, Json], now: Mapping[str, Json]) -> list[dict[str, Json]]:
    """What differs, by the parameter's name; nothing is masked yet."""
    names = [*was, *(name for name in now if name not in was)]
    return [
        {"name": name, **({"old": was[name]} if name in was else {}), **({"new": now[name]} if name in now else {})}
        for name in names
        if name not in was or name not in now or was[name] != now[name]
    ]


def kept(changes: list[dict[str, Json]]) -> list[dict[str, Json]]:
    """The same as an event keeps it: mask first."""
    return [{key: _short(value) if key != "name" else value for key, value in each.items()} for each in changes]


def _short(value: Any) -> Json:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return value if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def of_event(event: EventRecord) -> tuple[Mapping[str, Json], ...]:
    """The changes that an event tells of; none where it is of another kind, or older than their being kept."""
    told = event.data.get("changes") if event.kind in KINDS and isinstance(event.data, dict) else None
    return tuple(told) if isinstance(told, list) else ()


def of_run(execution: ExecutionRecord) -> tuple[Changed, ...]:
    """Every change of a run's parameters, in order; needs an open connection, and asks only where there may be one."""
    if not execution.revision and not execution.replay_of:
        return ()
    told = events.of_kinds(execution.id, KINDS)
    return tuple(Changed(event.actor or "", event.at, found) for event in told if (found := of_event(event)))
