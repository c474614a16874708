"""Modals: a runbook's parameters as a form made from its JSON Schema, and the short ones that ask for a reason."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from slack_sdk.models.blocks import (
    Block,
    ConversationFilter,
    ConversationSelectElement,
    ExternalDataSelectElement,
    InputBlock,
    Option,
    PlainTextInputElement,
    StaticSelectElement,
)

from bot.grammar import BREAK_GLASS, HOLD
from bot.slack.ids import (
    ALL_VERSIONS,
    CHANNEL_BLOCK,
    INPUT,
    REASON_BLOCK,
    RUNBOOK_BLOCK,
    SCOPE_BLOCK,
    SECRET_BLOCK,
    STEP_BLOCK,
    THIS_VERSION,
    Form,
)
from bot.slack.payload_values import (
    DeprecateForm,
    PickForm,
    Ref,
    RejectForm,
    ResolveForm,
    RunForm,
    SecretForm,
    SkipForm,
    WhyForm,
    encode,
)
from bot.slack.views import fields
from bot.slack.views.admin import change_part
from bot.slack.views.fields import plain_text
from bot.slack.views.gate import gate_blocks, hidden, part_blocks
from bot.slack.views.parts import context, section
from bot.slack.views.text import channel, code, inline, person
from engine.definition.model import Runbook
from storage.catalog_records import RunbookRecord, VersionRecord
from storage.records import Json

if TYPE_CHECKING:
    from engine.runs.executions import GateView

_KEPT = {
    HOLD: ("is held until the freeze ends, and then runs when somebody releases it", "Hold"),
    BREAK_GLASS: ("runs in spite of what forbids it, once a second person agrees", "Ask for it"),
}
"""What becomes of a request that is kept, and the word on the button."""
FIELDS = 90
"""Inputs in one form; Slack takes 100 blocks in a modal. More of them become a form of several parts."""


def run_form(
    runbook: Runbook, ref: RunForm, values: Mapping[str, Json], reason: str, problems: Mapping[str, str]
) -> dict[str, Any]:
    """Part `ref.page` of the form for a run, filled with what is known; `problems` stand above it."""
    required = set(runbook.parameters.get("required", []))
    parts = pages(runbook)
    last = ref.page == len(parts) - 1
    will, submit = _KEPT.get(ref.keep, ("will run", "Run"))
    where = f" in {channel(ref.channel)}" if ref.channel else ""
    part = f" Part {ref.page + 1} of {len(parts)}." if len(parts) > 1 else ""
    blocks: list[Block] = [
        context(f"{code(f'{ref.slug}@{ref.number}')} {will}{where}.{part}", inline(runbook.description, 500))
    ]
    told = [f"⚠️ {code(name, 80)}: {inline(why, 300)}" if name else f"⚠️ {inline(why)}" for name, why in problems.items()]
    blocks += [context(*told[:10])] if told else []
    known = fields.properties(runbook)
    for name in parts[ref.page]:
        blocks.append(fields.field(name, known[name], name in required, values.get(name, known[name].get("default"))))
    if last and not ref.channel:
        blocks.append(_channel_input())
    if last and wants_reason(runbook, ref):
        why = "Why run it twice at the same time?" if ref.force else "It goes into the record."
        why = "This runbook is high risk: why now?" if runbook.risk == "high" else why
        blocks.append(_reason("Reason", why, reason))
    return _modal(Form.RUN, runbook.name, submit if last else "Next", blocks, ref)


def pick_form(ref: PickForm) -> dict[str, Any]:
    """Asks which runbook is to be run; its own form follows."""
    told = "Its run will link to the message." if ref.about else "Its form follows."
    select = ExternalDataSelectElement(
        action_id=INPUT, placeholder="Type to search", min_query_length=0, focus_on_load=True
    )
    picked = InputBlock(block_id=RUNBOOK_BLOCK, label=plain_text("Runbook", 200), element=select)
    return _modal(Form.PICK, "Run a runbook", "Next", [context(told), picked], ref)


def deprecate_form(ref: DeprecateForm, reason: str = "", successor: str = "") -> dict[str, Any]:
    """Asks what is withdrawn, a version or all of them, why, and which runbook is to be used instead."""
    told = f"What is withdrawn of {code(ref.slug)} no longer runs, and its open runs stop before their next step."
    scopes = [Option(text=plain_text(f"Version {ref.number}", 75), value=THIS_VERSION)]
    scopes += [Option(text=plain_text("All versions", 75), value=ALL_VERSIONS)]
    scope = InputBlock(
        block_id=SCOPE_BLOCK, label=plain_text("What to withdraw", 200),
        element=StaticSelectElement(action_id=INPUT, options=scopes, initial_option=scopes[0]),
    )  # fmt: skip
    picked = Option(text=plain_text(successor, 75), value=successor) if successor else None
    select = ExternalDataSelectElement(
        action_id=INPUT, placeholder="Type to search", min_query_length=0, initial_option=picked
    )
    hint = plain_text("Whoever asks for this one is told to use that.", 200)
    instead = InputBlock(
        block_id=RUNBOOK_BLOCK, label=plain_text("Successor", 200), element=select, hint=hint, optional=True
    )
    why = _reason("Reason", "It goes into the record, and whoever asks for it reads it.", reason)
    return _modal(Form.DEPRECATE, "Deprecate", "Deprecate", [context(told), scope, why, instead], ref)


def runbook_options(runbooks: Sequence[RunbookRecord]) -> list[dict[str, Any]]:
    """Runbooks as the options of a menu."""
    fitting = [each for each in runbooks if len(each.slug) <= fields.VALUE]
    names, slugs = [f"{each.name} ({each.slug})" for each in fitting], [each.slug for each in fitting]
    shown = [option.to_dict() for option in fields.options_of(names, slugs)]
    described = [plain_text(each.description, 75) for each in fitting]
    return [{"description": told, **option} for told, option in zip(described, shown, strict=True)]


def _channel_input() -> InputBlock:
    """Asks in which channel the card of a run belongs."""
    only = ConversationFilter(include=["public", "private"], exclude_bot_users=True)
    select = ConversationSelectElement(action_id=INPUT, filter=only, default_to_current_conversation=True)
    hint = plain_text("Its card is shown there, and its thread tells what happens.", 200)
    return InputBlock(block_id=CHANNEL_BLOCK, label=plain_text("Channel", 200), element=select, hint=hint)


def pages(runbook: Runbook) -> list[list[str]]:
    """The names of the parameters in each part of the form, in parts of much the same length; at least one part."""
    names = list(runbook.parameters.get("properties", {}))
    parts = max(1, math.ceil(len(names) / FIELDS))
    size = max(1, math.ceil(len(names) / parts))
    return [names[part * size : (part + 1) * size] for part in range(parts)]


def wants_reason(runbook: Runbook, ref: RunForm) -> bool:
    """Whether a run asked for in this way needs a reason."""
    return runbook.risk == "high" or bool(ref.force) or bool(ref.why) or ref.keep == BREAK_GLASS


def why_form(ref: WhyForm, hint: str) -> dict[str, Any]:
    """Asks why a button was pressed that acts at once where nobody has to say why."""
    return _modal(Form.WHY, "Why?", "Confirm", [_reason("Reason", hint or "It goes into the record.")], ref)


def reject_form(ref: RejectForm) -> dict[str, Any]:
    """Asks why a gate is rejected."""
    blocks: list[Block] = [context(f"Reject {code(ref.path, 120)} in {code(ref.execution_id)}: the run fails.")]
    return _modal(Form.REJECT, "Reject", "Reject", [*blocks, _reason("Reason", "What should the others know?")], ref)


def resolve_form(ref: ResolveForm) -> dict[str, Any]:
    """Asks what was seen before a step of unknown outcome is decided about."""
    does = {"retry": "Try it again", "done": "Mark as done", "failed": "Mark as failed"}[ref.choice]
    blocks: list[Block] = [context(f"{does}: {code(ref.path, 120)} in {code(ref.execution_id)}.")]
    return _modal(
        Form.RESOLVE, does, "Confirm", [*blocks, _reason("What did you see?", "It goes into the record.")], ref
    )


def noted_form(kind: Form, ref: Ref, title: str, blocks: list[Block], label: str, *, optional: bool) -> dict[str, Any]:
    """Asks for a note, called `label`, below what `blocks` show and ask."""
    note = _reason(label, "It goes into the record.")
    note.optional = optional
    return _modal(kind, title, title, [*blocks, note], ref)


def skip_form(ref: SkipForm, paths: Sequence[str]) -> dict[str, Any]:
    """Asks which one of these steps is skipped, one or more to choose from, and why."""
    fitting = [path for path in paths if len(path) <= fields.VALUE][: fields.OPTIONS]
    options = fields.options_of(fitting, fitting)
    only = options[0] if len(options) == 1 else None
    select = StaticSelectElement(action_id=INPUT, options=options, initial_option=only)
    step = InputBlock(block_id=STEP_BLOCK, label=plain_text("Step", 200), element=select)
    blocks: list[Block] = [context(f"Skip a step of {code(ref.execution_id)}: what needs it goes on."), step]
    return _modal(Form.SKIP, "Skip a step", "Skip", [*blocks, _reason("Reason", "It goes into the record.")], ref)


def secret_form(ref: SecretForm) -> dict[str, Any]:
    """Asks for a secret's value. Nothing is filled in: nobody is shown a value that was set before."""
    told = f"{code(f'secrets.{ref.name}')} has this value from the next step on. Nobody can read it again here."
    element = PlainTextInputElement(action_id=INPUT, multiline=True, min_length=4, max_length=3000, focus_on_load=True)
    hint = plain_text("At most 3,000 characters; a longer one is set on the command line or over REST.", 200)
    value = InputBlock(block_id=SECRET_BLOCK, label=plain_text("Value", 200), element=element, hint=hint)
    return _modal(Form.SECRET, "Set a secret", "Set", [context(told), value], ref)


