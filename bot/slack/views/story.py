"""What happened in a channel: its incident, its runs in order, what is open, who did what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slack_sdk.models.blocks import Block

from bot.audit_text import action_words, more_words, why_of
from bot.slack.ids import Action
from bot.slack.payload_values import ChannelRef
from bot.slack.views.lists import run_line
from bot.slack.views.parts import Message, actions, button, confirm, context, header, message, section, sections, within
from bot.slack.views.text import code, duration, inline, person, when
from bot.slack.views.why import fact, reason_line
from bot.slack.views.words import changed_here
from engine.access.auditing import kind_and_name
from storage.records import AuditRecord, ExecutionRecord, IncidentRecord

if TYPE_CHECKING:
    from engine.queries.incident_story import Story

_RUNS, _ACTS, _KEPT = 15, 12, 140
"""Runs and acts that are shown, and characters of a reason that a button carries, each of which may take twelve there.
"""


def incident_view(incident: IncidentRecord | None, command: str) -> Message:
    """What is known of the channel's incident."""
    if incident is None:
        how = code(f"{command} incident open TITLE severity=…")
        return message("No incident", [section(f"This channel is no incident now. {how} makes it one.")])
    return message(inline(incident.title or "Incident"), _about(incident))


def _about(incident: IncidentRecord) -> list[Block]:
    state = f"closed {when(incident.closed_at)} by {person(incident.closed_by)}" if incident.closed_at else "open"
    blocks: list[Block] = [header(f"🚨 {incident.title or incident.channel_name or 'Incident'}")]
    facts = [fact("severity", incident.severity)] if incident.severity else []
    facts += [fact(name, value) for name, value in list(incident.fields.items())[:20]]
    blocks += [section(" ".join(facts))] if facts else []
    blocks += [section(f"Closed because: {inline(incident.close_reason, 500)}")] if incident.close_reason else []
    by = "by its channel's name or topic" if incident.opened_by == "system" else f"by {person(incident.opened_by)}"
    return [*blocks, context(f"Incident {incident.id} · {state} · opened {when(incident.opened_at)} {by}")]


def opened_view(incident: IncidentRecord, command: str) -> Message:
    """The word that a channel is an incident now."""
    told = incident_view(incident, command)
    hint = f"{code(f'{command} incident set KEY=VALUE')} adds facts, from which runbooks here take their parameters."
    return Message(told.text, (*told.blocks, context(hint).to_dict()))


def close_view(incident: IncidentRecord, running: Sequence[ExecutionRecord], reason: str, command: str) -> Message:
    """Asks again: runs are open. The button closes all the same."""
    are = "1 run is" if len(running) == 1 else f"{len(running)} runs are"
    lines = [f"⚠️ *{are} open in this channel.* Closing the incident leaves them as they are:"]
    lines += [f"• {run_line(run)}" for run in running[:10]]
    sure = confirm("Close the incident?", f"{are} still open and will go on.", "Close it", style="danger")
    ref = ChannelRef(incident.channel, incident.id, reason[:_KEPT])
    ask = button("Close it all the same", Action.CLOSE_INCIDENT, ref, style="danger", confirm=sure)
    return message(
        lines[0],
        [*sections(lines), *actions([ask]), context(f"Or type {code(f'{command} incident close force=yes')}.")],
    )


def closed_view(incident: IncidentRecord, running: Sequence[ExecutionRecord]) -> Message:
    """The word that an incident is over, and what goes on in spite of it."""
    lasted = duration((incident.closed_at or incident.opened_at) - incident.opened_at)
    lines = [
        f"✅ Incident {incident.id} ({inline(incident.title or incident.channel_name, 200)}) is closed after {lasted}."
    ]
    lines += [f"Still open: {', '.join(code(run.id) for run in running[:20])}."] if running else []
    return message(lines[0], sections(lines))


def catchup_view(story: Story, command: str) -> Message:
    """The whole story in one message that fits Slack's limits."""
    blocks = _about(story.incident) if story.incident else [header("The last 24 hours here")]
    for chapter in _chapters(story):
        told = chapter.told()
        blocks += sections([f"*{chapter.title}*", *told] if told else [f"*{chapter.title}:* nothing."])
    hint = (
        f"{code(f'{command} why RUN')} says more of one run, {code(f'{command} logs RUN')} what was sent and came back."
    )
    return message("What happened here", [*blocks, context(hint)])


@dataclass(frozen=True, slots=True)
class _Chapter:
    """A part of the story. Its lines may take `room` characters; what was left out before or behind them is said."""

    title: str
    lines: list[str]
    room: int
    before: str = ""
    behind: str = ""

    def told(self) -> list[str]:
        lines = [*([self.before] if self.before else []), *within(self.lines, self.room)]
        return lines + ([self.behind] if self.behind else [])


def _chapters(story: Story) -> list[_Chapter]:
    """The parts of the story, in the 13,000 characters that Slack takes."""
    left = story.left_out
    failed = [(told.execution, each) for told in story.failures for each in told.reasons[:1]]
    shown, deeds = story.runs[-_RUNS:], story.deeds[-_ACTS:]
    runs_before = left.runs + len(story.runs) - len(shown)
    deeds_before = left.deeds + len(story.deeds) - len(deeds)
    said = [f"• {code(run.id)} {reason_line(each)} {inline(each.message, 200)}".rstrip() for run, each in failed]
    return [
        _Chapter("Open now", _open(story), 3_500, behind=more_words(left.open, "more open run")),
        _Chapter("Failed last", said, 1_800, behind=more_words(left.failures, "more failed run")),
        _Chapter(
            "Runs in order",
            [f"• {run_line(run)}" for run in shown],
            3_000,
            more_words(runs_before, "run", " before these"),
        ),
        _Chapter(
            "Who did what", [_deed(row) for row in deeds], 3_000, more_words(deeds_before, "act", " before these")
        ),
    ]


def _open(story: Story) -> list[str]:
    """Every reason of every run that is explained, and how many of a run's are not told."""
    lines = []
    for told in story.open:
        run = code(told.execution.id)
        lines += [f"• {run} {reason_line(each)}" for each in told.reasons]
        lines += [f"• {run} … and {told.more} more steps under way"] if told.more else []
    return lines


def _deed(row: AuditRecord) -> str:
    kind, thing = kind_and_name(row.thing)
    what = "the incident" if kind == "incident" else code(thing, 40)
    who = person(row.actor) if row.actor != "system" else "The bot"
    detail = row.detail if isinstance(row.detail, dict) else {}
    why = why_of(detail)
    step = f" ({code(str(detail['step']), 80)})" if detail.get("step") else ""
    to = f" to {person(str(detail['to']))}" if detail.get("to") not in (None, "", row.actor) else ""
    changed = changed_here(detail.get("changes") or ())
    how = f" with {changed}" if changed else ""
    did = inline(action_words(row.action, detail), 40)
    return f"• {when(row.at)} {who} {did} {what}{step}{to}{how}" + (f": {inline(why, 150)}" if why else "")
