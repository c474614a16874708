"""Freezes, as Slack shows them."""

from __future__ import annotations

from collections.abc import Sequence

from slack_sdk.models.blocks import ButtonElement

from bot.slack.ids import Action
from bot.slack.payload_values import FreezeRef
from bot.slack.views.parts import Message, actions, button, confirm, message, said, sections
from bot.slack.views.text import code, inline, person, when
from engine.runs.freezing import FreezeView, Lifted

_MOST = 20


def freezes_view(found: Sequence[FreezeView], coming: Sequence[FreezeView], command: str, *, may_stop: bool) -> Message:
    """What is frozen and will be, with the switch that stops everything for whoever may press it."""
    lines = [freeze_line(each) for each in found[:_MOST]] or ["Nothing is frozen."]
    if len(found) > _MOST:
        lines.append(f"… and {len(found) - _MOST} more")
    lines += [f"From {when(each.freeze.created_at)}: {freeze_line(each)}" for each in coming[:_MOST]]
    lines.append(f"{code(f'{command} unfreeze FREEZE')} lifts one, {code(f'{command} held')} lists what waits.")
    return message("Freezes", [*sections(lines), *actions([stop_button()] if may_stop else [])])


def freeze_line(view: FreezeView) -> str:
    """One freeze: what, until when, why and who."""
    each = view.freeze
    by = f"set by {person(each.created_by)}" if each.created_by else "by the calendar"
    holds = ", and what is under way is held" if each.hold_running else ""
    ended = f" · lifted by {person(each.ended_by)}" if each.ended_by else ""
    line = f"❄️ {code(each.id)} {code(each.scope, 200)} until {when(each.until)}{holds}: {inline(each.reason, 500)}"
    paused = f"\n⏸️ paused by it: {runs(view.paused)}" if view.paused else ""
    return f"{line} · {by}{ended}{paused}"


def runs(ids: Sequence[str]) -> str:
    """Runs by their ids, and how many more."""
    return ", ".join(code(each) for each in ids[:_MOST]) + (f" and {len(ids) - _MOST} more" * (len(ids) > _MOST))


def frozen_view(view: FreezeView) -> Message:
    """The word that it is frozen."""
    return said(f"Frozen. {freeze_line(view)}")


def lifted_view(done: Lifted, command: str) -> Message:
    """What was lifted, what goes on, and what stays paused."""
    ids = ", ".join(code(each.id) for each in done.freezes)
    lines = [f"{code(done.freezes[0].scope, 200)} is not frozen by {ids} any more."]
    lines += [f"These go on: {runs(done.resumed)}."] if done.resumed else []
    lines += [f"{code(run)} stays paused: {inline(why, 500)}" for run, why in list(done.refused.items())[:_MOST]]
    left = [each for each in done.paused if each not in done.refused]
    lines += [f"These stay paused: {runs(left)}. {code(f'{command} resume RUN')} lets one go on."] if left else []
    return message(lines[0], sections(lines))


def stop_button() -> ButtonElement:
    """The switch that stops everything."""
    asked = "Nothing can be started for 4 hours, and every run pauses before its next step."
    return button(
        "Stop everything…", Action.STOP_EVERYTHING, FreezeRef("everything"), "danger",
        confirm("Stop everything?", asked, "Stop everything", "danger"),
    )  # fmt: skip
