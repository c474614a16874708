"""Step templates: lists of steps kept in `_templates` beside the runbooks, put where a step says `uses: NAME`.

A step that uses a template becomes a branch that is always taken and holds the template's steps, each called after the
step that uses it. So order, conditions, outputs and gates follow the rules that stand, what is stored, compared and
approved is what runs, and two uses never clash.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path as FilePath
from typing import Any

import yaml

from engine.definition import regular_files, tree
from engine.definition.kinds import KINDS, Kind, Treatment
from engine.definition.parameters import EMPTY, validate
from engine.definition.schema import Finding, Path, subject
from engine.definition.structure import MAX_STEPS
from engine.definition.template_file import check, is_name
from engine.definition.yaml_source import MAX_BYTES, Origin, Source, read
from engine.errors import InvalidParameters
from engine.expressions import ExpressionError, has_template, references
from engine.expressions.substitution import Substitution
from engine.text.problem import Problem
from engine.text.words import did_you_mean, listed, nearest
from storage.records import Json

FOLDER = "_templates"
MAX_DEPTH = 4
"""Templates that use each other."""
MAX_ID = 63
_OWN_MEANING = frozenset({"item", "index", "response", "outputs"})
_FOR = re.compile(r"\{%[-+]?\s*for\s+(\w+)")
MAX_EXPANDED = 1_048_576
"""Characters that the templates of one file may come to."""


@dataclass
class Templates:
    """The templates beside the runbooks in `folder`; None: there are none, for a runbook that is in no folder.

    Each file is read once. `read_as` holds what was read, by name. `named` is what problems call the folder, its path
    without it; "" is for a text that is in no folder, whose writer is to see nothing of this host.
    """

    folder: FilePath | None = None
    named: str | None = None
    read_as: dict[str, bytes] = field(default_factory=dict)
    _sources: dict[str, Source] = field(default_factory=dict)

    def expand(self, source: Source, around: tuple[str, ...] = ()) -> None:
        """Put the template's steps in place of every `uses` in the source, or note what is wrong among its problems."""
        if not isinstance(source.data, dict):
            return
        blocks = list(tree.blocks(source.data))
        room = _Room(MAX_STEPS - sum(len(block.steps) for block in blocks))
        for block in blocks:
            for index, step in enumerate(block.steps):
                if "uses" in step:
                    self._expand_step(source, (*block.path, index), step, around, room)

    def _expand_step(
        self, source: Source, path: Path, step: dict[str, Json], around: tuple[str, ...], room: _Room
    ) -> None:
        name = step["uses"]
        try:
            template = self._template(name, path, around)
            given = _given(template, step, path)
            own = {key: value for key, value in step.items() if key not in ("uses", "with")}
            expanded = {**_expanded(template, step, given, path, room), **own}
        except _Wrong as wrong:
            if around and isinstance(wrong, _TooDeep):
                raise
            found = wrong.finding if not isinstance(wrong, _TooDeep) else Finding((*path, "uses"), str(wrong))
            source.problems.append(source.located(found.path, found.message, at_key=found.at_key))
        else:
            step.clear()
            step |= expanded
            source.used |= {name, *template.used}
            source.depth = max(source.depth, template.depth + 1)
            source.expanded[(*path, "with", "then")] = Origin(template, ("steps",), path)
            if "outputs" not in own and template.data.get("outputs"):
                source.expanded[(*path, "outputs")] = Origin(template, ("outputs",), path)

    def _template(self, name: Json, path: Path, around: tuple[str, ...]) -> Source:
        location = (*path, "uses")
        if self.folder is None:
            raise _Wrong(location, f"`uses` is for runbooks in a folder, which has its templates in {FOLDER}")
        if not is_name(name):
            raise _Wrong(location, "`uses` names a template: lower-case letters, digits and dashes, a letter first")
        if name in around:
            ring = " uses ".join(f"`{each}`" for each in (*around[around.index(name) :], name))
            raise _Wrong(location, f"templates use each other in a ring: {ring}")
        too_deep = _TooDeep(location, f"templates use each other at most {MAX_DEPTH} deep")
        if len(around) >= MAX_DEPTH:
            raise too_deep
        if name not in self._sources:
            self._sources[name] = self._read(self.folder / FOLDER, name, location, around)
        template = self._sources[name]
        if template.problems:
            first = min(template.problems)
            within = replace(first, file=f"{FOLDER}/{FilePath(first.file).name}")
            raise _Wrong(location, f"the template `{name}` is wrong, first at {within}")
        if len(around) + template.depth >= MAX_DEPTH:  # it may have been read for a file that stands nearer to it
            raise too_deep
        return template

    def _read(self, folder: FilePath, name: str, location: Path, around: tuple[str, ...]) -> Source:
        path = folder / f"{name}.yaml"
        try:
            if folder.is_symlink():
                raise _Wrong(location, f"{FOLDER} is a symbolic link, and links are not followed")
            self.read_as[name] = regular_files.read(path, MAX_BYTES + 1)
        except FileNotFoundError:
            known = sorted(each.stem for each in folder.glob("*.yaml")) if folder.is_dir() else []
            hint = did_you_mean(name, known) if nearest(name, known) else f"; there is {listed(known)}" if known else ""
            raise _Wrong(location, f"there is no template `{name}` in {FOLDER}{hint}") from None
        except OSError as error:
            raise _Wrong(location, f"the template `{name}` cannot be read: {error.strerror}") from None
        return self._examined(self.read_as[name], self.file(name), (*around, name))

    def file(self, name: str) -> str:
        """The path of a template's file, as problems name it."""
        folder = (self.folder or FilePath()) if self.named is None else FilePath(self.named)
        return str(folder / FOLDER / f"{name}.yaml")

    def check_file(self, text: bytes, name: str, file: str) -> list[Problem]:
        """Everything that is wrong with a template's file by itself."""
        if not is_name(name):
            return [Problem(file, 1, 1, "a template is named by its file: lower-case letters, digits and dashes")]
        try:
            return sorted(self._examined(text, file, (name,)).problems)
        except _TooDeep as wrong:
            return [Problem(file, 1, 1, str(wrong))]

    def _examined(self, text: bytes, file: str, around: tuple[str, ...]) -> Source:
        source = read(text, file)
        self.expand(source, around)
        if not source.problems:
            source.problems += check(source)
        return source


