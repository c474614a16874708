"""What the API says of runbooks and their versions, as lines for a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from bot import rehearsal_words
from bot.cli.people_names import Names
from bot.cli.show import headline, when
from bot.reach_words import reach_lines, secret_words
from bot.slack.views.text import one_line
from storage.records import Json


def runbooks_lines(runbooks: list[Mapping[str, Json]]) -> list[str]:
    width = max((len(each["id"]) for each in runbooks), default=0)
    lines = [
        f"{each['id']:<{width}}  {each['status'].lower():<10}  {each['team'] or 'global'}  {one_line(each['name'])}"
        for each in runbooks
    ]
    return lines or ["No runbooks."]


def runbook_lines(runbook: Mapping[str, Json], version: Mapping[str, Json]) -> Iterator[str]:
    """A runbook, one version of it in full, and what runs there were."""
    yield f"{runbook['id']}  {one_line(runbook['name'])}"
    yield f"  {runbook['status'].lower()}, version {runbook['version']}, {runbook['risk']} risk, " + (
        f"team {runbook['team']}" if runbook["team"] else "global"
    )
    if runbook["description"]:
        yield f"  {one_line(runbook['description'])}"
    required = runbook["parameters"].get("required", ())
    for name, schema in runbook["parameters"].get("properties", {}).items():
        fits = "|".join(map(str, schema["enum"])) if "enum" in schema else schema.get("type", "anything")
        default = f", {json.dumps(schema['default'])} when left out" if "default" in schema else ""
        yield f"  {name}={fits}{' (required)' if name in required else ''}{default}"
    for each in runbook["versions"]:
        yield f"  {version_line(runbook['id'], each)}"
    for run in runbook["executions"]:
        yield f"  {headline(run)}"
    yield from version["targets"]
    yield from reaches_lines(version["reaches"])
    yield from rehearsal_lines(version["rehearsal"])
    yield ""
    yield from version["source"].splitlines()


def rehearsal_lines(rehearsal: Mapping[str, Json] | None) -> Iterator[str]:
    """What the rehearsal of a version came to, if it has one."""
    if rehearsal is not None:
        told = rehearsal_words.lines(rehearsal, rehearsal["changed"], rehearsal["outdated"])
        yield from (f"  rehearsed: {line}" for line in told)


def reaches_lines(reaches: list[Mapping[str, Json]]) -> Iterator[str]:
    """What a version calls, and with which secrets."""
    called = (
        (each["step"], each["host"], each["known"], secret_words(each["secrets"], each["received"])) for each in reaches
    )
    yield from (f"  calls {line}" for line in reach_lines(called))


def version_line(slug: str, version: Mapping[str, Json]) -> str:
    names = Names(version)
    by = names(version["author"]) or "nobody known"
    decided = (
        f", decided by {names(version['decided_by'])} {when(version['decided_at'])}" if version["decided_by"] else ""
    )
    note = f": {one_line(version['note'])}" if version["note"] else ""
    made = when(version["created_at"])
    return f"{slug}@{version['number']}  {version['status'].lower()}  {made} by {by}{decided}{note}"
