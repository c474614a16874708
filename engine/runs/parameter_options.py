"""The choices of a parameter, for people who fill it in: whoever may run the runbook, and nobody else."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from engine.access.policy import Action, Actor, authorise_by_rules
from engine.catalog import catalog
from engine.errors import NotAllowed, NotApproved, NotFound
from engine.option_cache import Offered, Option
from engine.orchestration import option_checks
from engine.runtime import Runtime
from engine.text.words import did_you_mean
from storage import database
from storage.catalog_records import VersionRecord
from storage.records import Json


def options(rt: Runtime, actor: Actor, slug: str, name: str, typed: str = "", number: int | None = None) -> Offered:
    """What fits `typed` of the choices for a parameter. Only a version that may run is asked for, since this calls out.

    Raises `NotFound`, also for a parameter without `x-options`, `NotAllowed` and `NotApproved`; never for a system that
    cannot be asked, which the answer tells of.
    """
    version = _runnable(rt, actor, slug, number)
    runbook = catalog.definition(version)
    if not option_checks.has(runbook, name):
        names = [each for each in runbook.parameters.get("properties", {}) if option_checks.has(runbook, each)]
        raise NotFound(f"{slug} has no parameter {name[:60]!r} with choices to ask for{did_you_mean(name, names)}.")
    found = option_checks.offered(rt, version, name, typed)
    return found if option_checks.searches_itself(runbook, name) else replace(found, options=_fitting(found, typed))


def refused(
    rt: Runtime, actor: Actor, slug: str, number: int, values: Mapping[str, Json], names: Collection[str], until: float
) -> dict[str, str]:
    """What is wrong with those of `names` whose values are not offered, so that a form can say it.

    It is what is known before `until` (monotonic seconds); the start is refused for the same, and for what comes out
    later. Nobody is asked for who may not run it, or of a version that may not run: asking for the run says that.
    """
    try:
        version = _runnable(rt, actor, slug, number)
    except (NotAllowed, NotApproved):
        return {}
    return option_checks.refused_by(rt, version, values, names, until)


def _fitting(found: Offered, typed: str) -> tuple[Option, ...]:
    """Those that have all words typed so far in their label or value, those that begin so first."""
    words, start = typed.casefold().split(), typed.strip().casefold()
    texts = [(one, f"{one.label} {one.value}".casefold()) for one in found.options]
    fitting = [(one, text) for one, text in texts if all(word in text for word in words)]
    return tuple(one for one, text in sorted(fitting, key=lambda each: not each[1].startswith(start)))


def _runnable(rt: Runtime, actor: Actor, slug: str, number: int | None) -> VersionRecord:
    runbook = catalog.get(rt, slug)
    authorise_by_rules(rt, actor, Action.START, runbook, heed_freezes=False)
    with database.reading():
        return catalog.runnable(rt, runbook, number)
