"""The verbs that look: at runbooks, at runs, at what is on record, at what one may do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from bot import run_filter
from bot.cli import show, show_history, show_runbooks
from bot.cli.invocation import Answer, Invocation
from bot.cli.people_names import Names
from bot.grammar import ALIASES
from storage.records import Filter, Json

_LATEST = 20


def runbooks(invocation: Invocation) -> Answer:
    """`list [TEXT] [tag=TAG] [team=TEAM] [status=STATUS]`."""
    tag, team = invocation.option("tag") or None, invocation.option("team") or None
    status = invocation.option("status").upper() or None
    found = invocation.api.all_of(
        "runbooks", text=" ".join(invocation.command.words), tag=tag, team=team, status=status
    )
    return Answer(found, show_runbooks.runbooks_lines(found))


def runbook(invocation: Invocation) -> Answer:
    """`show ID[@VERSION]`."""
    slug, number = invocation.command.target
    found = invocation.api.get(f"runbooks/{slug}")
    version = invocation.api.get(f"runbooks/{slug}/versions/{number or found['version']}")
    return Answer({**found, "shown": version}, show_runbooks.runbook_lines(found, version))


def diff(invocation: Invocation) -> Answer:
    """`diff ID[@VERSION]`."""
    slug, number = invocation.command.target
    found = invocation.api.get(f"runbooks/{slug}/diff", version=number)
    lines = (found["diff"] or "Nothing differs from the last approved version.").splitlines()
    more = [*show_runbooks.reaches_lines(found["reaches"]), *show_runbooks.rehearsal_lines(found["rehearsal"])]
    return Answer(found, [*lines, *found["targets"], *more])


def studio(invocation: Invocation) -> Answer:
    """`studio [ID]`: where it is; a token is not made into a link, which would open more than its scopes do."""
    words = invocation.command.words
    slug = invocation.api.get(f"runbooks/{words[0]}")["id"] if words else ""
    path = f"/studio/{slug}" if slug else "/studio"
    told = f"{path} below the bot's PUBLIC_URL. In Slack, `{f'studio {slug}'.strip()}` gives a link that lets you in."
    return Answer({"path": path}, [told])


def runs(invocation: Invocation) -> Answer:
    """`runs [here|mine|open|all]`, narrowed by options."""
    which = (invocation.command.words or ("here" if invocation.options.channel else "all",))[0]
    try:
        wanted = run_filter.of_words(
            which, invocation.command.options, here=invocation.channel, me=invocation.me, person=invocation.user
        )
    except ValueError as error:
        raise invocation.wrong(str(error)) from error
    found = invocation.api.all_of("executions", most=_LATEST, limit=_LATEST, **_query(wanted))
    return Answer(found, show.runs_lines(found))


def _query(wanted: Filter) -> dict[str, Json]:
    """A filter as the API takes it."""
    since = datetime.now(UTC) - timedelta(milliseconds=wanted.within_ms) if wanted.within_ms is not None else None
    return {
        "runbook": wanted.slug, "status": next(iter(wanted.statuses), None), "requester": wanted.requester,
        "channel": wanted.channel, "open": wanted.open, "since": since.isoformat() if since else None,
    }  # fmt: skip


def status(invocation: Invocation) -> Answer:
    """`status [RUN]`: without one the open run that can be meant, a list where these are several, else the latest."""
    named, _ = invocation.command.run
    if named is None:
        found = invocation.api.all_of("executions", most=_LATEST, open=True, **invocation.mine_or_here())
        if len(found) > 1:
            return Answer(found, show.runs_lines(found))
        named = found[0]["id"] if found else invocation.shown_run()[0]
    run = invocation.api.get(f"executions/{named}")
    return Answer(run, [] if invocation.options.wait else show.run_lines(run), run["id"])


def why(invocation: Invocation) -> Answer:
    """`why [RUN]`."""
    run, _ = invocation.shown_run()
    found = invocation.api.get(f"executions/{run}/why")
    return Answer(found, show_history.reason_lines(found))


def logs(invocation: Invocation) -> Answer:
    """`logs [RUN] [STEP]`."""
    run, rest = invocation.shown_run()
    found = invocation.api.get(f"executions/{run}/logs", step=rest[0] if rest else None)
    return Answer(found, show_history.log_lines(found))


def evidence(invocation: Invocation) -> Answer:
    """`evidence [RUN] [html=yes]`: the same file whether or not it is for programs."""
    run, _ = invocation.shown_run()
    if invocation.command.says_yes("html"):
        return Answer(None, invocation.api.lines(f"executions/{run}/evidence", format="html"), as_file=True)
    found = invocation.api.get(f"executions/{run}/evidence")
    return Answer(found, show.as_json(found).splitlines())


def can(invocation: Invocation) -> Answer:
    """`can [@USER] VERB [ID|RUN]`."""
    words = list(invocation.command.words)
    person = invocation.user(words.pop(0)) if words[0].startswith(("@", "U0", "W0", "<@")) else ""
    if not words:
        raise invocation.wrong("Say what they would do, such as run.")
    two = words[0].lower() in ("admin", "secret") and len(words) > 1
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
