"""Break-glass: a run in spite of a freeze, a missing approval or a quorum, when two people want it, and its review.

It gives nobody a role: who asks and who agrees have to be allowed to start the runbook. It is for one run.
"""

from __future__ import annotations

from typing import Any

from engine.access import auditing, choosers, freeze_facts
from engine.access import freezes as rules
from engine.access.overrides import is_as_seen
from engine.access.policy import Action, Actor, authorise, authorise_by_rules, verdict
from engine.catalog import catalog, notices
from engine.definition.durations import DAY_MS
from engine.definition.kinds import kind_of
from engine.definition.model import Runbook
from engine.errors import Conflict, InvalidParameters, NotAllowed, NotFound, ReasonRequired
from engine.failpoints import committing
from engine.orchestration.admission import Override, Wanted
from engine.runs.executions import Accepted
from engine.runs.kept_requests import begin, checked, facts_of, may_start, must_be_the_same
from engine.runtime import Runtime
from engine.text.short_ids import short_id
from storage import break_glass, database
from storage.catalog_records import RunbookRecord, VersionRecord
from storage.freeze_records import BreakGlassRecord
from storage.states import Severity, VersionStatus

AGREE_WITHIN_MS = 10 * 60_000
REVIEW_WITHIN_MS = 7 * DAY_MS
_DRAFTS_TOO = Override(draft=True)


def ask(rt: Runtime, actor: Actor, wanted: Wanted) -> BreakGlassRecord:
    """Ask for it; nothing runs before a second person agrees.

    Raises as `admission.check`, `ReasonRequired`, and `Conflict` where it is off, nothing forbids the run, or a review
    of this person's is overdue.
    """
    authorise_by_rules(rt, actor, Action.START, catalog.get(rt, wanted.slug), heed_freezes=False)
    _must_be_on(rt)
    if not wanted.reason.strip():
        raise ReasonRequired('Break-glass needs a reason: reason="…".')
    found = checked(rt, actor, wanted, _DRAFTS_TOO)
    runbook = catalog.get(rt, found.version.slug)
    overrides = _overrides(rt, runbook, found.version, found.runbook)
    _must_keep_its_team(runbook, overrides)
    if not any(overrides.values()):
        raise Conflict(f"Nothing forbids a run of {runbook.slug}: run it without break_glass=yes.")
    now = database.now()
    asked = BreakGlassRecord(
        id=short_id("B"), **facts_of(found), requester=actor.user_id, overrides=overrides, created_at=now,
        expires_at=now + AGREE_WITHIN_MS,
    )  # fmt: skip
    with committing("break_glass"):
        authorise(rt, actor, Action.START, runbook, found.about, heed_freezes=False)
        _must_have_no_overdue_review(rt, actor.user_id)
        break_glass.create(rt.workspace_id, asked)
        _audit(rt, actor, "break_glass.ask", asked, {"parameters": asked.parameters})
        notices.of_break_glass(rt, "asked", asked.id, _channels(rt, asked))
    return asked


def agree(rt: Runtime, actor: Actor, asked_id: str) -> Accepted:
    """Agree, as a second person who may start it; then it runs, and a review is open. All is checked anew.

    Raises `NotFound`, `NotAllowed`, and `Conflict` where the time is up, somebody was first, or something else would
    run or be overridden than was shown.
    """
    asked = find(rt, actor, asked_id)
    may_start(rt, actor, asked)
    _must_be_on(rt)
    _must_be_somebody_else(rt, actor, asked)
    version = must_be_the_same(rt, asked, Override(asked.overrides["draft"]))
    _must_not_be_the_author(rt, actor, asked, version)

    def settle(accepted: Accepted) -> None:
        may_start(rt, actor, asked)
        _must_be_somebody_else(rt, actor, asked)
        _must_not_be_the_author(rt, actor, asked, version)
        for person in (asked.requester, actor.user_id):
            _must_have_no_overdue_review(rt, person)
        _must_be_as_shown(rt, version, asked)
        if not break_glass.agree(asked.id, actor.user_id, accepted.execution.id):
            raise Conflict(f"{asked.id} cannot be agreed to any more: somebody has, or its 10 minutes are over.")
        _audit(rt, actor, "break_glass.agree", asked, {"execution": accepted.execution.id})
        notices.of_break_glass(rt, "agreed", asked.id, _channels(rt, asked))

    both = f"break-glass {asked.id} by @{asked.requester} with @{actor.user_id}"
    return begin(rt, actor, asked, Override(asked.overrides["draft"], both), settle)


