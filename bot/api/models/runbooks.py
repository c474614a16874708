"""Runbooks and their versions, as data."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, model_validator

from bot.api.models.base import Json, Named, Number, Reason, RequestBody, Text, Values, fields_of, moment
from bot.api.models.executions import Execution
from engine.catalog.renewals import Approval
from engine.definition import reaches
from engine.option_cache import Offered
from storage.catalog_records import RehearsalRecord, RunbookRecord, VersionRecord
from storage.states import VersionStatus


class Runbook(BaseModel):
    """A runbook. `file` is where it comes from; null for one that lives in the database."""

    id: str
    name: str
    description: str
    team: str | None
    tags: list[str]
    risk: str
    status: VersionStatus
    version: int
    file: str | None
    updated_at: datetime

    @staticmethod
    def of(record: RunbookRecord) -> Runbook:
        return Runbook(**runbook_fields(record))


def runbook_fields(record: RunbookRecord) -> dict[str, Any]:
    renamed = {"id": record.slug, "version": record.current_number, "file": record.source_path}
    return fields_of(Runbook, record, **renamed)


class Version(Named):
    """One immutable version of a runbook. `author` and `decided_by` are Slack user ids."""

    number: int
    status: VersionStatus
    digest: str
    author: str | None
    source_commit: str | None
    note: str
    created_at: datetime
    decided_by: str | None
    decided_at: datetime | None

    @staticmethod
    def of(record: VersionRecord) -> Version:
        return Version(**fields_of(Version, record))


class ApprovedVersion(Version):
    """A version with how far its approval is, or its renewal where that is due.

    `approved_by` are those whose approval counts so far, `missing` says what it still needs, in words. `expires_at` is
    when the approval ends or ended; null for good.
    """

    approved_by: list[str]
    missing: list[str]
    expires_at: datetime | None

    @staticmethod
    def of_approval(found: Approval) -> ApprovedVersion:
        return ApprovedVersion(**ApprovedVersion.fields(found))

    @staticmethod
    def fields(found: Approval) -> dict[str, Any]:
        """The fields of a version whose approval was looked up."""
        until = None if found.expires_at is None else moment(found.expires_at)
        said = {"approved_by": found.quorum.people, "missing": list(found.quorum.missing), "expires_at": until}
        return {**dict(Version.of(found.version)), **said}


class Renewal(Named):
    """An approval that is to be renewed; `expired` says that the runbook starts nothing until it is.

    `changed` names the targets that stand for something else since; `expires_at` is null where it lasts for good.
    """

    runbook: str
    number: int
    digest: str
    expires_at: datetime | None
    expired: bool
    changed: list[str]
    approved_by: list[str]
    missing: list[str]


class RunbookDetail(Runbook):
    """A runbook with the JSON Schema of its parameters, its newest versions and its latest runs."""

    parameters: Json
    versions: list[Version]
    executions: list[Execution]


class Reach(BaseModel):
    """A host that a step calls, as written, and the names of the secrets that go there.

    `known` is false where a value decides the host, when it runs. `received` are secrets of the run itself that go
    there, as step.output.
    """

    step: str
    host: str
    known: bool
    secrets: list[str]
    received: list[str]

    @staticmethod
    def of(found: reaches.Reach) -> Reach:
        known, received = found.url is not None, list(found.received)
        return Reach(step=found.step, host=found.host, known=known, secrets=list(found.secrets), received=received)


class RehearsedCase(BaseModel):
    """One case of a rehearsal. `path` has each step that ended, with how; `failures` are empty if it has passed."""

    name: str
    outcome: str
    path: list[tuple[str, str]]
    failures: list[str]


class Rehearsal(BaseModel):
    """What a version's rehearsal came to when it was synced last, or saved; `source` is its text if it was saved.

    `problems` are why it was not played. `points` are the steps and ways that there are, and `missed` those that no
    case has gone through. `changed` says in which cases the way differs from that of the approved version before,
    `outdated` what has changed since it was played, so that it counts no more.
    """

    passed: bool
    at: datetime
    cases: list[RehearsedCase]
    problems: list[str]
    points: int
    missed: list[str]
    changed: list[str]
    outdated: list[str]
    source: str | None

    @staticmethod
    def of(found: RehearsalRecord | None, changed: list[str], outdated: list[str]) -> Rehearsal | None:
        if found is None:
            return None
        said = found.result
        return Rehearsal(
            passed=found.passed, at=moment(found.at), changed=changed, outdated=outdated, problems=said["problems"],
            points=said["points"], missed=said["missed"], source=found.source,
            cases=[RehearsedCase(**{key: each[key] for key in RehearsedCase.model_fields}) for each in said["cases"]],
        )  # fmt: skip


class VersionDetail(ApprovedVersion):
    """A version with its text, with what deserves a second look before it is approved, and with all that it calls.

    `targets` says in words what each of its targets stands for.
    """

    source: str
    targets: list[str]
    warnings: list[str]
    reaches: list[Reach]
    rehearsal: Rehearsal | None


class Diff(BaseModel):
    """What a version changes against the last approved one before it, as a unified diff, and all that it calls.

    `targets` says in words what each of its targets stands for.
    """

    version: int
    diff: str
    targets: list[str]
    reaches: list[Reach]
    rehearsal: Rehearsal | None


class Option(BaseModel):
    """One choice: the value that the parameter takes, and what people read."""

    value: Json
    label: str


class Options(BaseModel):
    """The choices that a system offers for a parameter.

    `as_of` is when they came; null where none ever did. `trouble` says why the system could not be asked now, "" where
    it could. `more` says that it has more than these: search for the others.
    """

    options: list[Option]
    as_of: datetime | None
    trouble: str
    more: bool

    @staticmethod
    def of(found: Offered) -> Options:
        as_of = None if found.as_of is None else moment(found.as_of)
        options = [Option(value=one.value, label=one.label) for one in found.options]
        return Options(options=options, as_of=as_of, trouble=found.trouble, more=found.more)


class Written(RequestBody):
    """A runbook's definition: `definition` as JSON or `source` as YAML, one of them."""

    definition: Annotated[Values | None, Field(description="A runbook of the format runbook/v1.")] = None
    source: Annotated[str | None, Field(max_length=1_000_000, description="The same as the text of a file.")] = None
    note: Annotated[Text, Field(description="What was changed, and why.")] = ""
    rehearsal: Annotated[
        str | None,
        Field(
            max_length=262_144, description="Its rehearsal, as the text of a file; left out, it keeps the one it has."
        ),
    ] = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.definition is None) == (self.source is None):
            raise ValueError("send either definition or source")
        return self


