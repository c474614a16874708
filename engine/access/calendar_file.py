"""`_calendar.yaml`: windows in which something is frozen, again and again or once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from engine.access import windows
from engine.access.scopes import spelled
from engine.definition import regular_files
from engine.definition.durations import parse_duration
from engine.definition.yaml_source import MAX_BYTES, Source
from engine.definition.yaml_source import Path as Where
from engine.definition.yaml_source import read as read_yaml
from engine.errors import NotFound
from engine.text.problem import Problem
from engine.text.words import did_you_mean, listed, shortened

NAME = "_calendar.yaml"
MOST = 200
_KEYS = ("name", "scope", "reason", "zone", "rrule", "cron", "start", "for", "from", "until")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,59}")


def read(path: Path) -> tuple[list[dict[str, str]] | None, list[Problem]]:
    """The file's windows as they are kept, and what is wrong with it. None means: keep those that were there.

    A file that is gone has no windows: they are taken away by deleting it, as they are by an empty list.
    """
    try:
        source = regular_files.read(path, MAX_BYTES + 1)
    except FileNotFoundError:
        return [], []
    except OSError as error:
        return None, [Problem(str(path), 1, 1, f"cannot be read: {error.strerror}")]
    parsed = read_yaml(source, str(path))
    problems = list(parsed.problems) or _problems(parsed)
    if problems:
        return None, problems
    return [_kept(each) for each in (parsed.data or {}).get("windows") or ()], []


def _kept(window: dict[str, Any]) -> dict[str, str]:
    """A window as it is kept: its scope in the one spelling that is compared."""
    return {**{key: str(value) for key, value in window.items()}, "scope": spelled(str(window["scope"])).slug}


def _problems(source: Source) -> list[Problem]:
    data = source.data or {}
    found = data.get("windows") if isinstance(data, dict) else None
    if not isinstance(data, dict) or set(data) - {"windows"} or not isinstance(found or [], list):
        return [source.problem((1, 1), "must be a mapping with `windows`, a list")]
    if len(found or ()) > MOST:
        return [source.problem(source.location(("windows",)), f"has {len(found or ())} windows; at most {MOST}")]
    problems: list[Problem] = []
    names: set[str] = set()
    for index, each in enumerate(found or ()):
        problems += _window_problems(source, each, ("windows", index), names)
    return problems


def _window_problems(source: Source, each: Any, where: Where, names: set[str]) -> list[Problem]:
    if not isinstance(each, dict):
        return [source.problem(source.location(where), f"a window must be a mapping with {listed(_KEYS)}")]
    wrong: list[tuple[str, str]] = [
        (str(key), f"unknown key `{shortened(str(key))}`{did_you_mean(str(key), _KEYS)}")
        for key in each if key not in _KEYS
    ]  # fmt: skip
    wrong += [(key, f"`{key}` must be text") for key in _KEYS if key in each and not isinstance(each[key], str | int)]
    if not wrong:
        wrong = _wrong({key: str(value) for key, value in each.items()}, names)
    return [source.problem(source.location((*where, key)), message) for key, message in wrong]


def _wrong(window: dict[str, str], names: set[str]) -> list[tuple[str, str]]:
    """What is wrong with one window, each under its key."""
    found: list[tuple[str, str]] = []
    name = window.get("name", "")
    if not _NAME.fullmatch(name) or name in names:
        found.append(("name", "`name` must be one of its own: small letters, digits and -, at most 60"))
    names.add(name)
    try:
        spelled(window.get("scope", ""))
    except NotFound as error:
        found.append(("scope", str(error)))
    if not 0 < len(window.get("reason", "").strip()) <= 500:
        found.append(("reason", "`reason` must say why, in at most 500 characters"))
    if window.get("zone", "UTC") not in windows.zones():
        near = did_you_mean(window["zone"], sorted(windows.zones()))
        found.append(
            ("zone", f"there is no time zone `{shortened(window['zone'])}`{near}; write it like Europe/Berlin")
        )
    return found or _wrong_times(window)


def _wrong_times(window: dict[str, str]) -> list[tuple[str, str]]:
    kinds = [kind for kind in ("rrule", "cron", "from") if kind in window]
    if len(kinds) != 1:
        return [("name", "say when by one of `rrule`, `cron`, or `from` and `until`")]
    kind = kinds[0]
    needed, more = {
        "rrule": ({"start", "for"}, {"until"}),
        "cron": ({"for"}, {"until", "start"}),
        "from": ({"until"}, {"for", "start"}),
    }[kind]  # fmt: skip
    missing, extra = sorted(needed - set(window)), sorted(more & set(window) - needed)
    if missing or extra:
        wrong = f"needs `{missing[0]}`" if missing else f"takes no `{extra[0]}`"
        return [(kind, f"a window with `{kind}` {wrong}")]
    return [*_wrong_moments(window), *_wrong_length(window)] or _wrong_rule(window, kind)


def _wrong_moments(window: dict[str, str]) -> list[tuple[str, str]]:
    found = []
    for key in ("start", "from", "until"):
        try:
            if key in window:
                windows.wall(window[key], ZoneInfo(window.get("zone", "UTC")))
        except ValueError:
            found.append((key, f"`{key}` must be a time such as 2026-12-24T18:00, not `{shortened(window[key])}`"))
    return found


def _wrong_length(window: dict[str, str]) -> list[tuple[str, str]]:
    if "for" not in window:
        return []
    try:
        length = parse_duration(window["for"])
    except ValueError as error:
        return [("for", f"`for`: {error}")]
    return [] if 0 < length <= windows.LONGEST_MS else [("for", "`for` must be from 1s to 31d")]


def _wrong_rule(window: dict[str, str], kind: str) -> list[tuple[str, str]]:
    if kind == "from":
        begin, end = windows.once(window)
        if not begin < end <= begin + windows.LONGEST_ONCE_MS:
            return [("until", "`until` must be later than `from`, by at most 366 days")]
        return []
    try:
        windows.must_come(window)
    except ValueError as error:
        return [(kind, f"`{kind}`: {error}")]
    return []
