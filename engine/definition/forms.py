"""The `form` of a step that asks people: a JSON Schema as for parameters, whose answers are outputs of the step."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from engine.definition.parameter_schema import check_schema
from engine.definition.parameters import validate
from engine.definition.schema import Finding, Path
from engine.errors import InvalidParameters
from storage.records import Json


def form_findings(form: Json, path: Path, taken: Collection[str]) -> Iterator[Finding]:
    """What is wrong with a form at this path; `taken` are the outputs that the step has beside its answers."""
    if not isinstance(form, dict) or not form:
        return
    found = check_schema(form)
    for each in found:
        yield Finding((*path, *each.path), each.message.replace("`parameters", "`form"), each.at_key)
    for name, rules in form.get("properties", {}).items() if not found else ():
        if name in taken:
            message = f"`{name}` is an output of every such step: give this answer another name"
            yield Finding((*path, "properties", name), message, at_key=True)
        if "x-prefill" in rules:
            yield Finding((*path, "properties", name, "x-prefill"), "`x-prefill` is for parameters only", at_key=True)
    if not found and form.get("additionalProperties", False) is not False:
        yield Finding((*path, "additionalProperties"), "`additionalProperties` is for parameters only", at_key=True)


def names_in(form: Json) -> tuple[str, ...]:
    """The names of a form's answers, whatever shape it has."""
    properties = form.get("properties") if isinstance(form, dict) else None
    return tuple(properties) if isinstance(properties, dict) else ()


def answered(form: dict[str, Json], answers: Mapping[str, Json]) -> dict[str, Json]:
    """The answers with the defaults filled in, all of them right; none are taken where there is no form.

    Raises InvalidParameters naming every wrong answer.
    """
    try:
        return validate(form, dict(answers)) if form else validate({"type": "object"}, dict(answers))
    except InvalidParameters as wrong:
        told = {
            name: why.replace("a parameter of this runbook", "a field of this form")
            for name, why in wrong.fields.items()
        }
        raise InvalidParameters(told, "answers") from None