def gate_form(gate: GateView, requester: str, note: str = "", page: int = 0) -> dict[str, Any]:
    """A gate to be decided away from its channel: all that it is about, in parts where that is long, with its buttons.

    `note` is mrkdwn that stands above it.
    """
    approval = gate.approval
    what = f"Run {code(approval.execution_id)}, asked for by {person(requester)}."
    view = {"type": "modal", "title": plain_text("A gate", 24), "close": plain_text("Close", 24)}
    above = [section(note)] if note else []
    shown = part_blocks(gate, page) if hidden(approval) else gate_blocks(gate)
    return {**view, "blocks": [block.to_dict() for block in [*above, context(what), *shown]]}


def version_form(
    version: VersionRecord, diff: str, warnings: Sequence[str], page: int, *, first: bool, note: str = "",
    calls: Sequence[str] = (),
) -> dict[str, Any]:  # fmt: skip
    """One part of what a version changes, to be approved below the last one; `note` is mrkdwn that stands above it."""
    view = {"type": "modal", "title": plain_text("A version", 24), "close": plain_text("Close", 24)}
    above = [section(note)] if note else []
    shown = change_part(version, diff, warnings, page, first=first, calls=calls)
    return {**view, "blocks": [block.to_dict() for block in [*above, *shown]]}


