"""The matrix of who may do what, cell by cell, against the one function that decides."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pages import read, rows, section, words

from engine import boot
from engine.access import access_file
from engine.access import policy as access
from engine.access.actions import Team
from engine.access.policy import Action, Actor, FreezeScope, Gate
from engine.catalog import catalog, sync, version_approval
from engine.config import settings
from engine.definition.schema import file_validator
from engine.runs import executions
from engine.runtime import Runtime
from storage import database
from storage.records import ApprovalRecord, ExecutionRecord
from storage.states import ApprovalStatus

TEAM, OTHERS, EVERYONES = "payments", "search", "everyones"
COLUMNS = {
    "platform admin": "U0ADMIN",
    "responder": "U0RESPONDER",
    "team admin": "U0TEAMADMIN",
    "team member": "U0MEMBER",
    "anyone else": "U0NOBODY",
}
STEERING = (
    Action.PAUSE, Action.RESUME, Action.CANCEL, Action.RETRY, Action.SKIP, Action.RESOLVE, Action.REPLAY,
    Action.HANDOVER,
)  # fmt: skip
ACCESS = f"""\
platform_admins: [U0ADMIN, U0OTHERADMIN]
responders: [U0RESPONDER]
teams:
  {TEAM}: {{admins: [U0TEAMADMIN], members: [U0MEMBER]}}
  {OTHERS}: {{admins: [U0ELSEWHERE]}}
