"""A version's change as it is read and approved: in a message where it fits one, else in parts."""

from __future__ import annotations

from bot import rehearsal_words
from bot.reach_words import reach_lines, secret_words
from bot.slack.app_context import AppContext
from bot.slack.ids import Action
from bot.slack.payload_values import VersionPage, VersionRef, decode
from bot.slack.reply import Reply
from bot.slack.verbs import renewals, version_modal
from bot.slack.views import admin, form, renewal
from bot.slack.views.parts import Message, context, said
from bot.slack.views.text import escape
from engine.access import policy as access
from engine.access.policy import authorise
from engine.catalog import approved_targets, catalog, rehearsals, secret_policy, version_approval
from engine.catalog.renewals import approval
from engine.definition.reaches import reaches
from engine.errors import Conflict
from engine.runtime import Runtime
from storage.catalog_records import VersionRecord
from storage.states import VersionStatus

LOOK_AGAIN = "⚠️ *This is not what you were shown.* What the version is compared with has changed: read it again."


def change(ctx: AppContext, slug: str, number: int | None, *, offer: bool) -> Message:
    """What a version changes; with `offer` to be approved."""
    version, diff, warnings, first = _change(ctx, slug, number)
    calls, rehearsed = _calls(ctx.rt, version), _rehearsed(ctx, version)
    shown = admin.change_view(version, diff, warnings, offer=offer, first=first, calls=calls, rehearsed=rehearsed)
    missing = renewal.missing_line(approval(ctx.rt, version)) if offer else ""
    return Message(shown.text, (*shown.blocks, context(missing).to_dict())) if missing else shown


def too_long_for_a_message(ctx: AppContext, slug: str, number: int) -> bool:
    """Whether a draft's change is one that no message shows whole, so that nobody approves it by its name alone."""
    version, diff, warnings, _ = _change(ctx, slug, number)
    return version.status is VersionStatus.DRAFT and admin.is_cut(diff, warnings, _calls(ctx.rt, version))


def page(ctx: AppContext, _: Action, value: str, reply: Reply) -> None:
    """Show a part of a change in full; where it is another by now, that from its beginning."""
    ref = decode(VersionPage, value)
    version, diff, warnings, first = _change(ctx, ref.slug, ref.number)
    authorise(ctx.rt, ctx.directory.identify(reply.reply_to.user), access.Action.APPROVE, version)
    same = admin.change_digest(diff, warnings) == ref.digest
    calls = _calls(ctx.rt, version)
    shown = ref.page if same and 0 <= ref.page < len(admin.change_parts(diff, warnings, calls)) else 0
    note = "" if same else LOOK_AGAIN
    view = form.version_form(version, diff, warnings, shown, first=first, note=note, calls=calls)
    version_modal.turned(ctx, reply, view)


def approve(ctx: AppContext, _: Action, value: str, reply: Reply) -> None:
    """Approve what the button showed; what came of it takes its place."""
    ref = decode(VersionRef, value)
    actor = ctx.directory.identify(reply.reply_to.user)
    try:
        told = renewals.approved(ctx, version_approval.approve(ctx.rt, actor, ref.slug, ref.number, ref.digest))
    except Conflict as conflict:
        told = said(escape(str(conflict)))
    version_modal.settled(ctx, reply, told)


def _rehearsed(ctx: AppContext, version: VersionRecord) -> list[str]:
    """What the version's rehearsal came to, in words."""
    kept = rehearsals.of_version(ctx.rt, version)
    if kept is None:
        return []
    changed, outdated = rehearsals.path_changes(ctx.rt, version), rehearsals.outdated_by(ctx.rt, version)
    return list(rehearsal_words.lines(kept.result, changed, outdated))


def _calls(rt: Runtime, version: VersionRecord) -> list[str]:
    """What its targets stand for, every host that a version calls and every secret that goes there, in words."""
    found = reaches(secret_policy.shown_definition(rt, version))
    named = approved_targets.in_words(approved_targets.of_version(rt, version))
    return [
        *named,
        *reach_lines(
            (each.step, each.host, each.url is not None, secret_words(each.secrets, each.received)) for each in found
        ),
    ]


def _change(ctx: AppContext, slug: str, number: int | None) -> tuple[VersionRecord, str, list[str], bool]:
    """The version, what it changes, what deserves a second look, and whether nothing was approved before."""
    version = approved_targets.as_shown(ctx.rt, catalog.version(ctx.rt, slug, number))
    before = [old for old in catalog.history(ctx.rt, slug) if old.number < version.number]
    first = not any(old.status is VersionStatus.APPROVED for old in before)
    return version, catalog.diff(ctx.rt, slug, version.number), secret_policy.warnings(ctx.rt, version), first
