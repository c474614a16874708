"""The steps of a run as lines or as the task cards of a plan block: inner steps follow the one that holds them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from slack_sdk.models.blocks import Block, PlanBlock, TaskCardBlock

from bot.slack.views.parts import Person, by_name, noted, rich, sections
from bot.slack.views.text import as_json, code, cut, inline, is_person, one_line, person, plain
from bot.slack.views.words import (
    PHASES,
    REPORTED,
    TOLERATED,
    error_field,
    never_started,
    skip_wish,
    step_words,
    task_status,
)
from engine.definition.kinds import kind_of, manual
from engine.orchestration import tolerated_failures
from storage.records import Json, StepRunRecord
from storage.states import Phase, StepStatus

if TYPE_CHECKING:
    from engine.definition.model import Runbook
    from engine.runs.executions import ExecutionView

LIMIT = 50
"""Task cards in a plan block, by Slack's reference."""
_ROOM = 6000
"""Characters for the details of all steps together: Slack refuses messages of about 13,000."""
_PEOPLE = 5
"""Approvers named on one step."""
_LOOP = 6
"""Inner steps of a loop that are all shown; of more, rounds that are done are only counted."""
_ROUND = re.compile(r"[^\[]+\[\d+\]")
_DONE = {StepStatus.SUCCESS, StepStatus.SKIPPED}
_SETTLED = {StepStatus.SUCCESS, StepStatus.SKIPPED, StepStatus.BLOCKED}
_NOT_BEGUN = (StepStatus.BLOCKED, StepStatus.READY)
_COUNTED_AS = {
    StepStatus.FAILED: "failed",
    StepStatus.UNKNOWN: "with unknown outcome",
    StepStatus.SKIPPED: "skipped",
    StepStatus.CANCELLED: "cancelled",
}
_ORDER = tuple(Phase)
Position = tuple[int, ...]


def ordered(steps: Iterable[StepRunRecord]) -> list[StepRunRecord]:
    """Phase by phase in the runbook's order, each inner step behind the branch or loop round that it is in."""
    steps = list(steps)
    known = {step.path: step for step in steps}
    return sorted(steps, key=lambda step: (_ORDER.index(step.phase), _position(step, known)))


def _position(step: StepRunRecord, known: dict[str, StepRunRecord]) -> Position:
    """Positions from the outermost container inwards, with the round's number after each loop's."""
    if not step.scope or step.phase is Phase.UNDO:
        return (step.position,)
    path, _, number = (
        step.scope.removesuffix("]").rpartition("[") if step.scope.endswith("]") else (step.scope, "", "0")
    )
    container = known.get(path)
    around = _position(container, known) if container is not None else ()
    return (*around, int(number), step.position)


def folded(steps: Sequence[StepRunRecord], limit: int) -> tuple[list[StepRunRecord], Counter[str]]:
    """At most `limit` steps, those worth looking at, in the order given; and how many others are in which state.

    When some are left out, one place is kept free for the line that says so.
    """
    if len(steps) <= limit:
        return list(steps), Counter()
    places = {step.id: place for place, step in enumerate(steps)}
    ranked = sorted(
        steps, key=lambda step: (step.status in _SETTLED, step.status is not StepStatus.BLOCKED, places[step.id])
    )
    kept = {step.id for step in ranked[: limit - 1]}
    shown = [step for step in steps if step.id in kept]
    return shown, Counter(step_words(step)[1] for step in steps if step.id not in kept)


def unrolled(steps: Sequence[StepRunRecord]) -> list[StepRunRecord]:
    """The steps without the rounds that are done of loops with many steps: the loop itself says how many those are."""
    rounds: dict[str, list[StepRunRecord]] = {}
    for step in steps:
        if (found := _ROUND.match(step.scope)) is not None:
            rounds.setdefault(found[0], []).append(step)
    inside: Counter[str] = Counter()
    for name, held in rounds.items():
        inside[name.rpartition("[")[0]] += len(held)
    done = {
        step.id
        for name, held in rounds.items()
        if inside[name.rpartition("[")[0]] > _LOOP and all(step.status in _DONE for step in held)
        for step in held
    }
    return [step for step in steps if step.id not in done]


