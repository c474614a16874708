"""Accepting a run: who may, which version, whether the parameters fit, and its concurrency slot.

What `accept` writes is committed with the caller's transaction; from then on the run is never lost.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass, field, replace
from typing import Any

from engine.access import auditing, reasons
from engine.access.policy import About, Action, Actor, authorise, authorise_by_rules
from engine.catalog import approval_expiry, approved_targets, catalog
from engine.definition.model import Runbook
from engine.definition.parameters import validate
from engine.errors import InvalidParameters, ReasonRequired
from engine.orchestration import (
    incidents,
    option_checks,
    parameter_changes,
    run_phases,
    slots,
    step_completion,
    step_runs,
)
from engine.orchestration.transition import Transition
from engine.runtime import Runtime
from storage import database, people, run_state, runbooks
from storage.catalog_records import RunbookRecord, VersionRecord
from storage.records import ExecutionRecord
from storage.states import ExecutionStatus, Severity, VersionStatus

_ID_LETTERS = "23456789ABCDEFGHJKLMNPQRSTVWXYZ"
"""No 0, 1, I, O or U: an id is read aloud at night and never spells a word."""


@dataclass(frozen=True, slots=True)
class Override:
    """What forbids a run and does not count this time: freezes, and with `draft` that its version is not approved.

    `by` are the words before the run's reason that say who overrides it.
    """

    draft: bool = False
    by: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A run that somebody asks for. `parameters` are as given; `number` None is the version that would run now.

    With `prefill` those that were not given are taken from the incident where the runbook says so. Whoever set a fact
    that a value is taken from has chosen that value, whether it was filled in here or at a door before. `chosen_by` are
    people who chose them beside the one who asks, `were` the parameters of the run that this one replays. `override` is
    set by whoever has two people's word for it, or only asks what would be run.
    """

    slug: str
    parameters: dict[str, Any]
    trigger: str
    number: int | None = None
    reason: str = ""
    incident: dict[str, Any] = field(default_factory=dict)
    parent_step: int | None = None
    replay_of: str | None = None
    prefill: bool = True
    chosen_by: tuple[str, ...] = ()
    were: dict[str, Any] | None = None
    forced: bool = False
    override: Override | None = None

    @property
    def is_start(self) -> bool:
        """Whether a freeze keeps it from beginning: a child belongs to a run that is under way."""
        return self.parent_step is None and self.override is None

    @property
    def may_be_draft(self) -> bool:
        """Whether two people let a version run that nobody has approved."""
        return self.override is not None and self.override.draft


@dataclass(frozen=True, slots=True)
class Checked:
    """A run that may be accepted: `wanted` with its parameters completed, and the version that it will run.

    `unchecked` are the parameters whose systems could not be asked whether they offer what was given.
    """

    wanted: Wanted
    version: VersionRecord
    runbook: Runbook
    unchecked: tuple[str, ...] = ()

    @property
    def about(self) -> About:
        """What it is asked with whether somebody may start it."""
        return About(self.wanted.parameters, self.wanted.incident, self.version)


def check(rt: Runtime, actor: Actor, wanted: Wanted) -> Checked:
    """Raises `NotFound`, `NotAllowed`, `NotApproved`, `InvalidParameters` or `ReasonRequired`.

    Systems that offer choices may be asked, so that it is not for a transaction, but for a child's.
    """
    with database.reading(), people.reads_cached():
        (found,) = people.read_with(rt.workspace_id, actor.user_id, runbooks.find_query(rt.workspace_id, wanted.slug))
        runbook = found[0] if found else catalog.get(rt, wanted.slug)
        authorise_by_rules(rt, actor, Action.START, runbook, heed_freezes=wanted.is_start)
        version = _version(rt, runbook, wanted)
    definition = catalog.definition(version)
    values = complete(definition, wanted.parameters, wanted.incident if wanted.prefill else None)
    reason = wanted.reason.strip()
    if definition.risk == "high" and not reason:
        raise ReasonRequired(f'{version.slug} is high risk: say why, with reason="…".')
    if wanted.parent_step is None:
        reasons.must_be_stated(rt, actor, reason)
    # Who chose the values of a run that is replayed is known.
    chose = incidents.who_set(rt, definition.parameters, wanted.incident, values) if wanted.replay_of is None else []
    if wanted.override is not None and wanted.override.by:
        reason = f"{wanted.override.by}: {reason}"
    wanted = replace(wanted, parameters=values, reason=reason, chosen_by=(*wanted.chosen_by, *chose))
    checked = Checked(wanted, version, definition)
    authorise(rt, actor, Action.START, runbook, checked.about, heed_freezes=wanted.is_start)
    return replace(checked, unchecked=_unchecked(rt, checked)) if definition.lookups else checked


def _unchecked(rt: Runtime, checked: Checked) -> tuple[str, ...]:
    """What could not be checked of the values that are new: a replay's are what they were.

    Nothing is asked of a child, which is started under its parent's lock, nor by a version that nobody has approved.
    Raises `InvalidParameters` for what is not offered.
    """
    wanted = checked.wanted
    if wanted.parent_step is not None:
        return ()
    if checked.version.status is not VersionStatus.APPROVED:
        return tuple(name for name in wanted.parameters if option_checks.has(checked.runbook, name))
    were = wanted.were
    names = None if were is None else [name for name, value in wanted.parameters.items() if were.get(name) != value]
    return option_checks.must_be_offered(rt, checked.version, wanted.parameters, names)


