"""A runbook as data: what the loader makes of a file, and what an execution runs.

Every duration is in milliseconds. A `Runbook` is immutable and knows nothing of storage or time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from engine.definition import secret_outputs
from engine.expressions import Held
from storage.records import Json

Risk = Literal["low", "medium", "high"]

KINDS_OF_APPROVERS = ("roles", "users", "groups", "minima")
"""By what a gate names who may decide."""

DEFAULT_RUN_TIMEOUT_MS = 3_600_000
DEFAULT_WEBHOOK_TIMEOUT_MS = 300_000
DEFAULT_ATTEMPT_TIMEOUT_MS = 30_000


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and how soon a step is tried again.

    `max_attempts` counts the first try. The pause before attempt n+1 is `delay_ms * backoff ** (n - 1)`,
    at most `max_delay_ms`, with jitter added by whoever schedules it. `condition` is asked of an unwanted answer that
    was seen: whether the call may be made again; None leaves that to what the call is.
    """

    max_attempts: int = 4
    delay_ms: int = 1_000
    backoff: float = 2.0
    max_delay_ms: int = 30_000
    condition: Json = None


@dataclass(frozen=True, slots=True)
class DryRun:
    """A step's call in its target's own check mode, which `plan live=yes` makes; no run does.

    `step` is the call, whole, under the id of the step that it checks. `before_gates` says that it may be made though
    a gate that stands before the step is still to be decided.
    """

    step: Step
    before_gates: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One node of the runbook's graph.

    `needs` holds the ids of the steps that must end first, already resolved: a step written without
    `needs` has the id of the step above it here. `condition` is what `if` says (a bare expression, true or false,
    or a condition as data), or None.
    `timeout_ms` is per attempt for http and for the whole step for other kinds; the loader fills the kind's default in.
    `retry` is None where the file says nothing: the settings' default applies.
    `idempotent` is resolved: what the file says, else what the step's kind and method imply.
    `outputs` maps names to templates over `response` or `outputs`; empty: the kind's own outputs are the step's.
    `blocks` holds a container's inner steps: `then` and `else` of a branch, `steps` of a loop; their `needs` name
    siblings only. `undo` is the step that reverses this one, with the id `<id>.undo` and no needs.
    `notify` says how those who can decide a gate are called, None where the settings say.
    `continue_on_error` says whether the run goes on when it fails; with "report" it goes on and ends FAILED.
    `skippable` says whether a person may have it skipped behind a gate that has released it: True without asking the
    gate's approvers, False not at all (nor before), None where one of them has to agree.
    `dry_run` is its call in check mode, None where the file says nothing of one.
    """

    id: str
    kind: str
    needs: tuple[str, ...]
    with_: dict[str, Json]
    condition: Json = None
    timeout_ms: int | None = None
    retry: Retry | None = None
    idempotent: bool = False
    on_timeout: str = "fail"
    notify: str | None = None
    name: str = ""
    continue_on_error: bool | Literal["report"] = False
    skippable: bool | None = None
    outputs: Mapping[str, Json] = field(default_factory=dict)
    blocks: Mapping[str, tuple[Step, ...]] = field(default_factory=dict)
    undo: Step | None = None
    dry_run: DryRun | None = None


@dataclass(frozen=True, slots=True)
class Concurrency:
    """At most `limit` executions with the same rendered `group` are open at once; the next is queued or rejected."""

    group: str
    limit: int = 1
    on_conflict: Literal["queue", "reject"] = "queue"


@dataclass(frozen=True, slots=True)
class Runbook:
    """One version of a runbook, whole and valid. `parameters` is its JSON Schema (an object schema, possibly empty).

    `max_concurrent_steps` and `approval_max_age_ms` are None where the file says nothing: the setting applies.
    `outputs` maps names to templates.
    `by_id` holds every step of the file, inner ones, cleanup and undo included; ids are unique in a file.
    `container_of` maps an inner step's id to its container's id and the block it stands in. `held` are the secret
    outputs of its steps, and `held_hosts` the hosts that each may be sent to, as written, by "step.output".
    `expected_ms` is after how much running time a run takes longer than expected. `lookups` are the calls that ask for
    the choices of parameters, as `definition.parameter_options` makes them of `x-options`.
    """

    id: str
    name: str
    description: str
    team: str | None
    tags: tuple[str, ...]
    risk: Risk
    timeout_ms: int
    parameters: dict[str, Json]
    steps: tuple[Step, ...]
    max_concurrent_steps: int | None = None
    is_webhook: bool = False
    on_failure: tuple[Step, ...] = ()
    finally_: tuple[Step, ...] = ()
    outputs: Mapping[str, Json] = field(default_factory=dict)
    concurrency: Concurrency | None = None
    approval_max_age_ms: int | None = None
    expected_ms: int | None = None
    lookups: tuple[Step, ...] = ()
    by_id: dict[str, Step] = field(init=False, repr=False, compare=False)
    container_of: dict[str, tuple[str, str]] = field(init=False, repr=False, compare=False)
    held: Held = field(init=False, repr=False, compare=False)
    held_hosts: Mapping[str, tuple[str, ...] | None] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_id: dict[str, Step] = {}
        container_of: dict[str, tuple[str, str]] = {}
        for step in (*self.steps, *self.on_failure, *self.finally_):
            _index(step, by_id, container_of)
        object.__setattr__(self, "by_id", by_id)
        object.__setattr__(self, "container_of", container_of)
        steps = [{"id": step.id, "outputs": step.outputs} for step in by_id.values()]
        object.__setattr__(self, "held", secret_outputs.held_by(steps))
        object.__setattr__(self, "held_hosts", secret_outputs.hosts_by_name(steps))


def _index(step: Step, by_id: dict[str, Step], container_of: dict[str, tuple[str, str]]) -> None:
    by_id[step.id] = step
    if step.undo is not None:
        by_id[step.undo.id] = step.undo
    for name, inner in step.blocks.items():
        for each in inner:
            container_of[each.id] = (step.id, name)
            _index(each, by_id, container_of)
