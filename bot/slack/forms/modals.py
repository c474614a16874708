"""Forms that were filled in. What can be judged at once is answered in the form; the rest happens after it closed."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from bot.grammar import HOLD, Command
from bot.slack.app_context import AppContext, Work
from bot.slack.forms import actions, approve_form, option_menus, secret_form, shortcuts, task_form
from bot.slack.ids import CHANNEL_BLOCK, REASON_BLOCK, RUNBOOK_BLOCK, STEP_BLOCK, Form, parameter_block, parameter_of
from bot.slack.payload_values import (
    DeprecateForm,
    GateRef,
    PickForm,
    RejectForm,
    ResolveForm,
    RunForm,
    SkipForm,
    WhyForm,
    decode,
)
from bot.slack.reply import Reply, ReplyTo
from bot.slack.verbs import control_verbs, deciding, holding, running
from bot.slack.verbs.commands import answer
from bot.slack.verbs.form_values import (
    read_all_versions,
    read_channel,
    read_parameters,
    read_reason,
    read_runbook,
    read_step,
)
from bot.slack.views import fields, form, offered
from bot.slack.views.parts import said
from bot.slack.views.text import code
from engine.access import channels, reasons
from engine.access.policy import Action, admit, authorise_by_rules
from engine.catalog import catalog
from engine.definition import parameters
from engine.definition.model import Runbook
from engine.errors import Frozen, InvalidParameters
from engine.runs import controls, form_drafts, skipping
from engine.runs.form_drafts import Draft
from storage.states import Decision

MISSING = "Please say why: it goes into the record."
IN_FORM_S = 2.0
"""How long choices may be asked for before a form is answered, which Slack waits 3 s for."""
NOT_YET_KNOWN = "Slack has not yet said who you are. Please press Next again in a moment."


@dataclass(frozen=True, slots=True)
class Submission:
    """What came of reading a form.

    `errors` by block_id keep it open, `following` takes its place, else `work` is to be done at `reply_to`.
    """

    errors: Mapping[str, str]
    reply_to: ReplyTo
    work: Work | None = None
    following: Mapping[str, Any] | None = None


def read(ctx: AppContext, user: str, view: Mapping[str, Any]) -> Submission:
    """Read a submitted view before the ack, so without asking Slack anything. Raises EngineError and BadValue.

    Who is known and may not look is told so; of who is not known by now nothing is answered but what they typed, and
    what follows is judged once Slack has said who it is.
    """
    actor = ctx.known(user)
    if actor is not None:
        admit(actor, Action.VIEW)
    state = view.get("state", {}).get("values", {})
    return _FORMS[Form(view["callback_id"])](ctx, user, str(view.get("private_metadata", "")), state)


def _run(ctx: AppContext, user: str, metadata: str, state: Mapping[str, Any]) -> Submission:
    ref, until = decode(RunForm, metadata), time.monotonic() + IN_FORM_S
    reply_to = ReplyTo(user=user, channel=ref.channel, channel_name=ref.channel_name)
    runbook = catalog.definition(catalog.version(ctx.rt, ref.slug, ref.number))
    parts = form.pages(runbook)
    draft = form_drafts.find(ctx.rt, user, ref.draft)
    state = option_menus.with_long_values(ctx, ctx.known(user), ref, runbook, state, draft.values)
    if ref.page < len(parts) - 1:
        return _next_part(ctx, reply_to, runbook, ref, draft, state, until)
    reason = read_reason(state)
    errors: dict[str, str] = {}
    values: dict[str, Any] = {}
    try:
        values = parameters.validate(runbook.parameters, _known(runbook, ref, draft, state))
    except InvalidParameters as wrong:
        errors = _by_block(wrong, state)
    if form.wants_reason(runbook, ref):
        errors |= _lacking(ctx, reason)
    channel = ref.channel or read_channel(state)
    if not channel:
        errors[CHANNEL_BLOCK] = "Please choose a channel."
    errors = errors or _not_offered(ctx, user, ref, values, parts[ref.page], state, until)
    if errors:
        return Submission(errors, reply_to)
    reply_to = replace(reply_to, channel=channel)

    def work(reply: Reply) -> None:
        actor = ctx.directory.identify(user)
        actor = channels.still_there(ctx.rt, actor, ref.channel) if ref.channel else actor
        ctx.directory.refresh_groups()
        name = running.must_be_reachable(ctx, actor, reply_to, ref.slug, values)
        about = replace(ref, channel=channel, channel_name=ref.channel_name or name)
        try:
            reply.privately(running.begun(ctx, actor, about, values, reason))
        except Frozen as refusal:
            reply.privately(holding.instead_of(ctx, user, about, values, reason, refusal))

    return Submission({}, reply_to, work)


def _next_part(
    ctx: AppContext, reply_to: ReplyTo, runbook: Runbook, ref: RunForm, draft: Draft, state: Mapping[str, Any],
    until: float,
) -> Submission:  # fmt: skip
    """Keep what this part holds and show the next one, unless something in this part is wrong."""
    known: dict[str, Any] = {}
    errors: dict[str, str] = {}
    try:
        known = _known(runbook, ref, draft, state)
        parameters.validate(runbook.parameters, known)
    except InvalidParameters as wrong:
        here = {parameter_of(block) for block in state}
        errors = _by_block(InvalidParameters({name: why for name, why in wrong.fields.items() if name in here}), state)
    actor = ctx.known(reply_to.user)
    if actor is None:
        errors = {next(iter(state), REASON_BLOCK): NOT_YET_KNOWN}
    if errors or actor is None:
        return Submission(errors, reply_to)
    authorise_by_rules(ctx.rt, actor, Action.START, catalog.get(ctx.rt, ref.slug), heed_freezes=not ref.keep)
    errors = _not_offered(ctx, reply_to.user, ref, known, form.pages(runbook)[ref.page], state, until)
    if errors:
        return Submission(errors, reply_to)
    kept = form_drafts.keep(ctx.rt, reply_to.user, Draft(known, draft.reason))
    following = replace(ref, page=ref.page + 1, draft=kept)
    return Submission({}, reply_to, following=form.run_form(runbook, following, known, draft.reason, {}))


def _not_offered(
    ctx: AppContext, user: str, ref: RunForm, values: Mapping[str, Any], names: Collection[str],
    state: Mapping[str, Any], until: float,
) -> dict[str, str]:  # fmt: skip
    """What is to stand under the menus of this part whose choice its system does not offer."""
    wrong = option_menus.refused(ctx, ctx.known(user), ref, values, names, until)
    return _by_block(InvalidParameters(wrong), state) if wrong else {}


def _known(runbook: Runbook, ref: RunForm, draft: Draft, state: Mapping[str, Any]) -> dict[str, Any]:
    """What was kept of the other parts, and what this part holds now. Raises InvalidParameters."""
    elsewhere = set(fields.properties(runbook)) - set(form.pages(runbook)[ref.page])
    others = {name: value for name, value in draft.values.items() if name in elsewhere}
    return {**others, **read_parameters(runbook, state, draft.values)}


def _by_block(wrong: InvalidParameters, state: Mapping[str, Any]) -> dict[str, str]:
    """Every complaint under an input that exists: Slack takes no other keys. The first one takes those without."""
    first = next(iter(state), REASON_BLOCK)
    errors: dict[str, str] = {}
    for name, why in wrong.fields.items():
        block, text = parameter_block(name), why[:1].upper() + why[1:]
        if block not in state:
            block, text = first, f"{name}: {why}" if name else text
        errors[block] = f"{errors[block]} {text}" if block in errors else text
    return errors


def _pick(ctx: AppContext, user: str, metadata: str, state: Mapping[str, Any]) -> Submission:
    """The form of the runbook that was chosen takes the place of the form in which it was."""
    ref, slug = decode(PickForm, metadata), read_runbook(state)
    reply_to = ReplyTo(user=user, channel=ref.channel, channel_name=ref.channel_name)
    if not slug:
        return Submission({RUNBOOK_BLOCK: "Please choose a runbook."}, reply_to)
    actor = ctx.known(user)
    if actor is None:
        return Submission({RUNBOOK_BLOCK: NOT_YET_KNOWN}, reply_to)
    version, runbook, frozen = holding.prepared(ctx, actor, slug)
    following = RunForm(
        version.slug, version.number, ref.channel, ref.channel_name, about=ref.about, why=int(reasons.wanted(ctx.rt)),
        keep=HOLD if frozen else "",
    )  # fmt: skip
    filled = running.prefilled(ctx, runbook, ref.channel)
    following = running.kept(ctx, user, runbook, following, filled)
    return Submission({}, reply_to, following=form.run_form(runbook, following, filled, "", frozen))


def _deprecate(ctx: AppContext, user: str, metadata: str, state: Mapping[str, Any]) -> Submission:
    """Say the command that was filled in, with all that it checks."""
    ref, why, successor = decode(DeprecateForm, metadata), read_reason(state), read_runbook(state)
    reply_to = ReplyTo(user=user, channel=ref.channel)
    options = {"reason": why, **({"successor": successor} if successor else {})}
    scope = "all" if read_all_versions(state) else ref.number
    command = Command("admin deprecate", (f"{ref.slug}@{scope}",), options)
    lacking = _lacking(ctx, why)
    return Submission(lacking, reply_to, None if lacking else lambda reply: answer(ctx, command, reply))


def _lacking(ctx: AppContext, why: str) -> dict[str, str]:
    """What is to stand under the input for a reason, where what was written there will not do."""
    sentence = reasons.wrong(ctx.rt, why) or ("" if why else MISSING)
    return {REASON_BLOCK: sentence} if sentence else {}


def _why(ctx: AppContext, user: str, metadata: str, state: Mapping[str, Any]) -> Submission:
    """Do what was clicked, now that its reason is known."""
    ref, why = decode(WhyForm, metadata), read_reason(state)
    reply_to = ReplyTo(user=user, channel=ref.channel, why=why)
    lacking = _lacking(ctx, why)
    work = partial(actions.click_with_reason, ctx, ref.action, ref.value)
    return Submission(lacking, reply_to, None if lacking else work)


def suggest(ctx: AppContext, body: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to Slack: `option_groups` where a system could not be asked, else the `options` of `_options`."""
    view, actor = body["view"], ctx.known(str(body["user"]["id"]))
    name = parameter_of(str(body.get("block_id", "")))
    if actor is not None and view.get("callback_id") == Form.RUN:
        ref = decode(RunForm, str(view.get("private_metadata", "")))
        runbook = catalog.definition(catalog.version(ctx.rt, ref.slug, ref.number))
        if offered.asks(fields.properties(runbook).get(name, {})):
            admit(actor, Action.VIEW)
            return option_menus.suggest(ctx, actor, ref, runbook, name, str(body.get("value") or ""))
    return {"options": _options(ctx, body)}


