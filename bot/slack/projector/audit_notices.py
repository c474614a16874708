"""What the channel of the audit is told: the head of its chain, and the report of a month as a file."""

from __future__ import annotations

from bot import report_files
from bot.slack.projector.poster import Mark, Poster
from bot.slack.views.notice import head_notice
from bot.slack.views.parts import Message, said
from bot.slack.views.text import inline
from engine.access import channels
from engine.catalog import notices
from engine.queries import compliance
from engine.runtime import Runtime
from storage.catalog_records import NoticeRecord

KINDS = (notices.AUDIT_HEAD, notices.AUDIT_REPORT)


class AuditNotices:
    """Used by one thread. Each thing is told at least once, and nothing where no channel is set any more."""

    def __init__(self, rt: Runtime, poster: Poster) -> None:
        self._rt = rt
        self._poster = poster
        self._posted: dict[int, str] = {}
        """Messages whose file could not be shared yet."""

    def tell(self, notice: NoticeRecord) -> None:
        """Tell it. Raises NotNow, and as Slack does."""
        channel = self._rt.settings.audit_channel
        if channel is None or channels.outside(self._rt, channel):
            return
        if notice.kind == notices.AUDIT_HEAD:
            self._post(channel, head_notice(notice.content), notice)
            return
        report = compliance.compiled(self._rt, int(notice.content["since"]), int(notice.content["until"]))
        title = report_files.title(report)
        ts = self._posted.get(notice.id) or self._post(channel, said(f"📋 *{inline(title)}*"), notice)
        self._posted[notice.id] = ts
        text = report_files.written(self._rt, report, "html")
        mark = Mark(f"notice:{notice.id}:file", "file", notice.at)
        self._poster.share(channel, ts, mark, report_files.filename(report, "html"), title, text.encode(), title)
        del self._posted[notice.id]

    def _post(self, channel: str, drawn: Message, notice: NoticeRecord) -> str:
        return self._poster.post(channel, lambda _: drawn, Mark(f"notice:{notice.id}", "message", notice.at))
