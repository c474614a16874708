"""A plan's gates, obstacles and check mode in words."""

from __future__ import annotations

from typing import Any

from bot import plan_text


def plan(**said: Any) -> dict[str, Any]:
    gate = {"min_approvals": 2, "on_timeout": "fail", "approvers": said.pop("approvers", {})}
    step = {"step": "ask", "kind": "approval", "gate": gate}
    empty = {"on_failure": [], "finally": [], "destinations": [], "warnings": [], "concurrency": None, "obstacles": []}
    base = {"digest": "P1-x", "parameters": {}, "timeout_ms": 60_000, "runbook": "note", "version": 1, "steps": [step]}
    return {**base, **empty, **said}


def test_who_decides_is_said_in_words() -> None:
    minima = [{"role": "team_admin", "count": 1}, {"group": "dba", "count": 2}]
    approvers = {"roles": ["platform_admin"], "groups": ["oncall"], "users": ["U0BOB0001"], "minima": minima}
    told = "\n".join(plan_text.lines(plan(approvers=approvers)))
    assert (
        "decided by: 2 of platform admins, @oncall, @U0BOB0001, at least 1 of the team's admins, at least 2 of @dba"
        in told
    )


def test_obstacles_can_be_left_to_what_stands_beside() -> None:
    found = plan(obstacles=[{"why": "It is frozen.", "ask": []}])
    assert "  You cannot start it now: It is frozen." in list(plan_text.lines(found))
    assert not any("It is frozen" in line for line in plan_text.lines(found, obstacles=False))
