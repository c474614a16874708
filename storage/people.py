"""Who is who: the workspace, what Slack told of people and groups, and the access file as last read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import peewee as pw

from storage import rule_files, sql
from storage.columns import tuples
from storage.database import now
from storage.people_records import GroupRecord, PersonRecord, Workspace
from storage.people_tables import AccessPolicy, Person, PersonAddress, Token, UserGroup
from storage.people_tables import Workspace as WorkspaceTable
from storage.records import Json
from storage.states import ApprovalStatus
from storage.tables import Approval, Execution, Vote

T = TypeVar("T")

_AT_ONCE = 500


class _ReadCache(threading.local):
    """What this thread has read within `reads_cached`; None outside."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, int], Any] | None = None


_read_cache = _ReadCache()


@contextmanager
def reads_cached(*, anew: bool = False) -> Iterator[None]:
    """Within this, this thread reads the access file's content, groups and people once, however many are judged.

    What somebody else changes meanwhile is not seen, so what is decided for good is decided in one of its own, in the
    transaction that does it: `anew` knows nothing of what was read around it.
    """
    before = _read_cache.answers
    _read_cache.answers = {} if anew else before or {}
    try:
        yield
    finally:
        _read_cache.answers = before


def _cached(what: str, workspace_id: int, ask: Callable[[], T]) -> T:
    if _read_cache.answers is None:
        return ask()
    key = (what, workspace_id)
    if key not in _read_cache.answers:
        _read_cache.answers[key] = ask()
    answer: T = _read_cache.answers[key]
    return answer


def the_workspace() -> Workspace:
    """The one workspace of this deployment, made at the first call."""
    row = WorkspaceTable.get_or_none(WorkspaceTable.id == 1)
    if row is None:
        WorkspaceTable.insert(id=1, slack_team=None, name="", created_at=now()).on_conflict_ignore().execute()
        row = WorkspaceTable.get_by_id(1)
    return Workspace(id=row.id, slack_team=row.slack_team, name=row.name)


def bind_workspace(workspace_id: int, slack_team: str, name: str) -> bool:
    """Tie the workspace to a Slack team; False when it already belongs to another."""
    query = WorkspaceTable.update(slack_team=slack_team, name=name).where(
        (WorkspaceTable.id == workspace_id)
        & (WorkspaceTable.slack_team.is_null() | (WorkspaceTable.slack_team == slack_team))
    )
    return bool(query.execute() == 1)


def remember(workspace_id: int, person: PersonRecord) -> None:
    """Keep what Slack says of a person now, in the place of what was known; of their e-mail addresses, each."""
    row = {name: getattr(person, name) for name in PersonRecord.__slots__}
    Person.insert(workspace_id=workspace_id, **row).on_conflict(
        conflict_target=[Person.workspace_id, Person.user_id],
        update={name: row[name] for name in row if name != "user_id"},
    ).execute()
    if person.email:
        address = {"workspace_id": workspace_id, "user_id": person.user_id, "email": person.email}
        PersonAddress.insert(**address).on_conflict_ignore().execute()


def recall(workspace_id: int, user_id: str) -> PersonRecord | None:
    """What Slack last said of a person; None for one it was never asked about."""
    return _cached(f"person {user_id}", workspace_id, lambda: sql.first(_person(workspace_id, user_id)))


def read_with(workspace_id: int, user_id: str, *others: sql.Query[Any]) -> list[list[Any]]:
    """What these queries find, in one round trip with what is asked first of whoever acts.

    That is what Slack said of them and the access file; both are known from then on while `reads_cached` lasts.
    """
    *found, person, policy = sql.ask_each(*others, _person(workspace_id, user_id), _policy_query(workspace_id))
    _cached(f"person {user_id}", workspace_id, lambda: next(iter(person), None))
    _cached("policy", workspace_id, lambda: policy[0].content if policy else None)
    return found


def _person(workspace_id: int, user_id: str) -> sql.Query[PersonRecord]:
    return sql.Query(Person, PersonRecord, "workspace_id = ? AND user_id = ?", (workspace_id, user_id))


def accounts_of(workspace_id: int, user_ids: Sequence[str]) -> frozenset[str]:
    """These accounts, and all that share an e-mail address with one of them, in whatever case it is written.

    Those that they had before count, too: nobody becomes a second person by a change of theirs.
    """
    if not user_ids:
        return frozenset()
    return _cached(f"accounts of {sorted(user_ids)}", workspace_id, lambda: _accounts_of(workspace_id, user_ids))


