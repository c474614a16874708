"""Tokens: keys by which programs act as a person, made, used and revoked.

A secret is 256 random bits, shown once and kept as its SHA-256 only. A token allows what its person may do, narrowed by
its scopes; both are judged by `policy.verdict` at the moment of the act.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection

from engine.access import account_status, auditing
from engine.access.policy import Action, Actor, acting, authorise, verdict
from engine.definition.durations import parse_duration
from engine.errors import Conflict, InvalidParameters, NotFound
from engine.runtime import Runtime
from engine.text.logs import TOKEN_PREFIX
from storage import database, people, tokens
from storage.people_records import TokenRecord
from storage.states import Scope, Severity

DAY_MS = 24 * 3_600_000
DEFAULT_DAYS = 90
MAX_DAYS = 366
MAX_NAME = 80
DEFAULT_SCOPES = frozenset({Scope.READ, Scope.RUN})
_LETTERS = "23456789ABCDEFGHJKLMNPQRSTVWXYZ"
_USER = re.compile(r"[UW][A-Z0-9]{2,20}")
_TOUCH_EVERY_MS = 60_000


def create(
    rt: Runtime, actor: Actor, name: str, *, scopes: str = "", expires: str = "", person: str | None = None
) -> tuple[TokenRecord, str]:
    """A new token of `person`, of the actor when left out, and its secret, which nobody can be told again.

    `scopes` are words with commas between ("read,run"), `expires` is a duration ("30d"). Raises `InvalidParameters`
    naming each of them that does not fit, and `NotAllowed` for somebody else's token.
    """
    owner = person or actor.user_id
    action = Action.TOKEN if owner == actor.user_id else Action.TOKENS
    authorise(rt, actor, action)
    chosen, lifetime = _checked(owner, name, scopes, expires)
    secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
    at = database.now()
    token = TokenRecord(
        id="T-" + "".join(secrets.choice(_LETTERS) for _ in range(8)), user_id=owner, name=name.strip(),
        digest=_digest(secret), scopes=chosen, created_at=at, created_by=actor.user_id, expires_at=at + lifetime,
    )  # fmt: skip
    with acting(rt, actor, action):
        tokens.create(rt.workspace_id, token)
        detail = {"person": owner, "name": token.name, "scopes": sorted(chosen), "expires_at": token.expires_at}
        _audit(rt, actor, "token.create", token, detail)
    return token, secret


def authenticate(rt: Runtime, secret: str) -> TokenRecord:
    """The token with this secret. Raises `NotAuthenticated`, saying whether it is unknown, expired or revoked."""
    digest = _digest(secret)
    with database.reading():
        found = tokens.by_digest(rt.workspace_id, digest)
    known = found is not None and hmac.compare_digest(found.digest, digest)
    return account_status.must_count(found if known else None)


def actor_of(rt: Runtime, token: TokenRecord, door: str = "api") -> Actor:
    """The person of a token as who they are now, with the token's scopes; notes its use."""
    at = database.now()
    with database.reading():
        person = people.recall(rt.workspace_id, token.user_id)
    if at - (token.last_used_at or 0) >= _TOUCH_EVERY_MS:
        with database.transaction():
            tokens.touch(token.id, at)
    name, email = (person.name, person.email) if person else (token.user_id, None)
    return Actor(token.user_id, name, email, account_status.judged(rt, person), door, token.scopes, token.id)


def listing(rt: Runtime, actor: Actor, *, everybody: bool = False) -> list[TokenRecord]:
    """The actor's tokens, or everybody's for those who may, the newest first."""
    authorise(rt, actor, Action.TOKENS if everybody else Action.TOKEN)
    with database.reading():
        return tokens.listing(rt.workspace_id, None if everybody else actor.user_id)


def get(rt: Runtime, actor: Actor, token_id: str) -> TokenRecord:
    """One token. Raises `NotFound` also for somebody else's where the actor may not see that."""
    authorise(rt, actor, Action.TOKEN)
    with database.reading():
        found = tokens.find(rt.workspace_id, token_id.strip().upper())
    mine = found is not None and found.user_id == actor.user_id
    if found is None or not (mine or verdict(rt, actor, Action.TOKENS).allowed):
        raise NotFound(f"There is no token {token_id!r}. `token list` shows yours.")
    return found


def revoke(rt: Runtime, actor: Actor, token_id: str) -> TokenRecord:
    """End a token at once. Raises `NotFound`, `NotAllowed`, and `Conflict` when it was revoked before."""
    found = get(rt, actor, token_id)
    with acting(rt, actor, Action.TOKEN if found.user_id == actor.user_id else Action.TOKENS):
        if not tokens.revoke(found.id, actor.user_id):
            raise Conflict(f"The token {found.id} was revoked already.")
        _audit(rt, actor, "token.revoke", found, {"person": found.user_id, "name": found.name})
    with database.reading():
        ended = tokens.find(rt.workspace_id, found.id)
    assert ended is not None
    return ended


def _checked(owner: str, name: str, scopes: str, expires: str) -> tuple[frozenset[Scope], int]:
    wrong: dict[str, str] = {}
    if not _USER.fullmatch(owner):
        wrong["person"] = "a Slack user id, such as U0ALICE01"
    if not name.strip() or len(name) > MAX_NAME or not name.isprintable():
        wrong["name"] = f"say in at most {MAX_NAME} characters what the token is for"
    chosen = _scopes(scopes, wrong)
    lifetime = DEFAULT_DAYS * DAY_MS
    if expires:
        try:
            lifetime = parse_duration(expires)
        except ValueError as error:
            wrong["expires"] = str(error)
        if not 60_000 <= lifetime <= MAX_DAYS * DAY_MS:
            wrong["expires"] = f"from 1m to {MAX_DAYS}d"
    if wrong:
        raise InvalidParameters(wrong, "options of the token")
    return chosen, lifetime


def _scopes(text: str, wrong: dict[str, str]) -> frozenset[Scope]:
    words: Collection[str] = {word.strip().lower() for word in text.split(",")} - {""}
    if not words:
        return DEFAULT_SCOPES
    if not set(words) <= set(Scope):
        wrong["scopes"] = f"one or more of {', '.join(Scope)}, with commas between"
        return DEFAULT_SCOPES
    return frozenset(map(Scope, words)) | {Scope.READ}


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _audit(rt: Runtime, actor: Actor, action: str, token: TokenRecord, detail: dict[str, object]) -> None:
    auditing.by_actor(rt, actor, action, auditing.of_token(token.id), detail, Severity.WARNING)
