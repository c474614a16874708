"""Whether the access file has the team that a runbook says it belongs to."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from engine.access.roles import policy_of
from engine.definition.model import Runbook
from engine.definition.schema import Finding
from engine.runtime import Runtime
from engine.text.problem import with_rule
from engine.text.words import did_you_mean
from storage import database


def cautions(runbook: Runbook, teams: Collection[str]) -> Iterator[Finding]:
    """A team that is none of these, since nobody but platform admins could run its runbook."""
    if runbook.team is None or runbook.team in teams:
        return
    there = did_you_mean(runbook.team, teams)
    message = f"`_access.yaml` has no team `{runbook.team}`, so that only platform admins may run it{there}"
    yield Finding(("team",), message, rule="unknown-team")


def warnings(rt: Runtime, runbook: Runbook) -> list[str]:
    """The same by the access file as it was read last, as sentences."""
    return [with_rule(each.message, each.rule) for each in cautions(runbook, known(rt))]


def known(rt: Runtime) -> Collection[str]:
    """The teams of the access file as it was read last."""
    with database.reading():
        return frozenset(policy_of(rt).get("teams") or {})
