"""What there is to know of secrets without their values: where each comes from, what uses it, who set it and when."""

from __future__ import annotations

from dataclasses import dataclass

from engine.access import policy, secret_use
from engine.access.policy import Action, Actor
from engine.catalog import approved_targets, catalog
from engine.definition import dry_runs
from engine.definition.rendering import secret_parts
from engine.errors import EngineError, NotFound
from engine.runtime import Runtime
from engine.steps import context
from engine.text.redaction import Redactor
from storage import database, runbooks, secrets
from storage.secret_records import SecretVersionRecord
from storage.states import VersionStatus


@dataclass(frozen=True, slots=True)
class Use:
    """A runbook that reads a secret, in a version that is approved or only in its newest draft."""

    runbook: str
    team: str | None
    approved: bool


@dataclass(frozen=True, slots=True)
class SecretView:
    """A secret without its value.

    `source` is environment, file, store or vault, "" where there is none, and `hides` are the sources behind it that
    have it too. `stored` is the version that the store has. `senders` prove by it who they are. `problem` says why it
    cannot be used. `teams` are those whose runbooks may use it, and `hosts` where it may be sent; None for all.
    """

    name: str
    source: str
    hides: tuple[str, ...]
    stored: SecretVersionRecord | None
    uses: tuple[Use, ...]
    senders: tuple[str, ...]
    last_used_at: int | None
    problem: str
    teams: tuple[str, ...] | None = None
    hosts: tuple[str, ...] | None = None


def listing(rt: Runtime, actor: Actor) -> list[SecretView]:
    """Every secret that there is or that a runbook reads, by name.

    A token shows only what the runbooks of its person read, as of runbooks. Raises `NotAllowed`.
    """
    policy.authorise(rt, actor, Action.SECRETS)
    uses, store = _uses(rt), rt.secrets(Redactor())
    with database.reading():
        stored = {each.name: each for each in secrets.live(rt.workspace_id)}
        last_used = secrets.last_used(rt.workspace_id)
        rules = secret_use.rules(rt)
    senders = _senders(rt)
    seen = policy.teams_seen(rt, actor)
    found = []
    for name in sorted({*uses, *store.names(), *stored, *senders}):
        shown = tuple(each for each in uses.get(name, ()) if seen is None or each.team is None or each.team in seen)
        if seen is None or shown:
            (first, *rest), problem = _looked_at(*store.look(name))
            allowed = rules.entry(name)
            hosts = None if allowed.hosts is None else tuple(map(str, allowed.hosts))
            found.append(SecretView(
                name, first, tuple(rest), stored.get(name), shown, senders.get(name, ()), last_used.get(name), problem,
                _visible(allowed.teams, seen), hosts,
            ))  # fmt: skip
    return found


def _visible(teams: tuple[str, ...] | None, seen: frozenset[str] | None) -> tuple[str, ...] | None:
    return teams if teams is None or seen is None else tuple(each for each in teams if each in seen)


def versions(rt: Runtime, actor: Actor, name: str) -> list[SecretVersionRecord]:
    """Who set or deleted a stored secret and when, the newest first. Raises `NotFound` and `NotAllowed`."""
    policy.authorise(rt, actor, Action.SECRETS)
    if policy.teams_seen(rt, actor) is not None and name not in {each.name for each in listing(rt, actor)}:
        raise _nothing()
    with database.reading():
        found = secrets.versions(rt.workspace_id, name)
    if not found:
        raise _nothing()
    return found


def names_in_use(rt: Runtime) -> set[str]:
    """The names of the secrets that approved runbooks read."""
    return {name for name, found in _uses(rt).items() if any(each.approved for each in found)}


def _nothing() -> NotFound:
    return NotFound("No secret of that name was ever stored. `secret list` shows those there are.")


def _looked_at(kinds: list[str], problem: str) -> tuple[list[str], str]:
    return kinds or [""], problem


def _uses(rt: Runtime) -> dict[str, tuple[Use, ...]]:
    """Who reads which secret, by its name."""
    with database.reading():
        versions_ = runbooks.in_force(rt.workspace_id)
    found: dict[str, dict[str, Use]] = {}
    for version_id, slug, team, status in versions_:
        for name in _names(version_id):
            before = found.setdefault(name, {}).get(slug)
            approved = status is VersionStatus.APPROVED or (before is not None and before.approved)
            found[name][slug] = Use(slug, team, approved)
    return {name: tuple(uses.values()) for name, uses in found.items()}


def _names(version_id: int) -> frozenset[str]:
    """The secrets that a version reads, those of its targets included; one that cannot be read reads none."""
    try:
        with database.reading():
            runbook = approved_targets.to_run(version_id, catalog.definition_of(version_id))
    except EngineError:
        return frozenset()
    steps = (*runbook.by_id.values(), *dry_runs.checks(runbook), *runbook.lookups)
    return frozenset(name for step in steps for name in context.secret_names(context.chains_in(secret_parts(step))))


def _senders(rt: Runtime) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for sender in rt.settings.hook_senders:
        found[sender.secret] = (*found.get(sender.secret, ()), sender.name)
    return found
