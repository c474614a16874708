"""Whether whoever asks is still who they were: what Slack last said of a person, and whether a token still counts.

Both are read at the moment of the act, inside the transaction that does it. Whatever is not known, or was not heard of
for `FRESH_MS`, counts for nothing.
"""

from __future__ import annotations

from engine.errors import NotAuthenticated
from engine.runtime import Runtime
from storage import database, people, tokens
from storage.people_records import PersonRecord, TokenRecord

FRESH_MS = 24 * 3_600_000
"""How long what Slack said of somebody stands. People who matter are heard of far more often while Slack is there; a
day without it leaves the command line usable during an outage, and no longer."""

MEMBER, UNKNOWN = "member", "unknown"


def standing_of(rt: Runtime, user_id: str) -> str:
    """What somebody is in this workspace now, as in `PersonRecord`; "unknown" where Slack said nothing lately."""
    with database.reading():
        return judged(rt, people.recall(rt.workspace_id, user_id))


def judged(rt: Runtime, person: PersonRecord | None) -> str:
    """The standing that follows from what was last heard of somebody, None for nothing.

    Without Slack there is nobody to ask: then what was last said stands, and somebody of whom nothing ever was said is
    taken for the member that the access file or the host's operator names.
    """
    if rt.settings.slack_mode == "none":
        return person.standing if person else MEMBER
    if person is None or database.now() - person.fetched_at > FRESH_MS:
        return UNKNOWN
    return person.standing


def must_count(token: TokenRecord | None) -> TokenRecord:
    """The token, if it counts now. Raises `NotAuthenticated`, saying whether it is unknown, revoked or expired."""
    if token is None:
        raise NotAuthenticated("This token is not known here. Tokens begin with rbk_ and are made by `token create`.")
    if token.revoked_at is not None:
        raise NotAuthenticated(f"The token {token.id} ({token.name}) was revoked.")
    if token.expires_at <= database.now():
        raise NotAuthenticated(f"The token {token.id} ({token.name}) has expired. Make a new one by `token create`.")
    return token


def token_now(rt: Runtime, token_id: str) -> TokenRecord:
    """A token that was good a moment ago, read again. Raises as `must_count`."""
    with database.reading():
        return must_count(tokens.find(rt.workspace_id, token_id))
