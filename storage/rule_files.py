"""The files beside the runbooks (`_access`, `_secrets`, `_calendar` and `_targets.yaml`) as last synced."""

from __future__ import annotations

from storage.database import now
from storage.freeze_tables import FreezeCalendar
from storage.people_tables import AccessPolicy
from storage.records import Json
from storage.secret_tables import SecretPolicy
from storage.target_tables import TargetFile

RuleFile = type[AccessPolicy] | type[SecretPolicy] | type[FreezeCalendar] | type[TargetFile]


def save(table: RuleFile, workspace_id: int, digest: str, content: Json) -> bool:
    """Keep a file's content; False when it is what was kept before."""
    known = table.get_or_none(table.workspace_id == workspace_id)
    if known is not None and known.digest == digest:
        return False
    kept = {"digest": digest, "content": content}
    if table is not FreezeCalendar:
        kept["loaded_at"] = now()
    added = table.insert(workspace_id=workspace_id, **kept)
    added.on_conflict(conflict_target=[table.workspace_id], update=kept).execute()
    return True
