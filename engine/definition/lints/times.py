"""Times that do not fit together."""

from __future__ import annotations

from collections.abc import Iterator

from engine.definition.durations import parse_duration, show_duration
from engine.definition.kinds import Awaits, kind_of
from engine.definition.model import Runbook, Step
from engine.definition.placed import Placed, every_step
from engine.definition.schema import Finding
from engine.expressions import has_template


def findings(runbook: Runbook) -> Iterator[Finding]:
    """Steps that have more time than their run, and polls that ask only once."""
    for placed in every_step(runbook):
        if placed.path[:1] == ("steps",):
            yield from _beyond_run(placed, runbook.timeout_ms)
        interval, timeout = placed.step.with_.get("interval_ms"), placed.step.timeout_ms
        if isinstance(interval, int) and timeout is not None and interval >= timeout:
            message = f"`interval` is no shorter than the step's timeout of {show_duration(timeout)}: it asks only once"
            yield Finding((*placed.with_path, "interval"), message, rule="single-poll")


def _beyond_run(placed: Placed, run_ms: int) -> Iterator[Finding]:
    step, kind = placed.step, kind_of(placed.step)
    most = f"the run's `timeout` of {show_duration(run_ms)}"
    if kind.awaits is Awaits.TIME and _length(step) >= run_ms:
        yield Finding((*placed.with_path, "for"), f"this is not shorter than {most}: the run fails here", rule=_RULE)
    elif kind.calls_out and step.timeout_ms not in (None, kind.timeout_ms) and (step.timeout_ms or 0) > run_ms:
        yield Finding((*placed.path, "timeout"), f"`timeout` is longer than {most}, which ends it first", rule=_RULE)


def _length(step: Step) -> int:
    """How long a delay takes, 0 where a value says it."""
    length = str(step.with_["for"])
    return 0 if has_template(length) else parse_duration(length)


_RULE = "longer-than-run"
