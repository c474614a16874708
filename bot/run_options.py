"""What `run` and `plan` were told: the parameters, the reason and how the run is to begin, read alike at each door."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bot.grammar import BREAK_GLASS, HOLD, LIVE, Command, GrammarError, verb
from engine.definition.durations import parse_duration
from storage.records import Json

_OWN = ("force", "reuse_within", HOLD, BREAK_GLASS, "plan")
"""The options of `run` itself. A parameter of the runbook that has such a name is the parameter."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """`given` are the parameters as they were typed.

    `keep` is HOLD or BREAK_GLASS where the request is to be kept instead of begun at once, else "". `plan` is the
    digest of the plan that the run has to be, None where none was named.
    """

    given: dict[str, str]
    reason: str
    force: bool
    reuse_within_ms: int
    keep: str
    plan: str | None


def read(command: Command, schema: Json) -> RunOptions:
    """The options of a `run` of a runbook whose parameters have this schema. Raises `GrammarError`."""
    given, reason = as_given(schema, command.options)
    own = {name: given.pop(name) for name in _OWN if name in given and name not in schema.get("properties", {})}
    keep, plan = _keep(command, own), own.get("plan")
    if keep and plan is not None:
        raise _wrong(f"plan=DIGEST starts what was planned: it does not go with {keep}=yes.")
    force = "force" in own and command.says_yes("force")
    return RunOptions(given, reason, force, _reuse_within_ms(own), keep, plan)


def read_plan(command: Command, schema: Json) -> tuple[dict[str, str], str, bool]:
    """The parameters of a `plan` as they were typed, its reason, and whether it asks what it calls, in check mode."""
    given, reason = as_given(schema, command.options)
    live = LIVE not in schema.get("properties", {}) and given.pop(LIVE, None) is not None and command.says_yes(LIVE)
    return given, reason, live


def as_given(schema: Json, options: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """The parameters and the reason; a parameter that is itself called reason gets the same text."""
    named = schema.get("properties", {})
    given = {name: value for name, value in options.items() if name != "reason" or name in named}
    return given, options.get("reason", "").strip()


def _keep(command: Command, own: Mapping[str, str]) -> str:
    found = [name for name in (HOLD, BREAK_GLASS) if name in own and command.says_yes(name)]
    if len(found) > 1:
        raise _wrong("hold=yes or break_glass=yes, not both.")
    return next(iter(found), "")


def _reuse_within_ms(own: Mapping[str, str]) -> int:
    try:
        return parse_duration(own["reuse_within"]) if "reuse_within" in own else 0
    except ValueError as error:
        raise _wrong(f"reuse_within: {error}.") from error


def _wrong(sentence: str) -> GrammarError:
    return GrammarError(sentence, verb("run").usage)
