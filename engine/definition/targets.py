"""Targets in runbooks: a call names one of `_targets.yaml`, and becomes the call that it stands for. Pure.

What is resolved has a `url` like any other call, so every rule about hosts, secrets and headers holds as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from engine.definition import calls
from engine.definition.dry_runs import checks
from engine.definition.kinds import Treatment, kind_of
from engine.definition.model import Runbook, Step
from engine.definition.placed import dry_run_of, every_step
from engine.definition.schema import Finding
from engine.definition.target_urls import target_in, with_base
from engine.text.words import did_you_mean, listed
from storage.records import Json

FILE: Final = "_targets.yaml"
OPENS: Final = "opens"
"""The key of a resolved `with` that holds the host and port which its target opens; no file can say it."""

Targets = Mapping[str, Mapping[str, Json]]
"""What each name stands for: `url`, and `headers`, `auth`, `tls` and `allow_private` where it says so."""


def named_by(step: Step) -> str | None:
    """The name of the target that a step calls, in either of the two ways to say so."""
    if kind_of(step).treatment("target") is Treatment.SITE and "target" in step.with_:
        return str(step.with_["target"])
    return target_in(str(step.with_.get("url", "")))


def names(runbook: Runbook) -> frozenset[str]:
    """The targets that a runbook's own steps and the choices of its parameters call."""
    return frozenset(filter(None, map(named_by, (*runbook.by_id.values(), *checks(runbook), *runbook.lookups))))


def resolved(runbook: Runbook, targets: Targets) -> Runbook:
    """The runbook with each call as its target makes it; one whose target is not known stays as it is written."""
    return replace(
        runbook,
        steps=_all(runbook.steps, targets),
        on_failure=_all(runbook.on_failure, targets),
        finally_=_all(runbook.finally_, targets),
        lookups=_all(runbook.lookups, targets),
    )


def findings(runbook: Runbook, targets: Targets) -> Iterator[Finding]:
    """Every target that is not known, with the nearest name, and every header that one sets another way."""
    for placed in (call for step in every_step(runbook) for call in (step, *dry_run_of(step))):
        name = named_by(placed.step)
        if name is None:
            continue
        key = "target" if "target" in placed.step.with_ else "url"
        if name not in targets:
            known = did_you_mean(name, targets) or (f"; there is {listed(sorted(targets)[:20])}" if targets else "")
            yield Finding((*placed.with_path, key), f"{FILE} has no target `{name}`{known}")
        elif key == "target":
            wrong = calls.findings(resolved_step(placed.step, targets).with_, placed.with_path)
            yield from (Finding((*placed.with_path, key), f"with target `{name}`: {each.message}") for each in wrong)


def resolved_step(step: Step, targets: Targets) -> Step:
    """One step and those in it, as in `resolved`."""
    name = named_by(step)
    with_ = _with(step.with_, targets[name]) if name is not None and name in targets else step.with_
    undo = resolved_step(step.undo, targets) if step.undo else None
    blocks = {key: _all(steps, targets) for key, steps in step.blocks.items()}
    asked = replace(step.dry_run, step=resolved_step(step.dry_run.step, targets)) if step.dry_run else None
    return replace(step, with_=with_, undo=undo, blocks=blocks, dry_run=asked)


def _all(steps: tuple[Step, ...], targets: Targets) -> tuple[Step, ...]:
    return tuple(resolved_step(step, targets) for step in steps)


def _with(with_: dict[str, Json], target: Mapping[str, Json]) -> dict[str, Json]:
    """What a step says itself goes before what its target says; a URL that begins with a target's takes that alone."""
    opens = {OPENS: target["opens"]} if target.get("opens") else {}
    if "target" not in with_:
        return {**with_, **opens, "url": with_base(with_["url"], target["url"])}
    rest = {key: value for key, value in with_.items() if key not in ("target", "path")}
    own = {name.lower() for name in rest.get("headers", {})}
    theirs = {name: value for name, value in target.get("headers", {}).items() if name.lower() not in own}
    headers = {**theirs, **rest.get("headers", {})}
    defaults = {key: target[key] for key in ("auth", "tls") if key in target}
    given = {"headers": headers} if headers else {}
    return {**defaults, **rest, **given, **opens, "url": target["url"] + with_.get("path", "")}
