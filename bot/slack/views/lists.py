"""Answers to questions: help, the runbooks, one runbook, the runs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from slack_sdk.models.blocks import Block

from bot import help_text
from bot.grammar import decode
from bot.slack.ids import Action
from bot.slack.payload_values import Pick, VersionRef, encode
from bot.slack.views.admin import version_line
from bot.slack.views.parts import Message, button, context, header, message, section, sections
from bot.slack.views.text import as_json, code, code_block, duration, escape, first_sentence, inline, person, when
from bot.slack.views.words import execution_words, version_words
from bot.verbs import VERBS, Verb
from storage.catalog_records import RunbookRecord, VersionRecord
from storage.records import ExecutionRecord, Json

if TYPE_CHECKING:
    from engine.definition.model import Runbook

_SHOWN = 20
_PICKED, _VALUE = 15, 2_000
"""Runs to choose from in one message, and characters that a button can carry."""


def help_view(command: str, verbs: Sequence[Verb] = VERBS) -> Message:
    """What can be typed: these verbs by what one wants to do, or one with words on each part and an example."""
    if len(verbs) == 1:
        return _verb_view(command, verbs[0])
    groups = help_text.grouped(verbs)
    chapters = [_chapter(title, members, brief=len(groups) > 1) for title, members in groups]
    hint = (
        f"Type {code(f'{command} VERB')}; {code(f'{command} help VERB')} has its parts and an example. "
        "The same words work after a mention of this bot, in threads too."
    )
    rest = f"{code(f'{command} help all')} lists what others may do, too." if len(verbs) < len(VERBS) else ""
    return message("What can be typed", [*chapters, context(hint, rest)])


def _chapter(title: str, members: Sequence[Verb], *, brief: bool) -> Block:
    """The verbs of a group, each with its sentence; where `brief`, of what is seldom needed only the names."""
    if brief and title in help_text.SELDOM:
        return section(f"*{title}*\n{' · '.join(code(verb.name) for verb in members)}")
    return section("\n".join([f"*{title}*", *(f"{code(verb.name)} {inline(verb.help)}" for verb in members)]))


def _verb_view(command: str, verb: Verb) -> Message:
    parts = [f"• {code(part)} {inline(words)}" for part, words in help_text.parts_of(verb)]
    example = f"For example: {code(f'{command} {help_text.example_of(verb)}')}"
    return message(f"How to use {inline(verb.name)}", sections([_help_line(command, verb), *parts, example]))


def _help_line(command: str, verb: Verb) -> str:
    return f"{code(f'{command} {verb.usage}')}\n{inline(verb.help)}"


def runbooks_view(runbooks: Sequence[RunbookRecord], command: str, may_run: Collection[str] = ()) -> Message:
    """The runbooks, those first that this person may run now; `may_run` holds their ids, and each has a button."""
    if not runbooks:
        return message("No runbook fits.", [section(f"No runbook fits. {code(f'{command} list')} shows them all.")])
    first = sorted(runbooks, key=lambda runbook: runbook.slug not in may_run)
    blocks = [runbook_line(runbook, offer=runbook.slug in may_run) for runbook in first[:_SHOWN]]
    if len(runbooks) > _SHOWN:
        narrower = f"{code(f'{command} list TEXT')} or {code(f'{command} list tag=TAG')}"
        more = f"{len(runbooks) - _SHOWN} more. Narrow it: {narrower}."
        blocks.append(context(more))
    return message(f"{len(runbooks)} runbooks", blocks)


def runbook_line(runbook: RunbookRecord, *, offer: bool) -> Block:
    """One runbook in a list, with one sentence of what it is; `offer` puts a button beside it."""
    facts = [version_words(runbook.status), f"risk {inline(runbook.risk, 20)}"]
    facts += [inline(f"team {runbook.team}", 80)] if runbook.team else []
    facts += [code(tag, 40) for tag in runbook.tags[:6]]
    title = f"*{inline(runbook.name, 150)}* {code(runbook.slug, 100)}"
    lines = (title, inline(first_sentence(runbook.description, 160)), " · ".join(facts))
    text = "\n".join(line for line in lines if line)
    ref = VersionRef(runbook.slug, runbook.current_number, "")
    return section(text, button("Run…", Action.OPEN_FORM, ref) if offer else None)


def runbook_view(
    runbook: RunbookRecord, version: VersionRecord, definition: Runbook, history: Sequence[VersionRecord], command: str
) -> Message:
    """One runbook: what it is, what it does, what it wants, and its versions."""
    blocks: list[Block] = [header(f"{definition.name} · version {version.number}, {version_words(version.status)}")]
    if definition.description:
        blocks.append(section(escape(definition.description, 1500)))
    steps = [
        f"{index}. {code(step.id, 80)} {inline(step.name or step.kind, 120)}"
        for index, step in enumerate(definition.steps, 1)
    ]
    blocks += sections(["*Steps*", *_bounded(steps)])
    wanted = _parameters(definition.parameters)
    blocks += sections(["*Parameters*", *_bounded(wanted)]) if wanted else []
    blocks += sections(["*Versions*", *(version_line(old) for old in history[:6])])
    facts = [f"risk {inline(definition.risk, 20)}", f"stops after {duration(definition.timeout_ms)} of running"]
    facts += [inline(f"team {definition.team}", 80)] if definition.team else []
    blocks.append(context(" · ".join(facts), f"To run it: {code(f'{command} run {runbook.slug}')}"))
    return message(f"{inline(definition.name)} {inline(runbook.slug)}", blocks)


def _bounded(lines: list[str], limit: int = 40) -> list[str]:
    return lines if len(lines) <= limit else [*lines[:limit], f"… and {len(lines) - limit} more"]


def _parameters(schema: dict[str, Json]) -> list[str]:
    required = schema.get("required", [])
    lines = []
    for name, one in schema.get("properties", {}).items():
        told = one if isinstance(one, dict) else {}
        words = [str(told.get("type", "any"))] + ["required"] * (name in required)
        words += [f"default {as_json(told['default'], 60)}"] if "default" in told else []
        words += [f"one of {', '.join(as_json(choice, 40) for choice in told['enum'][:12])}"] if "enum" in told else []
        lines.append(
            f"{code(name, 80)} {inline(', '.join(words), 400)} {inline(str(told.get('description', '')), 200)}".rstrip()
        )
    return lines


def log_view(name: str, text: str) -> Message:
    """A log that is short enough to be read in Slack."""
    told = section(f"*The log of {code(name, 200)}*\n{code_block(text, 2_750)}")
    return message(f"The log of {inline(name, 200)}", [told])


def runs_view(executions: Sequence[ExecutionRecord]) -> Message:
    """Runs, the latest first."""
    if not executions:
        return message("No runs.", [section("No runs.")])
    return message(f"{len(executions)} runs", sections(run_line(execution) for execution in executions))


def pick_view(executions: Sequence[ExecutionRecord], line: str, command: str) -> Message:
    """The runs that a command can mean, each with a button that does it to that one.

    `line` is the command; one that is too long for a button has to be typed again with the run's id.
    """
    ask = f"Which run? {code(f'{command} {decode(line)}', 300)} can mean several."
    if any(len(encode(Pick(execution.id, line))) > _VALUE for execution in executions):
        names = ", ".join(code(execution.id) for execution in executions)
        return message("Which run?", [section(f"{ask} Type it again with the id of one: {names}.")])
    blocks: list[Block] = [section(ask)]
    for execution in executions[:_PICKED]:
        blocks.append(section(run_line(execution), button(execution.id, Action.PICK, Pick(execution.id, line))))
    if len(executions) > _PICKED:
        blocks.append(context(f"{len(executions) - _PICKED} older ones are not shown: name them by their id."))
    return message("Which run?", blocks)


def run_line(execution: ExecutionRecord) -> str:
    """One run in a list."""
    icon, words = execution_words(execution)
    what = code(f"{execution.slug}@{execution.number}", 120)
    return f"{icon} {code(execution.id)} {words} · {what} · {person(execution.requester)} {when(execution.created_at)}"
