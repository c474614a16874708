"""Tokens by which programs act as a person."""

from __future__ import annotations

from typing import Any

from storage import rows, sql
from storage.database import now
from storage.people_records import TokenRecord
from storage.people_tables import Token

_NAMES = TokenRecord.__slots__


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
    return sql.first(sql.Query(Token, TokenRecord, where, values))


def listing(workspace_id: int, user_id: str | None = None, *, limit: int = 200) -> list[TokenRecord]:
    """One person's tokens, or everybody's, the newest first."""
    query = rows.select(Token, TokenRecord).where(Token.workspace_id == workspace_id)
    if user_id is not None:
        query = query.where(Token.user_id == user_id)
    return rows.read(query.order_by(Token.created_at.desc(), Token.id).limit(limit), TokenRecord)


def touch(token_id: str, at: int) -> None:
    """Note that it was used."""
    Token.update(last_used_at=at).where(Token.id == token_id).execute()


def revoke(token_id: str, by: str) -> bool:
    """End a token for good; False when it was revoked before."""
    query = Token.update(revoked_at=now(), revoked_by=by)
    return bool(query.where((Token.id == token_id) & Token.revoked_at.is_null()).execute())
