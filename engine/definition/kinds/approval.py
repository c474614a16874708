"""The kind `approval`: a gate, which people decide."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from engine.definition.durations import HOUR_MS
from engine.definition.forms import form_findings
from engine.definition.kinds.kind import Awaits, Effect, Kind, Treatment
from engine.definition.markup_cautions import only_text
from engine.definition.model import Step
from engine.definition.schema import Finding, Path
from storage.records import Json

OUTPUTS = ("approved_by", "approvals", "comments", "on_timeout")
"""What a gate hands on beside its answers."""


def _with_minima(with_: dict[str, Json]) -> dict[str, Json]:
    """Whoever a minimum asks for may approve too, and a minimum is one when not said."""
    approvers = with_["approvers"]
    if "minima" not in approvers:
        return with_
    minima = [{**each, "count": each.get("count", 1)} for each in approvers["minima"]]
    found: dict[str, Json] = {**approvers, "minima": minima}
    for each in minima:
        for word, names in (("role", "roles"), ("user", "users"), ("group", "groups")):
            if word in each and each[word] not in found.get(names, ()):
                found[names] = [*found.get(names, ()), each[word]]
    return {**with_, "approvers": found}


def _rule(file: Mapping[str, Json], step: Mapping[str, Json], path: Path) -> Iterator[Finding]:
    with_, place = step.get("with", {}), (*path, "with", "approvers")
    yield from form_findings(with_.get("form"), (*path, "with", "form"), OUTPUTS)
    if "approvers" not in with_:
        return
    yield from _timeout_findings(file, step, path)
    approvers = with_["approvers"]
    minima = approvers.get("minima", [])
    yield from _minima_findings(minima, place)
    if not file.get("team"):
        yield from _team_role_findings(approvers, place)
    users = {*approvers.get("users", []), *(each["user"] for each in minima if "user" in each)}
    least = with_.get("min_approvals", 1)
    only_users = set(approvers) <= {"users", "minima"} and all("user" in each for each in minima)
    if only_users and least > len(users):
        message = f"{least} must approve, and only {len(users)} may: nobody could ever start what follows"
        yield Finding((*path, "with", "min_approvals"), message)


def _timeout_findings(file: Mapping[str, Json], step: Mapping[str, Json], path: Path) -> Iterator[Finding]:
    if step.get("on_timeout") == "approve" and step["with"].get("form"):
        yield Finding(
            (*path, "on_timeout"), "`on_timeout`: approve is not allowed beside `form`: nobody would answer it"
        )
    if step.get("on_timeout") == "approve" and file.get("risk") == "high":
        yield Finding((*path, "on_timeout"), "`on_timeout`: approve is not allowed where `risk` is high")
    elif step.get("on_timeout") == "approve" and path[0] != "steps":
        yield Finding((*path, "on_timeout"), f"`on_timeout`: approve is not allowed in `{path[0]}`")


def _team_role_findings(approvers: Mapping[str, Json], place: Path) -> Iterator[Finding]:
    named: list[tuple[Path, str]] = [(("roles", i), role) for i, role in enumerate(approvers.get("roles", []))]
    named += [(("minima", i, "role"), each.get("role", "")) for i, each in enumerate(approvers.get("minima", []))]
    for where, role in named:
        if role.startswith("team_"):
            message = f"`{role}` has nobody in it here: the runbook belongs to no `team`"
            yield Finding((*place, *where), message)


def _minima_findings(minima: Sequence[Mapping[str, Json]], place: Path) -> Iterator[Finding]:
    seen: set[tuple[str, Json]] = set()
    for index, each in enumerate(minima):
        word = next(word for word in ("role", "group", "user") if word in each)
        here: Path = (*place, "minima", index)
        if (word, each[word]) in seen:
            yield Finding((*here, word), f"the {word} `{each[word]}` has a minimum already")
        seen.add((word, each[word]))
        if word == "user" and each.get("count", 1) > 1:
            yield Finding((*here, "count"), "one person approves once: for a `user` the `count` is 1")


def _caution(step: Step, path: Path, with_path: Path) -> Iterator[Finding]:
    if step.with_.get("allow_self"):
        message = "`allow_self` lets whoever asked for the run, or chose its values, decide about it alone"
        yield Finding((*with_path, "allow_self"), message, rule="self-approval")
    if step.on_timeout == "approve":
        message = "`on_timeout: approve` lets the steps behind it run when nobody looked"
        yield Finding((*path, "on_timeout"), message, rule="approve-on-timeout")
    yield from only_text(step, with_path)


KIND = Kind(
    name="approval",
    effect=Effect.ROWS,
    awaits=Awaits.PEOPLE,
    defaults={"min_approvals": 1, "allow_self": False, "message": ""},
    treatments={"message": Treatment.TEXT},
    timeout_ms=HOUR_MS,
    normalised=_with_minima,
    form_outputs=OUTPUTS,
    shown=("message", "form"),
    rule=_rule,
    caution=_caution,
)
