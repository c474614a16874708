"""Tokens, the audit and incidents, as data."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from bot.api.models.base import Json, Named, RequestBody, Text, fields_of, moment
from bot.api.models.executions import Execution, Explanation
from engine.access.auditing import of_execution
from engine.queries.audit_chain import Verified
from engine.queries.incident_story import Story as Told
from storage.people_records import TokenRecord
from storage.records import AuditRecord, IncidentRecord
from storage.states import Scope, Severity

Short = Annotated[str, Field(max_length=300)]
Facts = Annotated[dict[str, Annotated[str, Field(max_length=1000)]], Field(max_length=50)]


class Token(Named):
    """A token without its secret. `person` is who it acts as."""

    id: str
    person: str
    name: str
    scopes: list[Scope]
    created_at: datetime
    created_by: str
    expires_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None
    revoked_by: str | None

    @staticmethod
    def of(record: TokenRecord) -> Token:
        return Token(**fields_of(Token, record, person=record.user_id, scopes=sorted(record.scopes)))


class AuditRow(Named):
    """Who did what. `seq` and `hash` are its place in the chain, null until it is sealed."""

    id: int
    at: datetime
    actor: str
    action: str
    thing: str
    severity: Severity
    detail: Json
    seq: int | None
    hash: str | None

    @staticmethod
    def of(record: AuditRecord) -> AuditRow:
        return AuditRow(**fields_of(AuditRow, record, at=moment(record.at)))


class ChainTrouble(BaseModel):
    """A row at which the chain does not hold, and what was done to it; `what` goes on after the row's number."""

    seq: int
    what: str


class Chain(BaseModel):
    """The chain of audit rows: how many there are, its head, and where it does not hold.

    `mac` is the head's, made with the audit key; rows before `keyed_from` have none.
    """

    rows: int
    seq: int
    hash: str
    mac: str | None
    keyed_from: int | None
    troubles: list[ChainTrouble]

    @staticmethod
    def of(found: Verified) -> Chain:
        troubles = [ChainTrouble(seq=each.seq, what=each.what) for each in found.troubles]
        return Chain(
            rows=found.rows, seq=found.seq, hash=found.hash, mac=found.mac, keyed_from=found.keyed_from,
            troubles=troubles,
        )  # fmt: skip


class Incident(BaseModel):
    """A channel bound to a case. `fields` are its own facts."""

    id: int
    channel: str
    channel_name: str
    title: str
    severity: str
    fields_: dict[str, str] = Field(serialization_alias="fields", validation_alias="fields")
    opened_at: datetime
    opened_by: str
    closed_at: datetime | None
    closed_by: str | None
    close_reason: str

    @staticmethod
    def of(record: IncidentRecord) -> Incident:
        known = fields_of(Incident, record, fields_=record.fields)
        return Incident(**{**known, "fields": known.pop("fields_")})


class NewIncident(RequestBody):
    """An incident to open in a channel."""

    channel: Annotated[str, Field(pattern="^[CGD][A-Z0-9]{2,20}$", description="A Slack channel's id.")]
    channel_name: Short = ""
    title: Short = ""
    severity: Short = ""
    facts: Annotated[Facts, Field(alias="fields", default_factory=dict)]


class EditedIncident(RequestBody):
    """What is to be changed; what is left out stays, an empty field is dropped."""

    title: Short | None = None
    severity: Short | None = None
    facts: Annotated[Facts, Field(alias="fields", default_factory=dict)]


class LeftOut(BaseModel):
    """How many of each the story leaves out: runs, runs under way, runs that failed, and deeds."""

    runs: int
    open: int
    failures: int
    deeds: int


class Story(Named):
    """What happened in a channel since then. `open` and `failures` explain the runs that matter now."""

    since: datetime
    runs: list[Execution]
    more: bool
    open: list[Explanation]
    failures: list[Explanation]
    deeds: list[AuditRow]
    left_out: LeftOut

    @staticmethod
    def of(told: Told, hidden: Collection[str]) -> Story:
        """`hidden` are the ids of runs that whoever asks may not see."""
        things = {of_execution(each) for each in hidden}
        return Story(
            since=moment(told.since),
            runs=[Execution.of(each) for each in told.runs if each.id not in hidden],
            more=told.more,
            open=[Explanation.of(each) for each in told.open if each.execution.id not in hidden],
            failures=[Explanation.of(each) for each in told.failures if each.execution.id not in hidden],
            deeds=[AuditRow.of(each) for each in told.deeds if each.thing not in things],
            left_out=LeftOut(**fields_of(LeftOut, told.left_out)),
        )


class Ruling(Named):
    """Whether somebody may do something, by which rule, and whom to ask where they may not."""

    person: str
    verb: str
    thing: str
    allowed: bool
    why: str
    rule: str
    role: str
    ask: list[str]
    but: Text
