"""The text of a new runbook, made of a few answers; its steps are the snippets that editors offer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from engine.definition.kinds import KINDS
from engine.definition.load import examine
from engine.definition.schema import checker, document, findings
from storage.records import Json

SCHEMA_FILE = "runbook.schema.json"
"""What the first line of a new runbook names: the format's JSON Schema, in the same folder."""
_STOP = re.compile(r"\$\{\d+:([^}]*)\}|\$\d+")
"""A place in a snippet at which an editor stops, with what stands there until somebody types."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What a new runbook is to be. `kinds` are those of its steps; without a `team` it is a global one."""

    id: str
    name: str
    team: str = ""
    risk: str = "low"
    kinds: tuple[str, ...] = ("http",)


@cache
def starters() -> Mapping[str, dict[str, Json]]:
    """A step of each kind that has a snippet, by kind, in the schema's order."""
    snippets = document()["$defs"]["step"]["defaultSnippets"]
    return {each["label"]: _typed(each["body"]) for each in snippets}


def _typed(body: Json) -> Json:
    """A snippet as if nobody had typed anything at its stops."""
    if isinstance(body, dict):
        return {key: _typed(value) for key, value in body.items()}
    if isinstance(body, list):
        return [_typed(item) for item in body]
    return _STOP.sub(r"\1", body) if isinstance(body, str) else body


def fault(key: str, value: Json) -> str:
    """What is wrong with a value of this key at the top of a runbook, "" when nothing is: the schema says it."""
    schema = document()
    asked = checker({"type": "object", "properties": {key: schema["properties"][key]}, "$defs": schema["$defs"]})
    return "; ".join(each.message for each in findings(asked, {key: value}))


def text(answers: Answers) -> str:
    """A runbook that is right as it stands and warns of nothing. Raises `ValueError` with what is wrong, a line each.

    Gates come first, and where the risk is high there is one.
    """
    made = f"# yaml-language-server: $schema={SCHEMA_FILE}\n" + yaml.dump(
        _data(answers), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110
    )
    examined = examine(made.encode(), answers.id)
    wrong = [each.message for each in (*examined.problems, *examined.warnings)]
    if wrong:
        raise ValueError("\n".join(wrong))
    return made


def _data(answers: Answers) -> dict[str, Json]:
    head: dict[str, Json] = {"apiVersion": "runbook/v1", "id": answers.id, "name": _Quoted(answers.name)}
    if answers.team:
        head["team"] = answers.team
    return {**head, "risk": answers.risk, "steps": _steps(answers)}


def _steps(answers: Answers) -> list[Json]:
    steps = [starters()[kind] for kind in dict.fromkeys(answers.kinds)]
    gates = [step for step in steps if KINDS[step["type"]].is_gate]
    if answers.risk == "high" and not gates:
        gates = [step for step in starters().values() if KINDS[step["type"]].is_gate][:1]
    return [*gates, *(step for step in steps if step not in gates)]


class _Quoted(str):
    """A text of people's, which is written in quotes: it may look like anything else."""


class _Dumper(yaml.SafeDumper):
    """Writes lists indented below their key, as the runbooks that ship are written."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - PyYAML's
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's
        return True


def _quoted(dumper: yaml.SafeDumper, words: _Quoted) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", words, style='"')


_Dumper.add_representer(_Quoted, _quoted)


def unknown(kinds: Sequence[str]) -> list[str]:
    """Those of these words that are no kind of step that there is a starter for."""
    return [kind for kind in kinds if kind not in starters()]
