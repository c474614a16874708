"""Whose turn it is when more waits to be shown than Slack takes: what people have to act on comes first."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import IntEnum

from engine.runs.executions import ExecutionView
from storage.records import CardRecord, PostRecord
from storage.states import ApprovalStatus, ExecutionStatus, StepStatus


class Urgency(IntEnum):
    """What a run has to show, the most urgent first."""

    GATE = 0
    """An open gate that its thread does not show yet."""
    TROUBLE = 1
    """A failure, or a step whose outcome a person has to say."""
    END = 2
    PROGRESS = 3
    PICTURE = 4
    """The picture of a run whose end its thread tells already."""


class Part(IntEnum):
    """The parts of a run in Slack: all cards of one urgency come before the threads of the same."""

    CARD = 0
    THREAD = 1
    PICTURE = 2


@dataclass(frozen=True, slots=True)
class Turn:
    """One part of one run that lags."""

    urgency: Urgency
    part: Part
    card: CardRecord
    view: ExecutionView


def urgency(view: ExecutionView, posts: Collection[PostRecord]) -> Urgency:
    """How soon people need to see this run as it stands; `posts` are the messages that stand beside its card."""
    asked = {post.key for post in posts}
    waiting = [gate.approval.id for gate in view.gates if gate.approval.status is ApprovalStatus.PENDING]
    if any(f"gate:{each}" not in asked for each in waiting):
        return Urgency.GATE
    failing = ExecutionStatus.FAILED in (view.execution.status, view.execution.pending_result)
    if failing or any(step.status is StepStatus.UNKNOWN for step in view.steps):
        return Urgency.TROUBLE
    return Urgency.END if view.execution.status.ended else Urgency.PROGRESS


def turns_of(card: CardRecord, view: ExecutionView, posts: Collection[PostRecord]) -> list[Turn]:
    """All that a run which lags has to show."""
    urgent = urgency(view, posts)
    shown = [Turn(urgent, part, card, view) for part in (Part.CARD, Part.THREAD)]
    ended = view.execution.status.ended
    return [*shown, Turn(Urgency.PICTURE, Part.PICTURE, card, view)] if ended else shown


def in_order(turns: Collection[Turn]) -> list[Turn]:
    """The most urgent first, across all runs; among equals in the order given."""
    return sorted(turns, key=lambda turn: (turn.urgency, turn.part))
