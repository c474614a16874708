"""The rules of a runbook that a schema cannot say: the graph, the durations, the approvals, the headers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from engine.definition import references
from engine.definition.durations import DAY_MS, HOUR_MS, SECOND_MS, parse_duration, show_duration
from engine.definition.graph import ancestors_of, cycle
from engine.definition.kinds import KINDS, Kind, Treatment
from engine.definition.model import Json
from engine.definition.parameter_schema import check_schema, resolved
from engine.definition.schema import Finding, Path, path_in_step, subject
from engine.definition.words import did_you_mean

MAX_RUN_MS = 7 * DAY_MS
MAX_STEP_MS = DAY_MS
MIN_INTERVAL_MS = SECOND_MS
MAX_PAUSE_MS = HOUR_MS

OUR_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection", "idempotency-key"})
"""Headers that the bot sets itself, and that would break or fool the call otherwise."""


Broken = frozenset[Path]
"""The paths under which the shape itself is wrong, and every path above them."""


def findings(data: Mapping[str, Json], broken: Broken) -> Iterator[Finding]:
    """Everything wrong with a file that its schema cannot say; what is broken is left alone."""
    yield from _duration("timeout", data, (), MAX_RUN_MS)
    schema = data.get("parameters", {})
    scope = _scope(schema)
    if ("parameters",) in broken:
        scope = references.Scope(parameters=None)
    else:
        for each in check_schema(schema) if schema else ():
            yield Finding(("parameters", *each.path), each.message, each.at_key)
    if isinstance(data.get("webhook"), dict):
        yield from _webhook_findings(data, broken, scope)
    if isinstance(data.get("steps"), list):
        yield from _steps_findings(data, broken, scope)


def _scope(schema: Json) -> references.Scope:
    if not isinstance(schema, dict) or not isinstance(schema.get("properties", {}), dict):
        return references.Scope(parameters=None)
    properties = schema.get("properties", {})
    known = {name: _resolved_safely(schema, rules) for name, rules in properties.items() if isinstance(rules, dict)}
    return references.Scope(parameters=known, open_parameters=bool(schema.get("additionalProperties", False)))


def _resolved_safely(schema: dict[str, Json], rules: dict[str, Json]) -> dict[str, Json]:
    """A parameter's rules with one `$ref` followed; rings of them are reported elsewhere."""
    definitions = schema.get("$defs")
    if "$ref" not in rules or not isinstance(definitions, dict):
        return rules
    target = definitions.get(str(rules["$ref"]).removeprefix("#/$defs/"), {})
    return resolved({}, {**target, **rules}) if isinstance(target, dict) and "$ref" not in target else rules


def _webhook_findings(data: Mapping[str, Json], broken: Broken, scope: references.Scope) -> Iterator[Finding]:
    call = _sound_with(data["webhook"], KINDS["http"], ("webhook",), broken)
    yield from _header_findings(call, ("webhook",))
    yield from references.step_findings({"type": "http", "with": call}, (), ("webhook",), scope)
    yield from _retry_findings(data, ())


def _steps_findings(data: Mapping[str, Json], broken: Broken, scope: references.Scope) -> Iterator[Finding]:
    steps = [step if isinstance(step, dict) else {} for step in data["steps"]]
    ids = [str(step.get("id", "")) for step in steps]
    needs = needs_in(steps)
    yield from _id_findings(ids)
    yield from _needs_findings(steps, ids, needs)
    known = {step_id: [need for need in wanted if need in ids] for step_id, wanted in needs.items()}
    upstream = ancestors_of(known) if cycle(known) is None else {step_id: frozenset(ids) for step_id in ids}
    for index, step in enumerate(steps):
        path: Path = ("steps", index)
        here = replace(scope, steps=frozenset(ids), upstream=upstream[ids[index]], itself=ids[index])
        yield from _step_findings(data, _sound_part(step, path, broken), path, here)


def _sound_part(step: dict[str, Json], path: Path, broken: Broken) -> dict[str, Json]:
    """The step without the keys, and the keys of `with`, whose shape is wrong."""
    sound = {key: value for key, value in step.items() if key == "with" or (*path, key) not in broken}
    with_ = step.get("with")
    if not isinstance(with_, dict) or str(step.get("type")) not in KINDS:
        return {key: value for key, value in sound.items() if key not in {"with", "type"}}
    return {**sound, "with": _sound_with(with_, KINDS[step["type"]], (*path, "with"), broken)}


def _sound_with(with_: dict[str, Json], kind: Kind, path: Path, broken: Broken) -> dict[str, Json]:
    """Data may hold anything, so that what is wrong in one header does not hide what is wrong in the next."""
    return {
        key: value
        for key, value in with_.items()
        if (*path, key) not in broken or kind.treatment(key) is Treatment.DATA
    }


def needs_in(steps: list[dict[str, Json]]) -> dict[str, list[str]]:
    """Each step's needs by its id; a step that does not say follows the one above it."""
    found: dict[str, list[str]] = {}
    above: list[str] = []
    for step in steps:
        step_id, wanted = str(step.get("id", "")), step.get("needs", above)
        found.setdefault(step_id, [str(need) for need in wanted] if isinstance(wanted, list) else above)
        above = [step_id]
    return found


