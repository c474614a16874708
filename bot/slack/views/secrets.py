"""How secrets look in Slack: everything about them but their values."""

from __future__ import annotations

from collections.abc import Sequence

from bot.grammar import verb
from bot.slack.views.parts import Message, message, said, sections
from bot.slack.views.text import code, inline, person, when
from engine.access.secrets import Rotated
from engine.queries.secrets import SecretView
from storage.secret_records import SecretVersionRecord

_SHOWN = 40


def list_view(found: Sequence[SecretView], invoked_as: str) -> Message:
    """The secrets, one a line; what does not fit is counted."""
    if not found:
        usage = verb("secret set").usage
        return said(f"There is no secret. {code(f'{invoked_as} {usage}')} sets one.")
    lines = [_line(each) for each in found[:_SHOWN]]
    more = [f"… and {len(found) - _SHOWN} more: `runbook secret list` shows all."] if len(found) > _SHOWN else []
    return message(f"{len(found)} secrets", sections([*lines, *more]))


def _line(each: SecretView) -> str:
    source = f"from {each.source}" if each.source else "nowhere"
    hides = f", hiding {' and '.join(each.hides)}" if each.hides else ""
    newest = each.stored
    stored = f" · version {newest.version} by {person(newest.set_by)} {when(newest.set_at)}" if newest else ""
    used = f"last used {when(each.last_used_at)}" if each.last_used_at else "never used"
    reads = [f"{code(use.runbook)}{'' if use.approved else ' (draft)'}" for use in each.uses]
    reads += [f"sender {code(name)}" for name in each.senders]
    by = f" · read by {', '.join(reads)}" if reads else " · read by no runbook"
    problem = f"\n⚠️ {inline(each.problem)}" if each.problem else ""
    return f"{code(each.name)} {source}{hides}{stored} · {used}{by}{problem}"


def versions_view(name: str, found: Sequence[SecretVersionRecord]) -> Message:
    """Who set a stored secret and when, the newest first."""
    lines = [
        f"version {each.version} · {'deleted' if each.deleted else 'set'} by {person(each.set_by)} {when(each.set_at)}"
        for each in found[:_SHOWN]
    ]
    return message(f"{len(found)} versions of {name}", sections([code(name), *lines]))


def rotated_view(done: Rotated) -> Message:
    """How many secrets are under the first key now, and why others are not."""
    text = f"{done.rewrapped} secrets were put under the key {code(done.key_id)}."
    return message(text, sections([text, *(f"⚠️ {inline(each)}" for each in done.problems[:_SHOWN])]))
