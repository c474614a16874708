"""Runbooks: the catalogue, writing in it, and running what is in it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Path, Query, Response

from bot.api import models, paging
from bot.api.caller import AuthenticatedCaller, Caller
from bot.api.executions import STARTED, STEERED, page, started
from bot.api.problems import Refused, documented, leading_to
from bot.api.route import Operation, needs
from engine.access.policy import Action, teams_seen
from engine.catalog import (
    approved_targets,
    authoring,
    catalog,
    rehearsals,
    renewals,
    secret_policy,
    version_approval,
)
from engine.definition.reaches import reaches
from engine.queries import visibility
from engine.runs import executions, parameter_options
from engine.runtime import Runtime
from storage.catalog_records import RunbookRecord, VersionRecord
from storage.records import Filter
from storage.states import ExecutionStatus, VersionStatus

router = APIRouter(prefix="/runbooks", tags=["runbooks"], route_class=Operation)
RECENT = 10
_EDITED = documented(400, 403, 404, 409, 412, 413, 415, 422, 428)
_CREATED = {
    **documented(400, 403, 409, 413, 415, 422),
    **leading_to(
        201, "runbook", "id", "get_runbook", "approve_runbook", "renew_runbook", "withdraw_approval",
        "deprecate_runbook", "roll_back_runbook", "execute_runbook", "diff_runbook", "list_versions",
        "list_runbook_executions",
    ),
}  # fmt: skip
IfMatch = Annotated[
    str | None, Header(alias="If-Match", max_length=200, description="The `ETag` of what you saw; required.")
]


@router.get("", responses=documented(422))
def list_runbooks(
    caller: AuthenticatedCaller,
    team: str | None = None,
    status: VersionStatus | Literal["EXPIRING"] | None = None,
    tag: str | None = None,
    text: Annotated[str, Query(description="Words that the id, the name or the description has to hold.")] = "",
    limit: paging.Limit = 50,
    cursor: paging.Cursor = None,
) -> models.Page[models.Runbook]:
    """The runbooks that you may see, by id."""
    after = paging.decode(cursor, str)[0] if cursor else ""
    teams = teams_seen(caller.rt, caller.actor)
    found = renewals.listing(caller.rt, text, tag, team=team, status=status, seen=teams)
    found = [each for each in found if each.slug > after]
    more = paging.encode(found[limit - 1].slug) if len(found) > limit else None
    return models.Page(items=[models.Runbook.of(each) for each in found[:limit]], next=more)


@router.post("", status_code=201, responses=_CREATED, **needs(Action.EDIT))
def create_runbook(caller: AuthenticatedCaller, written: models.Written, answer: Response) -> models.Runbook:
    """Add a runbook that lives in the database, as a DRAFT: it runs once it is approved."""
    made = authoring.create(caller.rt, caller.actor, _source(written), written.note, written.rehearsal or "")
    answer.headers["Location"] = f"{caller.context.base}/runbooks/{made.slug}"
    return _shown(catalog.get(caller.rt, made.slug), answer)


@router.get("/{runbook}", responses=documented(404))
def get_runbook(caller: AuthenticatedCaller, runbook: str, answer: Response) -> models.RunbookDetail:
    """One runbook with its newest versions and latest runs. Its `ETag` is what edits send as `If-Match`."""
    found = seen(caller, runbook)
    runs = executions.page(caller.rt, caller.actor, Filter(slug=found.slug), limit=RECENT)
    answer.headers["ETag"] = _etag(found)
    return models.RunbookDetail(
        **models.runbook_fields(found),
        parameters=catalog.definition(catalog.version(caller.rt, found.slug)).parameters,
        versions=[models.Version.of(each) for each in catalog.history(caller.rt, found.slug)[:RECENT]],
        executions=[models.Execution.of(each) for each in runs],
    )


@router.put("/{runbook}", responses=_EDITED, **needs(Action.EDIT))
def replace_runbook(
    caller: AuthenticatedCaller, runbook: str, written: models.Written, answer: Response, if_match: IfMatch = None
) -> models.Runbook:
    """Write a new version; the runbook is a DRAFT again. 409, naming the file, for one that comes from a file."""
    found = seen(caller, runbook)
    edited = (_source(written), written.note, _matched(if_match), written.rehearsal)
    authoring.update(caller.rt, caller.actor, found.slug, *edited)
    return _shown(catalog.get(caller.rt, found.slug), answer)


@router.patch("/{runbook}", responses=_EDITED, **needs(Action.EDIT))
def edit_runbook(
    caller: AuthenticatedCaller, runbook: str, changes: models.Changes, answer: Response, if_match: IfMatch = None
) -> models.Runbook:
    """Write a new version by merging changes into the definition; the runbook is a DRAFT again."""
    found = seen(caller, runbook)
    edited = (changes.definition, changes.note, _matched(if_match), changes.rehearsal)
    authoring.patch(caller.rt, caller.actor, found.slug, *edited)
    return _shown(catalog.get(caller.rt, found.slug), answer)


@router.delete("/{runbook}", status_code=204, responses=_EDITED, **needs(Action.EDIT))
def delete_runbook(
    caller: AuthenticatedCaller,
    runbook: str,
    if_match: IfMatch = None,
    reason: Annotated[str, Query(max_length=500, description="Why; needed where `REASON_PATTERN` is set.")] = "",
) -> None:
    """Withdraw and remove it; what it ran stays on record. 409 while a run of it is open."""
    authoring.delete(caller.rt, caller.actor, seen(caller, runbook).slug, _matched(if_match), reason)


@router.post("/{runbook}/approve", responses=STEERED, **needs(Action.APPROVE))
def approve_runbook(caller: AuthenticatedCaller, runbook: str, what: models.Approve) -> models.ApprovedVersion:
    """Let the newest version run, which has to be named. Never one's own edit; a DRAFT while `missing` says so."""
    found = seen(caller, runbook)
    done = version_approval.approve(caller.rt, caller.actor, found.slug, what.version, what.digest)
    return models.ApprovedVersion.of_approval(renewals.approval(caller.rt, done))


