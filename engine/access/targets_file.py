"""`_targets.yaml`: names for the systems that runbooks call, and what each stands for in this environment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.definition import calls, regular_files
from engine.definition.schema import Finding, targets_validator
from engine.definition.schema import findings as schema_findings
from engine.definition.targets import FILE, Targets
from engine.definition.template_checks import secrets_only
from engine.definition.yaml_source import MAX_BYTES, Source
from engine.definition.yaml_source import Path as Where
from engine.definition.yaml_source import read as read_yaml
from engine.egress import parse_allow
from engine.egress.hosts import destination
from engine.text.problem import Problem
from engine.text.words import did_you_mean

NAME = FILE
ANY = None
"""Instead of an environment: whatever any of them has, for a check that knows of none."""


def read(path: Path, environment: str | None) -> tuple[Targets | None, list[Problem]]:
    """What the names stand for in an environment, "" for none, and what is wrong with the file.

    None means: keep what was there, of which there may be nothing. A file that is not there is nothing wrong by itself.
    """
    try:
        source = regular_files.read(path, MAX_BYTES + 1)
    except FileNotFoundError:
        return None, []
    except OSError as error:
        return None, [Problem(str(path), 1, 1, f"cannot be read: {error.strerror}")]
    parsed = read_yaml(source, str(path))
    problems = list(parsed.problems)
    if not problems:
        found = list(schema_findings(targets_validator(), parsed.data))
        problems = _located(parsed, found or _findings(parsed.data, environment))
    if problems:
        return None, problems
    return {name: _kept(said) for name, (said, _) in _merged(parsed.data, environment).items()}, []


def missing(path: Path) -> Problem:
    """What is said where a file was read once and is gone now."""
    rest = "write `targets: {}` into it to take them away"
    return Problem(str(path), 1, 1, f"is missing: the targets of the last good one hold on; {rest}")


def _merged(data: dict[str, Any], environment: str | None) -> dict[str, tuple[dict[str, Any], Where]]:
    """Each target with where the file says it: what all have in common, and over it what the environment has."""
    found: dict[str, tuple[dict[str, Any], Where]] = {
        name: (said, ("targets", name)) for name, said in data["targets"].items()
    }
    environments = data.get("environments", {})
    for each in environments if environment is ANY else [environment] if environment in environments else []:
        for name, said in environments[each].items():
            if environment is not ANY or name not in found:
                found[name] = ({**found.get(name, ({}, ()))[0], **said}, ("environments", str(each), name))
    return found


def _findings(data: dict[str, Any], environment: str | None) -> Iterator[Finding]:
    environments = data.get("environments", {})
    if environment and environments and environment not in environments:
        near = did_you_mean(environment, environments)
        yield Finding(("environments",), f"there is none called `{environment}`, as ENVIRONMENT says{near}")
    for each in environments or [environment]:
        for said, where in _merged(data, each).values():
            yield from _target_findings(said, where)


def _target_findings(said: dict[str, Any], where: Where) -> Iterator[Finding]:
    if "url" not in said:
        yield Finding(where, f"`{where[-1]}` has no `url`, neither here nor under `targets`")
        return
    try:
        parse_allow(_address(said["url"]))
    except ValueError as error:
        yield Finding(where, f"`{where[-1]}`: `url` cannot be called: {error}")
    yield from calls.findings(said, where)
    for key in ("headers", "auth", "tls"):
        yield from secrets_only(said.get(key), (*where, key))


def _address(url: str) -> str:
    """The host and port of a URL. Raises ValueError."""
    return str(destination(url))


def _kept(said: dict[str, Any]) -> dict[str, Any]:
    opens = {"opens": [_address(said["url"])]} if said.get("allow_private") else {}
    kept = {key: value for key, value in said.items() if key != "allow_private"}
    return {**kept, **opens, "url": said["url"].rstrip("/")}


def _located(source: Source, found: Any) -> list[Problem]:
    problems = [source.problem(source.location(each.path, at_key=each.at_key), each.message) for each in found]
    return sorted(set(problems))
