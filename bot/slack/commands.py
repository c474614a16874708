"""What each verb does in Slack: call one engine service, show what it says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bot.grammar import Command, GrammarError, verb
from bot.slack import running
from bot.slack.desk import Desk
from bot.slack.reply import Place, Reply
from bot.slack.views import admin, card, lists
from bot.slack.views.parts import Message, said
from bot.slack.views.text import code, inline
from engine import approvals, catalog, controls, executions, sync
from engine.access import Action, Actor, authorise, verdict
from engine.definition import lint
from engine.errors import Conflict, NotAllowed
from storage.records import Decision, ExecutionStatus, VersionRecord


@dataclass(frozen=True, slots=True)
class Ask:
    """One command, who gave it, and where."""

    desk: Desk
    actor: Actor
    place: Place
    command: Command

    def option(self, name: str) -> str:
        """What was given as `name=…`, "" where it was not."""
        return self.command.options.get(name, "")


def answer(desk: Desk, command: Command, reply: Reply) -> None:
    """Do what a command says and show the outcome. Raises EngineError and GrammarError."""
    ask = Ask(desk, desk.directory.identify(reply.place.user), reply.place, command)
    authorise(desk.rt, ask.actor, Action.VIEW, None)
    if command.verb in _DECISIONS:
        desk.directory.refresh_groups()
    message = _VERBS[command.verb](ask)
    if message is not None:
        reply.answer(message)


def _help(ask: Ask) -> Message:
    return lists.help_view(ask.desk.command, " ".join(ask.command.words).lower())


def _list(ask: Ask) -> Message:
    found = catalog.listing(ask.desk.rt, " ".join(ask.command.words), ask.option("tag") or None)
    return lists.runbooks_view(found, ask.desk.command)


def _show(ask: Ask) -> Message:
    slug, number = ask.command.target
    rt = ask.desk.rt
    version = catalog.version(rt, slug, number)
    return lists.runbook_view(
        catalog.get(rt, slug), version, catalog.definition(version), catalog.history(rt, slug), ask.desk.command
    )


def _diff(ask: Ask) -> Message:
    return _change(ask, offer=False)


def _change(ask: Ask, *, offer: bool) -> Message:
    slug, number = ask.command.target
    version = catalog.version(ask.desk.rt, slug, number)
    diff = catalog.diff(ask.desk.rt, slug, version.number)
    return admin.change_view(version, diff, warnings_of(version), offer=offer)


def warnings_of(version: VersionRecord) -> list[str]:
    """What lint says about a version."""
    return [warning.message for warning in lint.warnings(catalog.definition(version))]


def _run(ask: Ask) -> Message | None:
    slug, number = ask.command.target
    return running.run(ask.desk, ask.actor, ask.place, slug, number, ask.command.options)


def _status(ask: Ask) -> Message:
    run, rest = ask.command.run
    if rest:
        raise GrammarError(f"“{rest[0][:40]}” is not a run's id, such as R-7K2M9Q.", verb("status").usage)
    rt = ask.desk.rt
    if run is not None:
        return card.card(executions.view(rt, run), live=False)
    found = executions.recent(rt, channel=ask.place.channel, open_only=True)
    found = found or executions.recent(rt, channel=ask.place.channel, limit=1)
    if len(found) == 1:
        return card.card(executions.view(rt, found[0].id), live=False)
    return lists.runs_view(found)


def _runs(ask: Ask) -> Message:
    which = (ask.command.words or ("here",))[0].lower()
    narrowed: dict[str, dict[str, Any]] = {
        "here": {"channel": ask.place.channel},
        "mine": {"requester": ask.actor.user_id},
        "open": {"open_only": True},
        "all": {},
    }
    if which not in narrowed:
        raise GrammarError(f"“{which[:40]}” is not one of here, mine, open, all.", verb("runs").usage)
    return lists.runs_view(executions.recent(ask.desk.rt, **narrowed[which]))


def the_run(ask: Ask, run: str | None, *, waiting: bool = False) -> str:
    """The run that was named, else the only open one of the channel. Raises Conflict where that is not clear."""
    if run is not None:
        return run
    found = executions.recent(ask.desk.rt, channel=ask.place.channel, open_only=True, limit=20)
    fitting = [each for each in found if each.status is ExecutionStatus.WAITING] if waiting else found
    fitting = fitting or found
    if len(fitting) == 1:
        return fitting[0].id
    if not fitting:
        raise Conflict(
            "No run is open in this channel. Name one by its id, such as R-7K2M9Q; `runs all` lists the latest."
        )
    raise Conflict(f"Several runs are open in this channel: {', '.join(each.id for each in fitting)}. Say which.")


def _cancel(ask: Ask) -> Message:
    run, rest = ask.command.run
    if rest:
        raise GrammarError(f"“{rest[0][:40]}” is not a run's id, such as R-7K2M9Q.", verb("cancel").usage)
    execution = controls.cancel(ask.desk.rt, ask.actor, the_run(ask, run), ask.option("reason"))
    return said(f"{code(execution.id)} is being cancelled.")


def _resolve(ask: Ask) -> Message:
    run, rest = ask.command.run
    path, choice = (rest[0] if len(rest) > 1 else None), rest[-1].lower()
    execution = controls.resolve(
        ask.desk.rt, ask.actor, the_run(ask, run, waiting=True), path, choice, ask.option("note")
    )
    return said(f"Noted for {code(execution.id)}: {inline(choice)}.")


def _approve(ask: Ask) -> Message:
    return _vote(ask, Decision.APPROVE)


def _reject(ask: Ask) -> Message:
    if not ask.option("comment").strip():
        raise GrammarError("Say why it is rejected.", verb("reject").usage)
    return _vote(ask, Decision.REJECT)


def _vote(ask: Ask, decision: Decision) -> Message:
    run, rest = ask.command.run
    gate = approvals.vote(
        ask.desk.rt,
        ask.actor,
        the_run(ask, run, waiting=True),
        rest[0] if rest else None,
        decision,
        ask.option("comment"),
    )
    return voted(gate, decision)


def voted(gate: executions.GateView, decision: Decision) -> Message:
    """The word that a vote counts."""
    did = "approved" if decision is Decision.APPROVE else "rejected"
    more = f" {gate.missing} more needed." if gate.missing and decision is Decision.APPROVE else ""
    return said(f"You {did} {code(gate.approval.path)} of {code(gate.approval.execution_id)}.{more}")


def _sync(ask: Ask) -> Message:
    report = sync.sync(ask.desk.rt, ask.actor, ask.desk.directory.user_by_email)
    return admin.sync_view(report, ask.desk.command)


def _admin_approve(ask: Ask) -> Message:
    slug, number = ask.command.target
    if number is not None:
        return admin.approved_view(catalog.approve(ask.desk.rt, ask.actor, slug, number))
    shown = verdict(ask.desk.rt, ask.actor, Action.APPROVE, catalog.version(ask.desk.rt, slug))
    if not shown.allowed:
        raise NotAllowed(shown.why)
    return _change(ask, offer=True)


def _admin_deprecate(ask: Ask) -> Message:
    slug, number = ask.command.target
    return admin.deprecated_view(catalog.deprecate(ask.desk.rt, ask.actor, slug, number, ask.option("reason")))


_VERBS: Mapping[str, Callable[[Ask], Message | None]] = {
    "help": _help,
    "list": _list,
    "show": _show,
    "diff": _diff,
    "run": _run,
    "status": _status,
    "runs": _runs,
    "cancel": _cancel,
    "resolve": _resolve,
    "approve": _approve,
    "reject": _reject,
    "admin sync": _sync,
    "admin approve": _admin_approve,
    "admin deprecate": _admin_deprecate,
}
_DECISIONS = frozenset(_VERBS) - {"help", "list", "show", "diff", "status", "runs"}
"""Verbs whose right may hang on a user group."""