@dataclass
class _Room:
    """How many steps, and characters of them, the templates of one file may still come to."""

    steps: int
    characters: int = MAX_EXPANDED

    def take(self, steps: Sequence[Json], path: Path) -> None:
        """Count these steps. Raises _Wrong when there is no room for them."""
        self.steps -= _count(steps)
        self.characters -= len(json.dumps(steps))
        if self.steps < 0:
            raise _Wrong(path, f"a runbook has at most {MAX_STEPS} steps, those of its templates counted")
        if self.characters < 0:
            raise _Wrong(path, f"the templates of a file come to at most {MAX_EXPANDED // 1024} KiB")


class _Wrong(Exception):
    """A use of a template that cannot be expanded."""

    def __init__(self, path: Path, message: str, *, at_key: bool = False) -> None:
        self.finding = Finding(path, message, at_key)
        super().__init__(message)


class _TooDeep(_Wrong):
    """Templates use each other too deeply: told of the file that began it, since each by itself may be right."""


def _count(steps: Sequence[Json]) -> int:
    return sum(len(block.steps) for block in tree.blocks({"steps": steps}))


def _given(template: Source, step: Mapping[str, Json], path: Path) -> dict[str, Json]:
    """The parameters that a step gives the template, defaults filled in; what is no template is checked."""
    if "type" in step:
        raise _Wrong((*path, "type"), "a step has a `type`, or `uses` a template", at_key=True)
    written = step.get("with", {})
    if not isinstance(written, dict):
        raise _Wrong((*path, "with"), "`with` must be a mapping of the template's parameters")
    later = {name for name, value in written.items() if _holds_template(value)}
    schema: dict[str, Json] = template.data.get("parameters") or EMPTY
    known = schema.get("properties", {})
    for name in sorted(later - set(known)):
        raise _Wrong(
            (*path, "with", name), f"`with.{name}` is no parameter of the template{_or(name, known)}", at_key=True
        )
    for name in sorted(later):
        _check_words(template, name, written[name], (*path, "with", name))
    wanted = {**schema, "required": [name for name in schema.get("required", ()) if name not in later]}
    try:
        checked = validate(wanted, {name: value for name, value in written.items() if name not in later})
    except InvalidParameters as error:
        name, message = min(error.fields.items())
        raise _Wrong((*path, "with", name), f"{subject(('with', name))}: {message}") from None
    return {**checked, **{name: written[name] for name in later}}