def find(rt: Runtime, actor: Actor, asked_id: str) -> BreakGlassRecord:
    """One break-glass, whatever became of it. Raises `NotFound`."""
    authorise(rt, actor, Action.VIEW)
    with database.reading():
        found = break_glass.find(rt.workspace_id, asked_id.strip().upper())
    if found is None or not _may_see(rt, actor, found):
        raise NotFound(f"There is no break-glass {asked_id[:40]!r}. `reviews` lists those that are open.")
    return found


def waiting(rt: Runtime, actor: Actor) -> list[BreakGlassRecord]:
    """Those that somebody may agree to now, then those whose review is open, the oldest first."""
    authorise(rt, actor, Action.VIEW)
    with database.reading():
        found = [*break_glass.asked(rt.workspace_id), *break_glass.unreviewed(rt.workspace_id)]
    return [each for each in found if _may_see(rt, actor, each)]


def _may_see(rt: Runtime, actor: Actor, asked: BreakGlassRecord) -> bool:
    """Whether this person may look at the runbook; of one that is gone, whoever may look at all."""
    runbook = catalog.find(rt, asked.slug)
    return runbook is None or verdict(rt, actor, Action.VIEW, runbook).allowed


def review(rt: Runtime, actor: Actor, asked_id: str, note: str) -> BreakGlassRecord:
    """Close the review of one, as a platform admin who had no part in it. Raises `NotAllowed` and `Conflict`."""
    asked = find(rt, actor, asked_id)
    authorise(rt, actor, Action.REVIEW)
    if not note.strip():
        raise ReasonRequired('Say what the review found: note="…".')
    if len(note) > 2000:
        raise InvalidParameters({"note": "at most 2000 characters"})
    if asked.agreed_by is None:
        raise Conflict(f"Nobody has agreed to {asked.id}, so nothing was run.")
    with committing("review"):
        authorise(rt, actor, Action.REVIEW)
        if actor.user_id in choosers.same_people(rt, [asked.requester, asked.agreed_by]):
            raise NotAllowed(f"You had a part in {asked.id}: a platform admin who had none reviews it.")
        if not break_glass.review(asked.id, actor.user_id, note.strip()):
            raise Conflict(f"The review of {asked.id} is closed already.")
        _audit(rt, actor, "break_glass.review", asked, {"note": note.strip()})
    return find(rt, actor, asked.id)


def in_words(overrides: dict[str, Any]) -> str:
    """What is overridden, as a sentence's part."""
    parts = [f"the freeze {each}" for each in overrides["freezes"]]
    parts += ["the missing approval of its version"] if overrides["draft"] else []
    parts += [f"the quorum of {', '.join(overrides['quorum'])}"] if overrides["quorum"] else []
    return ", ".join(parts)


def _overrides(rt: Runtime, runbook: RunbookRecord, version: VersionRecord, definition: Runbook) -> dict[str, Any]:
    """What stands in the way of a run now, and what its gates ask for beyond one approval.

    A window of the calendar, which may be changed in the file under its name, is kept as it was.
    """
    covering = rules.covering(rt, runbook)
    return {
        "freezes": sorted(each.id for each in covering),
        "windows": {each.id: [each.scope, each.reason, each.until] for each in covering if not each.created_by},
        "draft": version.status is VersionStatus.DRAFT,
        "quorum": [step.id for step in definition.by_id.values() if kind_of(step).is_gate and _needs_many(step.with_)],
    }


