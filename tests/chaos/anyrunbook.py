"""Any runbook at all: graphs of leaves, branches and loops, with undo, cleanup, forms and tolerated failures."""

from __future__ import annotations

from itertools import count
from typing import Any

from harness import gate, http
from hypothesis import strategies as st

APPROVERS = {"roles": ["platform_admin", "team_admin", "team_member"]}
BY_STEP = "by a step"
"""Stands for a condition that reads what a step before it came to."""
Steps = list[dict[str, Any]]
LEAVES = ("http", "http", "http", "http", "approval", "wait", "delay", "message", "runbook", "manual", "check")
FORM = {"type": "object", "required": ["slot"], "properties": {"slot": {"type": "integer", "maximum": 24}}}
EXPECTED = ("response.status in [200, 404]", "response.status == 200")


@st.composite
def runbooks(draw: st.DrawFn) -> dict[str, Any]:
    """The keys of a runbook other than its name; `steps` is one of them."""
    names = count(1)
    found: dict[str, Any] = {"steps": draw(_blocks(names, depth=2, most=4))}
    for phase in ("on_failure", "finally"):
        if draw(st.integers(0, 3)) == 0:
            gates = (
                [gate(f"s{next(names)}", timeout="10m", approvers=APPROVERS)] if draw(st.integers(0, 3)) == 0 else []
            )
            found[phase] = gates + [_http(draw, f"s{next(names)}", main=False) for _ in range(draw(st.integers(1, 2)))]
    if draw(st.integers(0, 3)) == 0:
        found["concurrency"] = {"group": "g", "limit": 1}
    found["max_concurrent_steps"] = draw(st.integers(1, 3))
    return found


@st.composite
def _blocks(draw: st.DrawFn, names: Any, depth: int, most: int) -> Steps:
    made: Steps = []
    for _ in range(draw(st.integers(1, most))):
        step = _step(draw, names, depth)
        earlier = [each["id"] for each in made]
        if earlier and draw(st.booleans()):
            step["needs"] = sorted(draw(st.sets(st.sampled_from(earlier), max_size=2)))
        if draw(st.integers(0, 5)) == 0:
            step["if"] = "false"
        _goes_by(step, made)
        made.append(step)
    return made


def _goes_by(step: dict[str, Any], made: Steps) -> None:
    """Name a call that it needs where a condition goes by what another step came to; without any, take that out."""
    needed = step.get("needs", [each["id"] for each in made][-1:])
    above = [each["id"] for each in made if each["id"] in needed and each["type"] == "http"]
    for where in (step, step["with"]):
        if where.get("if") == BY_STEP:
            if above:
                where["if"] = f"steps.{above[0]}.outputs.status | default(0) == 200"
            else:
                del where["if"]
                if where is step["with"]:
                    where["if"] = "true"


def _step(draw: st.DrawFn, names: Any, depth: int) -> dict[str, Any]:
    name = f"s{next(names)}"
    if depth and draw(st.integers(0, 3)) == 0:
        inner = draw(_blocks(names, depth - 1, 2))
        return _branch(draw, name, inner) if draw(st.booleans()) else _loop(draw, name, inner)
    kind = draw(st.sampled_from(LEAVES))
    if kind == "http":
        return _http(draw, name)
    if kind == "approval":
        needed = draw(st.sampled_from([1, 1, 2]))
        form = draw(st.sampled_from([None, None, FORM]))
        on_timeout = draw(st.sampled_from(["fail", "reject", "fail" if form else "approve"]))
        asked = gate(name, timeout="10m", on_timeout=on_timeout, min_approvals=needed, approvers=APPROVERS)
        asked["with"] |= {"form": form} if form else {}
        return {**asked, **draw(st.sampled_from([{}, {}, {"if": "params.n == 0"}, {"if": BY_STEP}]))}
    if kind == "message" and draw(st.booleans()):
        return {"id": name, "type": kind, "with": {"text": "n is {{ params.n }}"}, "if": "params.n < 2"}
    if kind == "manual":
        return _tolerated(draw, _manual(draw, name))
    if kind == "check":
        that = draw(st.sampled_from(["true", "params.n == 0", "params.n > 0"]))
        return _tolerated(draw, {"id": name, "type": kind, "with": {"that": that, "message": "It is not so."}})
    with_: dict[str, Any] = {
        "wait": {"key": "k"}, "delay": {"for": "5s"}, "message": {"text": "Hello"}, "runbook": {"id": "child"},
    }[kind]  # fmt: skip
    step = {"id": name, "type": kind, "with": with_, **({"timeout": "10m"} if kind == "wait" else {})}
    return _limited(draw, step) if kind == "runbook" else step


def _http(draw: st.DrawFn, name: str, *, main: bool = True) -> dict[str, Any]:
    step = http(name, method="POST", idempotent=draw(st.booleans()))
    if draw(st.integers(0, 3)) == 0:
        step["with"]["expect"] = draw(st.sampled_from(EXPECTED))
    _tolerated(draw, step)
    if main and draw(st.integers(0, 3)) == 0:
        step["undo"] = {"type": "http", "with": {"method": "DELETE", "url": "http://127.0.0.1:9/"}}
    step["retry"] = {"max_attempts": draw(st.integers(1, 2)), "delay": "1s"}
    return step


def _manual(draw: st.DrawFn, name: str) -> dict[str, Any]:
    form = draw(st.sampled_from([{}, {"form": FORM}]))
    return {"id": name, "type": "manual", "with": {"instructions": "Swap it.", **form}, "timeout": "10m"}


def _tolerated(draw: st.DrawFn, step: dict[str, Any]) -> dict[str, Any]:
    """Sometimes with a failure that the run goes on in spite of, as a success or as a failure at its end."""
    if draw(st.integers(0, 3)) == 0:
        step["continue_on_error"] = draw(st.sampled_from([True, "report"]))
    return step


def _branch(draw: st.DrawFn, name: str, inner: Steps) -> dict[str, Any]:
    taken = draw(st.sampled_from(["true", "false", "params.n == 0", BY_STEP]))
    return _limited(draw, {"id": name, "type": "branch", "with": {"if": taken, "then": inner}})


def _loop(draw: st.DrawFn, name: str, inner: Steps) -> dict[str, Any]:
    rounds = draw(st.integers(0, 3))
    over: dict[str, Any] = {"while": f"index < {rounds}"}
    if draw(st.booleans()):
        over = {"items": list(range(rounds)), "max_parallel": draw(st.integers(1, 2))}
    over["max_failures"] = 0 if any(map(_holds_gate, inner)) else draw(st.integers(0, 1))
    return _limited(draw, {"id": name, "type": "loop", "with": {**over, "steps": inner}})


def _limited(draw: st.DrawFn, step: dict[str, Any]) -> dict[str, Any]:
    """Sometimes with a limit for the whole step, sometimes with its failure tolerated."""
    if draw(st.integers(0, 2)) == 0:
        step["timeout"] = draw(st.sampled_from(["4s", "20s", "11m"]))
    if not _holds_gate(step):
        _tolerated(draw, step)
    step |= draw(st.sampled_from([{}, {}, {"skippable": False}]))
    return step


def _holds_gate(step: dict[str, Any]) -> bool:
    inner = [each for block in ("then", "else", "steps") for each in step["with"].get(block, ())]
    return step["type"] == "approval" or any(map(_holds_gate, inner))
