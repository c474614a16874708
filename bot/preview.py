"""What a gate shows of what would happen next, as lines of plain text; each door lays them out in its own way."""

from __future__ import annotations

import json
from collections.abc import Iterator

from bot.slack.views.text import clean, cut
from engine.definition.kinds import BLOCKS, KINDS
from storage.records import Json

_NO_KIND = ("kind",)


def planned(preview: Json, each: int | None = None) -> list[str]:
    """What would be done, step by step; of each value the first `each` characters, or all."""
    return [line for item in _items(preview) if not _instead(item) for line in lines_of(item, each)]


def settled(preview: Json) -> list[tuple[str, str]]:
    """The steps that would not be done, by name, each with why: skipped by somebody, done already, taken over."""
    return [(str(item.get("step", "?")), _instead(item)) for item in _items(preview) if _instead(item)]


def lines_of(item: Json, each: int | None = None) -> list[str]:
    """One thing that would happen: `restart: POST https://…`, a line for everything else that would be sent, and the
    steps of a branch or a loop below it, further in."""
    if not isinstance(item, dict):
        return [_written(item, each)]
    kind = KINDS.get(str(item.get("kind")))
    keys = kind.summary if kind else _NO_KIND
    call = " ".join(str(item[key]) for key in keys if item.get(key))
    rest = {key: value for key, value in item.items() if key not in ("step", "kind", *keys)}
    lines = [f"{_written(item.get('step', '?'), each)}: {_written(call, each)}"]
    for key, value in rest.items():
        if key in BLOCKS and isinstance(value, list):
            inner = (line for one in value for line in lines_of(one, each))
            lines += [f"  {key}:", *(f"    {line}" for line in inner)]
        elif value not in (None, "", [], {}):
            lines.append(f"  {key}: {_written(value, each)}")
    return lines


def _written(value: Json, limit: int | None) -> str:
    """A value on one line and as it is sent: a text with line breaks or runs of spaces in it is written as JSON."""
    plain = isinstance(value, str) and " ".join(value.split()) == value
    text = clean(value if plain else json.dumps(value, ensure_ascii=False, default=str))
    return text if limit is None else cut(text, limit)


def _items(preview: Json) -> Iterator[Json]:
    if preview not in (None, [], {}):
        yield from preview if isinstance(preview, list) else [preview]


def _instead(item: Json) -> str:
    """Why a step will not be done, "" where it will."""
    value = item.get("instead") if isinstance(item, dict) else None
    return value if isinstance(value, str) else ""
