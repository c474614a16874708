"""The tables of what people ask for at a door: requests that are done once, forms half filled. As in `tables`."""

from __future__ import annotations

import peewee as pw

from storage.columns import JsonText, Table, Text


class Idempotency(Table):
    """A run that a person's idempotency key has started."""

    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    actor = Text()
    key = Text()
    request = Text()
    execution_id = Text()
    at = pw.BigIntegerField()


class FormDraft(Table):
    """A form that somebody has filled in part."""

    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    person = Text()
    content = JsonText()
    at = pw.BigIntegerField()


class RequestSeen(Table):
    """A request of Slack's that was taken, by its own key, so that it is taken once."""

    key = Text(primary_key=True)
    at = pw.BigIntegerField()


class Answer(Table):
    """A keyed request over REST: whose turn it is, and what it was answered."""

    id = pw.BigAutoField()
    workspace_id = pw.BigIntegerField()
    actor = Text()
    key = Text()
    request = Text()
    status = pw.BigIntegerField(null=True)
    headers = JsonText()
    body = Text()
    at = pw.BigIntegerField()
    holder = Text()
    held_until = pw.BigIntegerField()
    thing = Text(null=True)


ALL: tuple[type[Table], ...] = (Idempotency, FormDraft, RequestSeen, Answer)
