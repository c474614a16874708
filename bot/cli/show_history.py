"""What the API says of what happened and why, as lines for a terminal: reasons, logs, incidents, deeds of people."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping

from bot.audit_text import action_words, more_words, why_of
from bot.cli.people_names import Names
from bot.cli.show import between_ms, changed, runs_lines, step_line, votes_words, when
from bot.event_text import told
from bot.parameter_change_text import change_words
from bot.slack.views.text import duration, one_line
from engine.access.auditing import kind_and_name
from storage.records import Json


def reason_lines(explained: Mapping[str, Json]) -> Iterator[str]:
    """Why a run is where it is."""
    run, names = explained["execution"], Names(explained)
    for reason in explained["reasons"]:
        since = f" since {when(reason['since'])}" if reason["since"] else ""
        until = f", until {when(reason['until'])}" if reason["until"] else ""
        where = f"{reason['step']}: " if reason["step"] else ""
        said = f": {one_line(reason['message'])}" if reason["message"] else ""
        votes = ", ".join(votes_words(reason["facts"].get("votes", ()), names))
        had = f" ({votes})" if votes else ""
        yield f"{where}{reason['kind'].replace('_', ' ')}{since}{until}{had}{said}"
        if reason["verbs"]:
            who = f" ({', '.join(map(names, reason['who']))})" if reason["who"] else ""
            step = f" {reason['step']}" if reason["step"] else ""
            yield f"  what can be done{who}: " + ", ".join(f"runbook {verb} {run}{step}" for verb in reason["verbs"])
    if explained["more"]:
        yield f"… and {explained['more']} more reasons"
    yield from changed(explained)


def log_lines(logs: Mapping[str, Json]) -> Iterator[str]:
    """What is on record of a run's steps, each with its tries."""
    for event in logs["events"]:
        yield event_line(event)
    for step in logs["steps"]:
        yield step_line(step, 0, None, Names(logs))
        yield from (f"  {event_line(event)}" for event in step["events"])
        for attempt in step["tries"]:
            yield from try_lines(attempt)


def incident_lines(incident: Mapping[str, Json]) -> Iterator[str]:
    state = f"closed {when(incident['closed_at'])}" if incident["closed_at"] else "open"
    severity = f", {incident['severity']}" if incident["severity"] else ""
    yield f"incident {incident['id']} in {incident['channel_name'] or incident['channel']}: {state}{severity}"
    if incident["title"]:
        yield f"  {one_line(incident['title'])}"
    yield from (f"  {name}={one_line(value)}" for name, value in incident["fields"].items())


def story_lines(story: Mapping[str, Json]) -> Iterator[str]:
    """What happened in a channel, for whoever comes late."""
    left: Counter[str] = Counter(story.get("left_out"))
    yield f"since {when(story['since'])}:"
    yield from _if_any(more_words(left["runs"], "run", " before these"), "  ")
    yield from (f"  {line}" for line in runs_lines(story["runs"]))
    for title, explained, more in (("open", story["open"], "open"), ("failed", story["failures"], "failures")):
        for each in explained:
            yield f"{title}: {each['execution']}"
            yield from (f"  {line}" for line in reason_lines(each))
        yield from _if_any(more_words(left[more], f"more {title} run"))
    yield from _if_any(more_words(left["deeds"], "act", " before these"))
    yield from map(deed_line, story["deeds"])


def _if_any(line: str, indent: str = "") -> Iterator[str]:
    if line:
        yield f"{indent}{line}"


def deed_line(deed: Mapping[str, Json]) -> str:
    """Who did what, one row of the audit."""
    names = Names(deed)
    detail = deed["detail"] if isinstance(deed["detail"], dict) else {}
    kind, name = kind_and_name(deed["thing"])
    what = "the incident" if kind == "incident" else name
    step = f" ({detail['step']})" if detail.get("step") else ""
    to = f" to {names(detail['to'])}" if detail.get("to") not in (None, "", deed["actor"]) else ""
    changes = change_words(detail.get("changes") or ())
    how = f" with {changes}" if changes else ""
    why = f": {one_line(because)}" if (because := why_of(detail)) else ""
    who = "the bot" if deed["actor"] == "system" else names(deed["actor"])
    return f"{when(deed['at'])}  {who} {action_words(deed['action'], detail)} {what}{step}{to}{how}{why}"


def event_line(event: Mapping[str, Json]) -> str:
    """One event behind its time."""
    names = Names(event)
    sentence = told(event["kind"], event["step"], event["actor"], event["data"], names)
    return f"{when(event['at'], seconds=True)}  {one_line(sentence)}"


def try_lines(attempt: Mapping[str, Json]) -> Iterator[str]:
    """One try of a step: what was sent and what came back."""
    took = f", {duration(between_ms(attempt['started_at'], attempt['ended_at']))}" if attempt["ended_at"] else ""
    yield f"  try {attempt['number']}: {attempt['status'].lower()}{took}, {when(attempt['started_at'], seconds=True)}"
    for mark, kept in ((">", attempt["request"]), ("<", attempt["response"])):
        if isinstance(kept, dict):
            yield from (f"    {mark} {line}" for line in _kept(kept))
    if isinstance(attempt["error"], dict):
        yield f"    ! {one_line(str(attempt['error'].get('message', '')))}"


def _kept(kept: Mapping[str, Json]) -> Iterator[str]:
    head = [str(value) for name, value in kept.items() if name not in ("headers", "body", "digest")]
    yield one_line(" ".join(head))
    headers = kept.get("headers")
    for name, value in headers.items() if isinstance(headers, dict) else ():
        yield f"{name}: {one_line(str(value))}"
    body = kept.get("body")
    if body:
        yield from (body if isinstance(body, str) else json.dumps(body)).splitlines()
