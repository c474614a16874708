"""Incidents: a channel bound to a case, by its name or topic or by a person's word, and the facts that runs take of it.

At most one is open in a channel. A run that is asked for there is bound to it and keeps its facts as they were then.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from engine.access import auditing, channels
from engine.access.policy import SYSTEM, About, Action, Actor, acting, as_of_now, authorise, verdict
from engine.catalog import notices
from engine.definition.parameters import coerce
from engine.definition.references import FACTS
from engine.errors import Conflict, InvalidParameters, NotFound
from engine.runtime import Runtime
from engine.text.regex import found_in
from engine.text.storable import clean_text
from storage import audit, database, executions, incidents
from storage.catalog_records import RunbookRecord
from storage.records import AuditRecord, ExecutionRecord, Filter, IncidentRecord, Json
from storage.states import Severity

RESERVED = frozenset({*FACTS["incident"], "case", "permalink"})
"""What every incident has, and what a run adds: no fields of its own."""

MOST_FIELDS, LONGEST = 50, 1_000
MOST_LOOKED_AT = 500
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
_OPEN_RUNS = 50


@dataclass(frozen=True, slots=True)
class Closing:
    """What came of closing: it is `closed`, or it is not, because these runs in its channel are open."""

    incident: IncidentRecord
    closed: bool
    open_runs: tuple[ExecutionRecord, ...] = ()


def current(rt: Runtime, channel: str) -> IncidentRecord | None:
    """The incident that is open in a channel."""
    with database.reading():
        found = incidents.latest(rt.workspace_id, channel) if channel else None
    return found if found is not None and found.closed_at is None else None


def latest(rt: Runtime, channel: str) -> IncidentRecord | None:
    """The newest incident of a channel, open or closed."""
    with database.reading():
        return incidents.latest(rt.workspace_id, channel) if channel else None


def get(rt: Runtime, incident_id: int) -> IncidentRecord:
    """The incident of this number. Raises `NotFound`."""
    with database.reading():
        return _known(rt, incident_id)


def _known(rt: Runtime, incident_id: int) -> IncidentRecord:
    found = incidents.find(rt.workspace_id, incident_id)
    if found is None:
        raise _none_such(incident_id)
    return found


def seen(rt: Runtime, actor: Actor, incident_id: int) -> IncidentRecord:
    """The same, where this person may know of it; else it is not there."""
    found = get(rt, incident_id)
    if not channels.sees(rt, actor, found.channel):
        raise _none_such(incident_id)
    return found


def _none_such(incident_id: int) -> NotFound:
    return NotFound(f"There is no incident {incident_id}.")


def recent(rt: Runtime, actor: Actor, *, open_only: bool = False, limit: int = 20) -> list[IncidentRecord]:
    """The newest incidents first, of the last `MOST_LOOKED_AT` those that this person may know of."""
    with database.reading():
        newest = incidents.recent(rt.workspace_id, open_only=open_only, limit=MOST_LOOKED_AT)
    return list(islice((each for each in newest if channels.sees(rt, actor, each.channel)), limit))


def recognise(rt: Runtime, channel: str, name: str = "", topic: str = "") -> IncidentRecord | None:
    """The channel's open incident; one is opened where name or topic say that this is one, and never was closed."""
    known = latest(rt, channel)
    if known is not None:
        return known if known.closed_at is None else None
    groups = _told(rt, name, topic) if channel else None
    if groups is None:
        return None
    title, severity = groups.pop("title", "") or topic or name, groups.pop("severity", "")
    fields = {key: value for key, value in groups.items() if key not in RESERVED}
    return _add(rt, SYSTEM, channel, name, title, severity, fields)


def recognised_by(
    rt: Runtime, actor: Actor, channel: str, name: str = "", topic: str = "", wanted: RunbookRecord | None = None,
    parameters: Json = None,
) -> IncidentRecord | None:  # fmt: skip
    """The channel's open incident; as `recognise` for somebody who may open one, who only looks opens none.

    Who wants to run something there opens one only where they may start it, whatever freezes it, with the `parameters`
    that are known by then.
    """
    found = current(rt, channel)
    if found is not None or not rt.settings.incident_channels:
        return found
    asking, about = as_of_now(rt, actor), About(parameters, {"channel": channel, "channel_name": name})
    may = verdict(rt, asking, Action.INCIDENT).allowed and (
        wanted is None or verdict(rt, asking, Action.START, wanted, about, heed_freezes=False).allowed
    )
    return recognise(rt, channel, name, topic) if may else None


