"""Gates that nobody could ever fill are refused where the access file says who there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.cli import check

ACCESS = """
platform_admins: [U0ALICE01, U0ERIN001]
responders: [S0ONCALL, U0DAVE001]
teams:
  payments: {admins: [U0BOB0001], members: [U0BOB0001, U0CAROL01]}
"""
RUNBOOK = """apiVersion: runbook/v1
id: x
name: X
team: {team}
steps:
  - {{id: hold, type: branch, with: {{if: "execution.reason == ''", then: [{{id: ok, type: approval, with: {gate}}}]}}}}
"""


def problems(folder: Path, gate: str, access: str = ACCESS, team: str = "payments") -> list[str]:
    (folder / "_access.yaml").write_text(access)
    (folder / "x.yaml").write_text(RUNBOOK.format(gate=gate, team=team))
    return [f"{each.line} {each.message}" for each in check._of_files([folder / "x.yaml"]) if each.severity == "error"]


END = "nobody could ever start what follows"


@pytest.mark.parametrize(
    ("gate", "told"),
    [
        ("{approvers: {roles: [platform_admin]}, min_approvals: 2}", ""),
        (
            "{approvers: {roles: [platform_admin]}, min_approvals: 3}",
            f"3 must approve, and `_access.yaml` names only 2 who may: {END}",
        ),
        ("{approvers: {roles: [platform_admin], users: [U0DAVE001]}, min_approvals: 3}", ""),
        (
            "{approvers: {roles: [platform_admin], users: [U0ALICE01]}, min_approvals: 3}",
            f"3 must approve, and `_access.yaml` names only 2 who may: {END}",
        ),
        ("{approvers: {roles: [platform_admin], groups: [dba]}, min_approvals: 20}", ""),
        ("{approvers: {roles: [responder]}, min_approvals: 20}", ""),
        ("{approvers: {minima: [{role: team_member, count: 2}, {role: team_admin}]}}", ""),
        (
            "{approvers: {minima: [{role: team_member, count: 3}]}}",
            f"3 of `team_member` must approve, and `_access.yaml` names only 2: {END}",
        ),
        (
            "{approvers: {users: [U0DAVE001], minima: [{role: team_admin, count: 2}]}}",
            f"2 of `team_admin` must approve, and `_access.yaml` names only 1: {END}",
        ),
        ("{approvers: {minima: [{role: responder, count: 20}, {group: dba, count: 20}, {user: U0DAVE001}]}}", ""),
    ],
)
def test_a_gate_needs_the_people_it_asks_for(tmp_path: Path, gate: str, told: str) -> None:
    """Counted as different people; a user group may hold any number."""
    assert problems(tmp_path, gate) == ([f"6 step `ok`: {told}"] if told else [])


def test_a_role_that_nobody_has_fills_no_gate(tmp_path: Path) -> None:
    """Also where the team is not named at all."""
    gate = "{approvers: {minima: [{role: team_admin}]}}"
    told = problems(tmp_path, gate, team="search")
    assert told == [
        f"6 step `ok`: 1 must approve, and `_access.yaml` names nobody who may: {END}",
        f"6 step `ok`: 1 of `team_admin` must approve, and `_access.yaml` names nobody: {END}",
    ]


def test_without_an_access_file_only_the_runbook_counts(tmp_path: Path) -> None:
    """Nor with one that is wrong, which is told of by itself."""
    gate = "{approvers: {roles: [platform_admin]}, min_approvals: 20}"
    assert problems(tmp_path, gate, access="platform_admins: 5\n") == []
    (tmp_path / "_access.yaml").unlink()
    assert check._of_files([tmp_path / "x.yaml"]) == []


NOBODY_ELSE = "and nobody decides about a run that they asked for: one that {} asks for could not go on"


@pytest.mark.parametrize(
    ("gate", "told"),
    [
        ("{approvers: {roles: [platform_admin]}}", []),
        (
            "{approvers: {roles: [platform_admin], minima: [{user: U0CAROL01}]}}",
            [f"this minimum needs U0CAROL01, {NOBODY_ELSE.format('U0CAROL01')}"],
        ),
        (
            "{approvers: {roles: [platform_admin]}, min_approvals: 2}",
            [f"all 2 who may approve have to, {NOBODY_ELSE.format('U0ALICE01 or U0ERIN001')}"],
        ),
        ("{approvers: {users: [U0BOB0001]}}", [f"only U0BOB0001 may approve, {NOBODY_ELSE.format('U0BOB0001')}"]),
        (
            "{approvers: {roles: [platform_admin], minima: [{role: team_admin}]}}",
            [f"this minimum needs U0BOB0001, {NOBODY_ELSE.format('U0BOB0001')}"],
        ),
        ("{approvers: {users: [U0BOB0001]}, allow_self: true}", []),
        ("{approvers: {users: [U0DAVE001]}}", []),
        ("{approvers: {groups: [dba], minima: [{group: dba}]}}", []),
    ],
)
def test_a_gate_that_needs_who_may_ask_is_warned_of(tmp_path: Path, gate: str, told: list[str]) -> None:
    """What the files show: who is needed, and that they may run it; Dave may not run what is a team's."""
    assert problems(tmp_path, gate) == []
    found = [each.message for each in check._of_files([tmp_path / "x.yaml"]) if each.severity == "warning"]
    assert [each.removeprefix("step `ok`: ") for each in found if "`allow_self`" not in each] == told
