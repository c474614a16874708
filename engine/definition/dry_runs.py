"""What `dry_run` of a step stands for: the same call in its target's own check mode, as `plan live=yes` makes it. Pure.

What it says is laid over the step's `with`. Mappings that name things (`MERGED`) are merged key by key, headers in any
case; anything else is replaced. A body takes the place of any other body, and a `url` that of a target.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from engine.definition.kinds import kind_of
from engine.definition.model import DryRun, Runbook, Step
from storage.records import Json

KEY: Final = "dry_run"
BEFORE_GATES: Final = "before_gates"
"""The one key of `dry_run` that is none of `with`."""
MERGED = frozenset({"query", "headers", "metadata", "form", "json", "message"})
SENT = frozenset(
    {"method", "url", "target", "path", "query", "headers", "json", "text", "form", "multipart"}
    | {"service", "message", "metadata"}
)
"""The keys of `with` by which a target can tell a check from the call itself."""
_BODIES = ("json", "text", "form", "multipart")


def laid_over(with_: Mapping[str, Json], said: Mapping[str, Json]) -> dict[str, Json]:
    """The `with` of the call in check mode."""
    found = {key: value for key, value in with_.items() if key not in _displaced(said)}
    for key, value in said.items():
        if key != BEFORE_GATES:
            found[key] = _merged(key, found.get(key), value)
    return found


def of(step: Step, with_: dict[str, Json], *, before_gates: bool) -> DryRun:
    """The check of a step, whose call says `with_`: one attempt, of which nothing is handed on."""
    asked = replace(
        step, needs=(), with_=with_, condition=None, retry=None, outputs={}, undo=None, dry_run=None,
        idempotent=step.idempotent or kind_of(step).idempotent(with_),
    )  # fmt: skip
    return DryRun(asked, before_gates)


def with_check(step: Step, said: Mapping[str, Json] | None) -> Step:
    """The step with what its file says under `dry_run`; None for a step that says nothing."""
    if said is None:
        return step
    return replace(step, dry_run=of(step, laid_over(step.with_, said), before_gates=bool(said.get(BEFORE_GATES))))


def checks(runbook: Runbook) -> Iterator[Step]:
    """The calls in check mode of all steps of a runbook."""
    return (step.dry_run.step for step in runbook.by_id.values() if step.dry_run is not None)


def _displaced(said: Mapping[str, Json]) -> set[str]:
    """The keys of `with` that cannot stand beside what is said."""
    gone = set(_BODIES) - set(said) if any(body in said for body in _BODIES) else set()
    gone |= {"target", "path"} - set(said) if "url" in said else set()
    return gone | ({"url"} if "target" in said and "url" not in said else set())


def _merged(key: str, old: Json, new: Json) -> Json:
    if key not in MERGED or not isinstance(old, dict) or not isinstance(new, dict):
        return new
    named = {name.lower() for name in new} if key == "headers" else set(new)
    kept = {name: value for name, value in old.items() if (name.lower() if key == "headers" else name) not in named}
    return {**kept, **new}
