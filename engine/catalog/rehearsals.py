"""What the rehearsals of versions came to: what was changed by a version, and whether it may be approved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher

from engine.catalog import stored_rehearsal
from engine.errors import Conflict
from engine.runtime import Runtime
from storage import database, runbooks, version_approvals, version_rehearsals
from storage.catalog_records import RehearsalRecord, VersionRecord

_RISKS = ("low", "medium", "high")
_FROM: Mapping[str, int] = {"off": len(_RISKS), "high": 2, "medium": 1, "all": 0}
_NAMED = 3
"""Cases that are named in one sentence."""


def of_version(_rt: Runtime, found: VersionRecord) -> RehearsalRecord | None:
    """What came of a version's rehearsal when it was synced last; None where it has none."""
    with database.reading():
        return version_rehearsals.of_version(found.id)


def must_have_passed(rt: Runtime, found: VersionRecord) -> None:
    """Raise `Conflict`, saying what to do, where a rehearsal that is required is missing or has failed."""
    if why := lacking(rt, found):
        raise Conflict(why)


def lacking(rt: Runtime, found: VersionRecord) -> str:
    """What keeps a version from being approved, and what to do, where a rehearsal is required; else "".

    A result that is older than a change of what it was played with counts for nothing. What was of higher risk when it
    was last approved needs one, too, to become of less.
    """
    with database.reading():
        before = version_approvals.approved_before(found, rt.workspace_id)
        kept = version_rehearsals.of_version(found.id)
    risk = max(_RISKS.index(each.definition.get("risk", "low")) for each in (found, before) if each is not None)
    if risk < _FROM[rt.settings.require_rehearsal]:
        return ""
    outdated = stored_rehearsal.outdated_by(rt, found)
    if kept is not None and kept.passed and not outdated:
        return ""
    why = _why_not(kept, outdated) if kept is not None else f"it has none: {_where(found)}"
    name = f"{found.slug}@{found.number}"
    return f"{name} is not approved without a rehearsal that passes (REQUIRE_REHEARSAL), and {why}"


def _where(found: VersionRecord) -> str:
    with database.reading():
        runbook = runbooks.by_id(found.runbook_id)
    if runbook is None or runbook.source_path is None:
        return "save it with one: in the studio, or as `rehearsal` over REST."
    stem, _, suffix = runbook.source_path.rpartition(".")
    return f"write {stem}.rehearsal.{suffix} beside {runbook.source_path}, and sync."


def _why_not(kept: RehearsalRecord, outdated: Sequence[str]) -> str:
    if outdated:
        return f"it was played before {' and '.join(outdated)} changed. Save it again, and it is played anew."
    result = kept.result
    failed = [each["name"] for each in result["cases"] if each["failures"]]
    named = ", ".join(f"“{each}”" for each in failed[:_NAMED]) + (" …" if len(failed) > _NAMED else "")
    if not failed:
        return f"it could not be played: {(result['problems'] or ['it has no case'])[0].rstrip('.')}."
    broken = f"{len(failed)} of its {len(result['cases'])} cases fail: {named}"
    if kept.source is not None:
        return f"{broken}. The studio says why; mend it and save it again."
    return f"{broken}. `runbook rehearse {result['file']}` says why; mend it and sync."


def outdated_by(rt: Runtime, found: VersionRecord) -> list[str]:
    """What has changed since the version's rehearsal was played, so that it counts no more; in words."""
    return stored_rehearsal.outdated_by(rt, found)


def path_changes(rt: Runtime, found: VersionRecord) -> list[str]:
    """How the ways of the cases differ from those of the last approved version before, case by case, in words."""
    with database.reading():
        before = version_approvals.approved_before(found, rt.workspace_id)
        now = version_rehearsals.of_version(found.id)
        then = version_rehearsals.of_version(before.id) if before is not None else None
    if now is None or then is None:
        return []
    known = {each["name"]: each["path"] for each in then.result["cases"]}
    return [
        f"“{each['name']}”: {', '.join(differs)}"
        for each in now.result["cases"]
        if each["name"] in known and (differs := list(_differs(known[each["name"]], each["path"])))
    ]


def _differs(before: Sequence[Sequence[str]], now: Sequence[Sequence[str]]) -> Iterator[str]:
    """The steps that were added, are gone, or end otherwise."""
    old, new = [tuple(each) for each in before], [tuple(each) for each in now]
    steps = SequenceMatcher(None, [step for step, _ in old], [step for step, _ in new], autojunk=False)
    for what, i1, i2, j1, j2 in steps.get_opcodes():
        if what == "equal":
            pairs = zip(old[i1:i2], new[j1:j2], strict=True)
            yield from (f"{step}: {was} → {now}" for (step, was), (_, now) in pairs if was != now)
        else:
            yield from (f"− {step}" for step, _ in old[i1:i2])
            yield from (f"+ {step}" for step, _ in new[j1:j2])