def _needs_many(with_: Any) -> bool:
    return int(with_["min_approvals"]) > 1 or bool(with_["approvers"].get("minima"))


def _must_keep_its_team(runbook: RunbookRecord, overrides: dict[str, Any]) -> None:
    """Who runs a draft is not for the draft to say: neither team may run what nobody has approved as the other's."""
    if overrides["draft"] and len(freeze_facts.of(runbook).teams) > 1:
        raise NotAllowed(
            f"The draft {runbook.slug}@{runbook.current_number} names another team than the version that is approved: "
            "a platform admin has to approve it first."
        )


def _must_be_as_shown(rt: Runtime, version: VersionRecord, asked: BreakGlassRecord) -> None:
    runbook = catalog.get(rt, asked.slug)
    now = _overrides(rt, runbook, version, catalog.definition(version))
    _must_keep_its_team(runbook, now)
    was = asked.overrides.get("windows", {})
    changed = {each for each, window in now["windows"].items() if was.get(each) != window}
    new = changed | (set(now["freezes"]) - set(asked.overrides["freezes"]))
    if asked.overrides["draft"] and not is_as_seen(version, asked):
        raise Conflict(f"{asked.slug}@{asked.number} was decided about since {asked.id} was asked for. Ask anew.")
    if new or (now["draft"] and not asked.overrides["draft"]):
        what = ", ".join(sorted(new)) or f"the missing approval of {asked.slug}@{asked.number}"
        raise Conflict(f"{asked.id} does not override {what}, which stands in the way since. Ask anew.")


def _must_be_somebody_else(rt: Runtime, actor: Actor, asked: BreakGlassRecord) -> None:
    if actor.user_id in choosers.same_people(rt, [asked.requester]):
        raise NotAllowed(f"You have asked for {asked.id} yourself: a second person has to agree.")


def _must_not_be_the_author(rt: Runtime, actor: Actor, asked: BreakGlassRecord, version: VersionRecord) -> None:
    """A draft's author is not the one who lets it run: nobody approves an edit of their own."""
    mine = asked.overrides["draft"] and choosers.wrote(rt, actor.user_id, actor.email, version)
    if mine and not rt.settings.allow_self_approval:
        raise NotAllowed(f"{asked.slug}@{asked.number} is your own edit: somebody else has to agree to {asked.id}.")


def _must_have_no_overdue_review(rt: Runtime, user_id: str) -> None:
    late = break_glass.unreviewed(
        rt.workspace_id, choosers.same_people(rt, [user_id]), database.now() - REVIEW_WITHIN_MS
    )
    if late:
        raise Conflict(
            f"The review of {late[0].id}, in which @{user_id} had a part, is open for more than 7 days: a platform "
            f'admin who had none closes it first (`review {late[0].id} note="…"`).'
        )


def _must_be_on(rt: Runtime) -> None:
    if not rt.settings.break_glass:
        raise Conflict("Break-glass is off here: BREAK_GLASS is not set.")


def _channels(rt: Runtime, asked: BreakGlassRecord) -> list[str]:
    found = [rt.settings.audit_channel, (asked.incident or {}).get("channel")]
    return list(dict.fromkeys(str(each) for each in found if each))


def _audit(rt: Runtime, actor: Actor, action: str, asked: BreakGlassRecord, detail: dict[str, Any]) -> None:
    about = {
        "runbook": f"{asked.slug}@{asked.number}", "digest": asked.digest, "requester": asked.requester,
        "overrides": asked.overrides, "reason": asked.reason,
    }  # fmt: skip
    thing = auditing.of_break_glass(asked.id)
    auditing.by_actor(rt, actor, action, thing, {**about, **detail}, Severity.CRITICAL)
