"""Whether a runbook uses secrets as `_secrets.yaml` lets it: what its text says, told where the file says it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.definition import secret_outputs
from engine.definition.model import Runbook, Step
from engine.definition.placed import every_step
from engine.definition.reaches import reaches
from engine.definition.rendering import secret_parts
from engine.definition.schema import Finding, Path
from engine.egress.received_rules import ReceivedRules
from engine.egress.secret_rules import FILE, SecretRules, rules_of
from engine.runtime import Runtime
from engine.text.problem import with_rule
from engine.text.words import did_you_mean
from storage import database, secret_policy


def rules(rt: Runtime) -> SecretRules:
    """The rules as last synced. Needs an open connection."""
    return rules_of(secret_policy.content(rt.workspace_id), strict=rt.settings.secrets_strict)


def rules_for(rt: Runtime, step: Step) -> SecretRules:
    """The rules as they are now, for a step that reads secrets; none, without a look, for any other."""
    return rules(rt) if secret_parts(step) else SecretRules()


def received_rules(rt: Runtime, runbook: Runbook) -> ReceivedRules:
    """Where what a run of this runbook receives may go."""
    return ReceivedRules(runbook.held_hosts, rt.settings.secrets_strict)


def refusal(rt: Runtime, runbook: Runbook, known: SecretRules | None = None) -> str:
    """Everything that the rules, as they are now, forbid of what a runbook says, "" for nothing.

    Needs an open connection where they are not given.
    """
    found = [f"step `{each.step}`: {each.message}" for each in _refused(runbook, known or rules(rt))]
    return "; ".join(dict.fromkeys(found))


def warnings(rt: Runtime, runbook: Runbook) -> list[str]:
    """What deserves a second look by the rules as they are now, and what they forbid."""
    with database.reading():
        known = rules(rt)
    return [with_rule(each.message, each.rule) for each in (*findings(runbook, known), *cautions(runbook, known))]


def findings(runbook: Runbook, known: SecretRules) -> Iterator[Finding]:
    """Every secret that this runbook may not use, and every host that is written down and may not be sent it."""
    for each in _refused(runbook, known):
        yield Finding(each.path, each.message)


def cautions(runbook: Runbook, known: SecretRules) -> Iterator[Finding]:
    """Secrets without an entry, and hosts of which only the run will tell whether they may be sent a secret."""
    for each in reaches(runbook):
        for name in known.unlisted(each.secrets):
            message = (
                f"{FILE} has no entry for the secret `{name}`: it may go anywhere{did_you_mean(name, known.entries)}"
            )
            yield Finding(each.path, message, rule="unlisted-secret")
        for name in known.boundless(each.secrets):
            message = f"{FILE} names no `hosts` for the secret `{name}`: it may go anywhere"
            yield Finding(each.path, message, rule="secret-without-hosts")
        for name in known.bound(each.secrets) if each.url is None else ():
            message = f"whether `{name}` may be sent to {each.host} is decided when it runs, by {FILE}"
            yield Finding(each.path, message, rule="secret-host-by-value")
        for name in ReceivedRules(runbook.held_hosts).bound(each.received) if each.url is None else ():
            message = f"whether `{name}`, which the run receives, may be sent to {each.host} is decided when it runs"
            yield Finding(each.path, message, rule="secret-host-by-value")


@dataclass(frozen=True, slots=True)
class _Refused:
    step: str
    path: Path
    message: str


def _refused(runbook: Runbook, known: SecretRules) -> Iterator[_Refused]:
    received = ReceivedRules(runbook.held_hosts, known.strict)
    for each in reaches(runbook):
        hosts = known.refused_sending(each.secrets, each.url) if each.url is not None else ()
        told = received.refused_sending(each.received, each.url)
        for message in (*known.refused_use(each.secrets, runbook.team), *hosts, *told):
            yield _Refused(each.step, each.path, message)
    for placed in every_step(runbook):
        for output in secret_outputs.templates(placed.step.outputs):
            for message in received.faults(secret_outputs.named(placed.step.id, output)):
                yield _Refused(placed.step.id, (*placed.with_path[:-1], "outputs", output, "hosts"), message)
