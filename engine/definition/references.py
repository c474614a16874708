"""What may be named in a template or condition at one place, and what is wrong with a name that may not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from engine.definition.forms import names_in
from engine.definition.kinds import KINDS
from engine.definition.kinds.loop import TEMPLATE_ROOTS
from engine.definition.tree import Block, Container
from engine.expressions import Held
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
BEFORE_START = ("workspace", "team", "requester", "reason")
"""What is known of an execution before it starts."""
_SECRET_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_SECRETS_STAND = "secrets may stand in a call's headers, query, auth and body only"
_NO_MOMENT = (
    "`now` is not there in what decides a run's way or what people decide about, which has to stay what it was: hand "
    "it on as an output of a step before, or use `execution.started_at`"
)


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


def reference_faults(chains: frozenset[tuple[str, ...]], scope: Scope) -> Iterator[str]:
    """What is wrong with names that are read at a place, each as its parts: `steps`, `drain`, `outputs`."""
    for chain in sorted(chains):
        match chain[0]:
            case "params":
                yield from _parameter_faults(chain, scope)
            case "steps":
                yield from _step_faults(chain, scope)
            case "execution" if not scope.started and chain[1:2] and chain[1] not in BEFORE_START:
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


_THEIRS = dict.fromkeys(("option", "options", "input", "inputs", "var", "vars", "parameters"), "params")
"""What Rundeck, GitHub Actions, Ansible and others call what a run was started with."""


def _name_faults(name: str, scope: Scope) -> Iterator[str]:
    """What is wrong with a name that is no root: a loop around may have given it to its item or number."""
    for container in scope.within:
        if name in container.names[:1] and not container.each:
            yield f"`{name}` is not there in a `while`, which has no items; it has `{container.names[1]}`"
    names = [name for container in scope.within for name in container.names]
    if name not in names:
        yield f"unknown name `{name}`{did_you_mean(_THEIRS.get(name, name), (*TEMPLATE_ROOTS, *names))}"


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
