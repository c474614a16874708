"""Asking the policy without doing anything: may this person do that, by which rule, and what else is in the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from engine.access import external_policy, secret_use
from engine.access.actions import Team
from engine.access.policy import Action, Actor, Gate, Task, Thing, Verdict, ruled
from engine.access.scopes import scope_of
from engine.catalog import approved_targets, catalog, rehearsals, renewals
from engine.errors import Conflict, NotApproved
from engine.runs import executions, manual_tasks, skipping
from engine.runtime import Runtime
from storage import approvals, database
from storage.catalog_records import VersionRecord
from storage.records import ExecutionRecord
from storage.states import ApprovalStatus

VERBS: Mapping[str, Action] = {
    **dict.fromkeys(
        (
            "list",
            "show",
            "plan",
            "diff",
            "studio",
            "status",
            "why",
            "runs",
            "logs",
            "evidence",
            "catchup",
            "freezes",
        ),
        Action.VIEW,
    ),
    "run": Action.START,
    "pause": Action.PAUSE,
    "resume": Action.RESUME,
    "cancel": Action.CANCEL,
    "retry": Action.RETRY,
    "skip": Action.SKIP,
    "agree": Action.VOTE,
    "resolve": Action.RESOLVE,
    **dict.fromkeys(("done", "could-not"), Action.DO),
    "replay": Action.REPLAY,
    "handover": Action.HANDOVER,
    "held": Action.VIEW,
    "reviews": Action.VIEW,
    "review": Action.REVIEW,
    "release": Action.START,
    "freeze": Action.FREEZE,
    "unfreeze": Action.UNFREEZE,
    "takeover": Action.HANDOVER,
    "approve": Action.VOTE,
    "reject": Action.VOTE,
    "incident": Action.INCIDENT,
    "audit": Action.AUDIT,
    "report": Action.REPORT,
    "secret list": Action.SECRETS,
    **dict.fromkeys(("secret set", "secret delete", "secret rotate-keys"), Action.SECRET_SET),
    "admin sync": Action.SYNC,
    "admin approve": Action.APPROVE,
    "admin renew": Action.APPROVE,
    "admin withdraw": Action.APPROVE,
    "admin deprecate": Action.DEPRECATE,
    "admin rollback": Action.ROLLBACK,
}
"""The words for deeds that may be asked about."""

_BARE = (
    Action.VIEW, Action.SYNC, Action.INCIDENT, Action.AUDIT, Action.SECRETS, Action.SECRET_SET, Action.REVIEW,
)  # fmt: skip
_ON_VERSIONS = (Action.APPROVE, Action.DEPRECATE, Action.ROLLBACK)


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the policy says of `person` doing `verb` to `thing` (a name, "" for nothing in particular).

    `but` is what stands in the way although they may, such as a version that is not approved; else "".
    """

    person: str
    verb: str
    thing: str
    verdict: Verdict
    but: str = ""


def can(rt: Runtime, person: Actor, verb: str, target: str = "") -> Ruling:
    """Whether a person may do this: `target` is a runbook's id, `ID@VERSION`, a run's id or a team.

    Raises `Conflict` for a verb that nobody can ask about or a target that does not fit, and `NotFound`.
    """
    action = VERBS.get(verb)
    if action is None:
        near = get_close_matches(verb, VERBS, n=1)
        hint = f"Did you mean “{near[0]}”?" if near else f"It is one of {', '.join(VERBS)}."
        raise Conflict(f"“{verb[:40]}” is nothing that can be asked about. {hint} An example: `can run ID`.")
    if action in _BARE:
        return Ruling(person.user_id, verb, "", ruled(rt, person, action, None))
    if action is Action.REPORT:
        return Ruling(person.user_id, verb, target, ruled(rt, person, action, Team(target or None)))
    if not target:
        raise Conflict(f"Say what to {verb}: the id of a runbook or run.")
    if verb == "agree":
        return _agree(rt, person, target)
    thing, name = _thing(rt, action, target)
    decided = ruled(rt, person, action, thing)
    but = _in_the_way(rt, target) if action is Action.START and decided.allowed else ""
    if action is Action.APPROVE and isinstance(thing, VersionRecord) and decided.allowed:
        but = " ".join(filter(None, (_forbidden(rt, thing), rehearsals.lacking(rt, thing), _still_missing(rt, thing))))
    if decided.allowed and external_policy.is_asked(rt, person, action):
        but = f"{but} {external_policy.RULE}".strip()
    if verb == "takeover" and isinstance(thing, ExecutionRecord) and thing.offered_to != person.user_id:
        but = f"{thing.id} is not offered to them." if decided.allowed else ""
    return Ruling(person.user_id, verb, name, decided, but)


