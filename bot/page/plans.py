"""A plan as a page, for who asked for it alone: its text as Slack and the terminal have it, with its picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from bot import plan_text
from bot.page.graph_picture import Box, Drawing, drawings
from bot.page.states import Look
from engine.access.policy import Actor
from engine.catalog import catalog
from engine.runs import kept_plans
from engine.runs.plan_records import Plan
from engine.runtime import Runtime
from storage.records import Json

DONE, PERHAPS, NEVER, FAILS = "would be done", "perhaps", "not done", "would fail"
_LOOKS = {DONE: Look.IDLE, PERHAPS: Look.ASK, NEVER: Look.LEFT, FAILS: Look.BAD}
_TOLD_FIRST = (FAILS, DONE, PERHAPS, NEVER)
"""What is said of a step of which rounds differ."""


@dataclass(frozen=True, slots=True)
class Found:
    """A plan of now. `changes` are what differs from the one that was shown; `live` says whether that one was live."""

    title: str
    digest: str
    can_start: bool
    obstacles: tuple[str, ...]
    changes: tuple[str, ...]
    live: bool
    pictures: tuple[Drawing, ...]
    text: str


def found(rt: Runtime, actor: Actor, draft: str) -> Found:
    """Raises as `kept_plans.again`."""
    again = kept_plans.again(rt, actor, draft)
    plan, mask = again.plan, rt.redactor().redact
    runbook = catalog.definition(catalog.version(rt, plan.slug, plan.number))
    return Found(
        title=f"{plan.slug}@{plan.number}",
        digest=plan.digest,
        can_start=not plan.obstacles,
        obstacles=tuple(mask(each.why) for each in plan.obstacles),
        changes=again.changes,
        live=again.live,
        pictures=tuple(_foretold(each, _words(plan)) for each in drawings(runbook, ())),
        text=mask("\n".join(plan_text.lines(plan.as_json()))),
    )


def _words(plan: Plan) -> dict[str, str]:
    """What is said of each step that the plan comes to, by its id."""
    told: dict[str, list[str]] = {}
    for steps in (plan.steps, plan.on_failure, plan.finally_):
        for step_id, word in _each(steps, sure=True):
            told.setdefault(step_id, []).append(word)
    return {step_id: min(words, key=_TOLD_FIRST.index) for step_id, words in told.items()}


def _each(steps: Iterable[Json], *, sure: bool) -> Iterator[tuple[str, str]]:
    """The steps of this runbook with a word for each; what runs of other runbooks do is theirs."""
    for step in steps:
        certain = sure and step.get("when") != "open"
        yield step["step"], _word(step, certain=certain)
        inside = certain and "open" not in (step.get("taken"), step.get("rounds"))
        for block in step.get("blocks", ()):
            yield from _each(block["steps"], sure=inside)


def _word(step: Json, *, certain: bool) -> str:
    if "fails" in step:
        return FAILS
    if step.get("when") == "no":
        return NEVER
    return DONE if certain else PERHAPS


def _foretold(drawing: Drawing, words: dict[str, str]) -> Drawing:
    return replace(drawing, boxes=tuple(_box(each, words.get(each.step_id, NEVER)) for each in drawing.boxes))


def _box(box: Box, words: str) -> Box:
    return replace(box, words=words, look=_LOOKS[words])
