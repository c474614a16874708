"""What the studio shows of a text: its problems, its picture, its form in Slack, and whether it can be saved."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from html import unescape
from typing import Any

from bot import rehearsal_words
from bot.page.graph_picture import Drawing, drawings
from bot.slack.payload_values import RunForm
from bot.slack.views import form
from engine.access.policy import Action, Actor, Draft, ruled
from engine.catalog import authoring, catalog
from engine.catalog import rehearsals as kept_rehearsals
from engine.catalog.checking import checked, target_names
from engine.definition import rehearsals
from engine.definition.completion import Names
from engine.definition.expanded_text import as_written
from engine.definition.model import Runbook
from engine.errors import EngineError, NotAllowed
from engine.queries import secrets
from engine.runtime import Runtime
from engine.text.problem import Problem
from storage.catalog_records import RunbookRecord
from storage.records import Json

STARTER = """\
apiVersion: runbook/v1
id: my-runbook
name: My runbook
description: What it does, when to use it, what to expect.
parameters:
  type: object
  required: [service]
  properties:
    service: {type: string, title: Service}
steps:
  - id: tell
    type: message
    with: {text: "{{ params.service }} is looked at."}
"""
"""The text of a runbook that nobody has begun yet."""


@dataclass(frozen=True, slots=True)
class Field:
    """One input of the form in Slack. `kind` is the type of Slack's element, `options` what can be chosen."""

    label: str
    hint: str
    kind: str
    needed: bool
    value: str
    options: tuple[str, ...] = ()
    long: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the form: its title, the words of its button, what stands above, and the inputs."""

    title: str
    button: str
    told: tuple[str, ...]
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Desk:
    """A text and what is to be said of it. `runbook` is None while the text has a mistake.

    `came_to` says what the rehearsal of the newest version that is kept came to, for whoever approves it.
    `rehearsal_problems` are those of the rehearsal; they need a runbook to be known.

    `was` is what the runbook was as the text was taken from it, "" for a new one; `file` is where it comes from, if it
    comes from a file. `why_not` says why it cannot be saved here, "" where it can.
    """

    slug: str
    was: str
    file: str
    text: str
    rehearsal: str
    came_to: tuple[str, ...]
    runbook: Runbook | None
    problems: tuple[Problem, ...]
    rehearsal_problems: tuple[Problem, ...]
    parts: tuple[Drawing, ...]
    forms: tuple[Part, ...]
    why_not: str

    @property
    def filename(self) -> str:
        """What the file is called that the text is handed out as."""
        return f"{self.slug or (self.runbook.id if self.runbook else 'runbook')}.yaml"


def laid_out(rt: Runtime, actor: Actor, shown: RunbookRecord | None, was: str, text: str, rehearsal: str) -> Desk:
    """The desk with this text on it, which is of the runbook `shown`, or of a new one."""
    found = checked(rt, text, shown)
    parts = tuple(drawings(found.runbook, ())) if found.runbook else ()
    return Desk(
        slug=shown.slug if shown else "",
        was=was,
        file=(shown.source_path or "") if shown else "",
        text=text,
        rehearsal=rehearsal,
        came_to=_came_to(rt, shown),
        runbook=found.runbook,
        problems=(*found.problems, *found.warnings),
        rehearsal_problems=_of_rehearsal(found.runbook, rehearsal),
        parts=parts,
        forms=tuple(_forms(found.runbook)) if found.runbook else (),
        why_not=_why_not(rt, actor, shown, found.runbook),
    )


def _of_rehearsal(runbook: Runbook | None, rehearsal: str) -> tuple[Problem, ...]:
    if runbook is None or not rehearsal.strip():
        return ()
    return rehearsals.load(rehearsal.encode("utf-8", "surrogatepass"), "rehearsal", runbook).problems


def _came_to(rt: Runtime, shown: RunbookRecord | None) -> tuple[str, ...]:
    if shown is None:
        return ()
    version = catalog.version(rt, shown.slug)
    kept = kept_rehearsals.of_version(rt, version)
    if kept is None:
        return ()
    changed, outdated = kept_rehearsals.path_changes(rt, version), kept_rehearsals.outdated_by(rt, version)
    return tuple(rehearsal_words.lines(kept.result, changed, outdated))


def source(rt: Runtime, shown: RunbookRecord) -> str:
    """The newest version's text, as it was written."""
    return as_written(catalog.version(rt, shown.slug).source)


def difference(now: str, text: str, number: int) -> str:
    """What saving the text would change of the version that is there now."""
    lines = difflib.unified_diff(
        now.splitlines(), text.splitlines(), f"version {number}, saved meanwhile", "your text", lineterm=""
    )
    return "\n".join(lines)


def names(rt: Runtime, actor: Actor) -> Names:
    """The secrets that this person may know of, without their values, and the targets."""
    try:
        known = [each.name for each in secrets.listing(rt, actor)]
    except NotAllowed:
        known = []
    return Names(known, target_names(rt))


def now(shown: RunbookRecord | None) -> str:
    """What the runbook is now, as `Desk.was` says it."""
    return authoring.tag(shown) if shown is not None else ""


def _why_not(rt: Runtime, actor: Actor, shown: RunbookRecord | None, runbook: Runbook | None) -> str:
    try:
        if shown is not None:
            authoring.must_be_ours(shown)
    except EngineError:
        return f"It comes from the file {shown.source_path}: download it, commit it there, and sync." if shown else ""
    thing = shown or (Draft(runbook.id, runbook.team) if runbook else None)
    if thing is None or ruled(rt, actor, Action.EDIT, thing).allowed:
        return ""
    whose = f"the runbooks of the team {thing.team}" if thing.team else "runbooks without a team"
    return f"You may not edit {whose}. Download the text, and ask one of its admins to save it."


def _forms(runbook: Runbook) -> list[Part]:
    made = [RunForm(runbook.id, 1, "", "", page=page) for page in range(len(form.pages(runbook)))]
    return [_part(form.run_form(runbook, ref, {}, "", {})) for ref in made]


def _part(view: dict[str, Any]) -> Part:
    blocks = view["blocks"]
    told = [
        unescape(each["text"]).replace("`", "")
        for block in blocks
        if block["type"] == "context"
        for each in block["elements"]
    ]
    fields = [_field(block) for block in blocks if block["type"] == "input"]
    return Part(view["title"]["text"], view["submit"]["text"], tuple(told), tuple(fields))


def _field(block: dict[str, Json]) -> Field:
    element = block["element"]
    chosen = element.get("initial_option") or {}
    value = chosen.get("value") and chosen["text"]["text"]
    for key in ("initial_value", "initial_date", "initial_time", "initial_user", "initial_conversation"):
        value = value or element.get(key)
    return Field(
        label=block["label"]["text"],
        hint=(block.get("hint") or {}).get("text", ""),
        kind=element["type"],
        needed=not block.get("optional"),
        value=str(value or ""),
        options=tuple(each["text"]["text"] for each in element.get("options", ())),
        long=bool(element.get("multiline")),
    )
