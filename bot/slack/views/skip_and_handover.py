"""What people are asked besides gates: to agree that a step is skipped, and to take a run over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slack_sdk.models.blocks import Block

from bot.slack.ids import Action
from bot.slack.payload_values import RunRef, SkipRef
from bot.slack.views.gate import barred_words
from bot.slack.views.parts import Message, actions, button, context, message, section
from bot.slack.views.text import escape, inline, person
from bot.slack.views.words import approver_words, execution_words, step_words
from engine.orchestration import skip_rules
from storage.records import EventRecord, ExecutionRecord, StepRunRecord
from storage.states import StepStatus

if TYPE_CHECKING:
    from engine.runs.skipping import Request

_GATES = 5


def skip_post(event: EventRecord, step: StepRunRecord | None, request: Request | None) -> Message:
    """Somebody's wish that a step be skipped which a gate has released; without a `request`, what came of it."""
    title = f"{person(event.actor)} asks to skip *{inline(event.path or 'a step', 120)}*"
    blocks: list[Block] = [section(f"⏭️ {title}: {escape(_fact(event, 'reason'), 800)}")]
    if request is None:
        return message(f"⏭️ {title}", [*blocks, context(_came_of_skip(event, step))])
    decided = ", ".join(f"*{inline(gate.approval.path, 120)}*" for gate in request.gates[:_GATES]) or "A gate"
    why = f"{decided} has released it as it is, so one who decides there has to agree, and not {person(event.actor)}."
    ref = SkipRef(event.execution_id, request.step.path, request.step.skip["at"])
    blocks += [section(why), *actions([button("Agree to skip", Action.AGREE, ref, style="primary")])]
    return message(f"⏭️ {title}", [*blocks, context(*_may_agree(request))])


def _may_agree(request: Request) -> list[str]:
    told = []
    for gate in request.gates[:_GATES]:
        agreed = request.step.skip["agreed"].get(str(gate.approval.id))
        who = f"{person(agreed)} agreed" if agreed else f"may agree: {approver_words(gate.approval.approvers)}"
        own = "" if agreed else barred_words(gate.approval)
        told.append(f"{inline(gate.approval.path, 120)}: {who}{own}")
    return told


def _came_of_skip(event: EventRecord, step: StepRunRecord | None) -> str:
    wish = step.skip if step is not None else None
    if step is None or not wish:
        return "This is not asked any more."
    if wish["at"] != event.at:
        return "It was asked anew since then."
    if not skip_rules.skip_agreed(wish):
        return f"This is not asked any more: the step is {step_words(step)[1]}."
    agreed = ", ".join(person(each) for each in dict.fromkeys(wish["agreed"].values()))
    skipped = "It is skipped" if step.status is StepStatus.SKIPPED else "It is skipped when its turn comes"
    return f"{agreed} agreed. {skipped}." if agreed else f"{skipped}: no gate stands before it any more."


def offer_post(event: EventRecord, run: ExecutionRecord, *, over: bool) -> Message:
    """A run that is offered to somebody; how it went where that is over."""
    to, why = _fact(event, "to"), _fact(event, "reason")
    title = f"{person(event.actor)} offers this run to {person(to)}{f': {escape(why, 800)}' if why else ''}"
    blocks: list[Block] = [section(f"🤝 {title}")]
    if over:
        return message(f"🤝 {title}", [*blocks, context(_came_of_offer(run, to))])
    blocks += actions([button("Take it over", Action.TAKE_OVER, RunRef(run.id), style="primary")])
    hint = f"Until then it is {person(run.responsible)}'s. Whoever takes a run over does not decide at its gates."
    return message(f"🤝 {title}", [*blocks, context(hint)])


def _came_of_offer(run: ExecutionRecord, to: str) -> str:
    if run.owner == to:
        return f"{person(to)} took it over."
    if run.status.ended:
        return f"Nobody took it over: the run is over ({execution_words(run)[1].lower()})."
    return "The offer was taken back, or made to somebody else."


def _fact(event: EventRecord, name: str) -> str:
    value = event.data.get(name) if isinstance(event.data, dict) else None
    return value if isinstance(value, str) else ""
