"""Manual steps as data: what is to be done by hand, and what somebody says came of it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from bot.api.models.base import Json, Named, Number, RequestBody, Text, Values, fields_of
from engine.access.roles import describe_approvers
from engine.text.mrkdwn import readable
from storage.states import TaskStatus
from storage.task_records import TaskRecord


class ManualTask(Named):
    """A manual step each time that it was asked. Send `id` along as `task` to speak of exactly this asking.

    `form` is the JSON Schema of the answers. `ended_by` is who did it or could not, null where the bot ended it.
    """

    id: int
    step: str
    status: TaskStatus
    instructions: str
    assignees: str
    form: Json
    opened_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    ended_by: str | None
    note: str
    answers: Json

    @staticmethod
    def of(task: TaskRecord, team: str | None) -> ManualTask:
        who = describe_approvers(task.assignees, team) if task.assignees else "whoever may steer the run"
        return ManualTask(
            **fields_of(ManualTask, task, step=task.path, assignees=who, instructions=readable(task.instructions))
        )


class CouldNot(RequestBody):
    """That a manual step could not be done. The note is required; with `task` it counts for that asking only."""

    note: Text = ""
    task: Annotated[Number | None, Field(description="The `id` of the asking that was shown.")] = None


class Done(CouldNot):
    """That a manual step is done, with the answers to its form; with `task` it counts for that asking only."""

    answers: Annotated[Values, Field(default_factory=dict, description="Answers by the field's name.")]