def _options(ctx: AppContext, body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The options of a long select that fit what was typed: of a run's form, or of all runbooks. Raises as `read`.

    Asks Slack nothing; whoever is not known by now gets no options until Slack has said who it is.
    """
    view, actor = body["view"], ctx.known(str(body["user"]["id"]))
    if actor is None:
        return []
    admit(actor, Action.VIEW)
    if view.get("callback_id") == Form.PICK:
        return form.runbook_options(shortcuts.runnable(ctx, actor, str(body.get("value", ""))))
    if view.get("callback_id") == Form.DEPRECATE:
        return form.runbook_options(catalog.listing(ctx.rt, str(body.get("value", "")), status="APPROVED")[:100])
    of_task = task_form.options(ctx, view, str(body.get("block_id", "")), str(body.get("value", "")))
    if of_task is not None:
        return of_task
    ref = decode(RunForm, str(view.get("private_metadata", "")))
    runbook = catalog.definition(catalog.version(ctx.rt, ref.slug, ref.number))
    schema = fields.properties(runbook).get(parameter_of(str(body.get("block_id", ""))), {})
    return fields.suggestions(fields.choices(schema) or fields.many(schema), str(body.get("value", "")))


def _reject(ctx: AppContext, user: str, metadata: str, state: Mapping[str, Any]) -> Submission:
    ref, why = decode(RejectForm, metadata), read_reason(state)
    reply_to = ReplyTo(user=user, channel=ref.channel)

    def work(reply: Reply) -> None:
        ctx.directory.refresh_groups()
        shown = GateRef(ref.execution_id, ref.path, ref.digest)
        done = deciding.vote(ctx, shown, Decision.REJECT, why, reply)
        if done is not None:
            reply.privately(deciding.voted(done, Decision.REJECT))

    lacking = _lacking(ctx, why)
    return Submission(lacking, reply_to, None if lacking else work)


def _resolve(ctx: AppContext, user: str, metadata: str, state: Mapping[str, Any]) -> Submission:
    ref, note = decode(ResolveForm, metadata), read_reason(state)
    reply_to = ReplyTo(user=user, channel=ref.channel)

    def work(reply: Reply) -> None:
        actor = ctx.directory.identify(user)
        ctx.directory.refresh_groups()
        controls.resolve(ctx.rt, actor, ref.execution_id, ref.path, ref.choice, note, ref.attempt)
        reply.privately(said(f"Noted: {code(ref.path, 120)} of {code(ref.execution_id)}."))

    lacking = _lacking(ctx, note)
    return Submission(lacking, reply_to, None if lacking else work)


def _skip(ctx: AppContext, user: str, metadata: str, state: Mapping[str, Any]) -> Submission:
    ref, path, why = decode(SkipForm, metadata), read_step(state), read_reason(state)
    reply_to = ReplyTo(user=user, channel=ref.channel)

    def work(reply: Reply) -> None:
        actor = ctx.directory.identify(user)
        ctx.directory.refresh_groups()
        skipping.skip(ctx.rt, actor, ref.execution_id, path, why)
        reply.privately(control_verbs.skipped(ctx.rt, ref.execution_id, path))

    errors = {} if path else {STEP_BLOCK: "Please choose a step."}
    errors |= _lacking(ctx, why)
    return Submission(errors, reply_to, None if errors else work)


_FORMS: Mapping[Form, Callable[[AppContext, str, str, Mapping[str, Any]], Submission]] = {
    Form.RUN: _run,
    Form.REJECT: _reject,
    Form.RESOLVE: _resolve,
    Form.SKIP: _skip,
    Form.PICK: _pick,
    Form.DEPRECATE: _deprecate,
    Form.WHY: _why,
    Form.APPROVE: lambda *form: Submission(*approve_form.read(*form)),
    Form.TASK: lambda *form: Submission(*task_form.read(*form)),
    Form.SECRET: lambda *form: Submission(*secret_form.read(*form)),
}