def _check_words(template: Source, name: str, value: Json, path: Path) -> None:
    """Raise for what would mean something else among the template's steps than where it is written."""
    try:
        roots = {chain[0] for chain in references(value)}
    except ExpressionError as error:
        raise _Wrong(path, f"`with.{name}`: {error}") from None
    if odd := sorted(roots & _OWN_MEANING):
        message = f"`with.{name}`: `{odd[0]}` would be that of the template's steps; a loop names its round by `as`"
        raise _Wrong(path, message)
    if taken := sorted(roots & set(_FOR.findall(json.dumps(template.data["steps"])))):
        raise _Wrong(path, f"`with.{name}`: `{taken[0]}` is what a `for` in the template is about; take another name")


def _or(name: str, known: Mapping[str, Json]) -> str:
    return did_you_mean(name, known) if nearest(name, known) else f"; there is {listed(known)}" if known else ""


def _holds_template(value: Json) -> bool:
    if isinstance(value, (dict, list)):
        return any(map(_holds_template, value.values() if isinstance(value, dict) else value))
    return isinstance(value, str) and has_template(value)


def _expanded(
    template: Source, step: Mapping[str, Json], given: dict[str, Json], path: Path, room: _Room
) -> dict[str, Json]:
    steps, use = template.data["steps"], step.get("id")
    if not isinstance(use, str) or not use:
        raise _Wrong(path, "`id` is required")
    ids = {step_id: f"{use}-{step_id}" for block in tree.blocks({"steps": steps}) for step_id in block.ids}
    if long := next((each for each in ids.values() if len(each) > MAX_ID), None):
        raise _Wrong((*path, "id"), f"with the template's own, this makes `{long}`, of more than {MAX_ID} characters")
    try:
        made = _steps(steps, Substitution(given, ids))
        outputs = Substitution(given, ids, inside_outputs=True).value(template.data.get("outputs", {}))
    except ValueError as error:
        raise _Wrong((*path, "with"), f"`with`: {error}") from None
    room.take(made, path)
    return {"type": "branch", "with": {"if": True, "then": made}, **({"outputs": outputs} if outputs else {})}


def _steps(steps: Sequence[dict[str, Json]], words: Substitution) -> list[dict[str, Json]]:
    return [_step(step, words) for step in steps]


def _step(step: dict[str, Json], words: Substitution) -> dict[str, Json]:
    kind = KINDS[step["type"]]
    made: dict[str, Json] = {**step}
    if "id" in step:
        made["id"] = words.ids[step["id"]]
    if "needs" in step:
        made["needs"] = [words.ids.get(need, need) for need in step["needs"]]
    for key in ("outputs", "retry"):
        if key in step:
            made[key] = words.value(step[key])
    if "if" in step:
        made["if"] = words.condition(step["if"])
    if "undo" in step:
        made["undo"] = _step(step["undo"], words)
    for part in ("with", "dry_run"):
        if part in step:
            made[part] = {key: _said(kind, key, value, words) for key, value in step[part].items()}
    return made


def _said(kind: Kind, key: str, value: Json, words: Substitution) -> Json:
    """What a key of `with`, or of what is laid over it, says in the runbook's words."""
    if key in kind.blocks:
        return _steps(value, words)
    return words.condition(value) if kind.treatment(key) is Treatment.CONDITION else words.value(value)


def shown(source: Source, text: str) -> str:
    """A file's text with what its templates came to behind it, as comments: so a diff shows the steps that changed."""
    if not source.expanded:
        return text
    told = []
    for path in source.expanded:
        if path[-1] == "then":
            step = _at(source.data, path[:-2])
            written = yaml.safe_dump(step, sort_keys=False, allow_unicode=True, width=110)
            told += [
                f"# What `{step['id']}` comes to by its template:",
                *(f"#   {line}" for line in written.split("\n") if line),
            ]
    return text + ("" if text.endswith("\n") else "\n") + "\n" + "\n".join(told) + "\n"


def _at(data: Any, path: Path) -> Any:
    for part in path:
        data = data[part]
    return data
