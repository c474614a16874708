"""Secrets: what there is to know of them, and setting them. No answer and no log holds a value."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from bot.api import models
from bot.api.caller import AuthenticatedCaller
from bot.api.problems import documented
from bot.api.route import Operation, needs
from engine.access import secrets
from engine.access.policy import Action
from engine.queries import secrets as queries

router = APIRouter(prefix="/secrets", tags=["secrets"], route_class=Operation)

Name = Annotated[str, Path(max_length=100, description="As in `secrets.lb_token`, without `secrets.`.")]


@router.get("", responses=documented(403), **needs(Action.SECRETS))
def list_secrets(caller: AuthenticatedCaller) -> list[models.Secret]:
    """Every secret that there is or that a runbook reads, by name."""
    return [models.Secret.of(each) for each in queries.listing(caller.rt, caller.actor)]


@router.post("/rotate-keys", responses=documented(403), **needs(Action.SECRET_SET))
def rotate_secret_keys(caller: AuthenticatedCaller) -> models.KeysRotated:
    """Put every stored secret under the first key of SECRET_KEYS, while runs go on."""
    return models.KeysRotated.of(secrets.rotate_keys(caller.rt, caller.actor))


@router.get("/{secret}/versions", responses=documented(403, 404), **needs(Action.SECRETS))
def list_secret_versions(caller: AuthenticatedCaller, secret: Name) -> list[models.SecretVersion]:
    """Who set or deleted a stored secret and when, the newest first."""
    return [models.SecretVersion.of(each) for each in queries.versions(caller.rt, caller.actor, secret)]


@router.put("/{secret}", responses=documented(403), **needs(Action.SECRET_SET))
def set_secret(caller: AuthenticatedCaller, secret: Name, body: models.SecretValue) -> models.SecretVersion:
    """Make this the secret's value from the next step on."""
    # A PUT, as an idempotency key would have a POST's digest kept, by which a short value could be guessed.
    return models.SecretVersion.of(secrets.set_value(caller.rt, caller.actor, secret, body.value))


@router.delete("/{secret}", responses=documented(403, 404), **needs(Action.SECRET_SET))
def delete_secret(caller: AuthenticatedCaller, secret: Name) -> models.SecretVersion:
    """Erase a stored secret; who set it and when stays."""
    return models.SecretVersion.of(secrets.delete(caller.rt, caller.actor, secret))
