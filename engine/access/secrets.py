"""The bot's own secrets: set, deleted, and moved under a new key. A value goes in here and never comes out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from engine.access import auditing
from engine.access.actions import SecretName
from engine.access.policy import Action, Actor, acting, authorise, authorise_by_rules
from engine.config.secret_keys import Keyring, SecretUnreadable, Subject, keyring_of, of_received, of_stored
from engine.config.secrets import MAX_BYTES, NAME, without_line_break
from engine.errors import InvalidParameters, NotFound
from engine.runtime import Runtime
from engine.text.redaction import MIN_LENGTH
from engine.text.storable import clean
from storage import secret_outputs, secrets
from storage.secret_records import Sealed, SecretVersionRecord
from storage.states import Severity

_NOT_STORED = "There is no stored secret of that name. `secret list` shows those there are."
_AT_ONCE = 50
"""Data keys that one transaction looks at."""


@dataclass(frozen=True, slots=True)
class Rotated:
    """What a rotation did: how many data keys are under the key `key_id` now, and why others are not."""

    key_id: str
    rewrapped: int
    problems: tuple[str, ...]


def set_value(rt: Runtime, actor: Actor, name: str, value: str) -> SecretVersionRecord:
    """Make this the secret's value from the next step on; without a line break at its end, as in a file.

    Raises `InvalidParameters` without a word of the value, and `NotAllowed`.
    """
    authorise_by_rules(rt, actor, Action.SECRET_SET)
    value = without_line_break(value)
    wrong = faults(name, value)
    if wrong:
        raise InvalidParameters(wrong, "fields of the secret")
    keys = keyring_of(rt.settings)
    with acting(rt, actor, Action.SECRET_SET, SecretName(name)):
        secrets.lock(rt.workspace_id, name)
        version = _next(rt, name)
        sealed = keys.seal(of_stored(rt.workspace_id, name, version), value)
        secrets.add(rt.workspace_id, name, version, actor.user_id, sealed)
        return _noted(rt, actor, "secret.set", name)


def faults(name: str, value: str) -> dict[str, str]:
    """What is wrong with a name and a value to be set, by which of the two; nothing in it shows the value."""
    wrong = {}
    if not NAME.fullmatch(name):
        wrong["name"] = "begin with a lower-case letter; letters, digits and underscores, at most 63"
    value = without_line_break(value)
    if clean(value) != value:
        wrong["value"] = "a NUL or half a character cannot be kept"
    elif len(value.strip()) < MIN_LENGTH:
        wrong["value"] = f"at least {MIN_LENGTH} characters, or it could not be masked"
    elif len(value.encode()) > MAX_BYTES:
        wrong["value"] = f"at most {MAX_BYTES // 1024} KiB"
    return wrong


def delete(rt: Runtime, actor: Actor, name: str) -> SecretVersionRecord:
    """Erase a stored secret; who set it and when stays. Raises `NotFound` where none is set, and `NotAllowed`."""
    authorise_by_rules(rt, actor, Action.SECRET_SET)
    if not NAME.fullmatch(name):  # whatever else was typed is told to nobody
        raise NotFound(_NOT_STORED)
    with acting(rt, actor, Action.SECRET_SET, SecretName(name)):
        secrets.lock(rt.workspace_id, name)
        newest = secrets.newest(rt.workspace_id, name)
        if newest is None or newest.deleted:
            raise NotFound(_NOT_STORED)
        secrets.add(rt.workspace_id, name, newest.version + 1, actor.user_id, None)
        return _noted(rt, actor, "secret.delete", name)


def rotate_keys(rt: Runtime, actor: Actor) -> Rotated:
    """Put every data key under the first key of SECRET_KEYS, while runs go on: of stored secrets and received ones.

    Values stay as they are, so whoever reads one meanwhile reads the same. What cannot be unwrapped stays, and is told,
    also where a key has the id of the first one and is another. Raises `NotAllowed`.
    """
    authorise(rt, actor, Action.SECRET_SET)
    keys = keyring_of(rt.settings)
    problems: list[str] = []
    count = _rotated(rt, actor, keys, _STORED, problems)
    count += _rotated(rt, actor, keys, _RECEIVED, problems)
    return Rotated(keys.first, count, tuple(problems))


class _Row(Protocol):
    """A kept value of either table."""

    @property
    def id(self) -> int: ...
    @property
    def sealed(self) -> Sealed: ...


_AnyRow = TypeVar("_AnyRow", bound=_Row)


@dataclass(frozen=True, slots=True)
class _Kept(Generic[_AnyRow]):
    """A table of kept values: how its rows are held and changed, whose each is, and what the audit calls them."""

    held: Callable[[int, int, int], list[_AnyRow]]
    rewrap: Callable[[_AnyRow, Sealed], bool]
    subject: Callable[[int, _AnyRow], Subject]
    audited_as: str
    shown: Callable[[_AnyRow], str]


_STORED = _Kept(
    secrets.lock_kept, secrets.rewrap, lambda workspace_id, row: of_stored(workspace_id, row.name, row.version),
    "secrets", lambda row: row.name,
)  # fmt: skip
_RECEIVED = _Kept(
    secret_outputs.lock_kept, secret_outputs.rewrap,
    lambda workspace_id, row: of_received(workspace_id, row.execution_id, row.path, row.name),
    "received", lambda row: f"{row.shown_as} of {row.execution_id}",
)  # fmt: skip


def _rotated(rt: Runtime, actor: Actor, keys: Keyring, kept: _Kept[_AnyRow], problems: list[str]) -> int:
    """How many rows of a table were put under the first key; a few at a time, with an audit row for these."""
    after = count = 0
    while True:
        with acting(rt, actor, Action.SECRET_SET):
            found = kept.held(rt.workspace_id, after, _AT_ONCE)
            done = list(_rewrapped(rt, keys, kept, found, problems))
            if done:
                detail = {"key": keys.first, kept.audited_as: done}
                auditing.by_actor(rt, actor, "secret.rotate_keys", auditing.SECRETS, detail, Severity.WARNING)
        if not found:
            return count
        count, after = count + len(done), found[-1].id


def _rewrapped(
    rt: Runtime, keys: Keyring, kept: _Kept[_AnyRow], found: list[_AnyRow], problems: list[str]
) -> Iterator[str]:
    for row in found:
        try:
            after = keys.rewrap(kept.subject(rt.workspace_id, row), row.sealed)
        except SecretUnreadable as error:
            problems.append(str(error))
            continue
        if row.sealed.key_id != keys.first and kept.rewrap(row, after):
            yield kept.shown(row)


def _next(rt: Runtime, name: str) -> int:
    newest = secrets.newest(rt.workspace_id, name)
    return newest.version + 1 if newest else 1


def _noted(rt: Runtime, actor: Actor, action: str, name: str) -> SecretVersionRecord:
    made = secrets.newest(rt.workspace_id, name)
    assert made is not None
    auditing.by_actor(rt, actor, action, auditing.of_secret(name), {"version": made.version}, Severity.WARNING)
    return made
