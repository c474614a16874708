"""`_access.yaml`: who is platform admin, responder, team admin and team member, by Slack user or group id."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.definition import regular_files
from engine.definition.yaml_source import MAX_BYTES, Source
from engine.definition.yaml_source import Path as Where
from engine.definition.yaml_source import read as read_yaml
from engine.text.problem import Problem
from engine.text.words import did_you_mean, listed, shortened

NAME = "_access.yaml"
_ID = re.compile(r"[UWS][A-Z0-9]{2,20}")
_LISTS = ("platform_admins", "responders")
_CHANNELS = "external_channels"
_CHANNEL = re.compile(r"[CGD][A-Z0-9]{2,20}")
_OWNERS = "owners"
_TAG = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
_TOP = (*_LISTS, "teams", _OWNERS, _CHANNELS)
_TEAM = ("admins", "members")


@dataclass(frozen=True, slots=True)
class Policy:
    """Ids starting with U or W are people's, with S user groups'.

    `owners` are those without one of whom no version with a tag is approved, by the tag. `external_channels` are the
    channels shared with other workspaces in which the bot speaks all the same.
    """

    platform_admins: tuple[str, ...]
    responders: tuple[str, ...]
    teams: dict[str, dict[str, tuple[str, ...]]]
    external_channels: tuple[str, ...] = ()
    owners: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The policy as it is stored and compared: mappings and lists, its teams in order."""
        teams = {team: {role: list(ids) for role, ids in who.items()} for team, who in sorted(self.teams.items())}
        lists = {"platform_admins": list(self.platform_admins), "responders": list(self.responders)}
        external = {_CHANNELS: list(self.external_channels)} if self.external_channels else {}
        tags = {tag: list(ids) for tag, ids in sorted(self.owners.items())}
        return {**lists, "teams": teams, **({_OWNERS: {"tags": tags}} if tags else {}), **external}


def read(path: Path) -> tuple[Policy | None, list[Problem]]:
    """The file's policy and what is wrong with it. None means: keep the one that was there."""
    try:
        source = regular_files.read(path, MAX_BYTES + 1)
    except FileNotFoundError:
        return None, [
            Problem(str(path), 1, 1, "is missing: nobody new gets a role; docs/operations.md has one to begin with")
        ]
    except OSError as error:
        return None, [Problem(str(path), 1, 1, f"cannot be read: {error.strerror}")]
    parsed = read_yaml(source, str(path))
    problems = list(parsed.problems) or _problems(parsed)
    return (None, problems) if problems else (_policy(parsed.data or {}), [])


def _problems(source: Source) -> list[Problem]:
    data = source.data
    if not isinstance(data, dict):
        return [source.problem((1, 1), f"must be a mapping with {listed(_TOP)}")]
    found = _unknown_keys(source, data, (), _TOP)
    for name in _LISTS:
        found += _bad_ids(source, data.get(name), (name,))
    found += _bad_channels(source, data.get(_CHANNELS))
    found += _bad_owners(source, data.get(_OWNERS))
    teams = data.get("teams")
    if teams is not None and not isinstance(teams, dict):
        return [
            *found,
            source.problem(source.location(("teams",)), "`teams` must map a team's name to its admins and members"),
        ]
    for team, who in (teams or {}).items():
        where: Where = ("teams", team)
        if not isinstance(who, dict):
            found.append(
                source.problem(source.location(where), f"team `{team}` must be a mapping with {listed(_TEAM)}")
            )
            continue
        found += _unknown_keys(source, who, where, _TEAM)
        for role in _TEAM:
            found += _bad_ids(source, who.get(role), (*where, role))
    return found


def _unknown_keys(source: Source, data: dict[str, Any], where: Where, known: tuple[str, ...]) -> list[Problem]:
    return [
        source.problem(
            source.location((*where, key), at_key=True), f"unknown key `{key}`{did_you_mean(str(key), known)}"
        )
        for key in data
        if key not in known
    ]


def _bad_ids(source: Source, ids: Any, where: Where) -> list[Problem]:
    if ids is None:
        return []
    if not isinstance(ids, list):
        return [source.problem(source.location(where), f"`{where[-1]}` must be a list of Slack user or group ids")]
    return [
        source.problem(
            source.location((*where, index)),
            f"`{_written(each)}` is no Slack id: users are like U0ALICE01, groups like S0ONCALL",
        )
        for index, each in enumerate(ids)
        if not (isinstance(each, str) and _ID.fullmatch(each))
    ]


def _written(value: Any) -> str:
    return shortened(value if isinstance(value, str) else json.dumps(value))


def _bad_channels(source: Source, ids: Any) -> list[Problem]:
    if ids is None:
        return []
    if not isinstance(ids, list):
        return [source.problem(source.location((_CHANNELS,)), f"`{_CHANNELS}` must be a list of Slack channel ids")]
    return [
        source.problem(
            source.location((_CHANNELS, index)), f"`{_written(each)}` is no channel's id, such as C0123456789"
        )
        for index, each in enumerate(ids)
        if not (isinstance(each, str) and _CHANNEL.fullmatch(each))
    ]


def _bad_owners(source: Source, owners: Any) -> list[Problem]:
    if owners is None:
        return []
    if not isinstance(owners, dict):
        return [source.problem(source.location((_OWNERS,)), f"`{_OWNERS}` must be a mapping with `tags`")]
    found = _unknown_keys(source, owners, (_OWNERS,), ("tags",))
    tags = owners.get("tags")
    where: Where = (_OWNERS, "tags")
    if tags is not None and not isinstance(tags, dict):
        return [*found, source.problem(source.location(where), "`tags` must map a tag to the ids of its owners")]
    for tag, ids in (tags or {}).items():
        if not (isinstance(tag, str) and _TAG.fullmatch(tag)):
            message = f"`{_written(tag)}` is no tag: lower-case letters, digits, dots and dashes, at most 40 characters"
            found.append(source.problem(source.location((*where, tag), at_key=True), message))
        elif not ids:
            message = f"tag `{tag}` needs at least one owner: with none, nothing that has it could be approved"
            found.append(source.problem(source.location((*where, tag)), message))
        found += _bad_ids(source, ids, (*where, tag))
    return found


def _policy(data: dict[str, Any]) -> Policy:
    teams = {
        team: {role: tuple(who.get(role) or ()) for role in _TEAM} for team, who in (data.get("teams") or {}).items()
    }
    admins, responders, external = (tuple(data.get(name) or ()) for name in (*_LISTS, _CHANNELS))
    owners = {tag: tuple(ids) for tag, ids in ((data.get(_OWNERS) or {}).get("tags") or {}).items()}
    return Policy(admins, responders, teams, external, owners)
