"""Approvals that take several people, renewing those that end, and taking one back."""

from __future__ import annotations

from collections.abc import Iterator

from bot.cli import show
from bot.cli.invocation import Answer, Invocation
from bot.cli.people_names import Names
from storage.records import Json


def renew(invocation: Invocation) -> Answer:
    """`admin renew ID` shows the whole file and how to renew exactly that; `ID@VERSION` acts at once.

    So does `digest=`, for what it is the digest of. Alone it lists what is to be renewed.
    """
    if not invocation.command.words:
        due = invocation.api.get("renewals")
        return Answer(due, (_line(each) for each in due) if due else ["No approval is to be renewed."])
    slug, _ = invocation.command.target
    if said := named(invocation):
        done = invocation.api.post(f"runbooks/{slug}/renew", said)
        return Answer(done, [_renewed(slug, done)])
    for each in invocation.api.get("renewals"):
        if each["runbook"] == slug:
            version = invocation.api.get(f"runbooks/{slug}/versions/{each['number']}")
            return Answer({**each, "version": version}, _to_renew(each, version))
    raise invocation.wrong(f"The approval of {slug} is not to be renewed now.")


def withdraw(invocation: Invocation) -> Answer:
    """`admin withdraw ID[@VERSION]`."""
    slug, number = invocation.command.target
    done = invocation.api.post(f"runbooks/{slug}/withdraw", {"version": number})
    told = [f"Your approval of {slug}@{done['number']} is withdrawn.", *so_far(done)]
    return Answer(done, [" ".join(told)])


def named(invocation: Invocation) -> Json:
    """What is to be approved, by its version, its digest or both; {} where neither is said."""
    (_, number), digest = invocation.command.target, invocation.option("digest")
    return {**({"version": number} if number else {}), **({"digest": digest} if digest else {})}


def _line(due: Json) -> str:
    name, changed = f"{due['runbook']}@{due['number']}", due["changed"]
    if changed:
        ended = f"starts nothing since its targets have changed: {', '.join(changed)}"
    else:
        ended = f"{'starts nothing since' if due['expired'] else 'expires at'} {show.when(due['expires_at'])}"
    return " ".join([f"{name} {ended}.", *so_far(due)])


def _to_renew(due: Json, version: Json) -> Iterator[str]:
    yield f"{_line(due)} {version['digest']}"
    yield from version["targets"]
    yield from version["source"].splitlines()
    yield f"To renew exactly that: runbook admin renew {due['runbook']}@{due['number']} digest={version['digest']}"


def _renewed(slug: str, done: Json) -> str:
    if done["missing"]:
        return _counts(slug, done)
    until = f" until {show.when(done['expires_at'])}" if done["expires_at"] else ""
    return f"The approval of {slug}@{done['number']} is renewed{until}."


def approved(slug: str, done: Json) -> str:
    """What came of an approval."""
    return f"{slug}@{done['number']} is approved." if done["status"] == "APPROVED" else _counts(slug, done)


def _counts(slug: str, done: Json) -> str:
    return " ".join([f"Your approval of {slug}@{done['number']} counts.", *so_far(done)])


def so_far(found: Json) -> Iterator[str]:
    """Who has approved and who is missing, where it takes several."""
    if found["approved_by"] and found["missing"]:
        yield f"Approved so far by {', '.join(map(Names(found), found['approved_by']))}."
    if found["approved_by"] or len(found["missing"]) > 1:
        yield from [f"It still needs {', '.join(found['missing'])}."] if found["missing"] else []
