"""Secrets, as data: everything about them but their values."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from bot.api.models.base import Named, RequestBody, fields_of, moment
from engine.access.secrets import Rotated
from engine.queries.secrets import SecretView
from storage.secret_records import SecretVersionRecord

SecretName = Annotated[str, Field(max_length=63, pattern="^[a-z][a-z0-9_]*$")]


class SecretVersion(Named):
    """That a stored secret was set, or deleted, by whom and when."""

    version: int
    deleted: bool
    set_by: str
    set_at: datetime

    @staticmethod
    def of(record: SecretVersionRecord) -> SecretVersion:
        return SecretVersion(**fields_of(SecretVersion, record))


class SecretReader(BaseModel):
    """A runbook that reads a secret. `approved` is false where only its newest draft does."""

    runbook: str
    team: str | None
    approved: bool


class Secret(Named):
    """A secret without its value.

    `source` is where it comes from, null where it is missing, and `hides` the sources behind that have it too. `stored`
    is the version in the store. `senders` are those of events that it proves. `problem` says why it cannot be used.
    `teams` are those whose runbooks `_secrets.yaml` lets use it, `hosts` where it may be sent; null for all.
    """

    name: str
    source: Literal["environment", "file", "store", "vault"] | None
    hides: list[str]
    stored: SecretVersion | None
    runbooks: list[SecretReader]
    senders: list[str]
    last_used_at: datetime | None
    problem: str | None
    teams: list[str] | None
    hosts: list[str] | None

    @staticmethod
    def of(found: SecretView) -> Secret:
        readers = [SecretReader(runbook=each.runbook, team=each.team, approved=each.approved) for each in found.uses]
        return Secret(
            name=found.name, source=found.source or None, hides=list(found.hides),  # type: ignore[arg-type]
            stored=SecretVersion.of(found.stored) if found.stored else None, runbooks=readers,
            senders=list(found.senders), problem=found.problem or None,
            last_used_at=moment(found.last_used_at) if found.last_used_at else None,
            teams=None if found.teams is None else list(found.teams),
            hosts=None if found.hosts is None else list(found.hosts),
        )  # fmt: skip


class SecretValue(RequestBody):
    """The value to be kept: 4 characters to 64 KiB of text. It is in no answer."""

    value: Annotated[str, Field(max_length=65_536, json_schema_extra={"format": "password", "writeOnly": True})]


class KeysRotated(BaseModel):
    """How many secrets were put under the key with this id, and why others were not."""

    key: str
    rewrapped: int
    problems: list[str]

    @staticmethod
    def of(done: Rotated) -> KeysRotated:
        return KeysRotated(key=done.key_id, rewrapped=done.rewrapped, problems=list(done.problems))
