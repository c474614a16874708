"""The verbs about held requests and break-glass."""

from __future__ import annotations

import json
from collections.abc import Iterator

from bot.cli import show
from bot.cli.connect import Refused
from bot.cli.invocation import Answer, Invocation
from bot.cli.people_names import Names
from bot.grammar import HOLD
from bot.typed_hints import typed_here
from storage.records import Json


def keep(invocation: Invocation, how: str, slug: str, body: Json) -> Answer:
    """Keep a run that was asked for, until the freeze ends or a second person agrees."""
    wanted = {
        "runbook": slug, "version": body["version"], "parameters": body["parameters"], "reason": body["reason"],
        "channel": invocation.options.channel or "",
    }  # fmt: skip
    if how == HOLD:
        held = invocation.api.post("held-requests", wanted)
        return Answer(held, [f"Held as {held['id']}, to be released until {show.when(held['expires_at'])}."])
    asked = invocation.api.post("break-glass", wanted)
    return Answer(asked, [f"A second person has to agree: runbook agree {asked['id']}", *_asked_lines(asked)])


def held(invocation: Invocation) -> Answer:
    """`held [drop HELD]`."""
    words = invocation.command.words
    if not words:
        found = invocation.api.get("held-requests")
        return Answer(found, [line for each in found for line in _held_lines(each)] or ["No request is held."])
    if words[0].lower() != "drop" or len(words) != 2:
        raise invocation.wrong("Say which to drop.")
    done = invocation.api.delete(f"held-requests/{words[1]}")
    return Answer(done, [f"{done['id']} is dropped: it does not start any more."])


def release(invocation: Invocation) -> Answer:
    """`release HELD …|all`."""
    wanted = list(invocation.command.words)
    if [each.lower() for each in wanted] == ["all"]:
        wanted = [each["id"] for each in invocation.api.get("held-requests")]
    if len(wanted) == 1:
        (only,) = wanted
        done = invocation.api.post(f"held-requests/{only}/release")
        return Answer(done, [f"{only} became {done['execution']['id']}."], done["execution"]["id"])
    found = {each: _released(invocation, each) for each in wanted}
    return Answer(found, [f"{each}: {said}" for each, said in found.items()] or ["No request is held."])


def _released(invocation: Invocation, each: str) -> str:
    try:
        return str(invocation.api.post(f"held-requests/{each}/release")["execution"]["id"])
    except Refused as refusal:
        return f"not released: {typed_here(str(refusal), 'runbook')}"


def reviews(invocation: Invocation) -> Answer:
    """`reviews`."""
    found = invocation.api.get("break-glass")
    lines = [line for each in found for line in _asked_lines(each)]
    return Answer(found, lines or ["No break-glass is asked for, and no review is open."])


def review(invocation: Invocation) -> Answer:
    """`review BREAK_GLASS note="…"`."""
    body = {"note": invocation.option("note")}
    done = invocation.api.post(f"break-glass/{invocation.command.words[0]}/review", body)
    return Answer(done, [f"The review of {done['id']} is closed."])


def agree(invocation: Invocation) -> Answer:
    """`agree BREAK_GLASS`."""
    done = invocation.api.post(f"break-glass/{invocation.command.words[0]}/agree")
    run = done["execution"]
    return Answer(done, [f"You agreed. Started {run['id']} ({run['runbook']}@{run['version']})."], run["id"])


def _held_lines(each: Json) -> Iterator[str]:
    names = Names(each)
    gates = f"gates: {', '.join(each['gates'])}" if each["gates"] else "no gate"
    until = show.when(each["expires_at"])
    who = names(each["requester"])
    yield f"{each['id']} {each['runbook']}@{each['version']} for {who}, {gates}, until {until}"
    if each["parameters"]:
        yield f"  {json.dumps(each['parameters'], ensure_ascii=False)}"
    if each["reason"]:
        yield f"  because: {each['reason']}"
    if each["frozen"]:
        yield f"  {names.in_sentence(typed_here(each['frozen'], 'runbook'))}"


def _asked_lines(each: Json) -> Iterator[str]:
    names = Names(each)
    who = names(each["requester"]) + (f" with {names(each['agreed_by'])}" if each["agreed_by"] else "")
    yield f"{each['id']} {each['runbook']}@{each['version']} by {who}: {each['reason']}"
    if each["parameters"]:
        yield f"  {json.dumps(each['parameters'], ensure_ascii=False)}"
    over = each["overrides"]
    parts = [*over["freezes"], *(["the missing approval"] if over["draft"] else [])]
    parts += [f"the quorum of {gate}" for gate in over["quorum"]]
    yield f"  overrides {', '.join(parts)}"
    if not each["agreed_by"]:
        yield f"  can be agreed to until {show.when(each['expires_at'])}"
    elif not each["reviewed_by"]:
        yield f"  ran as {each['execution']}; its review is open"
