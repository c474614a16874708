"""The rules for secrets in the catalogue: taken from `_secrets.yaml` at a sync, and asked before a version may run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from engine.access import auditing, secret_use, secrets_file, unknown_team
from engine.access.policy import Actor
from engine.catalog import approved_targets, catalog
from engine.definition import codec
from engine.definition.model import Runbook
from engine.egress.secret_rules import SecretRules
from engine.errors import Conflict
from engine.runtime import Runtime
from engine.text.problem import Problem
from storage import database, secret_policy
from storage.catalog_records import VersionRecord
from storage.states import Severity


def apply(rt: Runtime, actor: Actor, rules: SecretRules | None, *, broken: bool) -> None:
    """Keep the rules as they stand in the file now; None leaves those that were there.

    Where there were none, a `broken` file refuses every secret: whoever wrote it meant to bind some.
    """
    if broken and secret_policy.content(rt.workspace_id) is None:
        rules = SecretRules(unreadable=True)
    if rules is None:
        return
    content = rules.as_json()
    digest = codec.digest(content)
    if secret_policy.save(rt.workspace_id, digest, content):
        detail = {"digest": digest, "policy": content}
        auditing.by_actor(rt, actor, "secrets.change", auditing.SECRETS, detail, Severity.WARNING)


def problems(rt: Runtime, files: Mapping[str, Runbook], *, gone: bool) -> Iterator[Problem]:
    """What the rules forbid of these files, which become versions that nobody can approve; `gone` as to their own."""
    rules = secret_use.rules(rt)
    if gone and rules.known:
        yield secrets_file.missing(rt.settings.runbooks_dir / secrets_file.NAME)
    for file, runbook in files.items():
        refused = secret_use.refusal(rt, approved_targets.as_now(rt, runbook), rules)
        if refused:
            yield Problem(file, 1, 1, refused)


def warnings(rt: Runtime, version: VersionRecord) -> list[str]:
    """What deserves a second look before this version is approved, by the rules for secrets and teams of now too."""
    shown = shown_definition(rt, version)
    return [*catalog.warnings(version), *secret_use.warnings(rt, shown), *unknown_team.warnings(rt, shown)]


def shown_definition(rt: Runtime, version: VersionRecord) -> Runbook:
    """What a version says, with each call as its target makes it now."""
    with database.reading():
        return approved_targets.as_now(rt, catalog.definition(version))


def must_allow(rt: Runtime, found: VersionRecord, runbook: Runbook) -> None:
    """Raise `Conflict` where a target is not known, or the rules forbid what a version says of secrets.

    Needs an open connection.
    """
    wrong = approved_targets.faults(rt, runbook)
    if wrong:
        raise Conflict(f"{found.slug}@{found.number} cannot call what it names: {'; '.join(wrong)}.")
    refused = secret_use.refusal(rt, approved_targets.as_now(rt, runbook))
    if refused:
        raise Conflict(f"{found.slug}@{found.number} may not use secrets as it does: {refused}.")


def must_allow_targets(rt: Runtime, found: VersionRecord, runbook: Runbook) -> None:
    """`must_allow` where a version has targets, since these may have other hosts than at its approval."""
    if approved_targets.named_by(found.id):
        must_allow(rt, found, runbook)
