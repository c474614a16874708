"""What is wrong with the templates and conditions of a step, by what its kind does with each key of its `with`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from engine.definition.condition_checks import condition_findings
from engine.definition.kinds import KINDS, Kind, Treatment
from engine.definition.kinds.loop import round_names
from engine.definition.references import Scope
from engine.definition.schema import Finding, Path, of_type, subject_in_step
from engine.definition.target_urls import PLACEHOLDER, with_base
from engine.definition.template_checks import target_findings, template_findings, url_findings
from engine.definition.tree import Container
from engine.expressions import ExpressionError, certain
from storage.records import Json


def step_findings(step: Mapping[str, Json], path: Path, with_path: Path, scope: Scope) -> Iterator[Finding]:
    """Everything wrong with what a step of sound shape says in its `with`, `if`, `retry` and `outputs`."""
    kind = KINDS[step["type"]]
    names = round_names(step.get("with", {})) if kind.repeats else ()
    yield from _shadow_findings(names, (*with_path, "as"), scope)
    for key, value in step.get("with", {}).items():
        location, inner = (*with_path, key), replace(scope, secrets=key in kind.secret_keys, now=_has_moment(kind))
        match kind.treatment(key):
            case Treatment.URL:
                yield from url_findings(with_base(value), location, inner)
            case Treatment.PATH:
                yield from url_findings(PLACEHOLDER + value, location, inner)
            case Treatment.TARGET:
                yield from target_findings(value, location, inner)
            case Treatment.TEXT | Treatment.MARKUP | Treatment.DATA:
                yield from template_findings(value, location, inner)
                yield from _items_findings(value, location) if key == "items" else ()
            case Treatment.CONDITION:
                yield from condition_findings(
                    value, location, _asked(key, replace(scope, now=_has_moment(kind), own_names=names))
                )
    if "if" in step:
        yield from condition_findings(step["if"], (*path, "if"), scope)
    retry = step.get("retry")
    if isinstance(retry, dict) and "if" in retry:
        yield from condition_findings(retry["if"], (*path, "retry", "if"), replace(scope, response=True, now=True))
    mapped = replace(scope, response=kind.answers, own_outputs=True, now=True)
    yield from template_findings(step.get("outputs"), (*path, "outputs"), mapped)


def _has_moment(kind: Kind) -> bool:
    """Whether what a kind's `with` says is done at one moment: not what people decide about, nor a run's way."""
    return not (kind.is_gate or kind.is_container)


def _items_findings(items: Json, path: Path) -> Iterator[Finding]:
    """What a loop goes over, where that is certain already."""
    try:
        known = certain(items) if isinstance(items, str) else items
    except ExpressionError:  # it depends on values, or is told of as wrong already
        return
    if not isinstance(known, list):
        yield Finding(path, f"{subject_in_step(path)} must be a list, not {of_type(known)}")


def _asked(key: str, scope: Scope) -> Scope:
    """What a condition inside `with` may read: `until` and `expect` of the answer, `while` of the round before."""
    if key in ("until", "expect"):
        return replace(scope, response=True)
    if key == "while":
        itself = Container(scope.itself, repeats=True, each=False, names=scope.own_names)
        inner = {step for step, home in scope.homes.items() if home.within and home.within[-1].id == scope.itself}
        return replace(scope, upstream=scope.upstream | inner, within=(*scope.within, itself))
    return scope


def _shadow_findings(names: tuple[str, ...], path: Path, scope: Scope) -> Iterator[Finding]:
    """A loop that calls its item or number what a loop around it does: its steps could not tell them apart."""
    taken = {name: container.id for container in scope.within for name in container.names}
    holder = next((taken[name] for name in names if name in taken), None)
    if holder is not None:
        yield Finding(path, f"{subject_in_step(path)}: `{holder}`, a loop around this one, has that name; take another")
