"""What was expected of a case against what came of it, each difference in a sentence."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from engine.definition.rehearsals import path_item
from engine.rehearsal.observed import Observed
from engine.text.words import shortened
from storage.records import Json

_ROUND = re.compile(r"\[[0-9]+\]")
_LONGEST = 300


def differences(expect: Mapping[str, Json], got: Observed) -> list[str]:
    """Everything that is not as expected; empty where the case passes."""
    return list(_differences(expect, got))


def _differences(expect: Mapping[str, Json], got: Observed) -> Iterator[str]:
    if got.trouble:
        yield got.trouble
        return
    if expect["outcome"] != got.outcome:
        yield f"outcome: expected {expect['outcome']}, and it was {got.outcome}{f': {got.error}' if got.error else ''}"
    if "path" in expect:
        yield from _of_path([path_item(each) for each in expect["path"]], got.path)
    if "calls" in expect:
        yield from _of_calls(expect["calls"], got.calls)
    if "outputs" in expect:
        yield from _of_value("outputs", expect["outputs"], got.outputs)
    if "messages" in expect:
        yield from _of_messages(expect["messages"], got.messages)


def written(path: Sequence[tuple[str, str]]) -> str:
    """A path as it may stand in a rehearsal."""
    return f"[{', '.join(step if how == 'SUCCESS' else f'{{{step}: {how}}}' for step, how in path)}]"


def _of_path(wanted: Sequence[tuple[str, str]], got: Sequence[tuple[str, str]]) -> Iterator[str]:
    for place, (want, have) in enumerate(zip_longest(wanted, got), start=1):
        if want != have:
            said = f"expected {_one(want)}, and it was {_one(have)}"
            yield f"path: at place {place} {said}; the whole path was {written(got)}"
            return


def _one(item: tuple[str, str] | None) -> str:
    return "nothing" if item is None else written([item])[1:-1]


def _of_calls(wanted: Sequence[Json], got: Sequence[Json]) -> Iterator[str]:
    for number, (want, have) in enumerate(zip_longest(wanted, got), start=1):
        name = f"call {number}"
        if want is None:
            yield f"{name}: it was not expected: {have['method']} {have['url']} of `{have['step']}`"
        elif have is None:
            yield f"{name}: expected {_call_in_words(want)}, and it was never made"
        else:
            yield from _of_call(name, want, have)


def _call_in_words(call: Json) -> str:
    return shortened(f"{call.get('method', '')} {call.get('url', '')} {call.get('step', '')}".strip(), _LONGEST)


def _of_call(name: str, want: Mapping[str, Json], have: Mapping[str, Json]) -> Iterator[str]:
    for key in ("method", "url", "text"):
        if key in want and want[key] != have[key]:
            yield f"{name}: expected {key} {_shown(want[key])}, and it was {_shown(have[key])}"
    if "step" in want and want["step"] not in _names(have["step"]):
        yield f"{name}: expected it of `{want['step']}`, and it was of `{have['step']}`"
    for header, value in want.get("headers", {}).items():
        found = have["headers"].get(header.lower())
        if found != value:
            yield f"{name}: expected header {header}: {_shown(value)}, and it was {_shown(found)}"
    if "json" in want:
        yield from _of_json(name, want["json"], have["text"])


def _names(path: str) -> tuple[str, ...]:
    """What a step that calls may be called: with the rounds of its loops, without them, and by its id alone."""
    plain = _ROUND.sub("", path)
    last = plain.rpartition("/")[2]
    ids = last.removesuffix(".undo").rpartition(".")[2]
    return path, plain, last, f"{ids}.undo" if last.endswith(".undo") else ids


def _of_json(name: str, want: Json, text: str) -> Iterator[str]:
    try:
        sent = json.loads(text)
    except (ValueError, RecursionError):
        yield f"{name}: expected JSON, and it was {_shown(text)}"
        return
    yield from _of_value(f"{name}: json", want, sent)


def _of_messages(wanted: Sequence[str], got: Sequence[str]) -> Iterator[str]:
    for number, (want, have) in enumerate(zip_longest(wanted, got), start=1):
        if want != have:
            yield f"message {number}: expected {_shown(want)}, and it was {_shown(have)}"


def _of_value(where: str, want: Json, have: Json) -> Iterator[str]:
    """Where a value does not hold what is expected of it: of a mapping the named keys, of a list every item."""
    if isinstance(want, dict) and isinstance(have, dict):
        for key, value in want.items():
            if key in have:
                yield from _of_value(f"{where}.{key}", value, have[key])
            else:
                yield f"{where}.{key}: expected {_shown(value)}, and it was not there"
    elif isinstance(want, list) and isinstance(have, list) and len(want) == len(have):
        for place, (one, other) in enumerate(zip(want, have, strict=True)):
            yield from _of_value(f"{where}[{place}]", one, other)
    elif isinstance(want, bool) is not isinstance(have, bool) or want != have:
        yield f"{where}: expected {_shown(want)}, and it was {_shown(have)}"


def _shown(value: Any) -> str:
    return "nothing" if value is None else shortened(json.dumps(value, ensure_ascii=False), _LONGEST)
