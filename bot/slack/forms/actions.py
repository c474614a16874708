"""What each button does. Rights are the engine's to check, now, not when the button was drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bot.grammar import HOLD, parse, quote
from bot.page import signed_links
from bot.slack import home
from bot.slack.app_context import AppContext
from bot.slack.ids import RESOLVE_CHOICES, Action
from bot.slack.payload_values import (
    BadValue,
    ChannelRef,
    CommandRef,
    DeprecateForm,
    Pick,
    ResolveForm,
    RunForm,
    RunRef,
    SkipForm,
    StepRef,
    VersionRef,
    WhyForm,
    decode,
)
from bot.slack.reply import Reply
from bot.slack.verbs import (
    deciding,
    freezing,
    holding,
    kept_requests,
    manual_tasks,
    plans,
    queries,
    renewals,
    running,
    versions,
)
from bot.slack.verbs.commands import answer
from bot.slack.verbs.control_verbs import CANCELLING, ENDED_NOW, asks_again
from bot.slack.views import admin, form, story, why
from bot.slack.views.parts import said
from bot.slack.views.text import code
from engine.access import policy as access
from engine.access import reasons
from engine.access.policy import admit, authorise
from engine.catalog import catalog, version_approval
from engine.config.settings import secret_key
from engine.errors import Conflict, Frozen
from engine.orchestration import incidents
from engine.queries import explain
from engine.runs import controls, executions, skipping


def click(ctx: AppContext, action: str, value: str, reply: Reply) -> None:
    """Do what a button says. Raises EngineError, BadValue for a button that is not ours.

    Whoever may not even look is told so before anything is read or opened; what a form is for is asked before it opens.
    """
    admit(ctx.directory.identify(reply.reply_to.user), access.Action.VIEW)
    ctx.directory.refresh_groups()
    if reasons.wanted(ctx.rt) and Action(action) in _SAY_WHY:
        _ask_why(ctx, Action(action), value, reply)
    else:
        _CLICKS[Action(action)](ctx, Action(action), value, reply)


def click_with_reason(ctx: AppContext, action: str, value: str, reply: Reply) -> None:
    """Do what a button says that was pressed before its reason, which the place has, was asked for.

    Raises as `click`.
    """
    known = next((each for each in _SAY_WHY if each.value == action), None)
    if known is None:
        raise BadValue("no button that asks why")
    ctx.directory.refresh_groups()
    _CLICKS[known](ctx, known, value, reply)


def _ask_why(ctx: AppContext, action: Action, value: str, reply: Reply) -> None:
    """Ask why, if this person may do what the button says."""
    right = _SAY_WHY[action]
    if right is access.Action.VOTE and deciding.asks(ctx, value):  # its own form asks why, too
        deciding.approve(ctx, action, value, reply)
        return
    if right is access.Action.VOTE:
        deciding.must_decide(ctx, value, reply)
    elif right is access.Action.ROLLBACK:
        ref = decode(VersionRef, value)
        authorise(ctx.rt, ctx.directory.identify(reply.reply_to.user), right, catalog.version(ctx.rt, ref.slug))
    else:
        step = action is Action.RETRY_FAILED
        run = decode(StepRef, value).execution_id if step else decode(RunRef, value).execution_id
        _must_be_allowed(ctx, reply, right, run)
    asking = WhyForm(action.value, value, reply.reply_to.channel)
    running.open_modal(ctx, reply.reply_to, form.why_form(asking, ctx.rt.settings.reason_hint or ""))


def _pause(ctx: AppContext, _: Action, value: str, reply: Reply) -> None:
    actor, run = ctx.directory.identify(reply.reply_to.user), decode(RunRef, value).execution_id
    done = controls.pause(ctx.rt, actor, run, reply.reply_to.why)
    reply.privately(said(f"{code(done.id)} is paused."))


def _resume(ctx: AppContext, _: Action, value: str, reply: Reply) -> None:
    actor, run = ctx.directory.identify(reply.reply_to.user), decode(RunRef, value).execution_id
    done = controls.resume(ctx.rt, actor, run, reply.reply_to.why)
    reply.privately(said(f"{code(done.id)} goes on."))


def _cancel(ctx: AppContext, action: Action, value: str, reply: Reply) -> None:
    ref, force = decode(RunRef, value), action is Action.END_NOW
    actor = ctx.directory.identify(reply.reply_to.user)
    done = controls.cancel(ctx.rt, actor, ref.execution_id, reply.reply_to.why, force=force)
    reply.privately(said((ENDED_NOW if force else CANCELLING).format(code(done.id))))


def _retry_failed(ctx: AppContext, _: Action, value: str, reply: Reply) -> None:
    ref = decode(StepRef, value)
    actor = ctx.directory.identify(reply.reply_to.user)
    try:
        done = controls.retry(ctx.rt, actor, ref.execution_id, ref.path, reason=reply.reply_to.why, attempt=ref.attempt)
    except Frozen as refusal:
        reply.privately(holding.again_offer(ref.execution_id, refusal, ctx.invoked_as(reply.reply_to)))
        return
    reply.privately(said(f"{code(done.id)} goes on from {code(ref.path, 120)}.{asks_again(done)}"))


def _skip(ctx: AppContext, _: Action, value: str, reply: Reply) -> None:
    ref = decode(RunRef, value)
    _must_be_allowed(ctx, reply, access.Action.SKIP, ref.execution_id)
    paths = [step.path for step in skipping.skippable(executions.view(ctx.rt, ref.execution_id))]
    if not paths:
        raise Conflict(f"{ref.execution_id} has no step that can be skipped now.")
    running.open_modal(ctx, reply.reply_to, form.skip_form(SkipForm(ref.execution_id, reply.reply_to.channel), paths))


def _page(ctx: AppContext, _: Action, value: str, reply: Reply) -> None:
    """A link for this person alone: the card is everybody's, what may be looked at is each one's."""
    run = executions.find(ctx.rt, decode(RunRef, value).execution_id)
    actor = ctx.directory.identify(reply.reply_to.user)
    authorise(ctx.rt, actor, access.Action.VIEW, run)
    settings = ctx.rt.settings
    if settings.public_url is None:
        raise Conflict("Runs have no pages here: PUBLIC_URL is not set.")
    address = signed_links.link(settings.public_url, secret_key(settings), actor.user_id, run.id)
    reply.privately(said(f"<{address}|Open the page of {run.id}>. This link is yours alone, and good for 15 minutes."))


def _look_for(ctx: AppContext, action: Action, value: str, reply: Reply) -> None:
    home.publish(ctx, reply.reply_to.user, home.looked_for(action, value, reply.reply_to.metadata))


def _resolve(ctx: AppContext, action: Action, value: str, reply: Reply) -> None:
    ref = decode(StepRef, value)
    _must_be_allowed(ctx, reply, access.Action.RESOLVE, ref.execution_id)
    metadata = ResolveForm(ref.execution_id, ref.path, ref.attempt, RESOLVE_CHOICES[action], reply.reply_to.channel)
    running.open_modal(ctx, reply.reply_to, form.resolve_form(metadata))


def _must_be_allowed(ctx: AppContext, reply: Reply, action: access.Action, run: str) -> None:
    """Raise NotAllowed where the form that is about to open would be of no use to this person."""
    authorise(ctx.rt, ctx.directory.identify(reply.reply_to.user), action, executions.find(ctx.rt, run))


def _say_for(line: str) -> Callable[[AppContext, Action, str, Reply], None]:
    """A button that says a command about its version, with all that the command checks."""

    def click(ctx: AppContext, _: Action, value: str, reply: Reply) -> None:
        why = f" reason={quote(reply.reply_to.why)}" if reply.reply_to.why else ""
        answer(ctx, parse(line.format(decode(VersionRef, value).slug) + why), reply)

    return click


def _roll_back(ctx: AppContext, _: Action, value: str, reply: Reply) -> None:
    """Of the version that the button stands below, and of no other one that is the newest by now."""
    ref = decode(VersionRef, value)
    actor, why = ctx.directory.identify(reply.reply_to.user), reply.reply_to.why
    done = version_approval.rollback(ctx.rt, actor, ref.slug, ref.number, why, ref.digest)
    reply.privately(admin.rolled_back_view(done, ctx.invoked_as(reply.reply_to)))


def _deprecate(ctx: AppContext, _: Action, value: str, reply: Reply) -> None:
    ref = decode(VersionRef, value)
    actor = ctx.directory.identify(reply.reply_to.user)
    authorise(ctx.rt, actor, access.Action.DEPRECATE, catalog.version(ctx.rt, ref.slug, ref.number))
    running.open_modal(
        ctx, reply.reply_to, form.deprecate_form(DeprecateForm(ref.slug, ref.number, reply.reply_to.channel))
    )


def _open_form(ctx: AppContext, _: Action, value: str, reply: Reply) -> None:
    ref = decode(VersionRef, value)
    actor = ctx.directory.identify(reply.reply_to.user)
    version, runbook, frozen = holding.prepared(ctx, actor, ref.slug, ref.number)
    name = running.must_be_reachable(ctx, actor, reply.reply_to, version.slug)
    metadata = RunForm(
        version.slug, version.number, reply.reply_to.channel, name, why=int(reasons.wanted(ctx.rt)),
        keep=HOLD if frozen else "",
    )  # fmt: skip
    filled = running.prefilled(ctx, runbook, reply.reply_to.channel)
    running.open_form(ctx, reply.reply_to, runbook, metadata, filled, "", frozen)


def _why(ctx: AppContext, _: Action, value: str, reply: Reply) -> None:
    authorise(ctx.rt, ctx.directory.identify(reply.reply_to.user), access.Action.VIEW, None)
    explained = explain.explain(ctx.rt, decode(RunRef, value).execution_id)
    reply.privately(why.why_view(explained, ctx.invoked_as(reply.reply_to)))


def _logs(ctx: AppContext, _: Action, value: str, reply: Reply) -> None:
    actor, run = ctx.directory.identify(reply.reply_to.user), decode(RunRef, value).execution_id
    reply.privately(queries.show_logs(ctx, actor, reply.reply_to, run, None))


def _pick(ctx: AppContext, _: Action, value: str, reply: Reply) -> None:
    ref = decode(Pick, value)
    answer(ctx, parse(ref.line).about(ref.execution_id), reply, instead=True)


def _hold(ctx: AppContext, _: Action, value: str, reply: Reply) -> None:
    answer(ctx, parse(decode(CommandRef, value).line), reply, instead=True)


def _close_incident(ctx: AppContext, _: Action, value: str, reply: Reply) -> None:
    ref = decode(ChannelRef, value)
    actor = ctx.actor_at(reply.reply_to)
    shown = incidents.seen(ctx.rt, actor, ref.incident_id)
    if shown.channel != ref.channel:
        raise BadValue("an incident of another channel")
    if shown.closed_at is not None:
        raise Conflict(f"Incident {ref.incident_id} is closed already.")
    done = incidents.close(ctx.rt, actor, ref.channel, ref.reason, force=True)
    reply.instead(story.closed_view(done.incident, done.open_runs))


_CLICKS: Mapping[Action, Callable[[AppContext, Action, str, Reply], None]] = {
    Action.PAUSE: _pause,
    Action.RESUME: _resume,
    Action.CANCEL: _cancel,
    Action.END_NOW: _cancel,
    Action.RETRY_FAILED: _retry_failed,
    Action.SKIP: _skip,
    Action.PAGE: _page,
    Action.APPROVE: deciding.approve,
    Action.REJECT: deciding.reject,
    Action.AGREE: deciding.agree,
    Action.TAKE_OVER: deciding.take_over,
    Action.RETRY: _resolve,
    Action.MARK_DONE: _resolve,
    Action.MARK_FAILED: _resolve,
    Action.TASK_DONE: manual_tasks.click,
    Action.TASK_FAILED: manual_tasks.click,
    Action.APPROVE_VERSION: versions.approve,
    Action.VERSION_PAGE: versions.page,
    Action.RENEW_VERSION: renewals.click,
    Action.REVIEW_RENEWAL: renewals.review,
    Action.RENEWAL_PAGE: renewals.page,
    Action.WITHDRAW_VERSION: renewals.click_withdraw,
    Action.OPEN_FORM: _open_form,
    Action.REVIEW_VERSION: _say_for("admin approve {}"),
    Action.ROLLBACK: _roll_back,
    Action.HISTORY: _say_for("admin history {}"),
    Action.DEPRECATE: _deprecate,
    Action.WHY: _why,
    Action.LOGS: _logs,
    Action.PICK: _pick,
    Action.CLOSE_INCIDENT: _close_incident,
    Action.REVIEW: deciding.review,
    Action.REVIEW_PAGE: deciding.review_page,
    Action.HOME_TEXT: _look_for,
    Action.HOME_TEAM: _look_for,
    Action.HOME_TAG: _look_for,
    Action.HOME_STATUS: _look_for,
    Action.HOME_BACK: _look_for,
    Action.HOME_PAGE: _look_for,
    Action.STOP_EVERYTHING: freezing.stop_everything,
    Action.HOLD: _hold,
    Action.HOLD_FILLED: holding.click_filled,
    Action.HOLD_AGAIN: holding.click_again,
    Action.RELEASE: kept_requests.click_release,
    Action.DROP_HELD: kept_requests.click_drop,
    Action.AGREE_BREAK_GLASS: kept_requests.click_agree,
    Action.RUN_PLAN: plans.click,
}
_SAY_WHY: Mapping[Action, access.Action] = {
    Action.PAUSE: access.Action.PAUSE,
    Action.RESUME: access.Action.RESUME,
    Action.CANCEL: access.Action.CANCEL,
    Action.END_NOW: access.Action.CANCEL,
    Action.RETRY_FAILED: access.Action.RETRY,
    Action.APPROVE: access.Action.VOTE,
    Action.ROLLBACK: access.Action.ROLLBACK,
}
"""Buttons that act at once where nobody has to say why, and the right that each takes."""