class Changes(RequestBody):
    """Changes to merge into the definition (RFC 7396): null takes a key away, lists are replaced whole."""

    definition: Values
    note: Text = ""
    rehearsal: Annotated[
        str | None,
        Field(
            max_length=262_144, description="Its rehearsal, as the text of a file; left out, it keeps the one it has."
        ),
    ] = None


class WithdrawApproval(RequestBody):
    """Whose approval is taken back: that of a `version`, left out of the newest."""

    version: Number | None = None


class Approve(RequestBody):
    """What is approved: a version by its number, by the `digest` of what was shown, or by both."""

    version: Annotated[Number | None, Field(description="It has to be the newest one.")] = None
    digest: Annotated[str | None, Field(min_length=1, max_length=200, description="As the version has it.")] = None

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.version is None and self.digest is None:
            raise ValueError("name what you approve: send the version's number, its digest, or both")
        return self


class RollBack(RequestBody):
    """Which version becomes a draft again; the newest one when left out, and it has to be that."""

    version: Number | None = None
    reason: Reason = ""


class Deprecate(RequestBody):
    """Which version to withdraw; every one when left out. `successor` is the runbook to be used instead."""

    version: Number | None = None
    reason: Reason = ""
    successor: Annotated[str, Field(max_length=100, description="A runbook's id.")] = ""


class SyncChange(BaseModel):
    """What happened to one runbook: `kind` is new, changed or deprecated."""

    runbook: str
    kind: str
    version: int


class LastChange(Named):
    """The last reading that changed something. `by` is who asked for it, or system for the watch over the folder."""

    at: datetime
    by: str
    changes: list[SyncChange]


class Synced(BaseModel):
    """How reading the runbooks folder went. `last` is the change before, where this reading changed nothing."""

    changes: list[SyncChange]
    problems: list[str]
    unchanged: int
    last: LastChange | None = None
