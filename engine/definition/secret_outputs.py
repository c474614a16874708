"""Outputs of a step that are secret: what `outputs: {key: {value: …, secret: true, hosts: […]}}` means.

They are read as `steps.<id>.outputs.<key>`, where secrets may stand and nowhere else. Elsewhere a mark stands for them.
`hosts` are those that they may be sent to, in the patterns of `_secrets.yaml`; left out, any.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from engine.definition.schema import Finding, Path
from engine.expressions import Held, held_name
from storage.records import Json

_KEYS = frozenset({"value", "secret"})
_MAY = frozenset({"hosts"})


def is_secret(output: Json) -> bool:
    """Whether an output, as written, is one."""
    return isinstance(output, Mapping) and output.get("secret") is True


def templates(outputs: Json) -> dict[str, Json]:
    """The templates of those of a step's outputs that are secret, by name."""
    if not isinstance(outputs, Mapping):
        return {}
    return {name: output.get("value") for name, output in outputs.items() if is_secret(output)}


def named(step_id: str, output: str) -> str:
    """What a secret output is called where a mark stands for it, and in rules for it: "step.output"."""
    return held_name(step_id, output)


def others(outputs: Mapping[str, Json]) -> dict[str, Json]:
    """Those of a step's outputs that everybody may see."""
    return {name: output for name, output in outputs.items() if not is_secret(output)}


def held_by(steps: Iterable[Mapping[str, Json]]) -> Held:
    """The secret outputs of these steps, as they are written."""
    return frozenset((str(step.get("id", "")), name) for step in steps for name in templates(step.get("outputs")))


def hosts_by_name(steps: Iterable[Mapping[str, Json]]) -> dict[str, tuple[str, ...] | None]:
    """The hosts that each secret output of these steps may be sent to, as written; None where it does not say."""
    return {
        held_name(str(step["id"]), name): tuple(output["hosts"]) if "hosts" in output else None
        for step in steps
        if isinstance(step.get("outputs"), Mapping)
        for name, output in step["outputs"].items()
        if is_secret(output)
    }


def findings(outputs: Json, path: Path, *, received: bool) -> Iterator[Finding]:
    """Everything wrong with what is said to be secret; `received` says that these are outputs of a call."""
    for name, output in outputs.items() if isinstance(outputs, Mapping) else ():
        here: Path = (*path, name)
        if not is_secret(output):
            continue
        if not received:
            yield Finding(here, f"`outputs.{name}` cannot be secret: only what a call answers can")
        if set(output) - _MAY != _KEYS or not isinstance(output.get("value"), str):
            told = "a `value`, which is text, and `secret: true`, and may have `hosts`"
            yield Finding(here, f"`outputs.{name}`: a secret output has {told}")
        hosts = output.get("hosts", [])
        if not isinstance(hosts, list) or not all(isinstance(host, str) for host in hosts):
            yield Finding((*here, "hosts"), f"`outputs.{name}.hosts` must be a list of hosts, each as text")
