"""Telling people what no thread tells: incidents, drafts to platform admins, the audit, long runs without a channel.

Used by the projector.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.slack.client import error_code
from bot.slack.directory import Directory
from bot.slack.projector import audit_notices
from bot.slack.projector.poster import Mark, NotNow, Poster
from bot.slack.projector.renewal_cards import MOST, RenewalCards
from bot.slack.views.kept_requests import break_glass_notice
from bot.slack.views.notice import drafts_notice, incident_notice, long_run_notice
from bot.slack.views.parts import Message
from bot.slack.views.text import is_person
from engine.access import channels
from engine.access.policy import SYSTEM
from engine.catalog import catalog, notices
from engine.conversations import Unasked
from engine.errors import NotFound
from engine.orchestration import incidents
from engine.runs import break_glass, executions
from engine.runtime import Runtime
from storage.catalog_records import NoticeRecord, VersionRecord
from storage.states import VersionStatus

log = logging.getLogger(__name__)


class Announcer:
    """Tells each thing once it is known that Slack took it, so at least once. What Slack refuses is logged and left."""

    def __init__(self, rt: Runtime, client: WebClient, poster: Poster) -> None:
        self._rt = rt
        self._client = client
        self._poster = poster
        self._directory = Directory(rt, client)
        self._audit = audit_notices.AuditNotices(rt, poster)
        self._renewals = RenewalCards(rt, client, poster)
        self._one_by_one: tuple[tuple[Collection[str], Callable[[NoticeRecord], None]], ...] = (
            ((notices.INCIDENT,), self._of_incident),
            (audit_notices.KINDS, self._of_audit),
            ((notices.BREAK_GLASS,), self._of_break_glass),
            ((notices.LONG_RUN,), self._of_long_run),
        )

    def announce(self) -> None:
        """Tell what there is to tell as far as budgets allow. Raises as `Poster.post` for an outage."""
        self._renewals.keep_up()
        waiting = notices.pending(self._rt)
        try:
            for kinds, tell in self._one_by_one:
                for each in (notice for notice in waiting if notice.kind in kinds):
                    tell(each)
                    notices.mark_announced(self._rt, [each.id])
            batch = [notice for notice in waiting if notice.kind == notices.DRAFT]
            if batch:
                self._of_drafts(batch)
                notices.mark_announced(self._rt, [each.id for each in batch])
        except NotNow:
            return

    def _of_audit(self, notice: NoticeRecord) -> None:
        try:
            self._audit.tell(notice)
        except SlackApiError as trouble:
            log.warning("The audit's channel could not be told: %s", error_code(trouble))
        except Unasked as trouble:
            log.info("The audit's channel is not told. %s", trouble)

    def _of_incident(self, notice: NoticeRecord) -> None:
        incident = incidents.get(self._rt, int(notice.content["incident"]))
        self._post(incident.channel, incident_notice(incident, notice.content), notice)

    def _of_break_glass(self, notice: NoticeRecord) -> None:
        asked = break_glass.find(self._rt, SYSTEM, str(notice.content["id"]))
        self._post(str(notice.content["channel"]), break_glass_notice(asked, str(notice.content["did"])), notice)

    def _of_long_run(self, notice: NoticeRecord) -> None:
        """Nothing of a run that has ended meanwhile, and nobody but a person."""
        run, person = executions.find(self._rt, str(notice.content["execution"])), str(notice.content["person"])
        if not run.status.ended and is_person(person):
            self._direct(person, long_run_notice(run, self._rt.settings.slack_command), notice)

    def _of_drafts(self, batch: Sequence[NoticeRecord]) -> None:
        """One message for all of them, in the channel that is set, else to each admin who may approve any."""
        drafts = [found for each in batch if (found := self._draft(each)) is not None]
        channel, command = self._rt.settings.admin_channel, self._rt.settings.slack_command
        if channel is not None and drafts:
            self._post(channel, drafts_notice(drafts, command), batch[-1])
        elif drafts:
            self._directory.refresh_people(MOST)
            for admin in notices.admins(self._rt, MOST):
                theirs = [each for each in drafts if catalog.may_approve(self._rt, admin, each[0])]
                if theirs:
                    self._direct(admin.user_id, drafts_notice(theirs, command), batch[-1])

    def _draft(self, notice: NoticeRecord) -> tuple[VersionRecord, bool] | None:
        """The version if it still waits, as its runbook's newest, and whether its runbook stands still for it."""
        slug, number = str(notice.content["slug"]), int(notice.content["number"])
        try:
            found = catalog.version(self._rt, slug)
        except NotFound:
            return None
        waits = found.number == number and found.status is VersionStatus.DRAFT
        return (found, bool(notice.content["stops"])) if waits else None

    def _direct(self, user: str, drawn: Message, notice: NoticeRecord) -> None:
        try:
            direct = str(self._client.conversations_open(users=user)["channel"]["id"])
        except SlackApiError as trouble:
            log.info("%s could not be told directly: %s", user, error_code(trouble))
            return
        self._post(direct, drawn, notice)

    def _post(self, channel: str, drawn: Message, notice: NoticeRecord) -> None:
        try:
            if channels.outside(self._rt, channel):
                return
            self._poster.post(channel, lambda _: drawn, Mark(f"notice:{notice.id}:{channel}", "message", notice.at))
        except SlackApiError as trouble:
            log.warning("What happened could not be told in %s: %s", channel, error_code(trouble))
        except Unasked as trouble:
            log.info("What happened is not told in %s. %s", channel, trouble)
