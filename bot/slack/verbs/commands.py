"""What each verb does in Slack: call one engine service, show what it says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from bot.grammar import Command, GrammarError, spell, verb
from bot.manual import verbs_about
from bot.slack.app_context import AppContext
from bot.slack.ids import DeprecateForm
from bot.slack.reply import Reply
from bot.slack.verbs import incident, looking, running, steering, tokens, versions
from bot.slack.verbs.ask import Ask, Several, the_run
from bot.slack.verbs.deciding import more_needed, to_be_opened, too_long_for_a_message, voted
from bot.slack.views import admin, form, lists
from bot.slack.views.parts import Message, said
from bot.slack.views.text import code
from engine.access.policy import Action, abilities, authorise
from engine.catalog import catalog, sync
from engine.errors import NotApproved
from engine.queries import audit_chain, projection
from engine.queries import can as policy
from engine.runs import approvals
from storage.records import VersionRecord
from storage.states import Decision, ExecutionStatus, VersionStatus


def answer(ctx: AppContext, command: Command, reply: Reply, *, instead: bool = False) -> None:
    """Do what a command says and show the outcome, or the runs to choose from where none was named.

    With `instead` the outcome takes the place of the private message that was clicked. Raises EngineError and
    GrammarError.
    """
    ask = Ask(ctx, ctx.actor_at(reply.place), reply.place, command)
    authorise(ctx.rt, ask.actor, Action.VIEW, None)
    projection.retry_channel(ctx.rt, reply.place.channel)
    if command.verb in _DECISIONS:
        ctx.directory.refresh_groups()
    try:
        message = _VERBS[command.verb](ask)
    except Several as several:
        message = lists.pick_view(several.runs, spell(command), ask.invoked_as)
    if message is not None:
        (reply.instead if instead else reply.privately)(message)


def _help(ask: Ask) -> Message:
    about = " ".join(ask.command.words).lower()
    verbs = verbs_about(about)
    if about:
        return lists.help_view(ask.invoked_as, verbs)
    allowed = abilities(ask.ctx.rt, ask.actor)
    return lists.help_view(ask.invoked_as, [each for each in verbs if _NEEDS.get(each.name, Action.VIEW) in allowed])


def _list(ask: Ask) -> Message:
    status = ask.option("status").upper()
    if status not in ("", *VersionStatus):
        known = ", ".join(each.lower() for each in VersionStatus)
        raise GrammarError(f"There is no status “{status[:40].lower()}”: it is one of {known}.", verb("list").usage)
    tag, team = ask.option("tag") or None, ask.option("team") or None
    found = catalog.listing(ask.ctx.rt, " ".join(ask.command.words), tag, team=team, status=status or None)
    return lists.runbooks_view(found, ask.invoked_as, catalog.startable(ask.ctx.rt, ask.actor, found))


def _show(ask: Ask) -> Message:
    slug, number = ask.command.target
    rt = ask.ctx.rt
    version = catalog.version(rt, slug, number)
    history = catalog.history(rt, slug)
    shown = lists.runbook_view(catalog.get(rt, slug), version, catalog.definition(version), history, ask.invoked_as)
    if version.number != history[0].number or Action.DEPRECATE not in abilities(rt, ask.actor):
        return shown
    return replace(shown, blocks=(*shown.blocks, *(block.to_dict() for block in admin.version_acts(version))))


def _diff(ask: Ask) -> Message:
    return _change(ask, offer=False)


def _change(ask: Ask, *, offer: bool) -> Message:
    slug, number = ask.command.target
    return versions.change(ask.ctx, slug, number, offer=offer)


def _run(ask: Ask) -> Message | None:
    try:
        return running.run(ask.ctx, ask.actor, ask.place, ask.command)
    except NotApproved as refusal:
        waiting = catalog.version(ask.ctx.rt, ask.command.target[0])
        if not catalog.may_approve(ask.ctx.rt, ask.actor, waiting):
            raise
        return admin.not_approved_view(refusal, waiting, ask.invoked_as)


def _approve(ask: Ask) -> Message:
    return _vote(ask, Decision.APPROVE)


def _reject(ask: Ask) -> Message:
    return _vote(ask, Decision.REJECT)


def _vote(ask: Ask, decision: Decision) -> Message:
    """The vote by word; to approve what no message shows whole it is to be opened first."""
    _, rest = ask.command.run
    run, path = the_run(ask, ExecutionStatus.WAITING), rest[0] if rest else None
    if decision is Decision.APPROVE and (unseen := too_long_for_a_message(ask.ctx, ask.actor, run, path)):
        return to_be_opened(unseen)
    gate = approvals.vote(ask.ctx.rt, ask.actor, run, path, decision, ask.option("comment"))
    return voted(gate, decision)


def _withdraw(ask: Ask) -> Message:
    _, rest = ask.command.run
    open_run = the_run(ask, ExecutionStatus.WAITING)
    gate = approvals.withdraw(ask.ctx.rt, ask.actor, open_run, rest[0] if rest else None)
    at = f"{code(gate.approval.path)} of {code(gate.approval.execution_id)}"
    return said(f"Your vote on {at} is withdrawn.{more_needed(gate)}")


def _sync(ask: Ask) -> Message:
    report = sync.sync(ask.ctx.rt, ask.actor, ask.ctx.directory.user_by_email)
    return admin.sync_view(report, ask.invoked_as)


def _admin_approve(ask: Ask) -> Message:
    if not ask.command.words:
        return admin.drafts_view(catalog.drafts(ask.ctx.rt, ask.actor, _DRAFTS), ask.invoked_as)
    slug, number = ask.command.target
    if number is not None:
        return admin.approved_view(catalog.approve(ask.ctx.rt, ask.actor, slug, number))
    current = catalog.version(ask.ctx.rt, slug)
    authorise(ask.ctx.rt, ask.actor, Action.APPROVE, current)
    catalog.must_be_draft(current)
    return _change(ask, offer=True)


def _admin_deprecate(ask: Ask) -> Message | None:
    """Withdraw what was named and why; where either is not said, ask for it in the form that the button opens."""
    (slug, number), rt, reason = ask.command.target, ask.ctx.rt, ask.option("reason")
    successor = ask.option("successor").lower()
    before = catalog.history(rt, slug)
    live = [old for old in before if old.status is not VersionStatus.DEPRECATED]
    if not reason or (number is None and len(live) > 1 and not ask.command.says_all):
        _ask_to_deprecate(ask, catalog.version(rt, slug, number), reason, successor)
        return None
    shown = catalog.deprecate(rt, ask.actor, slug, number, reason, successor)
    gone = [old for old in before if number in (None, old.number) and old.status is not VersionStatus.DEPRECATED]
    stopped = catalog.open_runs(rt, slug, [old.number for old in gone])
    back = shown.number == before[0].number
    return admin.deprecated_view(shown.slug, gone, stopped, reason, ask.invoked_as if back else None, successor)


def _ask_to_deprecate(ask: Ask, version: VersionRecord, reason: str, successor: str) -> None:
    """Open the form about a version, or raise GrammarError where none can be opened."""
    authorise(ask.ctx.rt, ask.actor, Action.DEPRECATE, version)
    name = f"{version.slug}@{version.number}"
    if ask.place.trigger_id is None:
        how = f'Say which and why: `{name}` is this version, `{version.slug}@all` all of them, and reason="…".'
        raise GrammarError(how, verb("admin deprecate").usage)
    ref = DeprecateForm(version.slug, version.number, ask.place.channel)
    running.open_modal(ask.ctx, ask.place, form.deprecate_form(ref, reason, successor))


def _admin_rollback(ask: Ask) -> Message:
    slug, number = ask.command.target
    return admin.rolled_back_view(catalog.rollback(ask.ctx.rt, ask.actor, slug, number), ask.invoked_as)


def _admin_history(ask: Ask) -> Message:
    slug, _ = ask.command.target
    runbook = catalog.get(ask.ctx.rt, slug)
    return admin.history_view(runbook, catalog.history(ask.ctx.rt, slug), catalog.deeds(ask.ctx.rt, slug))


def _admin_verify(ask: Ask) -> Message:
    authorise(ask.ctx.rt, ask.actor, Action.AUDIT, None)
    return admin.verified_view(audit_chain.verify(ask.ctx.rt))


_VERBS: Mapping[str, Callable[[Ask], Message | None]] = {
    "help": _help,
    "list": _list,
    "show": _show,
    "diff": _diff,
    "run": _run,
    "status": looking.status,
    "why": looking.because,
    "runs": looking.runs,
    "catchup": looking.catch_up,
    "logs": looking.logs,
    "evidence": looking.evidence_file,
    "can": looking.may,
    "pause": steering.pause,
    "resume": steering.resume,
    "cancel": steering.cancel,
    "retry": steering.retry,
    "skip": steering.skip,
    "agree": steering.agree,
    "resolve": steering.resolve,
    "replay": steering.replay,
    "handover": steering.hand_over,
    "takeover": steering.take_over,
    "approve": _approve,
    "reject": _reject,
    "withdraw": _withdraw,
    "token": tokens.token,
    "admin sync": _sync,
    "admin approve": _admin_approve,
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
}
"""What one has to be allowed for a verb to be of use; looking for what is not named."""
_DRAFTS = 20
"""Drafts that are listed for a platform admin."""
_DECISIONS = frozenset(_VERBS) - {
    "help", "list", "show", "diff", "status", "why", "runs", "catchup", "logs", "evidence", "incident",
}  # fmt: skip
"""Verbs whose right may hang on a user group."""
