"""Audit rows: how the things that they are about are named, and who did what through which door.

Every row is written in the transaction of the change that it tells of.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.access import external_policy
from engine.access.policy import SYSTEM, Actor
from engine.runtime import Runtime
from storage import audit
from storage.records import Json
from storage.states import Severity

ACCESS = "access"
"""The thing that a change of the access file is about."""
SECRETS = "secrets"
"""The thing that a change of the rules for secrets, or a new key of all stored ones, is about."""

AUDIT = "audit"
"""The thing that reading the audit as a whole is about."""


CALENDAR = "calendar"
TARGETS = "targets"
"""The thing that a change of the calendar file is about."""


def of_execution(execution_id: str) -> str:
    """A run, as the audit names it."""
    return f"execution:{execution_id}"


def of_incident(incident_id: int) -> str:
    """An incident, as the audit names it."""
    return f"incident:{incident_id}"


def of_runbook(slug: str) -> str:
    """A runbook with all its versions, as the audit names it."""
    return f"runbook:{slug}"


def of_version(slug: str, number: int) -> str:
    """One version of a runbook, as the audit names it."""
    return of_runbook(f"{slug}@{number}")


def of_token(token_id: str) -> str:
    """A token, by its public id, as the audit names it."""
    return f"token:{token_id}"


def of_secret(name: str) -> str:
    """A secret of any version, as the audit names it."""
    return f"secret:{name}"


def of_freeze(freeze_id: str) -> str:
    """A freeze, as the audit names it."""
    return f"freeze:{freeze_id}"


def of_held_request(held_id: str) -> str:
    """A request that waits for the end of a freeze, as the audit names it."""
    return f"held_request:{held_id}"


def of_break_glass(asked_id: str) -> str:
    """A break-glass, as the audit names it."""
    return f"break_glass:{asked_id}"


def kind_and_name(thing: str) -> tuple[str, str]:
    """What a thing is (`execution`, `incident`, `runbook`, `token`, `secret`, `access`, `audit`), and its id."""
    kind, _, name = thing.partition(":")
    return kind, name


def by_actor(
    rt: Runtime,
    actor: Actor,
    action: str,
    thing: str,
    detail: Mapping[str, Json] | None = None,
    severity: Severity = Severity.NOTICE,
) -> None:
    """Record what somebody did, with the door that they came through and the external policy's decision."""
    decision = external_policy.decision_of(actor.user_id)
    by = {"door": actor.door, **({"policy_decision": decision} if decision else {})}
    audit.write(rt.workspace_id, actor.user_id, action, thing, severity, {**(detail or {}), **by})


def by_bot(rt: Runtime, action: str, thing: str, detail: Mapping[str, Json], severity: Severity) -> None:
    """Record what the bot did of its own accord."""
    audit.write(rt.workspace_id, SYSTEM.user_id, action, thing, severity, dict(detail))