def _accounts_of(workspace_id: int, user_ids: Sequence[str]) -> frozenset[str]:
    same = PersonAddress.alias()
    mails = same.select(pw.fn.lower(same.email)).where((same.workspace_id == workspace_id) & same.user_id.in_(user_ids))
    query = PersonAddress.select(PersonAddress.user_id).where(
        (PersonAddress.workspace_id == workspace_id) & pw.fn.lower(PersonAddress.email).in_(mails)
    )
    return frozenset([*user_ids, *(row[0] for row in tuples(query))])


def addresses_of(workspace_id: int, user_ids: Collection[str]) -> frozenset[str]:
    """Every e-mail address that these accounts have or had, in lower case."""
    mine = (PersonAddress.workspace_id == workspace_id) & PersonAddress.user_id.in_(list(user_ids))
    return frozenset(row[0].casefold() for row in tuples(PersonAddress.select(PersonAddress.email).where(mine)))


def last_seen_at(workspace_id: int) -> dict[str, int]:
    """When each person was last heard of."""
    query = Person.select(Person.user_id, Person.fetched_at).where(Person.workspace_id == workspace_id)
    return dict(tuples(query))


def people_who_matter(workspace_id: int) -> set[str]:
    """Who has voted at an open gate, owns a token that counts, or answers for an open run or chose its values."""
    voted = (
        Vote.select(Vote.person)
        .join(Approval, on=Vote.approval_id == Approval.id)
        .where((Vote.workspace_id == workspace_id) & (Approval.status == ApprovalStatus.PENDING))
    )
    counts = Token.revoked_at.is_null() & (Token.expires_at > now())
    owned = Token.select(Token.user_id).where((Token.workspace_id == workspace_id) & counts)
    runs = (Execution.workspace_id == workspace_id) & Execution.ended_at.is_null()
    answering = Execution.select(Execution.requester, Execution.owner).where(runs)
    chose = {user for row in tuples(Execution.select(Execution.chosen_by).where(runs)) for user in row[0]}
    return chose | {user for query in (voted, owned, answering) for row in tuples(query) for user in row if user}


def recall_all(workspace_id: int, user_ids: Collection[str]) -> dict[str, PersonRecord]:
    """Those of these people that Slack has told of, by their ids."""
    found: dict[str, PersonRecord] = {}
    wanted = sorted(user_ids)
    for part in (wanted[start : start + _AT_ONCE] for start in range(0, len(wanted), _AT_ONCE)):
        where = f"workspace_id = ? AND user_id IN ({sql.marks(part)})"
        rows = sql.select(Person, PersonRecord.__slots__, where, workspace_id, *part)
        found |= {each.user_id: each for each in (PersonRecord(*row) for row in rows)}
    return found


def every_name(workspace_id: int) -> list[str]:
    """What each known person is called."""
    return [row[0] for row in tuples(Person.select(Person.name).where(Person.workspace_id == workspace_id))]


def remember_groups(workspace_id: int, groups: Iterable[GroupRecord]) -> None:
    """Replace all that is known of groups."""
    UserGroup.delete().where(UserGroup.workspace_id == workspace_id).execute()
    for group in groups:
        UserGroup.insert(
            workspace_id=workspace_id, group_id=group.group_id, handle=group.handle, members=sorted(group.members),
            fetched_at=group.fetched_at,
        ).execute()  # fmt: skip


def groups(workspace_id: int) -> list[GroupRecord]:
    """All user groups with their members and when Slack said so; read once while `reads_cached` lasts."""
    return _cached("groups", workspace_id, lambda: _groups(workspace_id))


def _groups(workspace_id: int) -> list[GroupRecord]:
    rows = sql.select(UserGroup, GroupRecord.__slots__, "workspace_id = ?", workspace_id)
    return [GroupRecord(group_id, handle, frozenset(members), at) for group_id, handle, members, at in rows]


def save_policy(workspace_id: int, digest: str, content: Json) -> bool:
    """Keep the access file's content; False when it is what was kept before."""
    return rule_files.save(AccessPolicy, workspace_id, digest, content)


def policy(workspace_id: int) -> Json:
    """The access file's content as last synced, or None before the first sync."""
    return _cached("policy", workspace_id, lambda: _policy(workspace_id))


def _policy(workspace_id: int) -> Json:
    found = sql.first(_policy_query(workspace_id))
    return found.content if found else None


@dataclass(frozen=True, slots=True)
class _Policy:
    content: Json


def _policy_query(workspace_id: int) -> sql.Query[_Policy]:
    return sql.Query(AccessPolicy, _Policy, "workspace_id = ?", (workspace_id,))
