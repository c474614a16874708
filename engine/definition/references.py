"""What a step's templates and conditions use, checked when the runbook is loaded, so that no run finds a typo."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from engine.definition.forms import names_in
from engine.definition.kinds import KINDS, Kind, Treatment
from engine.definition.kinds.loop import TEMPLATE_ROOTS, round_names
from engine.definition.rendering import target_as_url
from engine.definition.schema import Finding, Path, of_type, path_in_step, subject
from engine.definition.target_urls import PLACEHOLDER, with_base
from engine.definition.tree import Block, Container
from engine.expressions import ExpressionError, Held, asked, certain, check, has_template, references
from engine.expressions.conditions import pattern_fault, sources
from engine.expressions.grammar import Syntax
from engine.expressions.urls import parse_url
from engine.text.words import did_you_mean, listed, nearest
from storage.records import Json

FACTS: Mapping[str, tuple[str, ...]] = {
    "execution": ("id", "workspace", "team", "requester", "reason", "started_at"),
    "incident": ("channel", "channel_name", "id", "title", "severity"),
    "runbook": ("id", "name", "version", "team"),
    "response": ("status", "headers", "json", "text", "xml", "lines"),
}
"""What a template may read of the execution around it, and the conditions and `outputs` of a call of the answer."""

_END, _ERROR = ("status", "error"), ("code", "message")
"""What says how a step ended, and what an error has."""
_BEFORE_START = ("workspace", "team", "requester", "reason")
"""What is known of an execution before it starts."""
_SECRET_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_SECRETS_STAND = "secrets may stand in a call's headers, query, auth and body only"
_NO_MOMENT = (
    "`now` is not there in what decides a run's way or what people decide about, which has to stay what it was: hand "
    "it on as an output of a step before, or use `execution.started_at`"
)
_HOST_VALUE = re.compile(r"[a-z0-9.-]+")
_TARGET = re.compile(r"[^/?]+:\d{1,5}")


@dataclass(frozen=True, slots=True)
class Scope:
    """What may be named at one place. `parameters` is None when the schema is broken, and is then not checked against.

    `homes` holds every step of the file with the list in which it stands, `upstream` those whose outputs may be read
    here, and `outputs` the names of a step's outputs where they are all known. `within` holds the containers around.
    `started` is False for what is asked before the execution starts; `itself` is the step whose words these are.
    `held` are the outputs that are secret. `now` says that there is a moment at which what is asked is done,
    `own_names` what the rounds of the loop that this is are called.
    How a step ended may be read of those that are `tolerated`, since it may have failed, and in cleanup, where
    `any_end` is True, of every one.
    """

    parameters: Mapping[str, Mapping[str, Json]] | None
    homes: Mapping[str, Block] = field(default_factory=dict)
    upstream: frozenset[str] = frozenset()
    outputs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    within: tuple[Container, ...] = ()
    open_parameters: bool = False
    secrets: bool = False
    response: bool = False
    own_outputs: bool = False
    started: bool = True
    itself: str = ""
    held: Held = frozenset()
    now: bool = False
    own_names: tuple[str, ...] = ()
    tolerated: frozenset[str] = frozenset()
    any_end: bool = False


def known_outputs(blocks: Sequence[Block]) -> dict[str, tuple[str, ...]]:
    """The names of all outputs of each step that maps its own, is a container or asks people."""
    found: dict[str, tuple[str, ...]] = {}
    for block in blocks:
        for step in block.steps:
            mapped, kind = step.get("outputs"), KINDS.get(str(step.get("type")))
            names = tuple(mapped) if isinstance(mapped, dict) and mapped else kind.outputs if kind else ()
            if not names and kind and kind.form_outputs and isinstance(step.get("with"), dict):
                names = (*kind.form_outputs, *names_in(step["with"].get("form")))
            if names:
                found[str(step.get("id", ""))] = names
    return found


def step_findings(step: Mapping[str, Json], path: Path, with_path: Path, scope: Scope) -> Iterator[Finding]:
    """Everything wrong with what a step of sound shape says in its `with`, `if`, `retry` and `outputs`."""
    kind = KINDS[step["type"]]
    names = round_names(step.get("with", {})) if kind.repeats else ()
    yield from _shadow_findings(names, (*with_path, "as"), scope)
    for key, value in step.get("with", {}).items():
        location, inner = (*with_path, key), replace(scope, secrets=key in kind.secret_keys, now=_has_moment(kind))
        match kind.treatment(key):
            case Treatment.URL:
                yield from _url_findings(with_base(value), location, inner)
            case Treatment.PATH:
                yield from _url_findings(PLACEHOLDER + value, location, inner)
            case Treatment.TARGET:
                yield from _target_findings(value, location, inner)
            case Treatment.TEXT | Treatment.MARKUP | Treatment.DATA:
                yield from template_findings(value, location, inner)
                yield from _items_findings(value, location) if key == "items" else ()
            case Treatment.CONDITION:
                yield from _condition_findings(
                    value, location, _asked(key, replace(scope, now=_has_moment(kind), own_names=names))
                )
    if "if" in step:
        yield from _condition_findings(step["if"], (*path, "if"), scope)
    retry = step.get("retry")
    if isinstance(retry, dict) and "if" in retry:
        yield from _condition_findings(retry["if"], (*path, "retry", "if"), replace(scope, response=True, now=True))
    mapped = replace(scope, response=kind.answers, own_outputs=True, now=True)
    yield from template_findings(step.get("outputs"), (*path, "outputs"), mapped)


def _has_moment(kind: Kind) -> bool:
    """Whether what a kind's `with` says is done at one moment: not what people decide about, nor a run's way."""
    return not (kind.is_gate or kind.is_container)


def _items_findings(items: Json, path: Path) -> Iterator[Finding]:
    """What a loop goes over, where that is certain already."""
    try:
        known = certain(items) if isinstance(items, str) else items
    except ExpressionError:  # it depends on values, or is told of as wrong already
        return
    if not isinstance(known, list):
        yield Finding(path, f"{_named(path)} must be a list, not {of_type(known)}")


def _asked(key: str, scope: Scope) -> Scope:
    """What a condition inside `with` may read: `until` and `expect` of the answer, `while` of the round before."""
    if key in ("until", "expect"):
        return replace(scope, response=True)
    if key == "while":
        itself = Container(scope.itself, repeats=True, each=False, names=scope.own_names)
        inner = {step for step, home in scope.homes.items() if home.within and home.within[-1].id == scope.itself}
        return replace(scope, upstream=scope.upstream | inner, within=(*scope.within, itself))
    return scope


def template_findings(value: Json, path: Path, scope: Scope) -> Iterator[Finding]:
    """Everything wrong with the templates in a JSON value."""
    if isinstance(value, str) and has_template(value):
        yield from _source_findings(value, path, scope)
    elif isinstance(value, dict):
        for key, item in value.items():
            if has_template(key):
                yield Finding((*path, key), f"{_named((*path, key))}: keys are not rendered, only values", at_key=True)
            yield from template_findings(item, (*path, key), scope)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from template_findings(item, (*path, index), scope)


def secrets_only(value: Json, path: Path) -> Iterator[Finding]:
    """Everything wrong with templates that may read secrets and nothing else."""
    yield from template_findings(value, path, Scope(parameters=None, secrets=True))
    if any(chain[0] != "secrets" for chain in references(value)):
        yield Finding(path, f"{_named(path)} may read secrets only, as in {{{{ secrets.lb_token }}}}")


def _source_findings(source: str, path: Path, scope: Scope, *, bare: bool = False) -> Iterator[Finding]:
    if bare and "{{" in source:
        yield Finding(path, f"{_named(path)} is a bare expression: leave the {{{{ }}}} out")
        return
    kind: Syntax = "expression" if bare else "template"
    wrong = check(source, kind)
    for message in wrong or _reference_faults(references(source, kind), scope):
        yield Finding(path, f"{_named(path)}: {message}")


def _condition_findings(condition: Json, path: Path, scope: Scope) -> Iterator[Finding]:
    for location, source, bare in sources(condition, path):
        if bare:
            found = list(_source_findings(source, location, scope, bare=True))
            yield from found or (_truth_findings(source, location, scope) if location[-1] != "field" else ())
        else:
            yield from template_findings(source, location, scope)
    yield from _operator_findings(condition, path)


def _truth_findings(source: str, path: Path, scope: Scope) -> Iterator[Finding]:
    """What a sound condition asks that can be neither true nor false, where that is certain already."""
    for surely, chain in asked(source):
        found = surely or _never_boolean(chain, scope)
        if found:
            told = f" `{'.'.join(chain)}`" if chain else ""
            rule = f"a condition must be true or false, and{told or ' this'} is {found}: compare it with something"
            yield Finding(path, f"{_named(path)}: {rule}")


def _never_boolean(chain: tuple[str, ...], scope: Scope) -> str | None:
    """What a name stands for where that is certain and is neither true nor false, in words."""
    match chain:
        case ("params", name) if scope.parameters is not None:
            schema = scope.parameters.get(name, {})
            types = schema.get("type") if isinstance(schema, Mapping) else None
            return _TYPES.get(types) if isinstance(types, str) else None
        case ("steps", _, "outputs" | "error"):
            return "a mapping, or not there"
        case ("steps", _, "status") | ("steps", _, "error", _):
            return "text"
        case ("execution" | "incident" | "runbook" as root, name) if name in FACTS[root]:
            return "a number" if name == "version" else "text"
        case ("response", "status" | "headers" | "text" as name):
            return {"status": "a number", "headers": "a mapping", "text": "text"}[name]
    return None


_TYPES = {
    "string": "text", "integer": "a number", "number": "a number", "array": "a list", "object": "a mapping",
    "null": "null",
}  # fmt: skip


def _operator_findings(condition: Json, path: Path) -> Iterator[Finding]:
    if not isinstance(condition, dict):
        return
    for word in ("all", "any"):
        for index, part in enumerate(condition.get(word, ())):
            yield from _operator_findings(part, (*path, word, index))
    yield from _operator_findings(condition.get("not"), (*path, "not"))
    operator, value = condition.get("operator"), condition.get("value")
    fault = pattern_fault(condition)
    if fault:
        yield Finding((*path, "value"), f"{_named((*path, 'value'))}: {fault}")
    elif operator == "exists" and not isinstance(condition.get("value", True), bool):
        yield Finding((*path, "value"), f"{_named((*path, 'value'))} must be true or false for `exists`")
    elif operator not in {"exists", None} and "value" not in condition:
        yield Finding(path, f"{_named(path)}: `{operator}` needs a `value`")
    elif operator == "in" and not isinstance(value, (list, str)):
        yield Finding((*path, "value"), f"{_named((*path, 'value'))} must be a list for `in`")


def _target_findings(template: str, path: Path, scope: Scope) -> Iterator[Finding]:
    """A target is the host and port of a URL, and the same values may stand in it."""
    if _TARGET.fullmatch(template) and not has_template(template[template.rindex(":") :]):
        yield from _url_findings(target_as_url(template), path, scope)
    else:
        yield Finding(path, f"{_named(path)} must be a host and a port, as in orders.internal:443")


def _url_findings(template: str, path: Path, scope: Scope) -> Iterator[Finding]:
    try:
        url = parse_url(template)
    except ValueError as error:
        yield Finding(path, f"{_named(path)}: {error}")
        return
    yield from _source_findings(template, path, scope)
    for value in url.host_values:
        fault = _host_fault(value.path, scope)
        if fault:
            yield Finding(path, f"{_named(path)}: {fault}")


def _host_fault(names: tuple[str, ...] | None, scope: Scope) -> str | None:
    """What speaks against a value inside a host name: only what the author has listed may decide where a call goes."""
    rule = "inside the host name only a parameter with an `enum` may stand, as in https://{{ params.region }}.example"
    if names is None or len(names) != 2 or names[0] != "params":
        return rule
    if scope.parameters is None or names[1] not in scope.parameters:
        return None
    allowed = scope.parameters[names[1]].get("enum")
    if not isinstance(allowed, list):
        return rule
    odd = next((word for word in map(str, allowed) if not _HOST_VALUE.fullmatch(word)), None)
    return odd and f"`{odd}` cannot be part of a host name: lower-case letters, digits, dots and dashes only"


def _reference_faults(chains: frozenset[tuple[str, ...]], scope: Scope) -> Iterator[str]:
    for chain in sorted(chains):
        match chain[0]:
            case "params":
                yield from _parameter_faults(chain, scope)
            case "steps":
                yield from _step_faults(chain, scope)
            case "execution" if not scope.started and chain[1:2] and chain[1] not in _BEFORE_START:
                yield f"`execution.{chain[1]}` is not there before the run starts"
            case "secrets":
                yield from _secret_faults(chain, scope)
            case "response" if not scope.response:
                yield "`response` is there in the `until`, `expect`, `retry.if` and `outputs` of a call only"
            case root if root in FACTS:
                yield from _fact_faults(chain)
            case "targets":
                yield "`targets.NAME.url` stands at the beginning of a `url`, and nowhere else"
            case "outputs":
                yield from _own_output_faults(chain, scope)
            case "now":
                yield from _now_faults(chain, scope)
            case "item" | "index" as root:
                yield from _loop_faults(root, scope)
            case root:
                yield from _name_faults(root, scope)


def _name_faults(name: str, scope: Scope) -> Iterator[str]:
    """What is wrong with a name that is no root: a loop around may have given it to its item or number."""
    for container in scope.within:
        if name in container.names[:1] and not container.each:
            yield f"`{name}` is not there in a `while`, which has no items; it has `{container.names[1]}`"
    names = [name for container in scope.within for name in container.names]
    if name not in names:
        yield f"unknown name `{name}`{did_you_mean(name, (*TEMPLATE_ROOTS, *names))}"


def _shadow_findings(names: tuple[str, ...], path: Path, scope: Scope) -> Iterator[Finding]:
    """A loop that calls its item or number what a loop around it does: its steps could not tell them apart."""
    taken = {name: container.id for container in scope.within for name in container.names}
    holder = next((taken[name] for name in names if name in taken), None)
    if holder is not None:
        yield Finding(path, f"{_named(path)}: `{holder}`, a loop around this one, has that name; take another")


def _loop_faults(name: str, scope: Scope) -> Iterator[str]:
    around = [container for container in scope.within if container.repeats]
    if not around:
        yield f"`{name}` is not there outside a loop"
    elif name == "item" and not around[-1].each:
        yield "`item` is there in a loop over `items` only; a `while` has `index`"


def _now_faults(chain: tuple[str, ...], scope: Scope) -> Iterator[str]:
    if not scope.now:
        yield _NO_MOMENT
    elif len(chain) > 1:
        yield f"`now` is a text such as 2026-01-31T14:30:00Z, and has no `{chain[1]}`"


def _own_output_faults(chain: tuple[str, ...], scope: Scope) -> Iterator[str]:
    if not scope.own_outputs:
        yield "`outputs` alone is there in a step's `outputs` only; name the step, as in `steps.drain.outputs`"
        return
    home = scope.homes.get(scope.itself)
    step = next((each for each in home.steps if each.get("id") == scope.itself), {}) if home else {}
    kind = KINDS.get(str(step.get("type")))
    if kind and kind.outputs and len(chain) > 1 and chain[1] not in kind.outputs:
        yield f"there is no `outputs.{chain[1]}`{_hint(chain[1], kind.outputs)}"


def _parameter_faults(chain: tuple[str, ...], scope: Scope) -> Iterator[str]:
    known = scope.parameters
    if len(chain) > 1 and known is not None and not scope.open_parameters and chain[1] not in known:
        yield f"there is no parameter `{chain[1]}`{_hint(chain[1], known)}"


def _step_faults(chain: tuple[str, ...], scope: Scope) -> Iterator[str]:
    if not scope.started:
        yield "`steps` is not there before the run starts"
    elif len(chain) < 2:
        yield "name the step that is meant, as in `steps.drain.outputs.status`"
    elif chain[1] not in scope.upstream:
        yield _out_of_sight(chain[1], scope)
    elif len(chain) > 2 and chain[2] in _END:
        yield from _end_faults(chain, scope)
    elif len(chain) > 2 and chain[2] != "outputs":
        known = ("outputs", *_END)
        yield f"`steps.{chain[1]}` has `outputs`, `status` and `error`, not `{chain[2]}`{did_you_mean(chain[2], known)}"
    elif len(chain) > 3 and chain[3] not in scope.outputs.get(chain[1], (chain[3],)):
        yield f"`steps.{chain[1]}` has no output `{chain[3]}`{_hint(chain[3], scope.outputs[chain[1]])}"
    elif len(chain) > 3 and (chain[1], chain[3]) in scope.held and not scope.secrets:
        yield f"`{'.'.join(chain[:4])}` is secret: {_SECRETS_STAND}"
    elif any(pair in scope.held for pair in pairwise(chain[4:])):
        yield f"`{'.'.join(chain)}` is secret and stays inside `{chain[1]}`: use it there"


def _end_faults(chain: tuple[str, ...], scope: Scope) -> Iterator[str]:
    """What is wrong with reading how a step ended: its `status`, and its `error` with `code` and `message`."""
    named = ".".join(chain[:3])
    if not scope.any_end and chain[1] not in scope.tolerated:
        yield (
            f"`{named}` is not there: this step starts only if `{chain[1]}` has not failed. It is for `on_failure`, "
            "`finally` and `undo`, and behind a step with `continue_on_error`"
        )
    elif chain[2] == "status" and len(chain) > 3:
        yield f"`{named}` is text and has no `{chain[3]}`"
    elif chain[2] == "error" and len(chain) > 3 and chain[3] not in _ERROR:
        yield f"`{named}` has no `{chain[3]}`{_hint(chain[3], _ERROR)}"


def _out_of_sight(step_id: str, scope: Scope) -> str:
    """Why a step's outputs cannot be read here, and what to do."""
    named = f"`steps.{step_id}`"
    if step_id == scope.itself:
        return f"{named} is this step itself, which has not ended yet"
    if any(container.id == step_id for container in scope.within):
        return f"{named} is around this step and has not ended yet"
    home = scope.homes.get(step_id)
    if home is None:
        return f"there is no step `{step_id}`{_hint(step_id, scope.homes)}"
    hidden = [container for container in home.within if container not in scope.within]
    if hidden and hidden[0].id == scope.itself:
        return f"{named} stands inside this step and has not ended yet"
    if hidden:
        return f"{named} stands inside `{hidden[0].id}`: from here read {_seen_as(step_id, hidden)}"
    if home is scope.homes.get(scope.itself):
        return f"{named} has not ended when this step starts; add it to `needs`"
    return f"{named} has not ended when this step starts"


