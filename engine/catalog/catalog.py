"""The catalogue as people see it: runbooks, their versions and definitions, and whether a version may run."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Collection, Iterable
from functools import lru_cache
from itertools import islice

from engine.access import auditing, kept_version
from engine.access.policy import Action, Actor, ruled
from engine.catalog import approval_expiry, approved_targets, version_quorum
from engine.definition import codec, gate_graph, graph, lint, load
from engine.definition.model import Runbook
from engine.errors import NotApproved, NotFound, Undecodable
from engine.runtime import Runtime
from storage import audit, database, executions, runbooks
from storage.catalog_records import RunbookRecord, VersionRecord
from storage.records import AuditRecord, ExecutionRecord
from storage.states import VersionStatus

_NOBODY = (
    "Nobody in this workspace is known to have written this, so nobody is kept from approving their own edit. A file "
    "that is committed with an e-mail address that Slack knows has an author."
)

log = logging.getLogger(__name__)


def listing(
    rt: Runtime, text: str = "", tag: str | None = None, *, team: str | None = None, status: str | None = None,
    seen: Collection[str] | None = None,
) -> list[RunbookRecord]:  # fmt: skip
    """All runbooks by id; `text` filters id, name and description, `tag`, `team` and `status` what they are called.

    `seen` leaves only what belongs to these teams or to all; None leaves everything.
    """
    words = text.casefold().split()
    with database.reading():
        everything = runbooks.listing(rt.workspace_id)

    def fits(runbook: RunbookRecord) -> bool:
        haystack = f"{runbook.slug} {runbook.name} {runbook.description}".casefold()
        return (
            all(word in haystack for word in words)
            and (tag is None or tag in runbook.tags)
            and team in (None, runbook.team)
            and status in (None, runbook.status)
            and (seen is None or runbook.team is None or runbook.team in seen)
        )

    return [runbook for runbook in everything if fits(runbook)]


def find(rt: Runtime, slug: str) -> RunbookRecord | None:
    """The runbook of this id, in whatever case it was typed."""
    with database.reading():
        return runbooks.find(rt.workspace_id, slug.strip().lower())


def startable(rt: Runtime, actor: Actor, found: Iterable[RunbookRecord]) -> set[str]:
    """The ids of those that are approved and that `actor` may run, frozen or not; it depends on the team alone."""
    approved = [runbook for runbook in found if runbook.status is VersionStatus.APPROVED]
    one_each = {runbook.team: runbook for runbook in approved}

    def may(runbook: RunbookRecord) -> bool:
        return ruled(rt, actor, Action.START, runbook, heed_freezes=False).allowed

    teams = {team for team, runbook in one_each.items() if may(runbook)}
    return {runbook.slug for runbook in approved if runbook.team in teams}


def get(rt: Runtime, slug: str) -> RunbookRecord:
    """The runbook of this id. Raises `NotFound`, naming the nearest."""
    found = find(rt, slug)
    if found is not None:
        return found
    with database.reading():
        known = [runbook.slug for runbook in runbooks.listing(rt.workspace_id)]
    near = difflib.get_close_matches(slug, known, n=1)
    raise no_such(slug, near[0] if near else None)


def no_such(slug: str, near: str | None = None) -> NotFound:
    """What is said of a runbook that is not there."""
    hint = f" Did you mean {near}?" if near else " `list` shows all there are."
    return NotFound(f"There is no runbook {slug!r}.{hint}")


def version(rt: Runtime, slug: str, number: int | None = None) -> VersionRecord:
    """One version, the current one when `number` is left out. Raises `NotFound`."""
    runbook = get(rt, slug)
    wanted = runbook.current_number if number is None else number
    with database.reading():
        found = runbooks.version(runbook.id, wanted) if 0 < wanted <= runbook.current_number else None
    if found is None:
        raise NotFound(f"{runbook.slug} has no version {number}; its newest is {runbook.current_number}.")
    return found


def history(rt: Runtime, slug: str) -> list[VersionRecord]:
    """All versions of a runbook, newest first."""
    runbook = get(rt, slug)
    with database.reading():
        return runbooks.versions(runbook.id)


def definition(record: VersionRecord) -> Runbook:
    """What this version says."""
    return definition_of(record.id)


def warnings(version: VersionRecord) -> list[str]:
    """What deserves a second look before this version is approved: in its text, and in who wrote it.

    What the file ignores is told too, with the author's reason: who approves judges that.
    """
    nobody = [] if version.author else [_NOBODY]
    examined = load.examine(version.source.encode(), version.slug)
    if examined.runbook is None:  # a release before this one took it
        return [*nobody, *(each.told for each in lint.warnings(definition(version)))]
    ignored = [f"{each.told}; the file ignores this: {each.ignored}" for each in examined.ignored]
    return [*nobody, *(each.told for each in examined.warnings), *ignored]


@lru_cache(maxsize=512)
def definition_of(version_id: int) -> Runbook:
    """The definition of a version by its id. Versions never change, so this is read once a process.

    Raises `NotFound`, and `Undecodable` where what is stored is damaged, or was written by a newer release.
    """
    try:
        with database.reading():
            found = runbooks.version_by_id(version_id)
        if found is not None:
            return codec.from_canonical(found.definition)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        log.exception("the stored definition of version %s cannot be read", version_id)
        raise Undecodable(f"The stored definition of version {version_id} cannot be read: {error!r}.") from error
    raise NotFound(f"There is no version with id {version_id}.")


def shown_definition(execution: ExecutionRecord) -> Runbook:
    """The definition that a run is shown with: no more than its name where what is stored cannot be read."""
    try:
        return definition_of(execution.version_id)
    except Undecodable:
        return Runbook(
            id=execution.slug, name=execution.slug, description="", team=execution.team, tags=(), risk="low",
            timeout_ms=execution.timeout_ms, parameters={}, steps=(),
        )  # fmt: skip


@lru_cache(maxsize=512)
def successors_of(version_id: int) -> dict[str, tuple[str, ...]]:
    """Which steps need which, in every list of a version's definition: main, cleanup, branches and loops."""
    return graph.all_successors(definition_of(version_id))


