"""The verbs about freezes."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from bot.cli import show
from bot.cli.invocation import Answer, Invocation
from bot.cli.people_names import Names
from storage.records import Json


def freezes(invocation: Invocation) -> Answer:
    """`freezes`."""
    found, coming = invocation.api.get("freezes"), invocation.api.get("freezes/upcoming")
    lines = [line for each in found for line in _lines(each)] or ["Nothing is frozen."]
    lines += [f"From {show.when(each['created_at'])}: {line}" for each in coming for line in _lines(each)]
    return Answer({"freezes": found, "upcoming": coming}, lines)


def freeze(invocation: Invocation) -> Answer:
    """`freeze SCOPE until=TIME|for=TIME reason="…" [hold=running]`."""
    hold = invocation.option("hold").lower()
    if hold not in ("", "running"):
        raise invocation.wrong(f"hold=running, not “{hold[:40]}”.")
    body = {
        "scope": invocation.command.words[0], "reason": invocation.option("reason"),
        "until": invocation.option("until"), "duration": invocation.option("for"), "hold_running": bool(hold),
    }  # fmt: skip
    done = invocation.api.post("freezes", body)
    return Answer(done, _lines(done))


def unfreeze(invocation: Invocation) -> Answer:
    """`unfreeze SCOPE|FREEZE [resume=yes]`."""
    body = {"reason": invocation.option("reason"), "resume": invocation.command.says_yes("resume")}
    done = invocation.api.post(f"freezes/{quote(invocation.command.words[0], safe='')}/lift", body)
    return Answer(done, _lifted(done))


def _lines(each: Json) -> Iterator[str]:
    names = Names(each)
    by = names(each["created_by"]) if each["created_by"] else "the calendar"
    ended = f", lifted by {names(each['ended_by'])}" if each["ended_by"] else ""
    holds = ", holding what is under way" if each["hold_running"] else ""
    yield f"{each['id']} {each['scope']} until {show.when(each['until'])}{holds}{ended}: {each['reason']} ({by})"
    if each["paused"]:
        yield f"  paused by it: {', '.join(each['paused'])}"


def _lifted(done: Json) -> Iterator[str]:
    names = Names(done)
    yield f"{done['scope']} is not frozen by {', '.join(done['freezes'])} any more."
    if done["resumed"]:
        yield f"  These go on: {', '.join(done['resumed'])}"
    for run, why in done["refused"].items():
        yield f"  {run} stays paused: {names.in_sentence(why)}"
    left = [each for each in done["paused"] if each not in done["refused"]]
    if left:
        yield f"  These stay paused: {', '.join(left)}. `runbook resume RUN` lets one go on."
