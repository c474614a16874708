"""The calls that a server really gets of a run are among those that its plan showed, for any runbook."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from harness import CAROL, Harness, Target
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from test_rehearsals_agree import STUBS, _texts, behaviour, drive, publish
from test_rehearsals_agree import plans as cases

from engine.definition.lints import dry_runs
from engine.definition.placed import every_step
from engine.orchestration import admission
from engine.orchestration.admission import Wanted
from engine.runs import live_calls, plans
from engine.runs.plan_records import Plan
from storage.records import Json

READS = (
    "1", "{{ params.n }}", "{{ params.n + 1 }}", "{{ execution.id }}", "{{ execution.requester }}", "{{ now }}",
    "{{ params.n }} {{ execution.id }}",
)  # fmt: skip
SEEN = ("call", "undo", "open value", "known value", "asked check", "warned check")
CHECK = {"query": {"check": "1"}}


@st.composite
def readers(draw: st.DrawFn) -> Any:
    """Any runbook with what is answered, whose calls read what is known and what is not, and may have a check."""
    body, stubs, answers = draw(cases())
    for key in ("steps", "on_failure", "finally"):
        _read(draw, body.get(key, []), main=key == "steps", inside=False)
    return body, stubs, answers, draw(st.integers(0, 2))


def _read(draw: st.DrawFn, steps: list[dict[str, Any]], *, main: bool, inside: bool) -> None:
    before: list[str] = []
    for step in steps:
        above = [each for each in step.get("needs", before[-1:]) if each in before]
        status = [f"{{{{ steps.{each}.outputs.status | default(0) }}}}" for each in above]
        read = [*READS, *status, *(["{{ index }}"] if inside else [])]
        if step["type"] == "http":
            if main and draw(st.booleans()):
                step["undo"] = {"type": "http", "with": {"method": "DELETE"}}
            for call in (step, *([step["undo"]] if "undo" in step else [])):
                call["with"]["query"] = {"a": draw(st.sampled_from(read if call is step else READS))}
            step |= draw(st.sampled_from([{}, {"dry_run": CHECK}, {"dry_run": {**CHECK, "before_gates": True}}]))
            before.append(step["id"])
        for block in ("then", "else", "steps"):
            _read(draw, step["with"].get(block, []), main=main, inside=inside or step["type"] == "loop")


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_what_a_run_calls_is_among_what_its_plan_says(harness: Harness, target: Target) -> None:
    """Whatever servers and people answer; and what a warning says no live plan asks, none asks."""
    _agree(harness, target, examples=8)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_what_a_run_calls_is_among_what_its_plan_says_for_longer(harness: Harness, target: Target) -> None:
    seen = _agree(harness, target, examples=200)
    assert set(SEEN) <= seen, "the examples came by too little to find anything"


def _agree(harness: Harness, target: Target, examples: int) -> set[str]:
    """What of `SEEN` the examples came by."""
    seen: set[str] = set()

    @settings(
        max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True,
        phases=[Phase.explicit, Phase.generate],
    )  # fmt: skip
    @given(readers())
    def agree(case: Any) -> None:
        body, stubs, answers, n = case
        target.does = {f"/{name}": [behaviour(each) for each in said] for name, said in stubs.items()}
        target.does["/only"] = [behaviour(STUBS[0])]
        publish(harness, _texts(body, target))
        target.hits.clear()
        wanted = Wanted("any", {"n": n}, trigger="test")
        plan = plans.make(harness.rt, CAROL, wanted)
        seen.update(_warnings_are_right(harness, wanted))
        assert target.hits == []
        random.seed(0)  # by which the pauses before retries are drawn
        run = plans.request(harness.rt, CAROL, wanted, plan.digest, force=False, reuse_within_ms=0).execution.id
        drive(harness, run, answers)
        seen.update(_are_among(target, plan))

    agree()
    return seen


def _warnings_are_right(harness: Harness, wanted: Wanted) -> Iterator[str]:
    """Which checks a live plan would make, without making them."""
    checked = admission.check(harness.rt, CAROL, wanted)
    looked = plans.looked_at(harness.rt, CAROL, checked)
    asked = {each.step.id for each in live_calls.chosen(harness.rt, looked)}
    warned = {each.path for each in dry_runs.findings(looked.runbook)}
    never = {each.step.id for each in every_step(looked.runbook) if (*each.path, "dry_run") in warned}
    assert not asked & never, (asked, never)
    yield from [word for word, found in (("asked check", asked), ("warned check", never)) if found]


def _are_among(target: Target, plan: Plan) -> Iterator[str]:
    """None in check mode, and each as it stands in the plan, but for what is written there as open."""
    known = [each["with"] for each in plan.every_step() if "url" in each.get("with", {})]
    for method, path, _ in target.hits:
        fits = [each for each in known if _fits(method, target.url(path), each)]
        assert fits, (method, path, known)
        yield "undo" if method == "DELETE" else "call"
        yield "open value" if "{{" in str(fits) else "known value"


def _fits(method: str, url: str, planned: Json) -> bool:
    sent = urlsplit(url)
    values = {name: value for name, (value,) in parse_qs(sent.query, keep_blank_values=True).items()}
    query = planned.get("query") or {}
    if (method, sent._replace(query="").geturl()) != (planned.get("method", "GET"), planned["url"]):
        return False
    return values.keys() == query.keys() and all(_is(values[name], str(query[name])) for name in values)


def _is(value: str, planned: str) -> bool:
    """Whether a value is what was planned, which is a template as a whole where it reads something open."""
    pattern = re.sub(r"\\\{\\\{.*?\\\}\\\}", ".*", re.escape(planned))
    return re.fullmatch(pattern, value) is not None
