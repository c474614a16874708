"""Executions as people use them: asking for a run, and looking at one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from engine.access import channels
from engine.access.policy import Action, Actor, authorise, authorise_by_rules, named, teams_seen
from engine.access.roles import unmet
from engine.catalog import catalog
from engine.definition.model import Runbook
from engine.errors import Conflict, NotFound, ReasonRequired
from engine.failpoints import commit
from engine.orchestration import admission, gate_checks, incidents, parameter_changes
from engine.orchestration.admission import Checked, Override, Wanted
from engine.orchestration.parameter_changes import Changed
from engine.runs import vote_answers
from engine.runtime import Runtime
from storage import approvals, database, executions, idempotency, manual_tasks, slot_queue, steps
from storage import attempts as tries
from storage.catalog_records import VersionRecord
from storage.records import ApprovalRecord, AttemptRecord, ExecutionRecord, Filter, StepRunRecord, VoteRecord
from storage.states import ApprovalStatus, ExecutionStatus, Phase
from storage.task_records import TaskRecord

if TYPE_CHECKING:
    from engine.runs.time_spent import Spent

_ID_TRIES = 5


@dataclass(frozen=True, slots=True)
class GateView:
    """A gate with its votes.

    `missing` is how many more approvals it needs, 0 once it is decided; `unmet` says in words which of its minima those
    who have approved do not meet yet ("1 of group db-owners"). `rejected_before` are the rejections of the same gate
    when it was asked earlier, in this run, in one that it replays or in an earlier child of the same step, the newest
    first. `foreseen_in` is the run of a gate that is only looked forward to, which may not be on record.
    """

    approval: ApprovalRecord
    votes: tuple[VoteRecord, ...]
    missing: int
    unmet: tuple[str, ...] = ()
    rejected_before: tuple[VoteRecord, ...] = ()
    foreseen_in: ExecutionRecord | None = None


@dataclass(frozen=True, slots=True)
class ExecutionView:
    """An execution with all that is shown of it.

    `tasks` are what its manual steps have asked of people, the oldest first. `ahead` are those that hold the slots
    it is queued for, `holding` the ids of the steps that are or hold a gate, `changes` how its parameters were
    changed, in order. `spent` is how long its steps took, by the step run's id, where `engine.runs.time_spent` was
    asked.
    """

    execution: ExecutionRecord
    runbook: Runbook
    steps: tuple[StepRunRecord, ...]
    gates: tuple[GateView, ...]
    tasks: tuple[TaskRecord, ...] = ()
    ahead: tuple[str, ...] = ()
    holding: frozenset[str] = frozenset()
    changes: tuple[Changed, ...] = ()
    spent: Mapping[int, Spent] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Accepted:
    """What came of asking for a run. `how` is started, open (the same run is under way) or reused (it ended lately)."""

    execution: ExecutionRecord
    how: Literal["started", "open", "reused"]


Then = Callable[[Accepted], None]


def prepare(
    rt: Runtime, actor: Actor, slug: str, number: int | None = None, override: Override | None = None
) -> tuple[VersionRecord, Runbook]:
    """The version that a run would run. Raises `NotFound`, `NotAllowed` and `NotApproved` as `start` would."""
    runbook = catalog.get(rt, slug)
    authorise_by_rules(rt, actor, Action.START, runbook, heed_freezes=override is None)
    with database.reading():
        version = catalog.runnable(rt, runbook, number, draft=override is not None and override.draft)
    return version, catalog.definition(version)


def start(
    rt: Runtime,
    actor: Actor,
    slug: str,
    parameters: dict[str, Any],
    *,
    number: int | None = None,
    trigger: str,
    reason: str = "",
    incident: dict[str, Any] | None = None,
) -> ExecutionRecord:
    """`request` without its finer points: the execution that was started or that is the same and open."""
    wanted = Wanted(slug, parameters, trigger, number=number, reason=reason, incident=incident or {})
    return request(rt, actor, wanted).execution


def request(
    rt: Runtime, actor: Actor, wanted: Wanted, *, force: bool = False, reuse_within_ms: int = 0,
    key: str | None = None, then: Then | None = None, agreed: Callable[[Checked], None] | None = None,
) -> Accepted:  # fmt: skip
    """Accept a run: when this returns it is committed, and it will be run.

    The same version, parameters and incident run once at a time: while such a run is open it is returned instead, and
    one that succeeded within `reuse_within_ms` as well; `force` starts another and needs a reason. The same `key` of
    the same person gives the same answer again, and raises `Conflict` for a different request. `incident` may hold
    channel, channel_name and permalink; with a channel the run gets a card there, and the channel becomes an incident
    where its name tells of one: it must be one that the person is in. `then` is done with what came of it, in the same
    transaction. `agreed` is asked with exactly what would be accepted, and raises to refuse that.
    Raises as `accepting.check`, and `ChannelNotAllowed` and `ChannelUnknown`.
    """
    checked = admission.check(rt, actor, replace(wanted, incident=_bound(rt, actor, wanted), forced=force))
    if agreed is not None:
        agreed(checked)
    if force and not checked.wanted.reason:
        raise ReasonRequired('Starting the same run twice needs a reason: reason="…".')
    for left in reversed(range(_ID_TRIES)):
        try:
            accepted = _accept_once(
                rt, actor, checked, force=force, reuse_within_ms=reuse_within_ms, key=key, then=then
            )
            break
        except database.IntegrityError:  # the id is taken: draw another
            if not left:
                raise
    if accepted.how == "started":
        rt.hint([accepted.execution.id])
    return accepted


def _bound(rt: Runtime, actor: Actor, wanted: Wanted) -> dict[str, Any]:
    channel, said = (str(wanted.incident.get(key) or "") for key in ("channel", "channel_name"))
    if not channel:
        return dict(wanted.incident)
    # Who may not run it opens no incident either.
    runbook = catalog.get(rt, wanted.slug)
    authorise_by_rules(rt, actor, Action.START, runbook, heed_freezes=wanted.is_start)
    channels.must_be_in(rt, actor, channel)
    name = channels.name_of(rt, channel) or said
    if name:
        incidents.recognised_by(rt, actor, channel, name, wanted=runbook, parameters=wanted.parameters)
    return incidents.bound(rt, {**wanted.incident, **({"channel_name": name} if name else {})})


def _accept_once(
    rt: Runtime,
    actor: Actor,
    checked: Checked,
    *,
    force: bool,
    reuse_within_ms: int,
    key: str | None,
    then: Then | None,
) -> Accepted:
    wanted = checked.wanted
    same = admission.same_as(checked.version.digest, wanted.parameters, wanted.incident)

    def act() -> Accepted:
        database.one_at_a_time(f"same:{same}")
        if key is not None:
            before = answered_before(rt, actor, key, same)
            if before is not None:
                authorise(rt, actor, Action.START, before)
                return Accepted(before, "started")
        found = None if force or wanted.parent_step else _the_same(rt, same, reuse_within_ms)
        if found is not None:
            authorise(rt, actor, Action.START, found.execution)
        accepted = found or Accepted(admission.accept(rt, actor, checked), "started")
        if key is not None:
            idempotency.remember(rt.workspace_id, actor.user_id, key, same, accepted.execution.id)
        if then is not None:
            then(accepted)
        return accepted

    return commit("accept", same, act)


def answered_before(rt: Runtime, actor: Actor, key: str, request: str) -> ExecutionRecord | None:
    """The execution that this person's `key` has started; `request` is the request's digest. Needs a transaction.

    Raises `Conflict` where the key was used for another request.
    """
    before = idempotency.recall(rt.workspace_id, actor.user_id, key)
    if before is None:
        return None
    request_digest, execution_id = before
    if request_digest != request:
        raise Conflict(f"The idempotency key {key!r} was used for another request. Use a new key for a new request.")
    return executions.find(rt.workspace_id, execution_id)


def _the_same(rt: Runtime, same: str, reuse_within_ms: int) -> Accepted | None:
    for each in executions.identical(rt.workspace_id, same):
        if not each.status.ended:
            return Accepted(each, "open")
        lately = (each.ended_at or 0) >= database.now() - reuse_within_ms
        if reuse_within_ms and each.status is ExecutionStatus.SUCCESS and lately and _is_of_one_piece(each):
            return Accepted(each, "reused")
    return None


def _is_of_one_piece(run: ExecutionRecord) -> bool:
    """Whether nothing in a run was done for other parameters than it has now."""
    return all(step.revision >= run.revision for step in steps.of_phase(run.id, Phase.MAIN))


def find(rt: Runtime, execution_id: str) -> ExecutionRecord:
    """The execution of this id, in whatever case it was typed. Raises `NotFound`."""
    with database.reading():
        found = executions.find(rt.workspace_id, execution_id.strip().upper())
    if found is None:
        raise no_such(execution_id)
    return found


def no_such(execution_id: str) -> NotFound:
    """What is said of a run that is not there."""
    return NotFound(f"There is no run {execution_id!r}. `runs all` lists the latest.")


def view(rt: Runtime, execution_id: str, actor: Actor | None = None) -> ExecutionView:
    """Everything that is shown of an execution, to this person where one is named. Raises `NotFound`."""
    found = find(rt, execution_id)
    about = channels.shown(rt, actor, found).incident if actor else found.incident  # Slack may be asked: not below
    with database.reading():
        execution = find(rt, execution_id)
        queued = execution.slot == "queued" and execution.slot_group is not None
        ahead = slot_queue.holders(rt.workspace_id, str(execution.slot_group)) if queued else []
        runbook = catalog.shown_definition(execution)
        holding = [each.id for each in runbook.by_id.values() if gate_checks.holds_gate(rt, execution.id, each)]
        return ExecutionView(
            execution=replace(execution, incident=about),
            runbook=runbook,
            steps=tuple(steps.of_execution(execution.id)),
            gates=tuple(gate_view(rt, gate, execution.team) for gate in approvals.of_execution(execution.id)),
            tasks=tuple(manual_tasks.of_execution(execution.id)),
            ahead=tuple(named(rt, actor, ahead) if actor else ahead),
            holding=frozenset(holding),
            changes=parameter_changes.of_run(execution),
        )


def attempts(_rt: Runtime, step_run_ids: Collection[int]) -> dict[int, list[AttemptRecord]]:
    """The attempts of these step runs by the step run's id, in order; a step run without any is left out."""
    found: dict[int, list[AttemptRecord]] = {}
    with database.reading():
        for attempt in tries.of_steps(step_run_ids):
            found.setdefault(attempt.step_run_id, []).append(attempt)
    return found


