"""What a freeze may name, as people write it: `everything`, `team:payments`, `tag:db`, `runbook:ID` or a bare id."""

from __future__ import annotations

import difflib

from engine.access.actions import FreezeScope, ScopeKind
from engine.access.freezes import parsed
from engine.access.roles import policy_of
from engine.errors import NotFound
from engine.runtime import Runtime
from storage import database, runbooks


def spelled(text: str) -> FreezeScope:
    """The scope that is written, whether there is such a thing or not. Raises `NotFound` for another kind."""
    kind, colon, name = text.strip().partition(":")
    if not colon:
        kind, name = (kind, "") if kind.lower() == ScopeKind.EVERYTHING else (ScopeKind.RUNBOOK, kind)
    kind, name = kind.strip().lower(), name.strip()
    if kind not in set(ScopeKind) or bool(name) != (kind != ScopeKind.EVERYTHING):
        raise NotFound(f"“{text[:60]}” is no scope: write everything, team:NAME, tag:NAME or a runbook's id.")
    return FreezeScope(kind, name.lower() if kind == ScopeKind.RUNBOOK else name)


def scope_of(rt: Runtime, text: str) -> FreezeScope:
    """The scope that is written, with its team. Raises `NotFound` for what is not there.

    A misspelt scope would freeze nothing, and nobody would notice.
    """
    scope = spelled(text)
    known = _known(rt, scope.kind)
    if scope.name and scope.name not in known:
        near = difflib.get_close_matches(scope.name, known, n=1)
        meant = f" Did you mean {scope.kind}:{near[0]}?" if near else ""
        raise NotFound(f"There is no {scope.kind} {scope.name[:60]!r}.{meant}")
    return parsed(rt, scope.slug)


def _known(rt: Runtime, kind: str) -> list[str]:
    if kind == ScopeKind.EVERYTHING:
        return []
    with database.reading():
        found = runbooks.listing(rt.workspace_id)
        said = runbooks.approved_definitions(rt.workspace_id) if kind != ScopeKind.RUNBOOK else []
    if kind == ScopeKind.TEAM:
        teams = {*(policy_of(rt).get("teams") or {}), *(each.team for each in found), *(each["team"] for each in said)}
        return sorted(filter(None, teams))
    if kind == ScopeKind.TAG:
        return sorted({tag for each in found for tag in each.tags} | {tag for each in said for tag in each["tags"]})
    return sorted(each.slug for each in found)
