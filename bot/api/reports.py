"""Reports over a time: for those who answer for a team, and for auditors."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response

from bot import report_files
from bot.api import models
from bot.api.caller import AuthenticatedCaller
from bot.api.models.reports import ComplianceReport
from bot.api.problems import documented, file_answer
from bot.api.route import Operation, needs
from engine.access.policy import Action
from engine.queries import compliance

router = APIRouter(prefix="/reports", tags=["audit"], route_class=Operation)

_FILES = file_answer("The report: as JSON, or as the file that was asked for.", *report_files.MEDIA_TYPES.values())


@router.get(
    "/compliance", response_model=ComplianceReport, responses={**_FILES, **documented(403, 422)},
    **needs(Action.REPORT),
)  # fmt: skip
def compliance_report(
    caller: AuthenticatedCaller,
    since: Annotated[
        models.Moment | None, Query(alias="from", description="With it; the last whole month's begin.")
    ] = None,
    until: Annotated[models.Moment | None, Query(description="Without it; now where only `from` is given.")] = None,
    team: Annotated[str | None, Query(max_length=100, description="Only what belongs to this team.")] = None,
    format: Literal["json", "csv", "html"] = "json",  # noqa: A002 - what callers write
) -> Any:
    """What ran, who approved what, overrides, failures, expired approvals, secrets used, frozen windows.

    For platform admins, and of their team for a team's admins.
    """
    found = compliance.report(caller.rt, caller.actor, models.ms(since), models.ms(until), team)
    if format == "json":
        return ComplianceReport.of(found)
    text = report_files.written(caller.rt, found, format)
    return download(text, report_files.MEDIA_TYPES[format], report_files.filename(found, format))


def download(text: str, media_type: str, name: str) -> Response:
    """A file that a browser keeps and does not show. Its name is of our own making."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(text, media_type=f"{media_type}; charset=utf-8", headers=headers)
