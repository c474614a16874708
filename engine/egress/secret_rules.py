"""Which runbooks may use a secret and to which hosts it may be sent, as `_secrets.yaml` says. Pure.

One object answers the check of a file, the approval of a version and the worker, each with the same sentence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from engine.egress.hosts import HostPattern, destination, parse_pattern
from storage.records import Json

FILE = "_secrets.yaml"
STRICT = "SECRETS_STRICT"


@dataclass(frozen=True, slots=True)
class Entry:
    """What the file says of one secret; None stands for every team, and for every host."""

    teams: tuple[str, ...] | None = None
    hosts: tuple[HostPattern, ...] | None = None


@dataclass(frozen=True, slots=True)
class SecretRules:
    """What the file says of all of them. `known` says that there is one; `strict` refuses a secret that it lacks.

    `unreadable` says that there is a file of which no good state was ever read: it refuses every secret.
    """

    entries: Mapping[str, Entry] = field(default_factory=dict)
    known: bool = False
    strict: bool = False
    unreadable: bool = False

    def refused_use(self, names: Iterable[str], team: str | None) -> Iterator[str]:
        """A sentence for each of these secrets that a runbook of this team may not use."""
        for name in sorted(names):
            entry = self.entries.get(name)
            if self.unreadable:
                yield f"{FILE} could never be read, so the secret `{name}` may not be used: mend the file"
            elif entry is None and self.strict:
                yield f"{FILE} has no entry for the secret `{name}`, and {STRICT} refuses what has none"
            elif entry is not None and entry.teams is not None and team not in entry.teams:
                ours = f"is of team {team}" if team else "belongs to no team"
                yield f"`secrets.{name}.teams` of {FILE} is {_listed(entry.teams)}, and this runbook {ours}"

    def refused_sending(self, names: Iterable[str], url: str) -> Iterator[str]:
        """A sentence for each of these secrets that may not be sent there.

        A host that cannot be read here is none of those listed, since another client may read it.
        """
        try:
            to = destination(url)
        except ValueError:
            to = None
        for name in sorted(names):
            entry = self.entries.get(name)
            if entry is None or entry.hosts is None or (to and any(each.matches(to) for each in entry.hosts)):
                continue
            listed = _listed(map(str, entry.hosts))
            yield f"`secrets.{name}.hosts` of {FILE} is {listed}: it may not go to {to or 'what is no valid host'}"

    def entry(self, name: str) -> Entry:
        """What holds of a secret, whether or not the file says anything of it."""
        if self.unreadable:
            return Entry((), ())
        return self.entries.get(name) or Entry(() if self.strict else None)

    def unlisted(self, names: Iterable[str]) -> list[str]:
        """Those of these secrets of which the file says nothing, where there is one and that is not refused anyway."""
        return sorted(name for name in names if name not in self.entries) if self.known and not self.strict else []

    def bound(self, names: Iterable[str]) -> list[str]:
        """Those of these secrets whose hosts are listed."""
        return sorted(name for name in names if name in self.entries and self.entries[name].hosts is not None)

    def boundless(self, names: Iterable[str]) -> list[str]:
        """Those of these secrets that have an entry which names no hosts."""
        return sorted(name for name in names if name in self.entries and self.entries[name].hosts is None)

    def as_json(self) -> dict[str, Json]:
        """What is stored and compared, in the order of the names."""
        entries = {name: _entry_json(entry) for name, entry in sorted(self.entries.items())}
        return {"secrets": entries, **({"unreadable": True} if self.unreadable else {})}


def rules_of(stored: Json, *, strict: bool) -> SecretRules:
    """The rules that `as_json` made `stored` of; None where no file was read so far."""
    if stored is None:
        return SecretRules(strict=strict)
    if stored.get("unreadable"):
        return SecretRules(strict=strict, unreadable=True)
    entries = {name: _entry(said) for name, said in stored["secrets"].items()}
    return SecretRules(entries, known=True, strict=strict)


def _entry(said: Mapping[str, Json]) -> Entry:
    hosts = said.get("hosts")
    teams = said.get("teams")
    return Entry(None if teams is None else tuple(teams), None if hosts is None else tuple(map(parse_pattern, hosts)))


def _entry_json(entry: Entry) -> dict[str, Json]:
    teams = {} if entry.teams is None else {"teams": list(entry.teams)}
    return {**teams, **({} if entry.hosts is None else {"hosts": list(map(str, entry.hosts))})}


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words) or "empty"
