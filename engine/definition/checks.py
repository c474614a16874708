"""The rules of a runbook that a schema cannot say: the steps, their durations and approvals, and what they may read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from engine.definition import (
    calls,
    dry_run_checks,
    duration_rule,
    parameter_options,
    references,
    secret_outputs,
    step_checks,
    structure,
    template_checks,
)
from engine.definition.durations import HOUR_MS, MAX_APPROVAL_MS, MAX_RUN_MS, MAX_STEP_MS, parse_duration, show_duration
from engine.definition.graph import ancestors_of, cycle
from engine.definition.kinds import KINDS, Kind, Treatment
from engine.definition.model import DEFAULT_RUN_TIMEOUT_MS, DEFAULT_WEBHOOK_TIMEOUT_MS
from engine.definition.parameter_schema import check_schema, resolved
from engine.definition.schema import Finding, Path
from engine.definition.tree import SECTIONS, Block, needs_in
from engine.expressions import has_template
from storage.records import Json

MAX_PAUSE_MS = HOUR_MS

Broken = frozenset[Path]
"""The paths under which the shape itself is wrong, and every path above them."""


def findings(data: Mapping[str, Json], blocks: Sequence[Block], broken: Broken) -> Iterator[Finding]:
    """Everything wrong with a file that its schema cannot say; what is broken is left alone.

    `blocks` are the lists of steps in `data`.
    """
    yield from _duration("timeout", data, (), MAX_RUN_MS)
    yield from _expected_findings(data)
    yield from _duration("approval_max_age", data, (), MAX_APPROVAL_MS, HOUR_MS)
    schema = data.get("parameters", {})
    scope = _scope(schema)
    if ("parameters",) in broken:
        scope = references.Scope(parameters=None)
    else:
        for each in check_schema(schema) if schema else ():
            yield Finding(("parameters", *each.path), each.message, each.at_key)
        yield from parameter_options.findings(schema)
    held = secret_outputs.held_by(step for block in blocks for step in block.steps)
    scope = replace(scope, homes=structure.homes_of(blocks), outputs=references.known_outputs(blocks), held=held)
    scope = replace(scope, tolerated=_tolerated(blocks))
    yield from structure.findings(blocks)
    yield from _steps_findings(data, blocks, broken, scope)
    if isinstance(data.get("webhook"), dict):
        yield from _webhook_findings(data, broken, scope)
    yield from _whole_findings(data, blocks, scope)


def _tolerated(blocks: Sequence[Block]) -> frozenset[str]:
    """The ids of the steps that may fail without ending the run."""
    found = (step for block in blocks for step in block.steps)
    return frozenset(str(step.get("id")) for step in found if step.get("continue_on_error"))


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
    yield from calls.findings(call, ("webhook",))
    yield from step_checks.step_findings(
        {"type": "http", "with": call, **_sound_retry(data, broken)}, (), ("webhook",), scope
    )
    yield from _retry_findings(data, ())


def _sound_retry(data: Mapping[str, Json], broken: Broken) -> dict[str, Json]:
    return {"retry": data["retry"]} if "retry" in data and ("retry",) not in broken else {}


def _whole_findings(data: Mapping[str, Json], blocks: Sequence[Block], scope: references.Scope) -> Iterator[Finding]:
    """What belongs to the execution and not to one step: its outputs and its place in the queue."""
    main = frozenset(step_id for block in blocks if block.path == ("steps",) for step_id in block.ids)
    if "webhook" in data:
        main = frozenset({"webhook"})
        scope = replace(scope, homes={"webhook": Block(("steps",), ({"id": "webhook"},))})
    yield from template_checks.template_findings(data.get("outputs"), ("outputs",), replace(scope, upstream=main))
    yield from secret_outputs.findings(data.get("outputs"), ("outputs",), received=False)
    concurrency = data.get("concurrency")
    if isinstance(concurrency, dict):
        location = ("concurrency", "group")
        yield from template_checks.template_findings(concurrency.get("group"), location, replace(scope, started=False))


def _steps_findings(
    data: Mapping[str, Json], blocks: Sequence[Block], broken: Broken, scope: references.Scope
) -> Iterator[Finding]:
    seen_from: dict[Path, frozenset[str]] = {}
    """What each step may read; the steps inside it may read that too."""
    for block in blocks:
        around = seen_from[block.holder] if block.within else _before(block.section, blocks)
        upstream = _upstream(block)
        for index, (step_id, step) in enumerate(zip(block.ids, block.steps, strict=True)):
            path: Path = (*block.path, index)
            seen_from[path] = around | upstream[step_id]
            here = replace(scope, upstream=seen_from[path], itself=step_id, within=block.within)
            here = replace(here, any_end=block.section != SECTIONS[0])
            yield from _step_findings(data, _sound_part(step, path, broken), path, here)
            if isinstance(step.get("undo"), dict):
                undo = _sound_part(step["undo"], (*path, "undo"), broken)
                after = replace(here, upstream=here.upstream | {step_id}, itself="", any_end=True)
                yield from _step_findings(data, undo, (*path, "undo"), after)


def _before(section: str, blocks: Sequence[Block]) -> frozenset[str]:
    """The steps of the sections that come first: cleanup may read what ran, though none of it needs to have run."""
    earlier = {(each,) for each in SECTIONS[: SECTIONS.index(section)]}
    return frozenset(step_id for block in blocks if block.path in earlier for step_id in block.ids)


def _upstream(block: Block) -> dict[str, frozenset[str]]:
    ids = block.ids
    known = {step_id: [need for need in wanted if need in ids] for step_id, wanted in needs_in(block.steps).items()}
    return ancestors_of(known) if cycle(known) is None else {step_id: frozenset(ids) for step_id in ids}


def _sound_part(step: dict[str, Json], path: Path, broken: Broken) -> dict[str, Json]:
    """The step without the keys, and the keys of `with`, whose shape is wrong; `outputs` may hold anything."""
    sound = {key: value for key, value in step.items() if key in {"with", "outputs"} or (*path, key) not in broken}
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


def _step_findings(
    data: Mapping[str, Json], step: dict[str, Json], path: Path, scope: references.Scope
) -> Iterator[Finding]:
    kind, with_ = KINDS.get(str(step.get("type"))), step.get("with", {})
    with_path: Path = (*path, "with")
    yield from _duration("timeout", step, path, MAX_RUN_MS if kind and kind.is_long else MAX_STEP_MS)
    yield from _retry_findings(step, path)
    yield from calls.findings(with_, with_path)
    if kind:
        yield from _bounds_findings(kind, with_, with_path)
        yield from kind.rule(data, step, path)
    yield from secret_outputs.findings(step.get("outputs"), (*path, "outputs"), received=kind is None or kind.answers)
    if _holds_gate(step):
        yield from _gate_findings(step, path)
    if "undo" in step and path[0] != "steps":
        yield Finding((*path, "undo"), f"`undo` is for the main steps: what runs in `{path[0]}` stays", at_key=True)
    if "type" in step:
        yield from step_checks.step_findings(step, path, with_path, scope)
    yield from dry_run_checks.findings(step, path, scope)


def _duration(key: str, holder: Mapping[str, Json], path: Path, most: int, least: int = 1) -> Iterator[Finding]:
    value = holder.get(key)
    if not isinstance(value, (str, int)) or isinstance(value, bool):
        return
    yield from duration_rule.findings(value, (*path, key), least, most)


def _expected_findings(data: Mapping[str, Json]) -> Iterator[Finding]:
    """`expected` is a duration like `timeout`, and says nothing where the run is ended before."""
    wrong = [*_duration("expected", data, (), MAX_RUN_MS), *_duration("timeout", data, (), MAX_RUN_MS)]
    yield from (each for each in wrong if each.path == ("expected",))
    if wrong or not isinstance(data.get("expected"), (str, int)):
        return
    default = DEFAULT_WEBHOOK_TIMEOUT_MS if "webhook" in data else DEFAULT_RUN_TIMEOUT_MS
    most = parse_duration(data["timeout"]) if isinstance(data.get("timeout"), (str, int)) else default
    if parse_duration(data["expected"]) >= most:
        yield Finding(("expected",), f"`expected` must be shorter than `timeout`, which is {show_duration(most)}")


def _bounds_findings(kind: Kind, with_: Mapping[str, Json], path: Path) -> Iterator[Finding]:
    """Durations in `with` that are too short or too long; what a template gives is known when the step is done."""
    for key, (least, most) in kind.bounds.items():
        if kind.treatment(key) is Treatment.FIXED or not has_template(str(with_.get(key))):
            yield from _duration(key, with_, path, most, least)


def _retry_findings(holder: Mapping[str, Json], path: Path) -> Iterator[Finding]:
    retry = holder.get("retry", {})
    if isinstance(retry, dict):
        for key in ("delay", "max_delay"):
            yield from _duration(key, retry, (*path, "retry"), MAX_PAUSE_MS)


def _holds_gate(step: Mapping[str, Json]) -> bool:
    """Whether a step as written is a gate, or a branch or loop with one in it."""
    kind, with_ = KINDS.get(str(step.get("type"))), step.get("with")
    if kind is None or kind.is_gate or not isinstance(with_, dict):
        return kind is not None and kind.is_gate
    blocks = [with_[name] for name in kind.blocks if isinstance(with_.get(name), list)]
    return any(_holds_gate(inner) for block in blocks for inner in block if isinstance(inner, dict))


def _gate_findings(step: Mapping[str, Json], path: Path) -> Iterator[Finding]:
    """What would let a run go on without the decision of a gate, or past a round that did not come to it."""
    what = "a gate" if KINDS[step["type"]].is_gate else f"a {step['type']} that holds a gate"
    if step.get("continue_on_error"):
        message = f"`continue_on_error` is not for {what}: nothing goes on without its decision"
        yield Finding((*path, "continue_on_error"), message, at_key=True)
    if step.get("skippable"):
        message = f"`skippable` is not for {what}: only its approvers let a run pass it"
        yield Finding((*path, "skippable"), message, at_key=True)
    if step["with"].get("max_failures"):
        message = "`max_failures` is not for a loop that holds a gate: nothing goes on without its decision"
        yield Finding((*path, "with", "max_failures"), message, at_key=True)
