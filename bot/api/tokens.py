"""Tokens: one's own, and everybody's for platform admins. They are made in Slack or on the host only."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from bot.api import models
from bot.api.caller import AuthenticatedCaller
from bot.api.problems import documented
from bot.api.route import Operation, needs
from engine.access import tokens
from engine.access.policy import Action

router = APIRouter(prefix="/tokens", tags=["tokens"], route_class=Operation)


@router.get("", responses=documented(403, 422), **needs(Action.TOKEN))
def list_tokens(
    caller: AuthenticatedCaller,
    everybody: Annotated[bool, Query(description="Everybody's, for platform admins.")] = False,
) -> list[models.Token]:
    """Your tokens, the newest first, without their secrets."""
    return [models.Token.of(each) for each in tokens.listing(caller.rt, caller.actor, everybody=everybody)]


@router.get("/current", **needs(Action.TOKEN))
def get_current_token(caller: AuthenticatedCaller) -> models.Token:
    """The token that you ask with."""
    return models.Token.of(caller.token)


@router.get("/{token}", responses=documented(404), **needs(Action.TOKEN))
def get_token(caller: AuthenticatedCaller, token: str) -> models.Token:
    """One token."""
    return models.Token.of(tokens.get(caller.rt, caller.actor, token))


@router.delete("/{token}", responses=documented(403, 404, 409), **needs(Action.TOKEN))
def revoke_token(caller: AuthenticatedCaller, token: str) -> models.Token:
    """End a token at once."""
    return models.Token.of(tokens.revoke(caller.rt, caller.actor, token))