def _step_findings(
    data: Mapping[str, Json], step: dict[str, Json], path: Path, scope: references.Scope
) -> Iterator[Finding]:
    yield from _duration("timeout", step, path, MAX_STEP_MS)
    yield from _retry_findings(step, path)
    with_ = step.get("with", {})
    yield from _duration("interval", with_, (*path, "with"), MAX_STEP_MS, MIN_INTERVAL_MS)
    yield from _header_findings(with_, (*path, "with"))
    if step.get("type") == "approval" and "approvers" in with_:
        yield from _approval_findings(data, step, path)
    if "type" in step:
        yield from references.step_findings(step, path, (*path, "with"), scope)


def _duration(key: str, holder: Mapping[str, Json], path: Path, most: int, least: int = 1) -> Iterator[Finding]:
    value = holder.get(key)
    if not isinstance(value, (str, int)) or isinstance(value, bool):
        return
    place = (*path, key)
    try:
        length = parse_duration(value)
    except ValueError as error:
        yield Finding(place, f"{subject(path_in_step(place))}: {error}")
        return
    if not least <= length <= most:
        bounds = f"between {show_duration(least)} and {show_duration(most)}"
        yield Finding(place, f"{subject(path_in_step(place))} must be {bounds}")


def _retry_findings(holder: Mapping[str, Json], path: Path) -> Iterator[Finding]:
    retry = holder.get("retry", {})
    if isinstance(retry, dict):
        for key in ("delay", "max_delay"):
            yield from _duration(key, retry, (*path, "retry"), MAX_PAUSE_MS)


def _header_findings(with_: Mapping[str, Json], path: Path) -> Iterator[Finding]:
    headers, auth = with_.get("headers"), with_.get("auth")
    headers = headers if isinstance(headers, dict) else {}
    auth = auth if isinstance(auth, dict) else {}
    taken = {"basic": "authorization", "bearer": "authorization", "header": str(auth.get("name", "")).lower()}.get(
        str(auth.get("type"))
    )
    seen: set[str] = set()
    for name in headers:
        place, lower = (*path, "headers", name), name.lower()
        named = subject(path_in_step(place))
        if lower in OUR_HEADERS:
            yield Finding(place, f"{named} is set by the bot itself; leave it out", at_key=True)
        elif lower == taken:
            yield Finding(place, f"{named} cannot stand beside `auth`, which sets it", at_key=True)
        elif lower in seen:
            yield Finding(place, f"{named} is here twice", at_key=True)
        seen.add(lower)
    if taken in OUR_HEADERS:
        place = (*path, "auth", "name")
        yield Finding(place, f"{subject(path_in_step(place))} cannot be a header that the bot sets itself")


def _id_findings(ids: list[str]) -> Iterator[Finding]:
    first: dict[str, int] = {}
    for index, step_id in enumerate(ids):
        if step_id and first.setdefault(step_id, index) != index:
            place: Path = ("steps", index, "id")
            yield Finding(place, f"the id `{step_id}` is taken by step number {first[step_id] + 1}")


def _needs_findings(steps: list[dict[str, Json]], ids: list[str], needs: Mapping[str, list[str]]) -> Iterator[Finding]:
    for index, step in enumerate(steps):
        wanted = step.get("needs", [])
        for position, need in enumerate(wanted if isinstance(wanted, list) else ()):
            place: Path = ("steps", index, "needs", position)
            if need == ids[index]:
                yield Finding(place, f"step `{need}` cannot need itself")
            elif need not in ids:
                yield Finding(place, f"there is no step `{need}`{did_you_mean(str(need), [i for i in ids if i])}")
            elif need in wanted[:position]:
                yield Finding(place, f"`{need}` is named twice in `needs`")
    known = {step_id: [need for need in each if need in ids and need != step_id] for step_id, each in needs.items()}
    ring = cycle(known)
    if ring:
        shown = " needs ".join(f"`{step_id}`" for step_id in reversed(ring))
        yield Finding(("steps", ids.index(ring[0]), "needs"), f"steps wait for each other in a ring: {shown}")


def _approval_findings(data: Mapping[str, Json], step: Mapping[str, Json], path: Path) -> Iterator[Finding]:
    if step.get("on_timeout") == "approve" and data.get("risk") == "high":
        yield Finding((*path, "on_timeout"), "`on_timeout`: approve is not allowed where `risk` is high")
    with_ = step["with"]
    roles, users = with_["approvers"].get("roles", []), with_["approvers"].get("users", [])
    if not data.get("team"):
        for index, role in enumerate(roles):
            if role.startswith("team_"):
                place = (*path, "with", "approvers", "roles", index)
                yield Finding(place, f"`{role}` has nobody in it here: the runbook belongs to no `team`")
    least = with_.get("min_approvals", 1)
    if set(with_["approvers"]) == {"users"} and least > len(users):
        place = (*path, "with", "min_approvals")
        yield Finding(place, f"{least} must approve, and only {len(users)} may: nobody could ever start what follows")
