"""The nouns of the policy: who asks, what they want to do, to which thing, and the answer."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from engine.access import account_status
from storage.catalog_records import RunbookRecord, VersionRecord
from storage.records import ApprovalRecord, ExecutionRecord
from storage.states import Scope
from storage.task_records import TaskRecord


@dataclass(frozen=True, slots=True)
class Gate:
    """A gate together with the execution it stands in: who may decide depends on both."""

    approval: ApprovalRecord
    execution: ExecutionRecord


@dataclass(frozen=True, slots=True)
class Task:
    """Something to be done by hand together with the execution it stands in: who may do it depends on both."""

    task: TaskRecord
    execution: ExecutionRecord


@dataclass(frozen=True, slots=True)
class Draft:
    """A runbook that somebody wants to write, of the team that it would belong to."""

    slug: str
    team: str | None


@dataclass(frozen=True, slots=True)
class Team:
    """All that belongs to a team; with None for its name, all that there is."""

    name: str | None


@dataclass(frozen=True, slots=True)
class SecretName:
    """A stored secret, by its name alone."""

    name: str


class ScopeKind(StrEnum):
    """What a freeze may name."""

    EVERYTHING = "everything"
    TEAM = "team"
    TAG = "tag"
    RUNBOOK = "runbook"


@dataclass(frozen=True, slots=True)
class FreezeScope:
    """What is frozen: `kind` is a `ScopeKind`; `team` is the team that it belongs to, if any."""

    kind: str
    name: str = ""
    team: str | None = None

    @property
    def slug(self) -> str:
        """As it is typed: `everything`, `team:payments`, `tag:db`, `runbook:restart-checkout`."""
        return f"{self.kind}:{self.name}" if self.name else self.kind


Thing = RunbookRecord | VersionRecord | ExecutionRecord | Gate | Task | Draft | Team | FreezeScope | SecretName | None


class Action(StrEnum):
    """What can be done with a runbook or a run; each value is the verb that a refusal has for it."""

    VIEW = "look at"
    START = "run"
    CANCEL = "cancel"
    RESOLVE = "resolve"
    DO = "do a step of"
    PAUSE = "pause"
    RESUME = "resume"
    RETRY = "retry"
    SKIP = "skip a step of"
    REPLAY = "replay"
    HANDOVER = "hand over"
    INCIDENT = "keep the incident of"
    FREEZE = "freeze"
    UNFREEZE = "unfreeze"
    REVIEW = "review"
    VOTE = "decide"
    SYNC = "sync"
    APPROVE = "approve"
    DEPRECATE = "deprecate"
    ROLLBACK = "roll back"
    EDIT = "edit"
    AUDIT = "read the audit of"
    REPORT = "report on"
    TOKEN = "have tokens of one's own for"  # noqa: S105 - words
    TOKENS = "see the tokens of"
    SECRETS = "list"
    SECRET_SET = "set"  # noqa: S105 - words


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks, and through which door (slack, cli, api, page, system). `standing` is as in `PersonRecord`, or unknown.

    `scopes` is what the token they came with is for and `token` its id; both are None where they came in person. `here`
    is the channel in which they are seen to be now: they typed or clicked there.
    """

    user_id: str
    name: str = ""
    email: str | None = None
    standing: str = account_status.UNKNOWN
    door: str = "slack"
    scopes: frozenset[Scope] | None = None
    token: str | None = None
    here: str = ""


SYSTEM = Actor(user_id="system", name="Runbook Bot", standing=account_status.MEMBER, door="system")


@dataclass(frozen=True, slots=True)
class RequestedAction:
    """Somebody and what they are about to do: asked about once more inside the transaction that does it."""

    actor: Actor
    action: Action


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether it is allowed, and the sentence that says so to whom it is about.

    `rule` is the rule that decided, `role` what this person has of it ("an admin of team payments", "" for
    nothing), and `ask` the people and user groups that have what it takes, as ids.
    """

    allowed: bool
    why: str
    rule: str = ""
    role: str = ""
    ask: tuple[str, ...] = ()
