"""What a plan is: everything that a run would do, as far as that is known before it has begun."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Final

from engine.errors import Stale
from storage.catalog_records import VersionRecord
from storage.records import Json

_PREFIX: Final = "P"
_SHORT = 12
"""Hex digits of the parts of a digest, which only say where two plans differ; the whole is told by its last part."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why this run cannot be started now, as a sentence; `ask` are the people and groups who can, as ids."""

    why: str
    ask: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run of a version with these parameters would do.

    `steps`, `on_failure` and `finally_` are what would be done, step by step, as `planned_steps` has it, with secrets
    masked; `values` are the parameters as they are. `destinations` says which secrets go where, `obstacles` why it
    cannot be started by this person now, and `warnings` what would hold it up. `digest` changes with anything that the
    run would do otherwise. `live` counts the calls that were made in check mode, None where none was asked for; what
    came of one stands with its step, and is no part of the digest.
    """

    slug: str
    number: int
    digest: str
    parameters: dict[str, Json]
    timeout_ms: int
    steps: tuple[Json, ...]
    on_failure: tuple[Json, ...] = ()
    finally_: tuple[Json, ...] = ()
    concurrency: str = ""
    destinations: tuple[Json, ...] = ()
    obstacles: tuple[Obstacle, ...] = ()
    warnings: tuple[str, ...] = ()
    reason: str = ""
    live: Json = None
    values: Mapping[str, Json] = field(default_factory=dict, repr=False)

    def as_json(self) -> dict[str, Json]:
        """The same in plain JSON, by the names that the REST API has."""
        found = {key: value for key, value in asdict(self).items() if key != "values"}
        named = {"runbook": found.pop("slug"), "version": found.pop("number"), "finally": found.pop("finally_")}
        return {**named, **found}

    def every_step(self) -> Iterator[Json]:
        """All that would or might be done, inner steps, what takes steps back and what child runs do included."""
        for step in (*self.steps, *self.on_failure, *self.finally_):
            yield from inside(step)


class PlanChanged(Stale):
    """A run would not be the one that was planned: `changes` says what differs, and `plan` is what it would be now."""

    code = "plan_changed"

    def __init__(self, changes: Sequence[str], plan: Plan) -> None:
        self.changes, self.plan = tuple(changes), plan
        super().__init__(f"This is not what was planned any more: {'; '.join(self.changes)}. Nothing was started.")


def inside(step: Json) -> Iterator[Json]:
    """A planned step and all that stand in it."""
    yield step
    for block in step.get("blocks", ()):
        for each in block["steps"]:
            yield from inside(each)
    for each in (*step.get("child", {}).get("steps", ()), *filter(None, [step.get("undo")])):
        yield from inside(each)


def digest_of(version: VersionRecord, parameters: Json, rendered: Json) -> str:
    """One text that stands for all that was planned, with parts that tell what differs between two.

    `version` is under the digest of what it says and what its targets stand for.
    """
    says, _, targets = version.digest.partition("+")
    whole = [version.digest, parameters, rendered]
    return "-".join(
        [f"{_PREFIX}{version.number}", *(_hex(each)[:_SHORT] for each in (says, parameters, targets)), _hex(whole)[:40]]
    )


def differences(before: str, now: str) -> Iterable[str]:
    """What differs between two digests, in words; nothing where they are the same."""
    old, new = before.split("-"), now.split("-")
    if len(old) != len(new):
        return [f"“{before[:60]}” is no digest of a plan; `plan` shows one"]
    if old == new:
        return []
    says = f"the version is {new[0].removeprefix(_PREFIX)} now, not {old[0].removeprefix(_PREFIX)[:9]}"
    words = (says, "the runbook says something else", "the parameters differ", "a target stands for something else")
    changed = [word for word, one, other in zip(words, old, new, strict=False) if one != other]
    if changed[:2] == list(words[:2]):
        del changed[1]
    return changed or ["what is made of it differs: a fact of the incident, the reason, or a runbook that it starts"]


def _hex(value: Json) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