def step(rt: Runtime, execution_id: str, path: str) -> tuple[StepRunRecord, list[AttemptRecord]]:
    """One step of a run with its tries. Raises `NotFound`."""
    run = find(rt, execution_id)
    with database.reading():
        for found in steps.at_paths(run.id, [path]):
            return found, tries.of_step(found.id)
    raise NotFound(f"{run.id} has no step {path}.")


def gate_view(rt: Runtime, approval: ApprovalRecord, team: str | None) -> GateView:
    """A gate of a run of `team` with its votes; needs an open connection."""
    votes = tuple(approvals.votes(approval.id))
    if approval.status is not ApprovalStatus.PENDING:
        return GateView(approval, votes, 0)
    before = tuple(approvals.rejections(executions.earlier_tries(approval.execution_id), approval.path, approval.id))
    approving = [vote.person for vote in vote_answers.leading(votes)]
    lacking = tuple(unmet(rt, approval.approvers, approving, team))
    # At least one while the gate is open: somebody who approved may have lost the right to since.
    return GateView(approval, votes, max(1, approval.min_approvals - len(approving)), lacking, before)


def page(
    rt: Runtime, actor: Actor, wanted: Filter, *, before: tuple[int, str] | None = None, limit: int = 50
) -> list[ExecutionRecord]:  # fmt: skip
    """The newest executions that fit and that the actor may see; `before` is the (created_at, id) to go on behind.

    Raises `ChannelNotAllowed` where those of a channel are asked for by somebody who may not know of it.
    """
    authorise(rt, actor, Action.VIEW)
    if wanted.channel:
        channels.must_see(rt, actor, wanted.channel)
    seen = teams_seen(rt, actor)
    with database.reading():
        found = executions.page(rt.workspace_id, wanted, seen=seen, or_of=actor.user_id, before=before, limit=limit)
    return [channels.shown(rt, actor, each) for each in found]


def recent(rt: Runtime, wanted: Filter, limit: int = 10) -> list[ExecutionRecord]:
    """The newest executions that fit, whoever asks."""
    with database.reading():
        return executions.page(rt.workspace_id, wanted, limit=limit)