def _agree(rt: Runtime, person: Actor, run_id: str) -> Ruling:
    asked = skipping.requests(rt, executions.view(rt, run_id))
    if not asked:
        raise Conflict(f"Nobody asks to skip a step of {run_id.upper()}.")
    name = f"to skipping {asked[0].step.path} of {asked[0].execution.id}"
    return Ruling(person.user_id, "agree", name, skipping.may_agree(rt, person, asked[0]))


def _thing(rt: Runtime, action: Action, target: str) -> tuple[Thing, str]:
    slug, _, number = target.partition("@")
    if action is Action.START:
        return catalog.get(rt, slug), slug
    if action in (Action.FREEZE, Action.UNFREEZE):
        scope = scope_of(rt, target)
        return scope, scope.slug
    if action in _ON_VERSIONS:
        found = catalog.version(rt, slug, _number(number))
        return found, f"{found.slug}@{found.number}"
    if action is Action.VOTE:
        gate = _gate(rt, target)
        return gate, f"{gate.approval.path} of {gate.execution.id}"
    if action is Action.DO:
        waiting = manual_tasks.open_at(rt, target, None)
        return Task(waiting.task, waiting.execution), f"{waiting.task.path} of {waiting.execution.id}"
    if not target.upper().startswith("R-"):  # any run of a runbook is under the rule of the runbook
        return catalog.get(rt, slug), f"a run of {slug}"
    run = executions.find(rt, target)
    return run, run.id


def _gate(rt: Runtime, run_id: str) -> Gate:
    run = executions.find(rt, run_id)
    with database.reading():
        waiting = [each for each in approvals.of_execution(run.id) if each.status is ApprovalStatus.PENDING]
    if not waiting:
        raise Conflict(f"{run.id} has no gate waiting for a decision.")
    return Gate(waiting[0], run)


def _in_the_way(rt: Runtime, target: str) -> str:
    slug, _, number = target.partition("@")
    try:
        with database.reading():
            runnable = catalog.runnable(rt, catalog.get(rt, slug), _number(number))
    except NotApproved as refusal:
        return str(refusal)
    return _forbidden(rt, runnable)


def _forbidden(rt: Runtime, version: VersionRecord) -> str:
    """What the rules for secrets forbid of a version, "" for nothing."""
    definition = catalog.definition(version)
    with database.reading():
        wrong = approved_targets.faults(rt, definition)
        if wrong:
            return f"It cannot call what it names: {'; '.join(wrong)}."
        refused = secret_use.refusal(rt, approved_targets.as_now(rt, definition))
    return f"It may not use secrets as it does: {refused}." if refused else ""


def _still_missing(rt: Runtime, version: VersionRecord) -> str:
    """What one more approval might not be enough for: more than one person, or an owner of a tag."""
    said = renewals.approval(rt, version).quorum
    alone = not said.approvals and said.needed == 1 and len(said.missing) < 2
    return "" if alone or not said.missing else f"It still needs {', '.join(said.missing)}."


def _number(text: str) -> int | None:
    digits = text.removeprefix("v")
    if text and not (digits.isascii() and digits.isdigit() and len(digits) < 10):
        raise Conflict(f"“{text[:40]}” is no version: they are counted 1, 2, 3 …")
    return int(digits) if digits else None
