"""The verbs that keep house: versions and the folder for admins, incidents, tokens, the audit."""

from __future__ import annotations

from collections.abc import Iterator

from bot.cli import renewing, show, show_history, show_runbooks
from bot.cli.invocation import Answer, Invocation
from bot.cli.options import Usage
from bot.cli.people_names import Names
from storage.records import Json


def sync(invocation: Invocation) -> Answer:
    """`admin sync`."""
    found = invocation.api.post("sync")
    return Answer(found, _synced(found))


def _synced(found: Json) -> Iterator[str]:
    for change in found["changes"]:
        yield f"{change['runbook']}@{change['version']}: {change['kind']}"
    if last := found["last"]:
        yield f"The last change was read at {show.when(last['at'])} by {Names(last)(last['by'])}:"
        yield from (f"  {each['runbook']}@{each['version']}: {each['kind']}" for each in last["changes"])
    yield from found["problems"]
    yield f"{len(found['changes'])} changed, {found['unchanged']} as before, {len(found['problems'])} problems"


def approve(invocation: Invocation) -> Answer:
    """`admin approve ID` shows what would change and how to approve exactly that; `ID@VERSION` acts at once.

    So does `digest=`, for what it is the digest of. Alone it lists the drafts.
    """
    if not invocation.command.words:
        waiting = invocation.api.all_of("runbooks", status="DRAFT")
        return Answer(waiting, show_runbooks.runbooks_lines(waiting))
    slug, _ = invocation.command.target
    if named := renewing.named(invocation):
        done = invocation.api.post(f"runbooks/{slug}/approve", named)
        return Answer(done, [renewing.approved(slug, done)])
    found = invocation.api.get(f"runbooks/{slug}")
    version = invocation.api.get(f"runbooks/{slug}/versions/{found['version']}")
    change = invocation.api.get(f"runbooks/{slug}/diff", version=found["version"])
    return Answer({"version": version, "diff": change["diff"]}, _to_approve(slug, version, change["diff"]))


def _to_approve(slug: str, version: Json, diff: str) -> Iterator[str]:
    name = f"{slug}@{version['number']}"
    yield f"{name} is {version['status'].lower()}, by {version['author'] or 'nobody known'}. {version['digest']}"
    yield from renewing.so_far(version)
    yield from (f"warning: {each}" for each in version["warnings"])
    yield from version["targets"]
    yield from show_runbooks.reaches_lines(version["reaches"])
    yield from show_runbooks.rehearsal_lines(version["rehearsal"])
    yield from diff.splitlines()
    if version["status"] == "DRAFT":
        yield f"To approve exactly that: runbook admin approve {name} digest={version['digest']}"


def deprecate(invocation: Invocation) -> Answer:
    """`admin deprecate ID[@VERSION]`."""
    slug, number = invocation.command.target
    if not invocation.option("reason"):
        raise invocation.wrong('Say why: reason="…".')
    versions = (
        invocation.api.get(f"runbooks/{slug}/versions") if number is None and not invocation.command.says_all else ()
    )
    if sum(each["status"] != "DEPRECATED" for each in versions) > 1:
        raise invocation.wrong(f"Say which: {slug}@VERSION is one version, {slug}@all all of them.")
    body = {"version": number, "reason": invocation.option("reason")}
    if invocation.option("successor"):
        body["successor"] = invocation.option("successor")
    done = invocation.api.post(f"runbooks/{slug}/deprecate", body)
    return Answer(done, [f"{slug}{f'@{number}' if number else ''} is deprecated: it does not run any more."])


def rollback(invocation: Invocation) -> Answer:
    """`admin rollback ID[@VERSION]`."""
    slug, number = invocation.command.target
    done = invocation.api.post(f"runbooks/{slug}/rollback", {"version": number, "reason": invocation.option("reason")})
    return Answer(done, [f"{slug}@{done['number']} is a draft again: runbook admin approve {slug}@{done['number']}"])


def history(invocation: Invocation) -> Answer:
    """`admin history ID`."""
    slug, _ = invocation.command.target
    found = invocation.api.get(f"runbooks/{slug}/versions")
    return Answer(found, (show_runbooks.version_line(slug, each) for each in found))


def verify(invocation: Invocation) -> Answer:
    """`admin verify`."""
    found = invocation.api.get("audit/chain")
    troubles = [f"row {each['seq']} {each['what']}" for each in found["troubles"]]
    said = "broken" if troubles else "whole"
    return Answer(found, [*troubles, f"{found['rows']} rows, the chain is {said}; its head is {found['hash']}"])


def incident(invocation: Invocation) -> Answer:
    """`incident`: the one of the channel that was named."""
    found = _incident(invocation)
    return Answer(found, show_history.incident_lines(found))


def open_incident(invocation: Invocation) -> Answer:
    """`incident open [TITLE] [severity=…] [KEY=VALUE …]`."""
    facts = dict(invocation.command.options)
    body = {
        "channel": invocation.channel(),
        "title": " ".join(invocation.command.words),
        "severity": facts.pop("severity", ""),
    }
    made = invocation.api.post("incidents", {**body, "fields": facts})
    return Answer(made, show_history.incident_lines(made))


def edit_incident(invocation: Invocation) -> Answer:
    """`incident set KEY=VALUE …`."""
    facts = dict(invocation.command.options)
    body = {name: facts.pop(name) for name in ("title", "severity") if name in facts}
    done = invocation.api.patch(f"incidents/{_incident(invocation)['id']}", {**body, "fields": facts})
    return Answer(done, show_history.incident_lines(done))


def close_incident(invocation: Invocation) -> Answer:
    """`incident close`."""
    body = {"reason": invocation.option("reason"), "force": invocation.command.says_yes("force")}
    done = invocation.api.post(f"incidents/{_incident(invocation)['id']}/close", body)
    return Answer(done, show_history.incident_lines(done))


def catch_up(invocation: Invocation) -> Answer:
    """`catchup`."""
    found = invocation.api.get(f"incidents/{_incident(invocation)['id']}/story")
    return Answer(found, show_history.story_lines(found))


def _incident(invocation: Invocation) -> Json:
    channel = invocation.channel()
    for each in invocation.api.get("incidents", open=True, limit=200):
        if each["channel"] == channel:
            return each
    raise Usage(f"No incident is open in {channel}. `runbook incident open TITLE --channel {channel}` opens one.")


def token(invocation: Invocation) -> Answer:
    """`token [list|revoke ID]`; a token is made where its person or the host's operator is known."""
    what, *rest = invocation.command.words or ("list",)
    if what == "revoke" and rest:
        done = invocation.api.delete(f"tokens/{rest[0]}")
        return Answer(done, [show.token_line(done)])
    if what == "list":
        found = invocation.api.get("tokens")
        return Answer(found, map(show.token_line, found))
    if what == "revoke":
        raise invocation.wrong("Name the token by its id: `runbook token list` has them.")
    raise Usage(
        "A token is made in Slack (`/runbook token create NAME`) or on the bot's host (`runbook token create`)."
    )
