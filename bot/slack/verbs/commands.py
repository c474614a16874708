"""What each verb does in Slack: call one engine service, show what it says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from bot.grammar import HOLD, Command, spell
from bot.help_text import verbs_about
from bot.slack.app_context import AppContext
from bot.slack.ids import Action as Click
from bot.slack.payload_values import CommandRef, DeprecateForm
from bot.slack.reply import Reply
from bot.slack.verbs import (
    auditing,
    control_verbs,
    freezing,
    holding,
    incident,
    kept_requests,
    manual_tasks,
    plans,
    queries,
    renewals,
    running,
    secrets,
    studio,
    tokens,
    versions,
)
from bot.slack.verbs.deciding import answers_of, more_needed, to_be_opened, too_long_for_a_message, voted
from bot.slack.verbs.invocation import Invocation, Several, the_run
from bot.slack.views import admin, form, lists
from bot.slack.views.errors import refused
from bot.slack.views.kept_requests import LONGEST_LINE, hold_offer
from bot.slack.views.parts import Message, said
from bot.slack.views.text import code
from engine.access.policy import Action, abilities, authorise
from engine.catalog import catalog, sync, version_approval
from engine.catalog.renewals import STATUSES, listing
from engine.errors import Frozen, NotApproved
from engine.queries import audit_chain, projection
from engine.queries import can as policy
from engine.runs import voting
from storage.catalog_records import VersionRecord
from storage.states import Decision, ExecutionStatus, VersionStatus


def answer(ctx: AppContext, command: Command, reply: Reply, *, instead: bool = False) -> None:
    """Do what a command says and show the outcome, or the runs to choose from where none was named.

    With `instead` the outcome takes the place of the private message that was clicked. Raises EngineError and
    GrammarError.
    """
    tell = reply.instead if instead else reply.privately
    invocation = Invocation(ctx, ctx.actor_at(reply.reply_to), reply.reply_to, command, tell)
    authorise(ctx.rt, invocation.actor, Action.VIEW, None)
    projection.retry_channel(ctx.rt, reply.reply_to.channel)
    if command.verb in _DECISIONS:
        ctx.directory.refresh_groups()
    try:
        message = _VERBS[command.verb](invocation)
    except Several as several:
        message = lists.pick_view(several.runs, spell(command), invocation.invoked_as)
    if message is not None:
        tell(message)


def _help(invocation: Invocation) -> Message:
    about = " ".join(invocation.command.words).lower()
    verbs = verbs_about(about)
    if about:
        return lists.help_view(invocation.invoked_as, verbs)
    allowed = abilities(invocation.ctx.rt, invocation.actor)
    return lists.help_view(
        invocation.invoked_as, [each for each in verbs if _NEEDS.get(each.name, Action.VIEW) in allowed]
    )


def _list(invocation: Invocation) -> Message:
    status = invocation.option("status").upper()
    if status not in ("", *STATUSES):
        known = ", ".join(each.lower() for each in STATUSES)
        raise invocation.wrong(f"There is no status “{status[:40].lower()}”: it is one of {known}.")
    tag, team = invocation.option("tag") or None, invocation.option("team") or None
    found = listing(invocation.ctx.rt, " ".join(invocation.command.words), tag, team=team, status=status or None)
    return lists.runbooks_view(
        found, invocation.invoked_as, catalog.startable(invocation.ctx.rt, invocation.actor, found)
    )


def _show(invocation: Invocation) -> Message:
    slug, number = invocation.command.target
    rt = invocation.ctx.rt
    version = catalog.version(rt, slug, number)
    history = catalog.history(rt, slug)
    shown = lists.runbook_view(
        catalog.get(rt, slug), version, catalog.definition(version), history, invocation.invoked_as
    )
    if version.number != history[0].number or Action.DEPRECATE not in abilities(rt, invocation.actor):
        return shown
    return replace(shown, blocks=(*shown.blocks, *(block.to_dict() for block in admin.version_acts(version))))


def _diff(invocation: Invocation) -> Message:
    return _change(invocation, offer=False)


def _change(invocation: Invocation, *, offer: bool) -> Message:
    slug, number = invocation.command.target
    return versions.change(invocation.ctx, slug, number, offer=offer)


def _run(invocation: Invocation) -> Message | None:
    if plans.is_planned(invocation):
        return plans.run_planned(invocation)
    try:
        return running.run(invocation.ctx, invocation.actor, invocation.reply_to, invocation.command)
    except Frozen as refusal:
        return _or_hold(invocation, refusal)
    except NotApproved as refusal:
        waiting = catalog.version(invocation.ctx.rt, invocation.command.target[0])
        if waiting.status is VersionStatus.APPROVED and (offered := renewals.offered(invocation, refusal)):
            return offered
        if not catalog.may_approve(invocation.ctx.rt, invocation.actor, waiting):
            raise
        return admin.not_approved_view(refusal, waiting, invocation.invoked_as)


def _or_hold(invocation: Invocation, refusal: Frozen) -> Message:
    """The refusal, with a button that says the same with `hold=yes`, unless that is a parameter or too long."""
    line = spell(replace(invocation.command, options={**invocation.command.options, HOLD: "yes"}))
    told = refused(refusal, invocation.invoked_as)
    schema = catalog.definition(catalog.version(invocation.ctx.rt, *invocation.command.target)).parameters
    sayable = HOLD not in schema.get("properties", {}) and len(line) <= LONGEST_LINE
    return hold_offer(told, Click.HOLD, CommandRef(line)) if sayable else said(told)


def _approve(invocation: Invocation) -> Message:
    return _vote(invocation, Decision.APPROVE)


def _reject(invocation: Invocation) -> Message:
    return _vote(invocation, Decision.REJECT)


def _vote(invocation: Invocation, decision: Decision) -> Message:
    """The vote by word; to approve what no message shows whole it is to be opened first."""
    _, rest = invocation.command.run
    run, path = the_run(invocation, ExecutionStatus.WAITING), rest[0] if rest else None
    if decision is Decision.APPROVE and (unseen := too_long_for_a_message(invocation.ctx, invocation.actor, run, path)):
        return to_be_opened(unseen)
    given = {name: value for name, value in invocation.command.options.items() if name != "comment"}
    comment, answers = invocation.option("comment"), answers_of(invocation.ctx, run, path, given)
    gate = voting.vote(invocation.ctx.rt, invocation.actor, run, path, decision, comment, answers=answers)
    return voted(gate, decision)


def _withdraw(invocation: Invocation) -> Message:
    _, rest = invocation.command.run
    open_run = the_run(invocation, ExecutionStatus.WAITING)
    gate = voting.withdraw(invocation.ctx.rt, invocation.actor, open_run, rest[0] if rest else None)
    at = f"{code(gate.approval.path)} of {code(gate.approval.execution_id)}"
    return said(f"Your vote on {at} is withdrawn.{more_needed(gate)}")


def _sync(invocation: Invocation) -> Message:
    report = sync.sync(invocation.ctx.rt, invocation.actor, invocation.ctx.directory.user_by_email)
    return admin.sync_view(report, invocation.invoked_as)


def _admin_approve(invocation: Invocation) -> Message:
    if not invocation.command.words:
        return admin.drafts_view(catalog.drafts(invocation.ctx.rt, invocation.actor, _DRAFTS), invocation.invoked_as)
    (slug, number), digest = invocation.command.target, invocation.option("digest") or None
    if number is None and digest is None:
        return _to_be_approved(invocation, slug)
    newest = catalog.version(invocation.ctx.rt, slug).number
    if versions.too_long_for_a_message(invocation.ctx, slug, number or newest):
        return _to_be_approved(invocation, slug)
    done = version_approval.approve(invocation.ctx.rt, invocation.actor, slug, number, digest)
    return renewals.approved(invocation.ctx, done)


def _to_be_approved(invocation: Invocation, slug: str) -> Message:
    current = catalog.version(invocation.ctx.rt, slug)
    authorise(invocation.ctx.rt, invocation.actor, Action.APPROVE, current)
    version_approval.must_be_draft(current)
    return _change(invocation, offer=True)


def _admin_deprecate(invocation: Invocation) -> Message | None:
    """Withdraw what was named and why; where either is not said, ask for it in the form that the button opens."""
    (slug, number), rt, reason = invocation.command.target, invocation.ctx.rt, invocation.option("reason")
    successor = invocation.option("successor").lower()
    before = catalog.history(rt, slug)
    live = [old for old in before if old.status is not VersionStatus.DEPRECATED]
    if not reason or (number is None and len(live) > 1 and not invocation.command.says_all):
        _ask_to_deprecate(invocation, catalog.version(rt, slug, number), reason, successor)
        return None
    shown = version_approval.deprecate(rt, invocation.actor, slug, number, reason, successor)
    gone = [old for old in before if number in (None, old.number) and old.status is not VersionStatus.DEPRECATED]
    stopped = catalog.open_runs(rt, slug, [old.number for old in gone])
    back = shown.number == before[0].number
    return admin.deprecated_view(shown.slug, gone, stopped, reason, invocation.invoked_as if back else None, successor)


def _ask_to_deprecate(invocation: Invocation, version: VersionRecord, reason: str, successor: str) -> None:
    """Open the form about a version, or raise GrammarError where none can be opened."""
    authorise(invocation.ctx.rt, invocation.actor, Action.DEPRECATE, version)
    name = f"{version.slug}@{version.number}"
    if invocation.reply_to.trigger_id is None:
        how = f'Say which and why: `{name}` is this version, `{version.slug}@all` all of them, and reason="…".'
        raise invocation.wrong(how)
    ref = DeprecateForm(version.slug, version.number, invocation.reply_to.channel)
    running.open_modal(invocation.ctx, invocation.reply_to, form.deprecate_form(ref, reason, successor))


def _admin_rollback(invocation: Invocation) -> Message:
    slug, number = invocation.command.target
    return admin.rolled_back_view(
        version_approval.rollback(invocation.ctx.rt, invocation.actor, slug, number, invocation.option("reason")),
        invocation.invoked_as,
    )


def _admin_history(invocation: Invocation) -> Message:
    slug, _ = invocation.command.target
    runbook = catalog.get(invocation.ctx.rt, slug)
    return admin.history_view(runbook, catalog.history(invocation.ctx.rt, slug), catalog.deeds(invocation.ctx.rt, slug))


def _admin_verify(invocation: Invocation) -> Message:
    authorise(invocation.ctx.rt, invocation.actor, Action.AUDIT, None)
    return admin.verified_view(audit_chain.verify(invocation.ctx.rt))


_VERBS: Mapping[str, Callable[[Invocation], Message | None]] = {
    "help": _help,
    "list": _list,
    "show": _show,
    "diff": _diff,
    "plan": plans.plan,
    "studio": studio.studio,
    "run": _run,
    "status": queries.status,
    "why": queries.because,
    "runs": queries.runs,
    "catchup": queries.catch_up,
    "logs": queries.logs,
    "evidence": queries.evidence_file,
    "can": queries.may,
    "pause": control_verbs.pause,
    "resume": control_verbs.resume,
    "cancel": control_verbs.cancel,
    "retry": holding.or_hold(control_verbs.retry, ExecutionStatus.FAILED),
    "skip": control_verbs.skip,
    "agree": control_verbs.agree,
    "resolve": control_verbs.resolve,
    "done": manual_tasks.done,
    "could-not": manual_tasks.could_not,
    "replay": holding.or_hold(control_verbs.replay, *control_verbs.ENDED),
    "handover": control_verbs.hand_over,
    "takeover": control_verbs.take_over,
    "approve": _approve,
    "reject": _reject,
    "withdraw": _withdraw,
    "freeze": freezing.freeze,
    "unfreeze": freezing.unfreeze,
    "freezes": freezing.freezes,
    "held": kept_requests.held,
    "release": kept_requests.release,
    "review": kept_requests.review,
    "reviews": kept_requests.reviews,
    "token": tokens.token,
    "audit": auditing.search,
    "audit export": auditing.export,
    "report": auditing.report,
    "secret list": secrets.show,
    "secret set": secrets.ask_for_value,
    "secret delete": secrets.delete,
    "secret rotate-keys": secrets.rotate_keys,
    "admin sync": _sync,
    "admin approve": _admin_approve,
    "admin renew": renewals.renew,
    "admin withdraw": renewals.withdraw,
    "admin deprecate": _admin_deprecate,
    "admin rollback": _admin_rollback,
    "admin history": _admin_history,
    "admin verify": _admin_verify,
    "incident": incident.show,
    "incident open": incident.open_one,
    "incident set": incident.change,
    "incident close": incident.close,
}
_NEEDS: Mapping[str, Action] = {
    **policy.VERBS,
    **dict.fromkeys(("incident open", "incident set", "incident close"), Action.INCIDENT),
    "incident": Action.VIEW,
    "withdraw": Action.VOTE,
    "token": Action.TOKEN,
    "admin history": Action.APPROVE,
    "admin verify": Action.AUDIT,
    "audit export": Action.AUDIT,
}
"""What one has to be allowed for a verb to be of use; looking for what is not named."""
_DRAFTS = 20
"""Drafts that are listed for a platform admin."""
_DECISIONS = frozenset(_VERBS) - {
    "help", "list", "show", "plan", "diff", "studio", "status", "why", "runs", "catchup", "logs", "evidence",
    "incident",
    "freezes", "reviews",
}  # fmt: skip
"""Verbs whose right may hang on a user group."""
