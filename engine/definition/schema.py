"""The JSON Schema of a runbook file, and its verdicts in people's words.

`schema.json` beside this file is what editors use and what the loader uses. `errorMessage` in it (an annotation that
editors know too) replaces our own words, for all of a subschema or for one keyword; `missing` is for a
`oneOf` of required keys none of which is there.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib import resources
from itertools import islice
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker, ValidationError, validators
from referencing import Registry

from engine.text.json_identity import identity
from engine.text.regex import matches
from engine.text.words import did_you_mean, listed, nearest, shortened
from storage.records import Json

Path = tuple[str | int, ...]

MAX_SHOWN_WORDS = 20
"""Allowed values named in one sentence."""

_LISTS = frozenset({"steps", "on_failure", "finally"})
_INNER_LISTS = frozenset({"then", "else", "steps"})


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong at a path of the data. `at_key` means the key itself rather than what it holds.

    `rule` is the id of a warning's rule in `engine/definition/lint_rules.py`.
    """

    path: Path
    message: str
    at_key: bool = False
    rule: str = ""


def subject(path: Path) -> str:
    """How a sentence names a path: `with.headers.Host`, `items[2].port`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{shortened(part, 40)}" for part in path)
    return f"`{text.lstrip('.')}`" if path else "the file"


@cache
def document() -> dict[str, Json]:
    """The published JSON Schema of a runbook file."""
    loaded: dict[str, Json] = json.loads(resources.files(__package__).joinpath("schema.json").read_text("utf-8"))
    return loaded


@cache
def file_validator() -> Any:
    """Checks a whole runbook file. It is made once a process, since the schema is large."""
    return checker(document())


@cache
def targets_validator() -> Any:
    """Checks a file of targets."""
    return checker({"$ref": "#/$defs/targetsFile", "$defs": document()["$defs"]})


@cache
def parameters_validator() -> Any:
    """Checks a `parameters` schema by itself."""
    return checker({"$ref": "#/$defs/parameters", "$defs": document()["$defs"]})


def checker(schema: dict[str, Json], formats: FormatChecker | None = None) -> Any:
    """A validator for `schema` that fetches nothing, runs patterns by RE2 and takes time in proportion to the data."""
    return _Validator(schema, registry=Registry(), format_checker=formats)


def _pattern(validator: Any, pattern: str, instance: Json, _schema: Json) -> Iterator[ValidationError]:
    if validator.is_type(instance, "string"):
        try:
            fits = matches(pattern, instance)
        except ValueError as error:
            yield ValidationError(str(error))
            return
        if not fits:
            yield ValidationError("")


def _unique_items(validator: Any, unique: bool, instance: Json, _schema: Json) -> Iterator[ValidationError]:
    """Hold `uniqueItems`. That of jsonschema compares every pair of mappings: 3.8 s for 2,000 of them."""
    if unique and validator.is_type(instance, "array") and len(set(map(identity, instance))) < len(instance):
        yield ValidationError("")


def _multiple_of(validator: Any, step: int | float, instance: Json, _schema: Json) -> Iterator[ValidationError]:
    """In decimals, as people write them: 0.3 is a multiple of 0.1, though their nearest binary fractions are not."""
    if validator.is_type(instance, "number"):
        endless = isinstance(instance, float) and not math.isfinite(instance)
        if endless or (_exact(instance) / _exact(step)).denominator != 1:
            yield ValidationError("")


def _exact(number: int | float) -> Fraction:
    return Fraction(repr(number)) if isinstance(number, float) else Fraction(number)


def _required(validator: Any, required: list[str], instance: Json, _schema: Json) -> Iterator[ValidationError]:
    if validator.is_type(instance, "object"):
        yield from (ValidationError("", path=[key]) for key in required if key not in instance)


def _dependent_required(validator: Any, needs: Json, instance: Json, _schema: Json) -> Iterator[ValidationError]:
    if validator.is_type(instance, "object"):
        for name, wanted in needs.items():
            lacking = [key for key in wanted if name in instance and key not in instance]
            yield from (ValidationError(f"is required when {name} is given", path=[key]) for key in lacking)


def _additional(validator: Any, additional: Json, instance: Json, schema: dict[str, Json]) -> Iterator[ValidationError]:
    if not validator.is_type(instance, "object") or len(instance) > schema.get("maxProperties", len(instance)):
        return
    for key in instance:
        if key in schema.get("properties", {}):
            continue
        if additional is False:
            yield ValidationError("", path=[key])
        else:
            yield from validator.descend(instance[key], additional, path=key)


def _property_names(validator: Any, rules: Json, instance: Json, schema: dict[str, Json]) -> Iterator[ValidationError]:
    if validator.is_type(instance, "object") and len(instance) <= schema.get("maxProperties", len(instance)):
        for key in instance:
            yield from validator.descend(key, rules)


def _items(validator: Any, items: Json, instance: Json, schema: dict[str, Json]) -> Iterator[ValidationError]:
    if validator.is_type(instance, "array") and len(instance) <= schema.get("maxItems", len(instance)):
        for index, item in enumerate(instance):
            yield from validator.descend(item, items, path=index)


_Validator = validators.extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    {
        "pattern": _pattern,
        "uniqueItems": _unique_items,
        "multipleOf": _multiple_of,
        "required": _required,
        "dependentRequired": _dependent_required,
        "additionalProperties": _additional,
        "propertyNames": _property_names,
        "items": _items,
    },
)

_TYPES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}
_FORMATS = {
    "date": "a date such as 2026-01-31",
    "time": "a time such as 14:30:00",
    "date-time": "a time with its zone, such as 2026-01-31T14:30:00Z",
    "email": "an e-mail address",
    "uri": "a full address such as https://example.com/x",
    "user": "a Slack user's id, such as U0CAROL01",
    "channel": "a Slack channel's id, such as C0INC0001",
}


MAX_ERRORS = 200
"""More than anyone is shown: a file of nothing but mistakes is not looked at to its end."""


def findings(validator: Any, data: Json, base: Path = ()) -> Iterator[Finding]:
    """Every verdict on `data`, in words; `base` is put before the paths that sentences name."""
    errors = list(islice(validator.iter_errors(data), MAX_ERRORS))
    meant = _meant(errors)
    for error in errors:
        if not _missing(error) & meant:
            yield _finding(error, data, base)


def _meant(errors: Sequence[ValidationError]) -> set[Path]:
    """The keys that unknown keys were most likely meant to be: to call those missing as well would say it twice."""
    found: set[Path] = set()
    for error in errors:
        if error.validator == "additionalProperties":
            path: Path = tuple(error.absolute_path)
            keys = error.schema.get("properties", {}) if isinstance(error.schema, dict) else {}
            word = nearest(str(path[-1]), keys)
            found |= {(*path[:-1], word)} if word else set()
    return found


def _missing(error: ValidationError) -> set[Path]:
    """The keys that an error says are missing, any one of which would settle it."""
    path: Path = tuple(error.absolute_path)
    if error.validator == "required":
        return {path}
    if error.validator == "oneOf" and isinstance(error.instance, dict):
        choices: Json = error.validator_value
        keys = {key for one in choices for key in one.get("required", ())}
        return set() if keys & set(error.instance) else {(*path, key) for key in keys}
    return set()


def _finding(error: ValidationError, data: Json, base: Path) -> Finding:
    path: Path = tuple(error.absolute_path)
    at_key = error.validator == "additionalProperties"
    excluded: Json = error.validator_value
    if error.validator == "not" and excluded:
        path, at_key = (*path, excluded["required"][-1]), True
    elif "propertyNames" in error.absolute_schema_path:
        path, at_key = (*path, str(error.instance)), True
    misplaced = error.validator == "additionalProperties" and _misplaced(path, data)
    named = subject_in_step((*base, *path))
    return Finding(path, f"{named} {misplaced or predicate(error)}", at_key)


def _misplaced(path: Path, data: Json) -> str | None:
    """Where a key that is unknown here does belong, if it is one of ours."""
    definitions = document()["$defs"]
    at, rest = split(path)
    if rest[:1] == ("undo",):
        at, rest = (*at, "undo"), rest[1:]
    match rest:
        case ("with", str(key)) if at and key in definitions["step"]["properties"]:
            return "belongs on the step, beside `with`"
        case (str(key),) if at:
            kind = definitions.get(str(value_at(data, at).get("type")), {})
            return "belongs inside `with`" if key in kind.get("properties", {}) else None
        case ("parameters", str(key)) if isinstance(data["parameters"][key], dict):
            return "belongs under `properties`: `parameters` is a JSON Schema"
    return None


def split(path: Path) -> tuple[Path, Path]:
    """A path as the part that leads to the innermost step, () when it leads to none, and the rest."""
    end = 2 if len(path) > 1 and path[0] in _LISTS and isinstance(path[1], int) else 0
    while end and path[end : end + 1] == ("with",) and path[end + 1 : end + 2] and path[end + 1] in _INNER_LISTS:
        if not path[end + 2 : end + 3] or not isinstance(path[end + 2], int):
            break
        end += 3
    return path[:end], path[end:]


def path_in_step(path: Path) -> Path:
    """The path without the part that says which step, unless that is all of it."""
    at, rest = split(path)
    return rest or at[-3:] or path


def subject_in_step(path: Path) -> str:
    """What a sentence about a place in a step begins with, as `subject` puts it."""
    return subject(path_in_step(path))


def value_at(data: Json, path: Path) -> Json:
    """What stands at a path of the data."""
    for part in path:
        data = data[part]
    return data


def predicate(error: ValidationError) -> str:
    """What is wrong, without the subject: "must be one of api, web"."""
    own = error.schema.get("errorMessage") if isinstance(error.schema, dict) else None
    about = "missing" if error.validator == "oneOf" and _missing(error) else error.validator
    message = own.get(about) if isinstance(own, dict) else own
    if error.validator == "additionalProperties":
        return _unknown_key(error)
    if message:
        return str(message)
    say = _PREDICATES.get(str(error.validator))
    return say(error.validator_value, error.instance) if say else shortened(error.message, 200)


def _unknown_key(error: ValidationError) -> str:
    key = str(error.path[-1])
    keys = error.schema.get("properties", {}) if isinstance(error.schema, dict) else {}
    if nearest(key, keys):
        return f"is not known here{did_you_mean(key, keys)}"
    return f"is not known here; there is {listed(keys)}" if keys else "is not known here"


def of_type(value: Json) -> str:
    """What a value is, in words such as "a whole number"."""
    tests: list[tuple[type, str]] = [(bool, "boolean"), (int, "integer"), (float, "number"), (str, "string")]
    tests += [(list, "array"), (dict, "object")]
    return _TYPES[next((name for kind, name in tests if isinstance(value, kind)), "null")]


def _type(wanted: str | list[str], value: Json) -> str:
    names = [wanted] if isinstance(wanted, str) else wanted
    return f"must be {' or '.join(_TYPES[name] for name in names)}, not {of_type(value)}"


def _enum(allowed: Iterable[Json], value: Json) -> str:
    words = [item if isinstance(item, str) else json.dumps(item) for item in allowed]
    shown = listed(words[:MAX_SHOWN_WORDS]) + (" …" if len(words) > MAX_SHOWN_WORDS else "")
    return f"must be one of {shown}{did_you_mean(value, words) if isinstance(value, str) else ''}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


_PREDICATES: dict[str, Callable[[Any, Json], str]] = {
    "type": _type,
    "enum": _enum,
    "const": lambda wanted, _: f"must be {wanted if isinstance(wanted, str) else json.dumps(wanted)}",
    "required": lambda *_: "is required",
    "pattern": lambda pattern, _: f"must fit the pattern {pattern}",
    "format": lambda name, _: f"must be {_FORMATS.get(name, name)}",
    "minLength": lambda n, value: "must not be empty" if not value else f"must have at least {_count(n, 'character')}",
    "maxLength": lambda n, _: f"must have at most {_count(n, 'character')}",
    "minimum": lambda n, _: f"must be at least {n}",
    "maximum": lambda n, _: f"must be at most {n}",
    "exclusiveMinimum": lambda n, _: f"must be more than {n}",
    "exclusiveMaximum": lambda n, _: f"must be less than {n}",
    "multipleOf": lambda n, _: f"must be a multiple of {n}",
    "minItems": lambda n, value: "must not be empty" if not value else f"must have at least {_count(n, 'item')}",
    "maxItems": lambda n, _: f"must have at most {_count(n, 'item')}",
    "uniqueItems": lambda *_: "must not hold the same thing twice",
    "minProperties": lambda n, _: f"must have at least {_count(n, 'key')}",
    "maxProperties": lambda n, _: f"must have at most {_count(n, 'key')}",
}
