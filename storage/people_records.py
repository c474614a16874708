"""What storage hands out of people: who they are, their tokens, and the requests that they make once.

All times are epoch milliseconds on the database's clock.
"""

from __future__ import annotations

from dataclasses import dataclass

from storage.states import Scope


@dataclass(frozen=True, slots=True)
class Workspace:
    """The tenant. `slack_team` is None until the first Slack connection binds it."""

    id: int
    slack_team: str | None
    name: str


@dataclass(frozen=True, slots=True)
class PersonRecord:
    """Who a Slack user is. `standing` is member, guest, bot, deleted or stranger (another workspace's)."""

    user_id: str
    name: str
    email: str | None
    standing: str
    tz: str | None
    fetched_at: int


@dataclass(frozen=True, slots=True)
class GroupRecord:
    """A Slack user group with its members' ids, and when Slack said so."""

    group_id: str
    handle: str
    members: frozenset[str]
    fetched_at: int


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """A key by which programs act as `user_id`. Of its secret only the `digest` is kept: SHA-256 in hexadecimal.

    `last_used_at` is exact to the minute. `created_by` and `revoked_by` are a user id, or `system` for the host.
    """

    id: str
    user_id: str
    name: str
    digest: str
    scopes: frozenset[Scope]
    created_at: int
    created_by: str
    expires_at: int
    last_used_at: int | None = None
    revoked_at: int | None = None
    revoked_by: str | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """One try at what a person's `key` names; `holder` tells it from every other try at the same."""

    workspace_id: int
    actor: str
    key: str
    holder: str


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """What a request was answered; `status` is None while it is being answered. `request` is the request's digest.

    `holder` is the turn that answers it, which is the only one that may do it until `held_until`. `thing` is what the
    request was done to, as the audit names it; None while nothing was done.
    """

    request: str
    status: int | None
    headers: dict[str, str]
    body: str
    holder: str
    held_until: int
    thing: str | None
