"""To which hosts the secrets that a run receives may be sent, as its runbook says. Pure.

One object answers the check of a file, the approval of a version and the worker, each with the same sentence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from engine.egress.hosts import HostPattern, destination, parse_pattern
from engine.egress.secret_rules import STRICT

HostList = tuple[str, ...] | None
"""The `hosts` of one secret output; None where it has none."""

HostLists = frozenset[HostList]
"""The lists of all who hold the same secret, each of which has to allow a host."""


@dataclass(frozen=True, slots=True)
class ReceivedRules:
    """The `hosts` of each secret output by "step.output", None where it has none; `strict` refuses such a one.

    `shared` are the lists of all who hold the same as one of these: another run may have received it first.
    """

    hosts: Mapping[str, HostList] = field(default_factory=dict)
    strict: bool = False
    shared: Mapping[str, HostLists] = field(default_factory=dict)

    def refused_sending(self, names: Iterable[str], url: str | None) -> Iterator[str]:
        """A sentence for each of these that may not be sent there; without a `url` for those that may go nowhere."""
        for name in sorted(names):
            hosts, output = self.hosts.get(name), _output(name)
            if hosts is None:
                if self.strict:
                    yield f"{output} has no `hosts`, and {STRICT} refuses to send what does not say where it may go"
            elif url is not None and not _fits(hosts, url):
                listed = ", ".join(hosts) or "empty"
                yield f"`hosts` of {output} is {listed}: it may not go to {_told(url)}"
            others = self.shared.get(name, frozenset()) - {hosts}
            if url is not None and not all(self._allows(each, url) for each in others):
                # Whose rule that is, and what it allows, is not for this run to know.
                yield f"{output} was received elsewhere too, where its `hosts` do not let it go to {_told(url)}"

    def _allows(self, hosts: HostList, url: str) -> bool:
        return not self.strict if hosts is None else _fits(hosts, url)

    def faults(self, name: str) -> Iterator[str]:
        """What is wrong with the hosts of one, a sentence each."""
        for host in self.hosts.get(name) or ():
            try:
                parse_pattern(host)
            except ValueError as error:
                yield f"`{host}` in `hosts` of {_output(name)}: {error}"

    def bound(self, names: Iterable[str]) -> list[str]:
        """Those of these whose hosts are listed."""
        return sorted(name for name in names if self.hosts.get(name) is not None)


def _output(name: str) -> str:
    step, _, output = name.partition(".")
    return f"`outputs.{output}` of step `{step}`"


def _fits(hosts: Iterable[str], url: str) -> bool:
    """Whether one of them is meant; one that cannot be read means none, as a URL whose host cannot be read is none."""
    try:
        to = destination(url)
    except ValueError:
        return False
    patterns: list[HostPattern] = []
    for host in hosts:
        try:
            patterns.append(parse_pattern(host))
        except ValueError:  # `faults` tells it; here it lets nothing through
            continue
    return any(each.matches(to) for each in patterns)


def _told(url: str) -> str:
    try:
        return str(destination(url))
    except ValueError:
        return "what is no valid host"
