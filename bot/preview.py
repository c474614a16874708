"""What a gate shows of what would happen next, as lines of plain text; each door lays them out in its own way."""

from __future__ import annotations

from collections.abc import Iterator

from bot.slack.views.text import as_json
from storage.records import Json

_SHORT = 600
_CALLS = {
    "http": ("method", "url"),
    "poll": ("kind", "method", "url"),
    "grpc": ("kind", "target", "service", "method"),
    "runbook": ("kind", "id"),
}
"""The keys of a preview that say in short what is called, by the kind of step; others say their kind."""
_BLOCKS = ("then", "else", "steps")


def planned(preview: Json) -> list[str]:
    """What would be done, step by step."""
    return [line for item in _items(preview) if not _instead(item) for line in lines_of(item)]


def settled(preview: Json) -> list[tuple[str, str]]:
    """The steps that would not be done, by name, each with why: skipped by somebody, done already, taken over."""
    return [(str(item.get("step", "?")), _instead(item)) for item in _items(preview) if _instead(item)]


def lines_of(item: Json) -> list[str]:
    """One thing that would happen: `restart: POST https://…`, a line for everything else that would be sent, and the
    steps of a branch or a loop below it, further in."""
    if not isinstance(item, dict):
        return [as_json(item, _SHORT)]
    keys = _CALLS.get(str(item.get("kind")), ("kind",))
    call = " ".join(str(item[key]) for key in keys if item.get(key))
    rest = {key: value for key, value in item.items() if key not in ("step", "kind", *keys)}
    lines = [f"{as_json(item.get('step', '?'), 100)}: {as_json(call, _SHORT)}"]
    for key, value in rest.items():
        if key in _BLOCKS and isinstance(value, list):
            inner = (line for each in value for line in lines_of(each))
            lines += [f"  {key}:", *(f"    {line}" for line in inner)]
        elif value not in (None, "", [], {}):
            lines.append(f"  {key}: {as_json(value, _SHORT)}")
    return lines


def _items(preview: Json) -> Iterator[Json]:
    if preview not in (None, [], {}):
        yield from preview if isinstance(preview, list) else [preview]


def _instead(item: Json) -> str:
    """Why a step will not be done, "" where it will."""
    value = item.get("instead") if isinstance(item, dict) else None
    return value if isinstance(value, str) else ""