def plan(view: ExecutionView) -> PlanBlock:
    """The steps as task cards."""
    shown, rest = folded(unrolled(ordered(view.steps)), LIMIT)
    room = _ROOM // max(len(shown), 1)
    tasks = [_task(view, step, room) for step in shown]
    if rest:
        tasks.append(TaskCardBlock(task_id="rest", title=plain(_left_out(rest), 150), status="pending"))
    return PlanBlock(title=plain(progress(view), 150), tasks=tasks)


def _task(view: ExecutionView, step: StepRunRecord, room: int) -> TaskCardBlock:
    icon, words = _words(view, step)
    told = "" if step.status is StepStatus.SUCCESS else words
    details = " · ".join(part for part in (told, _rounds(view, step), note_of(step)) if part)
    output = _rich_output(view, step, min(150, room))
    status = "pending" if tolerated(view, step) else task_status(step)
    title = step_title(view.runbook, step, _items(view, step))
    return TaskCardBlock(
        task_id=f"step-{step.id}",
        title=plain(f"{icon} {title}" if status == "pending" and step.status not in _NOT_BEGUN else title, 120),
        status=status,
        details=rich(*by_name(plain(details, min(200, room)))) if details else None,
        output=rich(*output) if output else None,
    )


def lines(view: ExecutionView) -> list[Block]:
    """The steps as text that every client and workspace knows."""
    shown, rest = folded(unrolled(ordered(view.steps)), LIMIT)
    room = min(200, _ROOM // max(len(shown), 1))
    found = [f"*{inline(progress(view))}*"]
    for step in shown:
        icon, words = _words(view, step)
        approved = ", ".join(person(user) for user in _approvers(step)[:_PEOPLE])
        note = f"approved by {approved}" if approved else _line_note(view, step, room)
        tail = f" · {note}" if note else ""
        found.append(f"{icon} {code(step_title(view.runbook, step, _items(view, step)), 120)} {words}{tail}")
    if rest:
        found.append(_left_out(rest))
    return sections(found)


def _line_note(view: ExecutionView, step: StepRunRecord, room: int) -> str:
    text = cut(one_line(_rounds(view, step) or note_of(step) or _output(view, step)), room)
    return noted(text)


def tolerated(view: ExecutionView, step: StepRunRecord) -> bool:
    """Whether a step has failed and the run goes on as if it had not."""
    return step.status is StepStatus.FAILED and tolerated_failures.tolerated(view.runbook, step.step_id, step.error)


def _words(view: ExecutionView, step: StepRunRecord) -> tuple[str, str]:
    if tolerated_failures.reported(view.runbook, step):
        return REPORTED
    return TOLERATED if tolerated(view, step) else step_words(step, run_ended=view.execution.status.ended)


def _items(view: ExecutionView, step: StepRunRecord) -> str:
    """What the rounds that a step is in are about, from the outside in; "" where that cannot be said in a few words."""
    known = {each.path: each for each in view.steps}
    told = []
    for end in (found.end() for found in re.finditer(r"\[\d+\]", step.scope)):
        path, _, number = step.scope[: end - 1].rpartition("[")
        items = known[path].items if path in known else None
        item = items[int(number)] if isinstance(items, list) and int(number) < len(items) else None
        if not isinstance(item, str | int | float):
            return ""
        told.append(as_json(item, 40))
    return " · ".join(told)


def step_title(runbook: Runbook, step: StepRunRecord, items: str = "") -> str:
    """The step's path, its name where the runbook gives one, and what it is part of where that is not the main part.

    Where it is known what its rounds of a loop are about, `items` says that in place of their numbers.
    """
    known = runbook.by_id.get(step.step_id)
    if items:
        title = f"{step.path.rpartition('].')[2]} · {items}"
        return title if step.phase is Phase.MAIN else f"{PHASES[step.phase]}: {title}"
    name = known.name if known is not None and step.phase is not Phase.UNDO else ""
    title = f"{step.path} · {name}" if name not in ("", step.path, step.step_id) else step.path
    return title if step.phase is Phase.MAIN else f"{PHASES[step.phase]}: {title}"


def progress(view: ExecutionView) -> str:
    """How far it is, in one line."""
    if not view.steps:
        return "No steps yet"
    counted = Counter(step.status for step in view.steps if not never_started(step))
    told = [f"{counted[StepStatus.SUCCESS]} of {len(view.steps)} steps done"]
    others = (StepStatus.FAILED, StepStatus.UNKNOWN, StepStatus.SKIPPED, StepStatus.CANCELLED)
    return ", ".join([*told, *(f"{counted[each]} {_COUNTED_AS[each]}" for each in others if counted[each])])


def _rounds(view: ExecutionView, step: StepRunRecord) -> str:
    """How many rounds of a loop are done, where those are not shown one by one."""
    if not kind_of(step).repeats:
        return ""
    prefix = f"{step.path}["
    inside = [each for each in view.steps if each.scope.startswith(prefix)]
    rounds: dict[str, bool] = {}
    for each in inside:
        name = each.scope[: each.scope.index("]", len(prefix)) + 1]
        rounds[name] = rounds.get(name, True) and each.status in _DONE
    count = sum(rounds.values())
    return f"{count} round{'' if count == 1 else 's'} done" if len(inside) > _LOOP else ""


def note_of(step: StepRunRecord) -> str:
    """What is said of a step beside its state: that somebody wants it skipped, and how it went."""
    said = error_field(step.error, "message") or step.note
    return " · ".join(part for part in (skip_wish(step), said) if part)


def _output(view: ExecutionView, step: StepRunRecord) -> str:
    """The telling part of what a step gave back: what the runbook names as its outputs, else how it was answered."""
    if step.status is not StepStatus.SUCCESS or not isinstance(step.outputs, dict) or not step.outputs:
        return ""
    if kind_of(step).is_gate:
        return ""
    known = view.runbook.by_id.get(step.step_id)
    if "status" in step.outputs and not (known is not None and known.outputs):
        return as_json(step.outputs["status"], 20)
    note = manual.OUTPUTS if kind_of(step) is manual.KIND and not (known is not None and known.outputs) else ()
    given = {name: value for name, value in step.outputs.items() if name not in note}
    return _value_text(given, 120) if given else ""


def _approvers(step: StepRunRecord) -> list[str]:
    """Who approved, where this step is a gate that people approved."""
    if not kind_of(step).is_gate or step.status is not StepStatus.SUCCESS or not isinstance(step.outputs, dict):
        return []
    return [str(user) for user in step.outputs.get("approved_by", [])]


def _rich_output(view: ExecutionView, step: StepRunRecord, limit: int) -> list[str | Person]:
    """The telling part of what a step gave back, with people by name."""
    approved = _approvers(step)[:_PEOPLE]
    if not approved:
        return [plain(output, limit)] if (output := _output(view, step)) else []
    parts: list[str | Person] = []
    for user in approved:
        parts += [", " if parts else "approved by ", Person(user) if is_person(user) else plain(user, 80)]
    return parts


def _value_text(value: Json, limit: int) -> str:
    """A value without the brackets that only programs need."""
    pairs = value.items() if isinstance(value, dict) else ()
    return cut(", ".join(f"{key}: {as_json(part, 40)}" for key, part in pairs), limit) or as_json(value, limit)


def _left_out(rest: Counter[str]) -> str:
    counted = ", ".join(f"{count} {words}" for words, count in rest.most_common())
    return f"and {sum(rest.values())} more steps: {counted}"