def _told(rt: Runtime, name: str, topic: str) -> dict[str, str] | None:
    pattern = rt.settings.incident_channels
    found = (found_in(pattern, text) for text in (name, topic) if pattern and text)
    return next((groups for groups in found if groups is not None), None)


def open_incident(
    rt: Runtime,
    actor: Actor,
    channel: str,
    channel_name: str = "",
    title: str = "",
    severity: str = "",
    fields: Mapping[str, str] | None = None,
) -> IncidentRecord:
    """Make a channel an incident, by somebody who is in it.

    Raises `Conflict` where it is one already, `InvalidParameters` for its fields, and as `channels.must_be_in`.
    """
    authorise(rt, actor, Action.INCIDENT, None)
    if not channel:
        raise Conflict("An incident is a channel: open it there.")
    channels.must_be_in(rt, actor, channel)
    channel_name = channels.name_of(rt, channel) or channel_name
    checked = _checked({}, fields or {})
    if current(rt, channel) is not None:
        raise Conflict("This channel is an incident already. `incident set` changes what is known of it.")
    return _add(rt, actor, channel, channel_name, title, severity, checked)


def _add(
    rt: Runtime, actor: Actor, channel: str, name: str, title: str, severity: str, fields: Mapping[str, str]
) -> IncidentRecord:
    who = actor.user_id
    try:
        with database.transaction():
            if actor.door != SYSTEM.door:
                authorise(rt, actor, Action.INCIDENT)
            title, severity = _text(title), _text(severity)
            number = incidents.add(rt.workspace_id, channel, _text(name), title, severity, fields, who)
            detail = {"channel": channel, "title": title, "severity": severity, "fields": dict(fields)}
            auditing.by_actor(rt, actor, "incident.open", auditing.of_incident(number), detail)
            notices.of_incident(rt, "opened", _known(rt, number), who)
    except database.IntegrityError:
        pass  # somebody else opened it at the same time
    found = current(rt, channel)
    if found is None:
        raise Conflict("The incident was closed while it was being opened. Look again.")
    return found


def edit(
    rt: Runtime,
    actor: Actor,
    channel: str,
    *,
    title: str | None = None,
    severity: str | None = None,
    fields: Mapping[str, str] | None = None,
) -> IncidentRecord:
    """Change what is known of a channel's incident; an empty field is dropped. Raises as `open_incident`."""
    authorise(rt, actor, Action.INCIDENT)
    channels.must_be_in(rt, actor, channel)
    with acting(rt, actor, Action.INCIDENT):
        found = _the_open(rt, channel)
        merged = _checked(found.fields, fields or {})
        changes: dict[str, Any] = {"fields": merged}
        changes |= {"title": _text(title)} if title is not None else {}
        changes |= {"severity": _text(severity)} if severity is not None else {}
        incidents.edit(found.id, **changes)
        said: dict[str, Json] = {key: value for key, value in changes.items() if key != "fields"}
        said |= fields or {}
        notices.of_incident(rt, "changed", found, actor.user_id, said)
        detail = {**changes, "fields": dict(fields or {})}
        auditing.by_actor(rt, actor, "incident.set", auditing.of_incident(found.id), detail)
    return get(rt, found.id)


def close(rt: Runtime, actor: Actor, channel: str, reason: str = "", *, force: bool = False) -> Closing:
    """End a channel's incident; with runs open in it only with `force`.

    Raises `Conflict` where there is none, and as `open_incident`.
    """
    authorise(rt, actor, Action.INCIDENT)
    channels.must_be_in(rt, actor, channel)
    with acting(rt, actor, Action.INCIDENT):
        found = _the_open(rt, channel)
        running = tuple(executions.page(rt.workspace_id, Filter(channel=channel, open=True), limit=_OPEN_RUNS))
        if running and not force:
            return Closing(found, closed=False, open_runs=running)
        incidents.close(found.id, actor.user_id, _text(reason))
        notices.of_incident(rt, "closed", found, actor.user_id)
        detail = {"reason": reason, "open_runs": [run.id for run in running]}
        severity = Severity.WARNING if running else Severity.NOTICE
        auditing.by_actor(rt, actor, "incident.close", auditing.of_incident(found.id), detail, severity)
    return Closing(get(rt, found.id), closed=True, open_runs=running)


