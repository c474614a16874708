"""The verbs that keep house: versions and the folder for admins, incidents, tokens, the audit."""

from __future__ import annotations

from collections.abc import Iterator

from bot.cli import show
from bot.cli.ask import Answer, Ask, Json
from bot.cli.names import Names
from bot.cli.options import Usage


def sync(ask: Ask) -> Answer:
    """`admin sync`."""
    found = ask.api.post("sync")
    return Answer(found, _synced(found))


def _synced(found: Json) -> Iterator[str]:
    for change in found["changes"]:
        yield f"{change['runbook']}@{change['version']}: {change['kind']}"
    if last := found["last"]:
        yield f"The last change was read at {show.when(last['at'])} by {Names(last)(last['by'])}:"
        yield from (f"  {each['runbook']}@{each['version']}: {each['kind']}" for each in last["changes"])
    yield from found["problems"]
    yield f"{len(found['changes'])} changed, {found['unchanged']} as before, {len(found['problems'])} problems"


def approve(ask: Ask) -> Answer:
    """`admin approve ID` shows what would change and how to approve exactly that; `ID@VERSION` acts at once.

    Alone it lists the drafts.
    """
    if not ask.command.words:
        waiting = ask.api.all_of("runbooks", status="DRAFT")
        return Answer(waiting, show.runbooks_lines(waiting))
    slug, number = ask.command.target
    if number is not None:
        done = ask.api.post(f"runbooks/{slug}/approve", {"version": number})
        return Answer(done, [f"{slug}@{done['number']} is approved."])
    found = ask.api.get(f"runbooks/{slug}")
    version = ask.api.get(f"runbooks/{slug}/versions/{found['version']}")
    change = ask.api.get(f"runbooks/{slug}/diff", version=found["version"])
    return Answer({"version": version, "diff": change["diff"]}, _to_approve(slug, version, change["diff"]))


def _to_approve(slug: str, version: Json, diff: str) -> Iterator[str]:
    name = f"{slug}@{version['number']}"
    yield f"{name} is {version['status'].lower()}, by {version['author'] or 'nobody known'}. {version['digest']}"
    yield from (f"warning: {each}" for each in version["warnings"])
    yield from diff.splitlines()
    if version["status"] == "DRAFT":
        yield f"To approve it: runbook admin approve {name}"


def deprecate(ask: Ask) -> Answer:
    """`admin deprecate ID[@VERSION]`."""
    slug, number = ask.command.target
    if not ask.option("reason"):
        raise ask.wrong('Say why: reason="…".')
    versions = ask.api.get(f"runbooks/{slug}/versions") if number is None and not ask.command.says_all else ()
    if sum(each["status"] != "DEPRECATED" for each in versions) > 1:
        raise ask.wrong(f"Say which: {slug}@VERSION is one version, {slug}@all all of them.")
    body = {"version": number, "reason": ask.option("reason")}
    if ask.option("successor"):
        body["successor"] = ask.option("successor")
    done = ask.api.post(f"runbooks/{slug}/deprecate", body)
    return Answer(done, [f"{slug}{f'@{number}' if number else ''} is deprecated: it does not run any more."])


def rollback(ask: Ask) -> Answer:
    """`admin rollback ID[@VERSION]`."""
    slug, number = ask.command.target
    done = ask.api.post(f"runbooks/{slug}/rollback", {"version": number})
    return Answer(done, [f"{slug}@{done['number']} is a draft again: runbook admin approve {slug}@{done['number']}"])


def history(ask: Ask) -> Answer:
    """`admin history ID`."""
    slug, _ = ask.command.target
    found = ask.api.get(f"runbooks/{slug}/versions")
    return Answer(found, (show.version_line(slug, each) for each in found))


def verify(ask: Ask) -> Answer:
    """`admin verify`."""
    found = ask.api.get("audit/chain")
    troubles = [f"row {each['seq']}: {each['what']}" for each in found["troubles"]]
    said = "broken" if troubles else "whole"
    return Answer(found, [*troubles, f"{found['rows']} rows, the chain is {said}; its head is {found['hash']}"])


def incident(ask: Ask) -> Answer:
    """`incident`: the one of the channel that was named."""
    found = _incident(ask)
    return Answer(found, show.incident_lines(found))


def open_incident(ask: Ask) -> Answer:
    """`incident open [TITLE] [severity=…] [KEY=VALUE …]`."""
    facts = dict(ask.command.options)
    body = {"channel": ask.channel(), "title": " ".join(ask.command.words), "severity": facts.pop("severity", "")}
    made = ask.api.post("incidents", {**body, "fields": facts})
    return Answer(made, show.incident_lines(made))


def edit_incident(ask: Ask) -> Answer:
    """`incident set KEY=VALUE …`."""
    facts = dict(ask.command.options)
    body = {name: facts.pop(name) for name in ("title", "severity") if name in facts}
    done = ask.api.patch(f"incidents/{_incident(ask)['id']}", {**body, "fields": facts})
    return Answer(done, show.incident_lines(done))


def close_incident(ask: Ask) -> Answer:
    """`incident close`."""
    body = {"reason": ask.option("reason"), "force": ask.command.says_yes("force")}
    done = ask.api.post(f"incidents/{_incident(ask)['id']}/close", body)
    return Answer(done, show.incident_lines(done))


def catch_up(ask: Ask) -> Answer:
    """`catchup`."""
    found = ask.api.get(f"incidents/{_incident(ask)['id']}/story")
    return Answer(found, show.story_lines(found))


def _incident(ask: Ask) -> Json:
    channel = ask.channel()
    for each in ask.api.get("incidents", open=True, limit=200):
        if each["channel"] == channel:
            return each
    raise Usage(f"No incident is open in {channel}. `runbook incident open TITLE --channel {channel}` opens one.")


def token(ask: Ask) -> Answer:
    """`token [list|revoke ID]`; a token is made where its person or the host's operator is known."""
    what, *rest = ask.command.words or ("list",)
    if what == "revoke" and rest:
        done = ask.api.delete(f"tokens/{rest[0]}")
        return Answer(done, [show.token_line(done)])
    if what == "list":
        found = ask.api.get("tokens")
        return Answer(found, map(show.token_line, found))
    if what == "revoke":
        raise ask.wrong("Name the token by its id: `runbook token list` has them.")
    raise Usage(
        "A token is made in Slack (`/runbook token create NAME`) or on the bot's host (`runbook token create`)."
    )