@lru_cache(maxsize=512)
def gates_before(version_id: int) -> dict[str, tuple[str, ...]]:
    """Which steps before each step are, hold or may start a gate; see `definition.gate_graph.before`."""
    return gate_graph.before(definition_of(version_id))


@lru_cache(maxsize=512)
def shown_at(version_id: int) -> dict[str, tuple[str, ...]]:
    """Which gates show each step; see `definition.gate_graph.shows`."""
    return gate_graph.shows(definition_of(version_id))


def forget_definitions() -> None:
    """Know no version any more: those of another database have the same ids."""
    for known in (definition_of, successors_of, gates_before, shown_at, approved_targets.named_by):
        known.cache_clear()


def drafts(rt: Runtime, actor: Actor, limit: int) -> list[VersionRecord]:
    """At most `limit` newest versions that wait for an approval which this person may give, by their runbooks' ids."""
    waiting = (version(rt, each.slug) for each in listing(rt, status=VersionStatus.DRAFT))
    return list(islice((each for each in waiting if may_approve(rt, actor, each)), limit))


def may_approve(rt: Runtime, actor: Actor, found: VersionRecord) -> bool:
    """Whether a version waits for an approval, and this person may give it and has not done so."""
    if found.status is not VersionStatus.DRAFT or not ruled(rt, actor, Action.APPROVE, found).allowed:
        return False
    return not version_quorum.has_said(rt, actor, found)


def diff(rt: Runtime, slug: str, number: int) -> str:
    """What approving this version would change: a unified diff of the file against the last approved version.

    The whole text where nothing was approved before, and "" where nothing differs.
    """
    new = version(rt, slug, number)
    with database.reading():
        old = runbooks.last_approved(new.runbook_id, new.number - 1)
    if old is None:
        return new.source
    lines = difflib.unified_diff(
        old.source.splitlines(), new.source.splitlines(),
        f"{new.slug}@{old.number}", f"{new.slug}@{new.number}", lineterm="",
    )  # fmt: skip
    return "\n".join(lines)


def deeds(rt: Runtime, slug: str, limit: int = 50) -> list[AuditRecord]:
    """Who did what with the versions of a runbook, the newest first."""
    things = [auditing.of_version(each.slug, each.number) for each in history(rt, slug)]
    with database.reading():
        return audit.of_things(rt.workspace_id, things, limit)


def open_runs(rt: Runtime, slug: str, numbers: Collection[int]) -> list[str]:
    """Ids of all open executions of these versions of a runbook, the newest first."""
    with database.reading():
        return executions.open_of_versions(rt.workspace_id, slug, numbers)


def runnable(rt: Runtime, runbook: RunbookRecord, number: int | None = None, *, draft: bool = False) -> VersionRecord:
    """`approved`, where its approval has not expired and is for its targets as they are, under the digest of both.

    Needs an open connection; raises `NotApproved`.
    With `draft` it may be a DRAFT where nothing approved runs, or where it is asked for by its number.
    """
    found = approved(rt, runbook, number, draft=draft)
    if found.status is VersionStatus.APPROVED:
        approval_expiry.must_hold(rt, found, definition(found))
        approved_targets.must_hold(rt, found)
    return approved_targets.as_shown(rt, found)


def approved(rt: Runtime, runbook: RunbookRecord, number: int | None = None, *, draft: bool = False) -> VersionRecord:
    """The version that what is under way may run now, expired or not. Needs an open connection; raises `NotApproved`.

    Without `number` that is the current version, or with `ON_EDIT=keep` the approved one before a newer draft.
    With `draft` that may be a DRAFT where nothing approved runs, or where it is asked for by its number.
    """
    current = kept_version.of(rt, runbook) or runbooks.version(runbook.id, runbook.current_number)
    assert current is not None
    if draft and runbook.status is VersionStatus.DRAFT and number == runbook.current_number != current.number:
        current = runbooks.version(runbook.id, number)
        assert current is not None
    if number is not None and number != current.number:
        raise NotApproved(f"Only version {current.number} of {runbook.slug} may run, not {number}.")
    if current.status is not VersionStatus.APPROVED and not (draft and current.status is VersionStatus.DRAFT):
        raise NotApproved(_why_not(current, runbook.successor))
    return current


def must_run(rt: Runtime, runbook: RunbookRecord, number: int) -> None:
    """Raise `NotApproved` unless this version is the approved one; mostly the runbook's row alone says so."""
    if (runbook.status, runbook.current_number) != (VersionStatus.APPROVED, number):
        approved(rt, runbook, number)


def _why_not(found: VersionRecord, successor: str | None) -> str:
    name = f"Version {found.number} of {found.slug}"
    if found.status is VersionStatus.DRAFT:
        return f"{name} is a DRAFT: a platform admin has to approve it first (`admin approve {found.slug}`)."
    why = f" {found.note}" if found.note else ""
    instead = f" Use `run {successor}` instead." if successor else ""
    return f"{name} is DEPRECATED and does not run any more.{why}{instead}"
