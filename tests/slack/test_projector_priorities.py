"""Whose turn it is when more waits to be shown than Slack takes."""

from __future__ import annotations

from sample_records import gate, step, view

from bot.slack.projector.priorities import Part, Turn, Urgency, in_order, turns_of, urgency
from storage.records import CardRecord, PostRecord
from storage.states import ApprovalStatus, ExecutionStatus, StepStatus


def card(run: str) -> CardRecord:
    return CardRecord(*(run if name == "execution_id" else None for name in CardRecord.__slots__))


def test_an_open_gate_comes_first_until_its_thread_shows_it() -> None:
    """Then failures and steps that nobody knows the outcome of, then ends, then progress."""
    waiting = view(gates=(gate(id=7),), status=ExecutionStatus.WAITING)
    assert urgency(waiting, []) is Urgency.GATE
    there = PostRecord("R-7K2M9Q", "gate:7", "C1", "1.0", settled=False)
    assert urgency(waiting, [there]) is Urgency.PROGRESS
    assert urgency(view(gates=(gate(ApprovalStatus.APPROVED, id=7),)), []) is Urgency.PROGRESS
    assert urgency(view(status=ExecutionStatus.FAILED), []) is Urgency.TROUBLE
    assert urgency(view(pending_result=ExecutionStatus.FAILED), []) is Urgency.TROUBLE
    assert urgency(view((step(status=StepStatus.UNKNOWN),)), []) is Urgency.TROUBLE
    assert urgency(view(status=ExecutionStatus.SUCCESS), []) is Urgency.END
    assert urgency(view(), []) is Urgency.PROGRESS


def test_all_cards_of_one_urgency_come_before_their_threads_and_pictures_last() -> None:
    """Across runs, not run by run: thirty gates show their buttons before one of them is told twice."""
    runs = {
        "R-PROGRESS": view(),
        "R-ENDED": view(status=ExecutionStatus.SUCCESS),
        "R-GATE1": view(gates=(gate(id=1),)),
        "R-FAILED": view(status=ExecutionStatus.FAILED),
        "R-GATE2": view(gates=(gate(id=2),)),
    }
    turns: list[Turn] = [turn for run, each in runs.items() for turn in turns_of(card(run), each, [])]
    told = [(turn.card.execution_id.removeprefix("R-"), turn.part) for turn in in_order(turns)]
    assert told == [
        ("GATE1", Part.CARD), ("GATE2", Part.CARD), ("GATE1", Part.THREAD), ("GATE2", Part.THREAD),
        ("FAILED", Part.CARD), ("FAILED", Part.THREAD), ("ENDED", Part.CARD), ("ENDED", Part.THREAD),
        ("PROGRESS", Part.CARD), ("PROGRESS", Part.THREAD), ("ENDED", Part.PICTURE), ("FAILED", Part.PICTURE),
    ]  # fmt: skip
