"""`_secrets.yaml`: for each secret the teams whose runbooks may use it, and the hosts that it may be sent to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.config import secrets
from engine.definition import regular_files
from engine.definition.yaml_source import MAX_BYTES, Source
from engine.definition.yaml_source import Path as Where
from engine.definition.yaml_source import read as read_yaml
from engine.egress.hosts import parse_pattern
from engine.egress.secret_rules import FILE, SecretRules, rules_of
from engine.text.problem import Problem
from engine.text.words import did_you_mean, listed, shortened

NAME = FILE
_KEYS = ("teams", "hosts")
_TEAM = re.compile(r"[a-z][a-z0-9-]{0,62}")


def read(path: Path) -> tuple[SecretRules | None, list[Problem]]:
    """The file's rules and what is wrong with it. None means: keep those that were there, of which there may be none.

    A file that is not there is nothing wrong by itself.
    """
    try:
        source = regular_files.read(path, MAX_BYTES + 1)
    except FileNotFoundError:
        return None, []
    except OSError as error:
        return None, [Problem(str(path), 1, 1, f"cannot be read: {error.strerror}")]
    parsed = read_yaml(source, str(path))
    problems = list(parsed.problems) or list(_problems(parsed))
    return (None, problems) if problems else (_rules(parsed.data), [])


def missing(path: Path) -> Problem:
    """What is said where a file was read once and is gone now."""
    rest = "write `secrets: {}` into it to lift them"
    return Problem(str(path), 1, 1, f"is missing: the rules of the last good one hold on; {rest}")


def _problems(source: Source) -> Iterator[Problem]:
    data = source.data
    if not isinstance(data, dict) or not isinstance(data.get("secrets"), dict):
        yield source.problem((1, 1), "must be a mapping with `secrets`, which maps a secret's name to its rules")
        return
    for key in data:
        if key != "secrets":
            yield source.problem(source.location((key,), at_key=True), f"unknown key `{shortened(str(key))}`")
    for name, said in data["secrets"].items():
        yield from _entry_problems(source, name, said)


def _entry_problems(source: Source, name: Any, said: Any) -> Iterator[Problem]:
    where: Where = ("secrets", name)
    if not isinstance(name, str) or not secrets.NAME.fullmatch(name):
        rule = "lower-case letters, digits and underscores"
        yield source.problem(
            source.location(where, at_key=True), f"`{shortened(str(name))}` is no secret's name: {rule}"
        )
    if not isinstance(said, dict):
        yield source.problem(source.location(where), f"must be a mapping with {listed(_KEYS)}; {{}} leaves both open")
        return
    for key in said:
        if key not in _KEYS:
            message = f"unknown key `{shortened(str(key))}`{did_you_mean(str(key), _KEYS)}"
            yield source.problem(source.location((*where, key), at_key=True), message)
    for key in _KEYS:
        if key in said:
            yield from _list_problems(source, said[key], (*where, key))


def _list_problems(source: Source, items: Any, where: Where) -> Iterator[Problem]:
    if not isinstance(items, list):
        yield source.problem(source.location(where), f"`{where[-1]}` must be a list; leave it out for all of them")
        return
    for index, item in enumerate(items):
        fault = _fault(str(where[-1]), item)
        if fault:
            yield source.problem(source.location((*where, index)), f"`{shortened(str(item))}`: {fault}")


def _fault(key: str, item: Any) -> str:
    """What is wrong with a team or a host, or ""."""
    if not isinstance(item, str):
        return "must be text"
    if key == "teams":
        return "" if _TEAM.fullmatch(item) else "is no team's name, such as payments"
    try:
        parse_pattern(item)
    except ValueError as error:
        return str(error)
    return ""


def _rules(data: dict[str, Any]) -> SecretRules:
    return rules_of({"secrets": data["secrets"]}, strict=False)