def _version(rt: Runtime, runbook: RunbookRecord, wanted: Wanted) -> VersionRecord:
    """A child belongs to a run that is under way, which goes on though an approval has expired meanwhile."""
    if wanted.parent_step is not None:
        return catalog.approved(rt, runbook, wanted.number)
    return catalog.runnable(rt, runbook, wanted.number, draft=wanted.may_be_draft)


def complete(runbook: Runbook, given: dict[str, Any], about: dict[str, Any] | None) -> dict[str, Any]:
    """The parameters, defaults filled in and right; what was not given is taken from the incident `about`, if any.

    Raises `InvalidParameters`, saying which value came from there.
    """
    taken = incidents.prefill(runbook.parameters, about or {})
    taken = {name: value for name, value in taken.items() if name not in given}
    try:
        return validate(runbook.parameters, {**taken, **given})
    except InvalidParameters as wrong:
        came = " (it was filled in from the incident)"
        raise InvalidParameters(
            {name: f"{why}{came}" if name in taken else why for name, why in wrong.fields.items()}
        ) from None


def accept(rt: Runtime, actor: Actor, checked: Checked) -> ExecutionRecord:
    """Write the run; needs a transaction, in which it is asked once more whether the actor may.

    Raises as `authorise`, `NotApproved`, `Conflict` for its slot, `IntegrityError` for its id.
    """
    version, wanted = checked.version, checked.wanted
    must_still(rt, actor, checked)
    if version.status is VersionStatus.DRAFT:
        approved_targets.keep(rt, version)
    execution = _new(rt, actor, checked)
    group, slot = slots.take(rt, actor, execution, checked.runbook)
    execution = replace(execution, slot_group=group, slot=slot)
    transition = Transition(rt, run_state.create(execution))
    conditions = step_runs.make_main(transition, checked.runbook.steps)
    differs = parameter_changes.between(wanted.were, wanted.parameters) if wanted.were is not None else []
    told: dict[str, Any] = {"changes": parameter_changes.kept(rt.redactor().redact_json(differs))} if differs else {}
    if checked.unchecked:
        told["unchecked"] = list(checked.unchecked)
    transition.record_event("started", actor=actor.user_id, reason=wanted.reason, **told)
    if slot == "queued":
        transition.record_event("queued", group=group, behind=slots.ahead_of(execution, str(group)))
    if conditions:
        step_completion.unblock_held(transition)
    detail = {
        "parameters": wanted.parameters, "reason": wanted.reason, "digest": version.digest,
        "from": wanted.incident, "replay_of": wanted.replay_of, **told, **({"force": True} if wanted.forced else {}),
    }  # fmt: skip
    auditing.by_actor(rt, actor, "execution.start", auditing.of_execution(execution.id), detail, Severity.INFO)
    return run_phases.save(transition)


def must_still(rt: Runtime, actor: Actor, checked: Checked) -> None:
    """Whether the actor may start what was `checked`, asked once more inside the transaction that acts.

    Raises as `authorise`, and `NotApproved`.
    """
    version, wanted = checked.version, checked.wanted
    with people.reads_cached(anew=True):
        (found,) = people.read_with(rt.workspace_id, actor.user_id, runbooks.share_query(rt.workspace_id, version.slug))
        if not found:
            raise catalog.no_such(version.slug)
        authorise(rt, actor, Action.START, found[0], checked.about, heed_freezes=wanted.is_start)
        if not wanted.may_be_draft:
            catalog.must_run(rt, found[0], version.number)
        elif catalog.runnable(rt, found[0], version.number, draft=True).id != version.id:
            raise catalog.no_such(version.slug)
    if wanted.parent_step is None and version.status is VersionStatus.APPROVED:
        approval_expiry.must_hold(rt, version, checked.runbook)
        approved_targets.must_hold(rt, version)
    if wanted.parent_step is None:
        approved_targets.must_be_the_same(rt, version)


def same_as(digest: str, parameters: dict[str, Any], incident: dict[str, Any]) -> str:
    """What makes two runs the same: the version, by its digest, parameters and incident."""
    about = [digest, parameters, incident.get("channel"), incident.get("case")]
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def foreseen(rt: Runtime, actor: Actor, checked: Checked) -> ExecutionRecord:
    """The run that `accept` would write, for a look at it: nothing is written, and it will have another id."""
    return _new(rt, actor, checked)


def _new(rt: Runtime, actor: Actor, checked: Checked) -> ExecutionRecord:
    version, wanted, definition = checked.version, checked.wanted, checked.runbook
    at = database.now()
    return ExecutionRecord(
        id="R-" + "".join(secrets.choice(_ID_LETTERS) for _ in range(6)),
        workspace_id=rt.workspace_id, runbook_id=version.runbook_id, version_id=version.id, slug=version.slug,
        number=version.number, digest=version.digest, team=definition.team, status=ExecutionStatus.PENDING,
        pending_result=None,
        parameters=wanted.parameters, trigger=wanted.trigger, requester=actor.user_id, reason=wanted.reason,
        incident=wanted.incident, result=None, error=None, created_at=at, started_at=None, ended_at=None,
        expected_ms=definition.expected_ms, timeout_ms=definition.timeout_ms,
        running_ms=0, running_since=None, deadline_at=None,
        max_concurrent=definition.max_concurrent_steps or rt.settings.max_concurrent_steps, live=0, running=0,
        waiting_steps=0,
        unfinished=len(definition.steps), event_seq=0, paused_reason=None, status_since=at,
        same_as=None if wanted.parent_step else same_as(version.digest, wanted.parameters, wanted.incident),
        parent_step=wanted.parent_step, replay_of=wanted.replay_of,
        chosen_by=list(dict.fromkeys([actor.user_id, *wanted.chosen_by])), owners=[],
    )  # fmt: skip
