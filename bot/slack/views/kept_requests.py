"""Held requests and break-glass, as Slack shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from slack_sdk.models.blocks import Block

from bot.slack.ids import Action
from bot.slack.payload_values import KeptRef, Ref
from bot.slack.views.frozen import frozen_words
from bot.slack.views.parts import Message, actions, button, confirm, context, message, said, section, sections
from bot.slack.views.text import as_json, code, inline, person, when
from bot.typed_hints import typed_here
from engine.runs.break_glass import in_words
from engine.runs.executions import Accepted
from engine.runs.held_requests import HeldView
from storage.freeze_records import BreakGlassRecord, HeldRecord
from storage.records import Json

_MOST = 20
LONGEST_LINE = 1900
"""Characters of a command that a button holds."""


def hold_offer(refusal: str, action: Action, ref: Ref, what: str = "") -> Message:
    """A refusal by a freeze, with the button that keeps the request until it ends; `what` says what that holds."""
    kept = button("Hold until the freeze ends", action, ref)
    return message(refusal, [section(refusal), *([context(what)] if what else []), *actions([kept])])


def held_view(view: HeldView) -> Message:
    """The word that it is kept."""
    held = view.held
    return said(
        f"Held as {code(held.id)}: it starts when somebody releases it after the freeze, until {when(held.expires_at)}."
    )


def held_list(found: Sequence[HeldView], command: str) -> Message:
    """The requests that wait, each with its gates, parameters and buttons."""
    if not found:
        return said("No request is held.")
    blocks: list[Block] = []
    for view in found[:_MOST]:
        ref = KeptRef(view.held.id)
        release = button("Release", Action.RELEASE, ref, None if view.frozen else "primary")
        blocks += [section(_held_line(view, command)), *actions([release, button("Drop", Action.DROP_HELD, ref)])]
    more = f"… and {len(found) - _MOST} more. " if len(found) > _MOST else ""
    return message("Held requests", [*blocks, section(f"{more}{code(f'{command} release all')} releases all of them.")])


def _held_line(view: HeldView, command: str) -> str:
    held = view.held
    gates = f"gates: {', '.join(code(each, 120) for each in view.gates[:_MOST])}" if view.gates else "no gate"
    lines = [
        f"⏳ {code(held.id)} {code(f'{held.slug}@{held.number}', 120)} for {person(held.requester)} · {gates} · "
        f"until {when(held.expires_at)}",
        _parameters(held.parameters) if held.parameters else "",
        f"because: {inline(held.reason, 300)}" if held.reason else "",
        f"❄️ {frozen_words(typed_here(view.frozen, command), 500)}" if view.frozen else "",
    ]
    return "\n".join(line for line in lines if line)


def _parameters(given: Json) -> str:
    return code(" ".join(f"{name}={as_json(value, 60)}" for name, value in given.items()), 500)


def released_view(done: Mapping[str, Accepted | str], command: str) -> Message:
    """What came of each request that was to be released."""
    lines = [
        f"{code(each, 40)} is not released: {_why_not(found, command)}" if isinstance(found, str)
        else f"{code(each, 40)} became {code(found.execution.id)}."
        for each, found in list(done.items())[:_MOST]
    ]  # fmt: skip
    return message("Released", sections(lines or ["No request is held."]))


def _why_not(refusal: str, command: str) -> str:
    return frozen_words(typed_here(refusal, command), 500)


def dropped_view(held: HeldRecord) -> Message:
    """The word that a request waits no more."""
    return said(f"{code(held.id)} is dropped: it does not start any more.")


def asked_view(asked: BreakGlassRecord) -> Message:
    """The word to who asked for a break-glass."""
    return said(
        f"Asked for as {code(asked.id)}: a second person who may run it has to agree until {when(asked.expires_at)} "
        f"(`agree {asked.id}`)."
    )


def break_glass_notice(asked: BreakGlassRecord, did: str) -> Message:
    """What a channel is told when somebody asks for a break-glass or agrees to one."""
    line = break_glass_line(asked)
    if did == "agreed":
        return said(f"🚨 *Break-glass:* {line}")
    sure = confirm("Agree to this?", "It starts at once, and a review of it stays open.", "Agree", "danger")
    agree = button("Agree", Action.AGREE_BREAK_GLASS, KeptRef(asked.id), "danger", sure)
    text = f"🚨 *Break-glass is asked for, and a second person has to agree:* {line}"
    return message(text, [section(text), *actions([agree])])


def break_glass_line(asked: BreakGlassRecord) -> str:
    """One break-glass: what, who, what it overrides and what became of it."""
    given = f" with {_parameters(asked.parameters)}" if asked.parameters else ""
    what = f"{code(asked.id)} {code(f'{asked.slug}@{asked.number}', 120)}{given} by {person(asked.requester)}"
    over = f"overriding {inline(in_words(asked.overrides), 500)}: {inline(asked.reason, 500)}"
    if asked.agreed_by is None:
        return f"{what}, {over} · can be agreed to until {when(asked.expires_at)}"
    state = f"reviewed by {person(asked.reviewed_by)}" if asked.reviewed_by else "its review is open"
    return f"{what} with {person(asked.agreed_by)}, {over} · {code(str(asked.execution_id))} · {state}"


def reviews_view(found: Sequence[BreakGlassRecord], command: str) -> Message:
    """What may be agreed to and what is to be reviewed."""
    lines = [break_glass_line(each) for each in found[:_MOST]]
    how = code(f'{command} review BREAK_GLASS note="…"')
    lines += [f"{how} closes a review."] if lines else ["No break-glass is asked for, and no review is open."]
    return message("Break-glass", sections(lines))


def reviewed_view(asked: BreakGlassRecord) -> Message:
    """The word that a review is closed."""
    return said(f"The review of {code(asked.id)} is closed.")