def facts(incident: IncidentRecord) -> dict[str, Json]:
    """What runs and forms know of an incident: its fields, then what every incident has."""
    known = {"id": str(incident.id), "title": incident.title, "severity": incident.severity}
    return {**incident.fields, **known, "channel": incident.channel, "channel_name": incident.channel_name}


def bound(rt: Runtime, about: Mapping[str, Json]) -> dict[str, Json]:
    """`about` (channel, channel_name …), where a run is asked for, with the facts of the incident that is open there.

    `case` is the incident's number, by which the same run is known again.
    """
    found = current(rt, str(about.get("channel") or ""))
    if found is None:
        return dict(about)
    said = {key: value for key, value in about.items() if value not in (None, "")}
    return {**facts(found), "case": found.id, **said}


def prefill(schema: Mapping[str, Json], about: Mapping[str, Json]) -> dict[str, Json]:
    """The parameters that name a fact of the incident in `x-prefill` which it has, as values of their types."""
    named = {name: str(rules.get("x-prefill", "")) for name, rules in schema.get("properties", {}).items()}
    wanted = {name: about.get(source.removeprefix("incident.")) for name, source in named.items() if source}
    texts = {name: value for name, value in wanted.items() if isinstance(value, str) and value}
    return coerce(dict(schema), texts)


def who_set(rt: Runtime, schema: Mapping[str, Json], about: Mapping[str, Json], values: Json) -> list[str]:
    """Those who set the facts `about` the incident that these parameters' values are, where `x-prefill` names one.

    The audit says who: each fact is written to it as it is set, whatever became of it since, and all of it is read, so
    that nobody is forgotten behind many later changes.
    """
    rules = schema.get("properties", {})
    same = [name for name, value in prefill(schema, about).items() if values.get(name) == value]
    taken = {str(rules[name]["x-prefill"]).removeprefix("incident.") for name in same}
    found = latest(rt, str(about.get("channel") or "")) if taken else None
    numbers = {about.get("case"), found.id if found is not None else None} if taken else set()
    things = [auditing.of_incident(each) for each in numbers if each]
    with database.reading():
        rows = audit.of_things(rt.workspace_id, things, audit.count_of_things(rt.workspace_id, things))
    people = [row.actor for row in reversed(rows) if any(_said(row, each) == _text(str(about[each])) for each in taken)]
    return [each for each in dict.fromkeys(people) if each != SYSTEM.user_id]


def _said(row: AuditRecord, fact: str) -> str | None:
    """The value that a row of the audit says was given to a fact of an incident, None where it says none."""
    detail = row.detail if isinstance(row.detail, dict) else {}
    told = detail if fact in ("title", "severity") else detail.get("fields") or {}
    return _text(str(told[fact])) if fact in told else None


def _the_open(rt: Runtime, channel: str) -> IncidentRecord:
    found = incidents.latest(rt.workspace_id, channel)
    if found is None or found.closed_at is not None:
        raise Conflict("This channel is no incident now. `incident open` makes it one.")
    return found


def _checked(known: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """The fields that follow from what is given; an empty one is dropped."""
    wrong = {name: _wrong(name, value) for name, value in given.items()}
    merged = {**known, **{name: clean_text(value) for name, value in given.items()}}
    merged = {name: value for name, value in merged.items() if value}
    if len(merged) > MOST_FIELDS:
        wrong[""] = f"an incident has at most {MOST_FIELDS} fields"
    if any(wrong.values()):
        raise InvalidParameters({name: why for name, why in wrong.items() if why}, "fields of the incident")
    return merged


def _wrong(name: str, value: str) -> str:
    if name in RESERVED:
        return "is a name of the incident's own"
    if not _NAME.fullmatch(name):
        return "must be letters, digits and underscores, starting with a letter"
    return f"is longer than {LONGEST} characters" if len(value) > LONGEST else ""


def _text(text: str) -> str:
    return clean_text(" ".join(text.split()))[:LONGEST]
