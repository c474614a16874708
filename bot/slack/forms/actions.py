"""What each button does. Rights are the engine's to check, now, not when the button was drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bot.grammar import parse
from bot.page import links
from bot.slack import home
from bot.slack.desk import Desk
from bot.slack.ids import (
    RESOLVE_CHOICES,
    Action,
    ChannelRef,
    DeprecateForm,
    Pick,
    ResolveForm,
    RunForm,
    RunRef,
    SkipForm,
    StepRef,
    VersionRef,
    decode,
)
from bot.slack.reply import Reply
from bot.slack.verbs import deciding, looking, running, versions
from bot.slack.verbs.commands import answer
from bot.slack.verbs.steering import CANCELLING, ENDED_NOW, asks_again
from bot.slack.views import form, story, why
from bot.slack.views.parts import said
from bot.slack.views.text import code
from engine.access import policy as access
from engine.access.policy import admit, authorise
from engine.catalog import catalog
from engine.config.settings import secret_key
from engine.errors import Conflict
from engine.orchestration import incidents
from engine.queries import explain
from engine.runs import controls, executions, skipping


def click(desk: Desk, action: str, value: str, reply: Reply) -> None:
    """Do what a button says. Raises EngineError, BadValue for a button that is not ours.

    Whoever may not even look is told so before anything is read or opened; what a form is for is asked before it opens.
    """
    admit(desk.directory.identify(reply.place.user), access.Action.VIEW)
    desk.directory.refresh_groups()
    _CLICKS[Action(action)](desk, Action(action), value, reply)


def _pause(desk: Desk, _: Action, value: str, reply: Reply) -> None:
    done = controls.pause(desk.rt, desk.directory.identify(reply.place.user), decode(RunRef, value).execution_id)
    reply.privately(said(f"{code(done.id)} is paused."))


def _resume(desk: Desk, _: Action, value: str, reply: Reply) -> None:
    done = controls.resume(desk.rt, desk.directory.identify(reply.place.user), decode(RunRef, value).execution_id)
    reply.privately(said(f"{code(done.id)} goes on."))


def _cancel(desk: Desk, action: Action, value: str, reply: Reply) -> None:
    ref, force = decode(RunRef, value), action is Action.END_NOW
    done = controls.cancel(desk.rt, desk.directory.identify(reply.place.user), ref.execution_id, force=force)
    reply.privately(said((ENDED_NOW if force else CANCELLING).format(code(done.id))))


def _retry_failed(desk: Desk, _: Action, value: str, reply: Reply) -> None:
    ref = decode(StepRef, value)
    actor = desk.directory.identify(reply.place.user)
    done = controls.retry(desk.rt, actor, ref.execution_id, ref.path, attempt=ref.attempt)
    reply.privately(said(f"{code(done.id)} goes on from {code(ref.path, 120)}.{asks_again(done)}"))


def _skip(desk: Desk, _: Action, value: str, reply: Reply) -> None:
    ref = decode(RunRef, value)
    _must_be_allowed(desk, reply, access.Action.SKIP, ref.execution_id)
    paths = [step.path for step in skipping.skippable(executions.view(desk.rt, ref.execution_id))]
    if not paths:
        raise Conflict(f"{ref.execution_id} has no step that can be skipped now.")
    running.open_modal(desk, reply.place, form.skip_form(SkipForm(ref.execution_id, reply.place.channel), paths))


def _page(desk: Desk, _: Action, value: str, reply: Reply) -> None:
    """A link for this person alone: the card is everybody's, what may be looked at is each one's."""
    run = executions.find(desk.rt, decode(RunRef, value).execution_id)
    actor = desk.directory.identify(reply.place.user)
    authorise(desk.rt, actor, access.Action.VIEW, run)
    settings = desk.rt.settings
    if settings.public_url is None:
        raise Conflict("Runs have no pages here: PUBLIC_URL is not set.")
    address = links.link(settings.public_url, secret_key(settings), actor.user_id, run.id)
    reply.privately(said(f"<{address}|Open the page of {run.id}>. This link is yours alone, and good for 15 minutes."))


def _look_for(desk: Desk, action: Action, value: str, reply: Reply) -> None:
    home.publish(desk, reply.place.user, home.looked_for(action, value, reply.place.metadata))


def _resolve(desk: Desk, action: Action, value: str, reply: Reply) -> None:
    ref = decode(StepRef, value)
    _must_be_allowed(desk, reply, access.Action.RESOLVE, ref.execution_id)
    metadata = ResolveForm(ref.execution_id, ref.path, ref.attempt, RESOLVE_CHOICES[action], reply.place.channel)
    running.open_modal(desk, reply.place, form.resolve_form(metadata))


def _must_be_allowed(desk: Desk, reply: Reply, action: access.Action, run: str) -> None:
    """Raise NotAllowed where the form that is about to open would be of no use to this person."""
    authorise(desk.rt, desk.directory.identify(reply.place.user), action, executions.find(desk.rt, run))


def _say_for(line: str) -> Callable[[Desk, Action, str, Reply], None]:
    """A button that says a command about its version, with all that the command checks."""

    def click(desk: Desk, _: Action, value: str, reply: Reply) -> None:
        answer(desk, parse(line.format(decode(VersionRef, value).slug)), reply)

    return click


def _deprecate(desk: Desk, _: Action, value: str, reply: Reply) -> None:
    ref = decode(VersionRef, value)
    actor = desk.directory.identify(reply.place.user)
    authorise(desk.rt, actor, access.Action.DEPRECATE, catalog.version(desk.rt, ref.slug, ref.number))
    running.open_modal(desk, reply.place, form.deprecate_form(DeprecateForm(ref.slug, ref.number, reply.place.channel)))


def _open_form(desk: Desk, _: Action, value: str, reply: Reply) -> None:
    ref = decode(VersionRef, value)
    actor = desk.directory.identify(reply.place.user)
    version, runbook = executions.prepare(desk.rt, actor, ref.slug, ref.number)
    name = running.must_be_heard(desk, actor, reply.place)
    metadata = RunForm(version.slug, version.number, reply.place.channel, name)
    filled = running.prefilled(desk, runbook, reply.place.channel)
    running.open_form(desk, reply.place, runbook, metadata, filled, "", {})


def _why(desk: Desk, _: Action, value: str, reply: Reply) -> None:
    authorise(desk.rt, desk.directory.identify(reply.place.user), access.Action.VIEW, None)
    explained = explain.explain(desk.rt, decode(RunRef, value).execution_id)
    reply.privately(why.why_view(explained, desk.spoken(reply.place)))


def _logs(desk: Desk, _: Action, value: str, reply: Reply) -> None:
    actor, run = desk.directory.identify(reply.place.user), decode(RunRef, value).execution_id
    reply.privately(looking.show_logs(desk, actor, reply.place, run, None))


def _pick(desk: Desk, _: Action, value: str, reply: Reply) -> None:
    ref = decode(Pick, value)
    answer(desk, parse(ref.line).about(ref.execution_id), reply, instead=True)


def _close_incident(desk: Desk, _: Action, value: str, reply: Reply) -> None:
    ref = decode(ChannelRef, value)
    actor = desk.present(reply.place)
    if incidents.seen(desk.rt, actor, ref.incident_id).closed_at is not None:
        raise Conflict(f"Incident {ref.incident_id} is closed already.")
    done = incidents.close(desk.rt, actor, ref.channel, ref.reason, force=True)
    reply.instead(story.closed_view(done.incident, done.open_runs))


_CLICKS: Mapping[Action, Callable[[Desk, Action, str, Reply], None]] = {
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
    Action.APPROVE_VERSION: versions.approve,
    Action.VERSION_PAGE: versions.page,
    Action.OPEN_FORM: _open_form,
    Action.REVIEW_VERSION: _say_for("admin approve {}"),
    Action.ROLLBACK: _say_for("admin rollback {}"),
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
}