def _seen_as(step_id: str, hidden: Sequence[Container]) -> str:
    outside = f"steps.{hidden[0].id}.outputs"
    if hidden[0].repeats:
        return f"`{outside}.results`"
    return f"`{outside}.steps.{step_id if len(hidden) == 1 else hidden[1].id}`"


def _secret_faults(chain: tuple[str, ...], scope: Scope) -> Iterator[str]:
    if not scope.secrets:
        yield _SECRETS_STAND
    elif len(chain) != 2:
        yield "name one secret, as in `secrets.lb_token`"
    elif not _SECRET_NAME.fullmatch(chain[1]):
        yield f"`{chain[1]}` is not the name of a secret: lower-case letters, digits and underscores"


def _fact_faults(chain: tuple[str, ...]) -> Iterator[str]:
    known = FACTS[chain[0]]
    own_field = chain[0] == "incident" and len(chain) > 1 and not nearest(chain[1], known)
    if len(chain) > 1 and chain[1] not in known and not own_field:
        yield f"there is no `{chain[0]}.{chain[1]}`{_hint(chain[1], known)}"


def _hint(word: str, known: Iterable[str]) -> str:
    words = sorted(known)
    if nearest(word, words):
        return did_you_mean(word, words)
    return f"; there is {listed(words[:20])}" if words else ""


def _named(path: Path) -> str:
    return subject(path_in_step(path))
