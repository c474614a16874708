"""What is to be known of a kind of step; each file beside this one says it of one kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from engine.definition.model import Step
from engine.definition.schema import Finding, Path, document
from storage.records import Json

WrittenRule = Callable[[Mapping[str, Json], Mapping[str, Json], Path], Iterator[Finding]]
"""What is wrong with a step as written: asked with the file, the step and the step's path."""
Caution = Callable[[Step, Path, Path], Iterator[Finding]]
"""What deserves a second look: asked with the step, its path and the path of its `with`."""


class Treatment(StrEnum):
    """How a key of `with` is rendered: as a URL, the target of a gRPC call, text, Slack's markup or data.

    A condition is asked. SITE names a target of `_targets.yaml`, and PATH is the rest of its URL: both are a URL before
    it is rendered.
    """

    URL = "url"
    TARGET = "target"
    TEXT = "text"
    MARKUP = "markup"
    DATA = "data"
    CONDITION = "condition"
    SITE = "site"
    PATH = "path"
    FIXED = "fixed"


class Effect(StrEnum):
    """What doing a step changes: something outside, rows of this database only, another run, or nothing by itself."""

    CALL = "call"
    ROWS = "rows"
    RUN = "run"
    HOLD = "hold"


class Awaits(StrEnum):
    """What a step waits for once it is begun.

    That is a decision of people, somebody who does it by hand, an event, its time, an answer that is as wanted, a run.
    """

    PEOPLE = "people"
    ASSIGNEE = "assignee"
    EVENT = "event"
    TIME = "time"
    ANSWER = "answer"
    RUN = "run"


def _no_rule(_file: Mapping[str, Json], _step: Mapping[str, Json], _path: Path) -> Iterator[Finding]:
    return iter(())


def _no_caution(_step: Step, _path: Path, _with_path: Path) -> Iterator[Finding]:
    return iter(())


@dataclass(frozen=True, slots=True)
class Kind:
    """What is known of a kind.

    A key of `with` that `treatments` does not name is FIXED: no templates there. `timeout_ms` is None where only the
    run's own limit holds; `whole_timeout` says that it counts for all attempts together. Secrets may stand in
    `secret_keys` only. `bounds` are the least and most of keys that are durations, `durations` those of them that the
    model has in milliseconds, as `<key>_ms`; `normalised` gives a `with` the one form that the model has of it.
    `blocks` are the keys of `with` that hold steps, each with its heading: a kind that has any is a container, which
    `repeats` them or not, and `outputs` names all that it hands on. `gives` names all that any other kind may hand on,
    None where it hands on nothing; `form_outputs` are what one with a `form` hands on beside its answers. `answers`
    says that there is a `response` to map outputs from. `shown` are the keys of `with` that a gate shows of such a step
    behind it, in that order, `summary` those that say in short what is done. `rule` and `caution` are what only this
    kind can have wrong.
    """

    name: str
    effect: Effect
    treatments: Mapping[str, Treatment]
    timeout_ms: int | None
    shown: tuple[str, ...]
    defaults: Mapping[str, Json] = field(default_factory=dict)
    summary: tuple[str, ...] = ("kind",)
    awaits: Awaits | None = None
    whole_timeout: bool = False
    secret_keys: frozenset[str] = frozenset()
    idempotent: Callable[[Mapping[str, Json]], bool] = lambda _: True
    bounds: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    durations: frozenset[str] = frozenset()
    normalised: Callable[[dict[str, Json]], dict[str, Json]] = dict
    blocks: Mapping[str, str] = field(default_factory=dict)
    repeats: bool = False
    outputs: tuple[str, ...] = ()
    gives: tuple[str, ...] | None = None
    form_outputs: tuple[str, ...] = ()
    answers: bool = False
    rule: WrittenRule = _no_rule
    caution: Caution = _no_caution

    def treatment(self, key: str) -> Treatment:
        """How the value of this key of `with` is treated; one that is not listed is taken as it is written."""
        return self.treatments.get(key, Treatment.FIXED)

    @property
    def conditions(self) -> tuple[str, ...]:
        """The keys of `with` that hold a condition which the step itself asks."""
        return tuple(key for key, treatment in self.treatments.items() if treatment is Treatment.CONDITION)

    @property
    def schema(self) -> Json:
        """What its `with` may hold, as the published JSON Schema has it."""
        return document()["$defs"][self.name]

    @property
    def calls_out(self) -> bool:
        """Whether it needs a place among the calls, and is retried where nobody says otherwise."""
        return self.effect is Effect.CALL

    @property
    def is_quiet(self) -> bool:
        """Whether its whole effect is rows of this database, so that it is done in the commit that makes it ready."""
        return self.effect is Effect.ROWS

    @property
    def is_container(self) -> bool:
        """Whether it only holds other steps; while those run it is WAITING."""
        return self.effect is Effect.HOLD

    @property
    def starts_run(self) -> bool:
        """Whether its effect is another run."""
        return self.effect is Effect.RUN

    @property
    def is_long(self) -> bool:
        """Whether it may take as long as a run may, because it holds other steps or a run."""
        return self.effect in (Effect.HOLD, Effect.RUN)

    @property
    def is_gate(self) -> bool:
        """Whether it waits for what people decide."""
        return self.awaits is Awaits.PEOPLE

    @property
    def is_manual(self) -> bool:
        """Whether somebody does it by hand."""
        return self.awaits is Awaits.ASSIGNEE

    @property
    def parks(self) -> bool:
        """Whether its step is WAITING until somebody outside acts."""
        return self.awaits in (Awaits.PEOPLE, Awaits.ASSIGNEE, Awaits.EVENT)

    @property
    def is_wait(self) -> bool:
        """Whether to wait is what it does: the time that it takes is no time of work."""
        return self.awaits not in (None, Awaits.RUN)