"""


@pytest.fixture
def deployment(sqlite_template: Path, tmp_path: Path) -> Iterator[Runtime]:
    """A deployment with a runbook of one team, of another, and of everyone, all of them approved."""
    shutil.copy(sqlite_template, tmp_path / "docs.db")
    folder = tmp_path / "runbooks"
    folder.mkdir()
    (folder / access_file.NAME).write_text(ACCESS, encoding="utf-8")
    for name, team in ((TEAM, f"team: {TEAM}"), (OTHERS, f"team: {OTHERS}"), (EVERYONES, "")):
        text = f"apiVersion: runbook/v1\nid: {name}\nname: {name}\n{team}\nwebhook: {{url: 'https://example.com/'}}\n"
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    environment = {"DATABASE_URL": f"sqlite:///{tmp_path / 'docs.db'}", "RUNBOOKS_DIR": str(folder)}
    rt = boot.open_engine(settings.load(environment, tmp_path))
    sync.sync(rt, access.SYSTEM)
    for name in (TEAM, OTHERS, EVERYONES):
        version_approval.approve(rt, Actor("U0OTHERADMIN", standing="member"), name, 1)
    yield rt
    database.close_database()
    catalog.forget_definitions()


def started(rt: Runtime, name: str) -> ExecutionRecord:
    return executions.start(rt, Actor("U0OTHERADMIN", standing="member"), name, {}, trigger="test")


def asked(rt: Runtime, action: Action, thing: Any = None) -> Callable[[str], bool]:
    return lambda user: access.verdict(rt, Actor(user, standing="member"), action, thing).allowed


def ruling(rt: Runtime, label: str) -> Callable[[str], bool]:
    """Whether a user may do what a row of the matrix says, as the engine decides it."""
    found = re.fullmatch(r"(run|steer a run of|edit) (?:a|the) ?(.*)", label)
    plain = {
        "admin sync": Action.SYNC,
        "search and export the audit, report on everything": Action.AUDIT,
        "review a break-glass of others": Action.REVIEW,
        "have tokens of one's own": Action.TOKEN,
        "see and end other people's tokens": Action.TOKENS,
        "list secrets, never their values": Action.SECRETS,
        "set and delete secrets, rotate their keys": Action.SECRET_SET,
    }
    if label in plain:
        return asked(rt, plain[label])
    if label == "report on the team":
        return asked(rt, Action.REPORT, Team(TEAM))
    if label.startswith("look"):
        return asked(rt, Action.VIEW)
    if label.startswith("open, set and close an incident"):
        return asked(rt, Action.INCIDENT)
    if label.startswith("freeze and unfreeze"):
        scope = FreezeScope("team", TEAM, TEAM) if "team" in label else FreezeScope("everything")
        both = [asked(rt, action, scope) for action in (Action.FREEZE, Action.UNFREEZE)]
        return lambda user: _agreed([each(user) for each in both])
    of_version = {
        "deprecate": Action.DEPRECATE,
        "roll back a deprecated version": Action.ROLLBACK,
        "approve somebody else's version": Action.APPROVE,
    }
    if label in of_version:
        return asked(rt, of_version[label], catalog.version(rt, TEAM))
    if label == "approve a version of one's own":
        version = catalog.version(rt, TEAM)
        return lambda user: asked(rt, Action.APPROVE, replace(version, author=user))(user)
    assert found is not None, label
    names = {"global runbook": EVERYONES, "runbook of another team": OTHERS}
    name = names.get(found[2].removeprefix("a "), TEAM)
    if found[1] == "run":
        return asked(rt, Action.START, catalog.get(rt, name))
    if found[1] == "edit":
        return asked(rt, Action.EDIT, catalog.get(rt, name))
    execution = started(rt, name)
    decided = [asked(rt, action, execution) for action in STEERING]
    return lambda user: _agreed([each(user) for each in decided])


def _agreed(answers: list[bool]) -> bool:
    assert len(set(answers)) == 1
    return answers[0]


def matrices() -> tuple[list[list[str]], list[list[str]]]:
    """The two tables of who may do what: the deeds, and the gates."""
    text = section(read("docs/operations.md"), "## Who may do what")
    heads = re.findall(r"^\|(.*)\|\n\| ---", text, re.MULTILINE)
    assert [[cell.strip() for cell in head.split("|")[1:]] for head in heads] == [list(COLUMNS)] * 2
    deeds, gates = text.split("At a gate", 1)
    return rows(deeds), rows(gates)


def test_the_matrix_of_roles_is_the_engines(deployment: Runtime) -> None:
    """Every cell of who may do what is the verdict of the one function that decides."""
    deeds, _ = matrices()
    assert {"yes", "no"} == {cell for _, *cells in deeds for cell in cells}
    for label, *cells in deeds:
        may = ruling(deployment, label)
        assert {who: cell == "yes" for who, cell in zip(COLUMNS, cells, strict=True)} == {
            who: may(user) for who, user in COLUMNS.items()
        }, label


def test_every_action_is_in_the_matrix() -> None:
    """A new one needs its row, or its word where it is told what steering is."""
    administering = {Action.SYNC, Action.APPROVE, Action.DEPRECATE, Action.ROLLBACK}
    administering |= {Action.FREEZE, Action.UNFREEZE, Action.REVIEW}
    administering |= {
        Action.EDIT,
        Action.AUDIT,
        Action.TOKEN,
        Action.TOKENS,
        Action.REPORT,
        Action.SECRETS,
        Action.SECRET_SET,
    }
    rows_of_their_own = {Action.VIEW, Action.START, Action.VOTE, Action.DO, Action.INCIDENT} | administering
    assert rows_of_their_own | set(STEERING) == set(Action)
    told = re.search(
        r"To steer a run is to (.*?) it, or to hand it over\.",
        section(read("docs/operations.md"), "## Who may do what"),
    )
    assert told is not None
    assert (set(re.findall(r"\w+", told[1])) - {"or"}) | {"handover"} == {action.name.lower() for action in STEERING}


def test_the_matrix_of_gates_is_the_engines(deployment: Runtime) -> None:
    """Who may decide at a gate that names a role, and that whoever started the run may not."""
    _, gates = matrices()
    execution = started(deployment, TEAM)
    approvers = file_validator().schema["$defs"]["approval"]["properties"]["approvers"]["properties"]
    assert {words(label)[0] for label, *_ in gates} == set(approvers["roles"]["items"]["enum"])
    for label, *cells in gates:
        gate = Gate(opened(execution, words(label)[0]), execution)
        may = asked(deployment, Action.VOTE, gate)
        assert [cell == "yes" for cell in cells] == [may(user) for user in COLUMNS.values()], label
        assert not may(execution.requester)


def opened(execution: ExecutionRecord, role: str) -> ApprovalRecord:
    """An open gate of this execution that names one role."""
    return ApprovalRecord(
        id=1, execution_id=execution.id, step_run_id=1, path="ask", status=ApprovalStatus.PENDING, min_approvals=1,
        approvers={"roles": [role], "users": [], "groups": []}, allow_self=False, message="", preview=[], digest="",
        on_timeout="fail", opened_at=0, expires_at=1, decided_at=None,
    )  # fmt: skip
