"""Who chose what a run does. Whoever did is kept from deciding about it, under whichever account."""

from __future__ import annotations

from collections.abc import Iterable

from engine.runtime import Runtime
from storage import database, executions, people
from storage.catalog_records import VersionRecord
from storage.records import ApprovalRecord, ExecutionRecord


def of_values(execution: ExecutionRecord) -> list[str]:
    """All who chose the run's parameters, in the order in which they did."""
    return list(execution.chosen_by or [execution.requester])


def of_run(execution: ExecutionRecord) -> list[str]:
    """All who chose the parameters or ever owned the run, or one that waits for it; needs an open connection."""
    found: list[str] = []
    for run in executions.with_parents(execution):
        found += [*of_values(run), *(run.owners or ())]
    return list(dict.fromkeys(found))


def of_gate(rt: Runtime, gate: ApprovalRecord, execution: ExecutionRecord) -> frozenset[str]:
    """All who chose what a gate shows, and every other account that is known to be one of these people's."""
    with database.reading():
        return people.accounts_of(rt.workspace_id, [*of_run(execution), *(gate.barred or ())])


def chose_values(execution: ExecutionRecord, user_id: str) -> bool:
    """Whether this account chose the run's parameters, or ever owned it or one that waits for it."""
    with database.reading():
        return user_id in of_run(execution)


def same_people(rt: Runtime, user_ids: Iterable[str]) -> frozenset[str]:
    """These accounts and all others with one of their e-mail addresses."""
    with database.reading():
        return people.accounts_of(rt.workspace_id, list(user_ids))


def wrote(rt: Runtime, user_id: str, email: str | None, version: VersionRecord) -> bool:
    """Whether a version is this person's edit: by any of their accounts, or any address that these have or had."""
    accounts = same_people(rt, [user_id])
    if version.author in accounts:
        return True
    with database.reading():
        addresses = people.addresses_of(rt.workspace_id, accounts) | {(email or "").casefold()}
    return bool(version.author_email) and str(version.author_email).casefold() in addresses


def persons(rt: Runtime, user_ids: Iterable[str]) -> list[str]:
    """One account for each person among these: of several with one e-mail address the first."""
    found: list[str] = []
    for each in user_ids:
        if not same_people(rt, [each]) & set(found):
            found.append(each)
    return found
