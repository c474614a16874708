"""Which values are the same in JSON: 1 and 1.0 are, 1 and true are not, and the order of keys counts for nothing."""

from __future__ import annotations

import json

from storage.records import Json


def identity(value: Json) -> str:
    """One text for all values that are the same."""
    return json.dumps(_with_one_form(value), sort_keys=True)


def _with_one_form(value: Json) -> Json:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_with_one_form(item) for item in value]
    if isinstance(value, dict):
        return {key: _with_one_form(item) for key, item in value.items()}
    return value
