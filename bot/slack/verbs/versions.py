"""A version's change as it is read and approved: in a message where it fits one, else in parts."""

from __future__ import annotations

from bot.slack.app_context import AppContext
from bot.slack.ids import Action, VersionPage, VersionRef, decode
from bot.slack.reply import Reply
from bot.slack.verbs import running
from bot.slack.views import admin, form
from bot.slack.views.parts import Message, said
from bot.slack.views.text import escape
from engine.access import policy as access
from engine.access.policy import authorise
from engine.catalog import catalog, version_approval
from engine.errors import Conflict
from storage.catalog_records import VersionRecord
from storage.states import VersionStatus

LOOK_AGAIN = "⚠️ *This is not what you were shown.* What the version is compared with has changed: read it again."


def change(ctx: AppContext, slug: str, number: int | None, *, offer: bool) -> Message:
    """What a version changes; with `offer` to be approved."""
    version, diff, warnings, first = _change(ctx, slug, number)
    return admin.change_view(version, diff, warnings, offer=offer, first=first)


def page(ctx: AppContext, _: Action, value: str, reply: Reply) -> None:
    """Show a part of a change in full; where it is another by now, that from its beginning."""
    ref = decode(VersionPage, value)
    version, diff, warnings, first = _change(ctx, ref.slug, ref.number)
    authorise(ctx.rt, ctx.directory.identify(reply.reply_to.user), access.Action.APPROVE, version)
    same = admin.change_digest(diff, warnings) == ref.digest
    shown = ref.page if same and 0 <= ref.page < len(admin.change_parts(diff, warnings)) else 0
    view = form.version_form(version, diff, warnings, shown, first=first, note="" if same else LOOK_AGAIN)
    if reply.reply_to.in_modal and reply.reply_to.view_id:
        ctx.client.views_update(view_id=reply.reply_to.view_id, view=view)
    else:
        running.open_modal(ctx, reply.reply_to, view)


def approve(ctx: AppContext, _: Action, value: str, reply: Reply) -> None:
    """Approve what the button showed; what came of it takes its place."""
    ref = decode(VersionRef, value)
    actor = ctx.directory.identify(reply.reply_to.user)
    try:
        told = admin.approved_view(version_approval.approve(ctx.rt, actor, ref.slug, ref.number, ref.digest))
    except Conflict as conflict:
        told = said(escape(str(conflict)))
    if reply.reply_to.in_modal and reply.reply_to.view_id:
        ctx.client.views_update(view_id=reply.reply_to.view_id, view=form.refused_view("A version", told.text))
        return
    reply.instead(told)


def _change(ctx: AppContext, slug: str, number: int | None) -> tuple[VersionRecord, str, list[str], bool]:
    """The version, what it changes, what deserves a second look, and whether nothing was approved before."""
    version = catalog.version(ctx.rt, slug, number)
    before = [old for old in catalog.history(ctx.rt, slug) if old.number < version.number]
    first = not any(old.status is VersionStatus.APPROVED for old in before)
    return version, catalog.diff(ctx.rt, slug, version.number), catalog.warnings(version), first
