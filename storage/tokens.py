"""Tokens by which programs act as a person."""

from __future__ import annotations

from typing import Any

from storage import sql
from storage.columns import dicts
from storage.database import now
from storage.records import TokenRecord
from storage.states import Scope
from storage.tables import Token

_NAMES = TokenRecord.__slots__


def _record(row: dict[str, Any]) -> TokenRecord:
    return TokenRecord(**{**row, "scopes": frozenset(map(Scope, row["scopes"]))})


def create(workspace_id: int, token: TokenRecord) -> None:
    """Keep a new token. Raises `database.IntegrityError` when the id is taken."""
    row = {name: getattr(token, name) for name in _NAMES}
    sql.insert(Token, [{"workspace_id": workspace_id, **row, "scopes": sorted(token.scopes)}])


def by_digest(workspace_id: int, digest: str) -> TokenRecord | None:
    """The token whose secret has this digest, whether it still counts or not."""
    return _first("workspace_id = ? AND digest = ?", workspace_id, digest)


def find(workspace_id: int, token_id: str) -> TokenRecord | None:
    """The token of this id, also one that is revoked or has expired; None where the workspace has none."""
    return _first("workspace_id = ? AND id = ?", workspace_id, token_id)


def _first(where: str, *values: Any) -> TokenRecord | None:
    for row in sql.select(Token, _NAMES, where, *values):
        return _record(dict(zip(_NAMES, row, strict=True)))
    return None


def listing(workspace_id: int, user_id: str | None = None, *, limit: int = 200) -> list[TokenRecord]:
    """One person's tokens, or everybody's, the newest first."""
    query = Token.select(*[getattr(Token, name) for name in _NAMES]).where(Token.workspace_id == workspace_id)
    if user_id is not None:
        query = query.where(Token.user_id == user_id)
    return [_record(row) for row in dicts(query.order_by(Token.created_at.desc(), Token.id).limit(limit))]


def touch(token_id: str, at: int) -> None:
    """Note that it was used."""
    Token.update(last_used_at=at).where(Token.id == token_id).execute()


def revoke(token_id: str, by: str) -> bool:
    """End a token for good; False when it was revoked before."""
    query = Token.update(revoked_at=now(), revoked_by=by)
    return bool(query.where((Token.id == token_id) & Token.revoked_at.is_null()).execute())