@router.post("/{runbook}/renew", responses=STEERED, **needs(Action.APPROVE))
def renew_runbook(caller: AuthenticatedCaller, runbook: str, what: models.Approve) -> models.ApprovedVersion:
    """Approve once more, for as long again, the version that runs, whose approval ends soon or has ended."""
    slug = seen(caller, runbook).slug
    done, quorum = version_approval.renew(caller.rt, caller.actor, slug, what.version, what.digest)
    return models.ApprovedVersion.of_approval(replace(renewals.approval(caller.rt, done), quorum=quorum))


@router.post("/{runbook}/withdraw", responses=STEERED, **needs(Action.APPROVE))
def withdraw_approval(
    caller: AuthenticatedCaller, runbook: str, what: models.WithdrawApproval | None = None
) -> models.ApprovedVersion:
    """Take back your own approval or renewal of a version while it still waits for others."""
    number = what.version if what else None
    done, quorum = version_approval.withdraw_vote(caller.rt, caller.actor, seen(caller, runbook).slug, number)
    return models.ApprovedVersion.of_approval(replace(renewals.approval(caller.rt, done), quorum=quorum))


@router.post("/{runbook}/deprecate", responses=STEERED, **needs(Action.DEPRECATE))
def deprecate_runbook(caller: AuthenticatedCaller, runbook: str, what: models.Deprecate) -> models.Version:
    """Withdraw one version, or every version: they no longer run, and their open runs stop at their next step."""
    found = seen(caller, runbook)
    successor = seen(caller, what.successor).slug if what.successor else ""
    done = version_approval.deprecate(caller.rt, caller.actor, found.slug, what.version, what.reason, successor)
    return models.Version.of(done)


@router.post("/{runbook}/rollback", responses=STEERED, **needs(Action.ROLLBACK))
def roll_back_runbook(caller: AuthenticatedCaller, runbook: str, what: models.RollBack | None = None) -> models.Version:
    """Make the newest version, if it is deprecated, a DRAFT again, to be approved anew."""
    number, reason = (what.version, what.reason) if what else (None, "")
    slug = seen(caller, runbook).slug
    return models.Version.of(version_approval.rollback(caller.rt, caller.actor, slug, number, reason))


@router.get("/{runbook}/versions", responses=documented(404))
def list_versions(caller: AuthenticatedCaller, runbook: str) -> list[models.Version]:
    """All versions, the newest first."""
    return [models.Version.of(each) for each in catalog.history(caller.rt, seen(caller, runbook).slug)]