def read_only(title: str, blocks: Sequence[Block]) -> dict[str, Any]:
    """A modal that is only read, apart from its buttons."""
    view = {"type": "modal", "title": plain_text(title, 24), "close": plain_text("Close", 24)}
    return {**view, "blocks": [block.to_dict() for block in blocks]}


def refused_view(title: str, text: str) -> dict[str, Any]:
    """What takes the place of a form when nothing can be done with it any more; `text` is mrkdwn."""
    view = {"type": "modal", "title": plain_text(title, 24), "close": plain_text("Close", 24)}
    return {**view, "blocks": [context(text).to_dict()]}


def _reason(label: str, hint: str, value: str = "") -> InputBlock:
    element = PlainTextInputElement(
        action_id=INPUT, multiline=True, max_length=1000, initial_value=value[:1000] or None
    )
    return InputBlock(block_id=REASON_BLOCK, label=plain_text(label, 200), hint=plain_text(hint, 500), element=element)


def _modal(form: Form, title: str, submit: str, blocks: list[Block], ref: Ref) -> dict[str, Any]:
    return {
        "type": "modal",
        "callback_id": form.value,
        "title": plain_text(title, 24),
        "submit": plain_text(submit, 24),
        "close": plain_text("Close", 24),
        "private_metadata": encode(ref),
        "blocks": [block.to_dict() for block in blocks],
    }
