"""The verbs that look: at runbooks, at runs, at what is on record, at what one may do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime

from bot.cli import show
from bot.cli.invocation import Answer, Invocation, Json
from bot.cli.names import Names
from bot.grammar import ALIASES
from engine.text.words import did_you_mean

_WHICH = ("here", "mine", "open", "all")
_STATUSES = ("PENDING", "RUNNING", "WAITING", "PAUSED", "SUCCESS", "FAILED", "CANCELLED")
_LATEST = 20


def runbooks(invocation: Invocation) -> Answer:
    """`list [TEXT] [tag=TAG] [team=TEAM] [status=STATUS]`."""
    tag, team = invocation.option("tag") or None, invocation.option("team") or None
    status = invocation.option("status").upper() or None
    found = invocation.api.all_of(
        "runbooks", text=" ".join(invocation.command.words), tag=tag, team=team, status=status
    )
    return Answer(found, show.runbooks_lines(found))


def runbook(invocation: Invocation) -> Answer:
    """`show ID[@VERSION]`."""
    slug, number = invocation.command.target
    found = invocation.api.get(f"runbooks/{slug}")
    version = invocation.api.get(f"runbooks/{slug}/versions/{number or found['version']}")
    return Answer({**found, "shown": version}, show.runbook_lines(found, version))


def diff(invocation: Invocation) -> Answer:
    """`diff ID[@VERSION]`."""
    slug, number = invocation.command.target
    found = invocation.api.get(f"runbooks/{slug}/diff", version=number)
    return Answer(found, (found["diff"] or "Nothing differs from the last approved version.").splitlines())


def runs(invocation: Invocation) -> Answer:
    """`runs [here|mine|open|all]`, narrowed by options."""
    which = (invocation.command.words or ("here" if invocation.options.channel else "all",))[0].lower()
    if which not in _WHICH:
        raise invocation.wrong(f"“{which[:40]}” is not one of {', '.join(_WHICH)}.")
    query: dict[str, Json] = {"limit": _LATEST}
    if which == "here":
        query["channel"] = invocation.channel()
    if which == "mine":
        query["requester"] = invocation.me()
    query |= {"open": True} if which == "open" else {}
    query |= _status(invocation) if invocation.option("status") else {}
    query |= {"runbook": invocation.option("runbook").lower()} if invocation.option("runbook") else {}
    query |= {"requester": invocation.user(invocation.option("by"))} if invocation.option("by") else {}
    found = invocation.api.all_of("executions", most=_LATEST, **query)
    if invocation.option("since"):
        since = time.time() - invocation.time_ms("since") / 1000
        found = [each for each in found if datetime.fromisoformat(each["created_at"]).timestamp() >= since]
    return Answer(found, show.runs_lines(found))


def _status(invocation: Invocation) -> dict[str, Json]:
    word = invocation.option("status").strip().upper()
    word = {"SUCCEEDED": "SUCCESS", "QUEUED": "PENDING"}.get(word, word)
    if word == "OPEN":
        return {"open": True}
    if word not in _STATUSES:
        known = [each.lower() for each in _STATUSES]
        raise invocation.wrong(f"There is no status “{word.lower()[:40]}”{did_you_mean(word.lower(), known) or '.'}")
    return {"status": word}


def status(invocation: Invocation) -> Answer:
    """`status [RUN]`: without one the open run that can be meant, or a list where that is not one."""
    named, _ = invocation.command.run
    if named is None:
        found = invocation.api.all_of("executions", most=_LATEST, open=True, **invocation.mine_or_here())
        if len(found) != 1:
            return Answer(found, show.runs_lines(found))
        named = found[0]["id"]
    run = invocation.api.get(f"executions/{named}")
    return Answer(run, [] if invocation.options.wait else show.run_lines(run), run["id"])


def why(invocation: Invocation) -> Answer:
    """`why [RUN]`."""
    run, _ = invocation.run()
    found = invocation.api.get(f"executions/{run}/why")
    return Answer(found, show.reason_lines(found))


def logs(invocation: Invocation) -> Answer:
    """`logs [RUN] [STEP]`."""
    run, rest = invocation.run()
    found = invocation.api.get(f"executions/{run}/logs", step=rest[0] if rest else None)
    return Answer(found, show.log_lines(found))


def evidence(invocation: Invocation) -> Answer:
    """`evidence [RUN]`: the same file whether or not it is for programs."""
    run, _ = invocation.run()
    found = invocation.api.get(f"executions/{run}/evidence")
    return Answer(found, show.as_json(found).splitlines())


def can(invocation: Invocation) -> Answer:
    """`can [@USER] VERB [ID|RUN]`."""
    words = list(invocation.command.words)
    person = invocation.user(words.pop(0)) if words[0].startswith(("@", "U0", "W0", "<@")) else ""
    if not words:
        raise invocation.wrong("Say what they would do, such as run.")
    two = words[0].lower() == "admin" and len(words) > 1
    name = " ".join(words.pop(0).lower() for _ in range(2 if two else 1))
    if len(words) > 1:
        raise invocation.wrong(f"“{words[1][:40]}” is one word too many.")
    found = invocation.api.get("can", verb=ALIASES.get(name, name), target=words[0] if words else "", person=person)
    return Answer(found, _ruled(found))


def _ruled(found: Json) -> Iterator[str]:
    thing = f" {found['thing']}" if found["thing"] else ""
    may = "may" if found["allowed"] else "may not"
    names = Names(found)
    said = names.in_sentence(found["rule"] or found["why"])
    yield f"{names(found['person'])} {may} {found['verb']}{thing}. {said}"
    if found["role"]:
        yield f"  role: {found['role']}"
    if found["but"]:
        yield f"  but: {found['but']}"
    if found["ask"]:
        yield f"  ask: {', '.join(map(names, found['ask']))}"
