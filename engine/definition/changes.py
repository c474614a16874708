"""Where two definitions differ, as the keys that lead there. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator

from storage.records import Json


def changed_keys(old: Json, new: Json) -> list[str]:
    """The keys that are new, gone or say something else, such as `steps.drain.with.url`; "" where no key leads there.

    What has an `id` in a list is known by that, so that a step that was added changes none of the others.
    """
    return list(_changed(old, new, ""))


def _changed(old: Json, new: Json, path: str) -> Iterator[str]:
    if _written(old) == _written(new):  # to Python `false` is 0, and a list of the one is a list of the other
        return
    before, after = _by_key(old), _by_key(new)
    if before is None or after is None:
        yield path
        return
    differing = [key for key in {**before, **after} if key not in before or key not in after]
    yield from (_join(path, key) for key in differing)
    both = [key for key in before if key in after]
    inside = [each for key in both for each in _changed(before[key], after[key], _join(path, key))]
    yield from inside
    if not differing and not inside:  # the same things in another order
        yield path


def _written(value: Json) -> str:
    return json.dumps(value, sort_keys=True)


def _by_key(value: Json) -> dict[str, Json] | None:
    """What a mapping or a list of things with ids holds, by key or id; None for anything else."""
    if isinstance(value, dict):
        return {str(key): each for key, each in value.items()}
    if isinstance(value, list) and value and all(isinstance(each, dict) and "id" in each for each in value):
        found = {str(each["id"]): each for each in value}
        return found if len(found) == len(value) else None
    return None


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
