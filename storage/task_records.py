"""What a manual step asks of people, as a frozen record."""

from __future__ import annotations

from dataclasses import dataclass

from storage.records import Json
from storage.states import TaskStatus


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """A manual step each time that it was asked. It leaves OPEN once, for good.

    `instructions` are mrkdwn. `assignees` names who may do it as a gate's approvers are named; empty, whoever may steer
    the run. `form` is the JSON Schema of the answers, empty where there are none. Times are epoch milliseconds;
    `remind_at` is when people are next reminded, None when not again. `ended_by` is the Slack user id of whoever ended
    it, None for the bot.
    """

    id: int
    execution_id: str
    step_run_id: int
    path: str
    status: TaskStatus
    instructions: str
    assignees: Json
    form: Json
    opened_at: int
    expires_at: int
    remind_at: int | None = None
    ended_at: int | None = None
    ended_by: str | None = None
    note: str = ""
    answers: Json = None
