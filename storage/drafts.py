"""What people have filled into the first parts of a form of several, until they send off the last."""

from __future__ import annotations

from storage.columns import first
from storage.database import now
from storage.records import Json
from storage.request_tables import FormDraft

KEPT_MS = 3_600_000


def keep(workspace_id: int, person: str, content: Json) -> int:
    """Keep a draft and return its id; drafts nobody came back to for an hour are dropped on the way."""
    FormDraft.delete().where(FormDraft.at < now() - KEPT_MS).execute()
    return int(FormDraft.insert(workspace_id=workspace_id, person=person, content=content, at=now()).execute())


def find(workspace_id: int, person: str, draft_id: int) -> Json:
    """What a person's draft holds, None where there is none or it is over an hour old, dropped yet or not."""
    theirs = (FormDraft.workspace_id == workspace_id) & (FormDraft.person == person)
    query = FormDraft.select(FormDraft.content).where(
        (FormDraft.id == draft_id) & theirs & (FormDraft.at >= now() - KEPT_MS)
    )
    row = first(query)
    return row["content"] if row else None