@router.get("/{runbook}/versions/{version}", responses=documented(404, 422))
def get_version(
    caller: AuthenticatedCaller, runbook: str, version: Annotated[int, Path(ge=1, le=2**31)]
) -> models.VersionDetail:
    """One version with its text, and with what deserves a second look."""
    found = catalog.version(caller.rt, seen(caller, runbook).slug, version)
    so_far = models.ApprovedVersion.fields(renewals.approval(caller.rt, found))
    warnings = secret_policy.warnings(caller.rt, found)
    return models.VersionDetail(
        **so_far, source=found.source, warnings=warnings, targets=_targets(caller.rt, found),
        reaches=_reaches(caller.rt, found), rehearsal=_rehearsal(caller, found),
    )  # fmt: skip


@router.get("/{runbook}/diff", responses=documented(404, 422))
def diff_runbook(
    caller: AuthenticatedCaller, runbook: str, version: Annotated[int | None, Query(ge=1, le=2**31)] = None
) -> models.Diff:
    """What a version changes against the last approved one before it: the newest when left out."""
    found = seen(caller, runbook)
    shown = catalog.version(caller.rt, found.slug, version)
    diff = catalog.diff(caller.rt, found.slug, shown.number)
    targets, reached = _targets(caller.rt, shown), _reaches(caller.rt, shown)
    rehearsal = _rehearsal(caller, shown)
    return models.Diff(version=shown.number, diff=diff, targets=targets, reaches=reached, rehearsal=rehearsal)


@router.get("/{runbook}/parameters/{name}/options", responses=documented(403, 404, 409, 422), **needs(Action.START))
def list_parameter_options(
    caller: AuthenticatedCaller,
    runbook: str,
    name: str,
    search: Annotated[str, Query(max_length=200, description="What was typed: a part of a label or value.")] = "",
    version: Annotated[int | None, Query(ge=1, le=2**31)] = None,
) -> models.Options:
    """What a system offers for a parameter with `x-options`, for whoever may run it. 200 also while it is away."""
    slug = seen(caller, runbook).slug
    return models.Options.of(parameter_options.options(caller.rt, caller.actor, slug, name, search, version))


@router.post("/{runbook}/execute", status_code=202, responses=STARTED, **needs(Action.START))
def execute_runbook(
    caller: AuthenticatedCaller, runbook: str, wanted: models.Execute, answer: Response
) -> models.Started:
    """Run it. When this answers, the run is on record and will be run."""
    return started(caller, runbook, wanted, answer)


@router.get("/{runbook}/executions", responses=documented(404, 422))
def list_runbook_executions(
    caller: AuthenticatedCaller,
    runbook: str,
    status: ExecutionStatus | None = None,
    open: bool | None = None,  # noqa: A002 - the filter's name
    limit: paging.Limit = 50,
    cursor: paging.Cursor = None,
) -> models.Page[models.Execution]:
    """Its runs, the newest first."""
    wanted = Filter(slug=seen(caller, runbook).slug, statuses=(status,) if status else (), open=open)
    return page(caller, wanted, limit, cursor)


def seen(caller: Caller, runbook: str) -> RunbookRecord:
    """The runbook, if the person who asks may see it. Raises `NotFound`."""
    return visibility.runbook(caller.rt, caller.actor, runbook)


def _targets(rt: Runtime, found: VersionRecord) -> list[str]:
    return approved_targets.in_words(approved_targets.of_version(rt, found))


def _reaches(rt: Runtime, found: VersionRecord) -> list[models.Reach]:
    return [models.Reach.of(each) for each in reaches(secret_policy.shown_definition(rt, found))]


def _rehearsal(caller: Caller, found: VersionRecord) -> models.Rehearsal | None:
    changed, outdated = rehearsals.path_changes(caller.rt, found), rehearsals.outdated_by(caller.rt, found)
    return models.Rehearsal.of(rehearsals.of_version(caller.rt, found), changed, outdated)


def _source(written: models.Written) -> str:
    if written.source is not None:
        return written.source
    return json.dumps(written.definition, indent=2, ensure_ascii=False) + "\n"


def _shown(found: RunbookRecord, answer: Response) -> models.Runbook:
    answer.headers["ETag"] = _etag(found)
    return models.Runbook.of(found)


def _etag(found: RunbookRecord) -> str:
    return f'"{authoring.tag(found)}"'


def _matched(if_match: str | None) -> str:
    """What the author has seen. Raises `Refused` where they do not say."""
    if not if_match:
        raise Refused(428, "precondition_required", "Say which version you change: send its ETag as If-Match.")
    return if_match.strip().removeprefix("W/").strip('"')
