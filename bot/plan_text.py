"""What a plan says, as lines of plain text: for the terminal, and for a file or message in Slack."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from bot.slack.views.text import clean, duration
from bot.slack.views.words import ROLES
from engine.definition.kinds import KINDS
from storage.records import Json

_BESIDE = ("step", "name", "kind", "with", "blocks", "undo", "child", "gate", "needs", "if", "when", "fails", "live")
"""What a step's lines say in words of their own."""
_LIVE = {"success": "it would work", "failure": "FAILED", "unknown": "NO ANSWER", "not_called": "not asked"}


def lines(plan: Json, *, obstacles: bool = True) -> Iterator[str]:
    """A plan as the REST API has it, whole; without `obstacles` where these are said beside it."""
    yield f"Plan {plan['digest']}"
    given = ", ".join(f"{name}={_written(value)}" for name, value in plan["parameters"].items())
    most = duration(plan["timeout_ms"])
    yield f"{plan['runbook']}@{plan['version']} with {given or 'no parameters'}, for at most {most}"
    if obstacles:
        yield from obstacle_lines(plan)
    yield from _live_counts(plan.get("live"))
    yield from (f"  ! {each}" for each in plan["warnings"])
    if plan["concurrency"]:
        yield f"  concurrency: {plan['concurrency']}"
    for title, key in (("Steps", "steps"), ("On failure or cancel", "on_failure"), ("At the end, always", "finally")):
        if plan[key]:
            yield f"{title}:"
            yield from _further_in(_steps(plan[key]))
    if plan["destinations"]:
        yield "Secrets go to:"
        yield from (f"  {each['host']}: {', '.join(each['secrets'])} ({each['step']})" for each in plan["destinations"])


def _live_counts(live: Json) -> Iterator[str]:
    if live is None:
        return
    told = [f"{count} {_LIVE[word]}" for word, count in live.items() if count]
    yield f"  Asked in check mode: {', '.join(told) or 'nothing, since no step has a dry_run'}."


def obstacle_lines(plan: Json) -> Iterator[str]:
    """Whether the person who asks may start it now, and if not, why and who can."""
    if not plan["obstacles"]:
        yield "  You may start it now."
    for each in plan["obstacles"]:
        ask = f" Ask: {', '.join(each['ask'])}." if each["ask"] else ""
        yield f"  You cannot start it now: {each['why']}{ask}"


def _steps(steps: Iterable[Json]) -> Iterator[str]:
    for each in steps:
        yield from _step(each)


def _step(step: Json) -> Iterator[str]:
    with_ = step.get("with", {})
    kind = KINDS.get(step["kind"])
    summary = [str(with_[key]) for key in (kind.summary if kind else ()) if with_.get(key)]
    yield f"{step['step']}: {clean(' '.join(summary)) or step['kind']}{_doubt(step)}"
    yield from _further_in(_details(step, with_, kind.summary if kind else ()))


def _doubt(step: Json) -> str:
    if "fails" in step:
        return f" — fails: {clean(step['fails'])}"
    condition = _written(step.get("if"))
    return {
        "no": f" — not done, since it asks for {condition}",
        "open": f" — only if {condition}, which the run will tell",
    }.get(step.get("when", ""), "")


def _details(step: Json, with_: Json, said: Iterable[str]) -> Iterator[str]:
    for key, value in with_.items():
        if key not in said and value not in (None, "", [], {}):
            yield f"{key}: {_written(value)}"
    if "gate" in step:
        gate = step["gate"]
        own = ", who asked for the run too" if gate.get("allow_self") else ""
        yield f"decided by: {gate.get('min_approvals', 1)} of {_approvers(gate.get('approvers') or {})}{own}"
        yield f"without a decision: {gate['on_timeout']}"
    if step.get("when") != "no":
        yield from _rules(step)
    if "live" in step:
        yield from _live(step["live"])
    for block in step.get("blocks", ()):
        yield f"{block['of']}:"
        yield from _further_in(_steps(block["steps"]))
    if "child" in step:
        yield from _child(step["child"])
    if "undo" in step:
        yield "undo:"
        yield from _further_in(_step(step["undo"]))


def _approvers(approvers: Json) -> str:
    """Who may decide at a gate, people and user groups by their ids."""
    who = [ROLES.get(role, role) for role in approvers.get("roles", ())]
    who += [f"@{each.removeprefix('@')}" for kind in ("groups", "users") for each in approvers.get(kind, ())]
    for each in approvers.get("minima", ()):
        whom = ROLES.get(each.get("role"), each.get("role")) or f"@{each.get('group') or each.get('user')}"
        who.append(f"at least {each['count']} of {whom}")
    return clean(", ".join(dict.fromkeys(who)))


def _live(live: Json) -> Iterator[str]:
    """What a step's target said in its check mode."""
    said, answer = clean(live["message"]), live.get("answer", {})
    facts = " ".join(str(answer[key]) for key in ("status", "code") if key in answer)
    yield f"in check mode: {_LIVE[live['outcome']]}{f' ({clean(facts)})' if facts else ''}{f': {said}' if said else ''}"
    call = [str(live["call"][key]) for key in ("method", "url", "target", "service") if key in live.get("call", {})]
    if call:
        yield f"  asked: {clean(' '.join(call))}"
    if "body" in answer:
        yield f"  answered: {_written(answer['body'])}"


def _rules(step: Json) -> Iterator[str]:
    for key, value in step.items():
        if key == "timeout_ms":
            yield f"timeout: {duration(value)}"
        elif key not in _BESIDE:
            yield f"{key}: {_written(value)}"


def _child(child: Json) -> Iterator[str]:
    if "left_out" in child:
        yield f"runs {child['runbook']}: {child['left_out']}"
        return
    yield f"runs {child['runbook']}@{child['version']}:"
    yield from _further_in(_steps(child["steps"]))


def _further_in(inner: Iterable[str]) -> Iterator[str]:
    return (f"  {line}" for line in inner)


def _written(value: Json) -> str:
    """A value on one line: a text as it is, or as JSON where it has line breaks."""
    plain = isinstance(value, str) and " ".join(value.split()) == value
    return clean(value if plain else json.dumps(value, ensure_ascii=False, default=str))
