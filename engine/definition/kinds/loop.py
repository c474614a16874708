"""The kind `loop`: a list of steps is done in rounds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from engine.definition.kinds.kind import Effect, Kind, Treatment
from engine.definition.schema import Finding, Path
from storage.records import Json

TEMPLATE_ROOTS = (
    "params", "steps", "incident", "execution", "runbook", "secrets", "response", "outputs", "item", "index", "now",
    "targets",
)  # fmt: skip
"""What templates read without a loop's name for it."""
_WORDS = (
    "and", "or", "not", "in", "is", "if", "else", "elif", "endif", "for", "endfor", "true", "false", "none", "null",
    "loop", "self", "super", "recursive", "duration",
)  # fmt: skip
"""What has a meaning of its own in expressions."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


def round_names(with_: Mapping[str, Json]) -> tuple[str, ...]:
    """What the steps of a loop may also call its round's item and number; () where the loop does not say `as`."""
    name = with_.get("as")
    return (name, f"{name}_index") if isinstance(name, str) else ()


def _rule(_file: Mapping[str, Json], step: Mapping[str, Json], path: Path) -> Iterator[Finding]:
    name, location = step.get("with", {}).get("as"), (*path, "with", "as")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return
    if name in _WORDS:
        yield Finding(location, f"`with.as`: `{name}` is a word of expressions; take another name")
    elif set(round_names({"as": name})) & set(TEMPLATE_ROOTS):
        yield Finding(location, f"`with.as`: `{name}` is what templates read already; take another name")


KIND = Kind(
    name="loop",
    effect=Effect.HOLD,
    defaults={"max_parallel": 1, "max_failures": 0},
    treatments={"items": Treatment.DATA, "while": Treatment.CONDITION},
    timeout_ms=None,
    blocks={"steps": "each round"},
    repeats=True,
    outputs=("rounds", "failures", "results"),
    shown=("items", "while"),
    rule=_rule,
)
