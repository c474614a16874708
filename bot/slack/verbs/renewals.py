"""Renewing the approval of a version: what is due, the whole of what is renewed, and the click or word that does it."""

from __future__ import annotations

from bot.slack.app_context import AppContext
from bot.slack.ids import Action
from bot.slack.payload_values import VersionPage, VersionRef, VoteRef, decode
from bot.slack.reply import Reply
from bot.slack.verbs import version_modal
from bot.slack.verbs.invocation import Invocation
from bot.slack.views import admin, form, renewal
from bot.slack.views.errors import refused
from bot.slack.views.parts import Message, message, said, section
from bot.slack.views.text import escape
from engine.access import policy as access
from engine.access.policy import Actor, authorise
from engine.catalog import renewals, version_approval
from engine.catalog.version_quorum import Quorum
from engine.errors import Conflict, NotApproved
from storage.catalog_records import VersionRecord
from storage.states import VersionStatus


def renew(invocation: Invocation) -> Message:
    """`admin renew`: what waits for this person; with an id the whole file, with a version at once where short."""
    rt, actor = invocation.ctx.rt, invocation.actor
    if not invocation.command.words:
        return renewal.renewals_view(renewals.for_person(rt, actor, renewals.due(rt)))
    (slug, number), digest = invocation.command.target, invocation.option("digest") or None
    if number is None and digest is None:
        return _shown(invocation.ctx, actor, slug)
    return _said(invocation.ctx, actor, slug, number, digest)


def _said(ctx: AppContext, actor: Actor, slug: str, number: int | None, digest: str | None) -> Message:
    """Renew by word; what no message shows whole is to be opened first."""
    if renewal.is_cut(version_approval.renewable(ctx.rt, slug, number)):
        return _shown(ctx, actor, slug)
    done, quorum = version_approval.renew(ctx.rt, actor, slug, number, digest)
    return _done(ctx, done, quorum)


def withdraw(invocation: Invocation) -> Message:
    """`admin withdraw ID[@VERSION]`."""
    slug, number = invocation.command.target
    done, left = version_approval.withdraw_vote(invocation.ctx.rt, invocation.actor, slug, number)
    return renewal.withdrawn_view(done, left.missing)


def click_withdraw(ctx: AppContext, _: Action, value: str, reply: Reply) -> None:
    """Take back what was said by the button above; what came of it takes its place."""
    ref = decode(VoteRef, value)
    actor = ctx.directory.identify(reply.reply_to.user)
    try:
        done, left = version_approval.withdraw_vote(ctx.rt, actor, ref.slug, ref.number, ref.digest, ref.until)
    except Conflict as conflict:
        reply.instead(said(escape(str(conflict))))
        return
    reply.instead(renewal.withdrawn_view(done, left.missing))


def _shown(ctx: AppContext, actor: Actor, slug: str) -> Message:
    found = version_approval.renewable(ctx.rt, slug)
    authorise(ctx.rt, actor, access.Action.APPROVE, found)
    return renewal.renewal_view(renewals.approval(ctx.rt, found))


def review(ctx: AppContext, _: Action, value: str, reply: Reply) -> None:
    """Show the whole of what a card offers to renew."""
    reply.privately(_shown(ctx, ctx.directory.identify(reply.reply_to.user), decode(VersionRef, value).slug))


def page(ctx: AppContext, _: Action, value: str, reply: Reply) -> None:
    """Show a part of it; where the version is another by now, that from its beginning."""
    ref = decode(VersionPage, value)
    found = version_approval.renewable(ctx.rt, ref.slug, ref.number)
    authorise(ctx.rt, ctx.directory.identify(reply.reply_to.user), access.Action.APPROVE, found)
    known = found.digest == ref.digest and 0 <= ref.page < len(renewal.renewal_parts(found))
    blocks = renewal.renewal_part(renewals.approval(ctx.rt, found), ref.page if known else 0)
    version_modal.turned(ctx, reply, form.read_only(version_modal.TITLE, blocks))


def click(ctx: AppContext, _: Action, value: str, reply: Reply) -> None:
    """Renew what the button showed; what came of it takes its place."""
    ref = decode(VersionRef, value)
    actor = ctx.directory.identify(reply.reply_to.user)
    try:
        done, quorum = version_approval.renew(ctx.rt, actor, ref.slug, ref.number, ref.digest)
        told = _done(ctx, done, quorum)
    except Conflict as conflict:
        told = said(escape(str(conflict)))
    version_modal.settled(ctx, reply, told)


def _done(ctx: AppContext, version: VersionRecord, quorum: Quorum) -> Message:
    found = renewals.approval(ctx.rt, version)
    return renewal.counted_view(found) if quorum.missing else renewal.renewed_view(found)


def approved(ctx: AppContext, version: VersionRecord) -> Message:
    """What came of an approval: the version runs, or it still needs others."""
    if version.status is VersionStatus.DRAFT:
        return renewal.counted_view(renewals.approval(ctx.rt, version))
    return admin.approved_view(version)


def offered(invocation: Invocation, refusal: NotApproved) -> Message | None:
    """Why an expired runbook does not run, for somebody who may renew it; None for others."""
    found = _to_renew(invocation)
    if found is None or not renewals.for_person(invocation.ctx.rt, invocation.actor, [found]):
        return None
    told = refused(refusal, invocation.invoked_as)
    return message(told, [section(told), renewal.renewal_line(found)])


def _to_renew(invocation: Invocation) -> renewals.Approval | None:
    """The approval that is to be renewed before this runbook runs again, if there is one."""
    try:
        found = version_approval.renewable(invocation.ctx.rt, invocation.command.target[0])
    except (Conflict, NotApproved):
        return None
    return renewals.approval(invocation.ctx.rt, found)
