"""Secrets as pages: what there is to know of them, and who set one and when. No value is ever read for them."""

from __future__ import annotations

from dataclasses import dataclass

from bot.page.story import Moment, Names, moment
from engine.access.policy import Actor
from engine.queries import secrets as queries
from engine.queries.secrets import SecretView
from engine.runtime import Runtime
from storage.secret_records import SecretVersionRecord


@dataclass(frozen=True, slots=True)
class Version:
    """That a stored secret was set, or deleted, by whom and when."""

    number: int
    did: str
    who: str
    at: Moment


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret without its value. `teams` and `hosts` say in words who may use it and where it may go.

    `readers` are the runbooks that read it, each with whether a version that is approved does.
    """

    name: str
    source: str
    hides: tuple[str, ...]
    teams: str
    hosts: str
    readers: tuple[tuple[str, bool], ...]
    senders: tuple[str, ...]
    used: Moment | None
    stored: Version | None
    problem: str


@dataclass(frozen=True, slots=True)
class Story:
    """One secret with the versions that its store has of it, the newest first."""

    name: str
    versions: tuple[Version, ...]


def secrets(rt: Runtime, actor: Actor) -> list[Secret]:
    """Every secret that this person may know of, by name. Raises `NotAllowed`."""
    names = Names(rt)
    return [_secret(names, each) for each in queries.listing(rt, actor)]


def story(rt: Runtime, actor: Actor, name: str) -> Story:
    """One stored secret. Raises `NotFound` and `NotAllowed`."""
    names = Names(rt)
    return Story(name, tuple(_version(names, each) for each in queries.versions(rt, actor, name)))


def _secret(names: Names, view: SecretView) -> Secret:
    return Secret(
        name=view.name,
        source=view.source,
        hides=view.hides,
        teams=_allowed(view.teams, "every team"),
        hosts=_allowed(view.hosts, "every host"),
        readers=tuple((each.runbook, each.approved) for each in view.uses),
        senders=view.senders,
        used=moment(view.last_used_at) if view.last_used_at else None,
        stored=_version(names, view.stored) if view.stored else None,
        problem=view.problem,
    )


def _allowed(listed: tuple[str, ...] | None, everything: str) -> str:
    return everything if listed is None else ", ".join(listed) or "nobody"


def _version(names: Names, record: SecretVersionRecord) -> Version:
    did = "deleted" if record.deleted else "set"
    return Version(record.version, did, names(record.set_by), moment(record.set_at))
