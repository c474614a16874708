"""Where the calls of a runbook go and which secrets each carries, as far as its text says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from engine.definition.kinds import Treatment, kind_of
from engine.definition.model import Runbook, Step
from engine.definition.placed import Placed, dry_run_of, every_step
from engine.definition.rendering import secret_parts, target_as_url
from engine.definition.schema import Path
from engine.expressions import Held, has_template, held_names, references
from storage.records import Json

_HOST = re.compile(r"https?://((?:\{\{.*?\}\}|[^/?{]|\{(?!\{))*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Reach:
    """One place that a step calls: its host as written, and the names of the secrets that go there.

    `url` leads there, or is None where a value decides the host; `path` is where the file says it. `received` are the
    secrets that the run itself receives, as "step.output".
    """

    step: str
    host: str
    url: str | None
    secrets: tuple[str, ...]
    path: Path
    received: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Carried:
    """The names of the secrets of a step: what goes to its own address, and what to the server of its tokens.

    Those that the run itself receives, as "step.output", stand apart.
    """

    own: frozenset[str] = frozenset()
    token: frozenset[str] = frozenset()
    received_own: frozenset[str] = frozenset()
    received_token: frozenset[str] = frozenset()


def carried(step: Step, held: Held) -> Carried:
    """Which secrets a call carries, by what is written. Those of an OAuth 2 client go to its `token_url` alone."""
    parts = secret_parts(step, held)
    auth = parts.get("auth")
    to_token = auth if isinstance(auth, dict) and auth.get("type") == "oauth2" else None
    own = {key: value for key, value in parts.items() if to_token is None or key != "auth"}
    return Carried(_names(own), _names(to_token), _received(own, held), _received(to_token, held))


def reaches(runbook: Runbook) -> Iterator[Reach]:
    """Every place that a runbook's own steps call, in the file's order; a runbook that it starts has its own.

    A call in check mode has its own where it goes elsewhere, or takes other secrets there.
    """
    for placed in every_step(runbook):
        own = list(_of_call(placed, runbook.held))
        yield from own
        known = {replace(each, path=()) for each in own}
        for asked in dry_run_of(placed):
            yield from (each for each in _of_call(asked, runbook.held) if replace(each, path=()) not in known)


def _of_call(placed: Placed, held: Held) -> Iterator[Reach]:
    step, names = placed.step, carried(placed.step, held)
    for key, value in step.with_.items():
        treatment = kind_of(step).treatment(key)
        if treatment in (Treatment.URL, Treatment.TARGET):
            url = target_as_url(value) if treatment is Treatment.TARGET else value
            yield _reach(step.id, url, names.own, (*placed.with_path, key), names.received_own)
    auth = step.with_.get("auth")
    if isinstance(auth, dict) and auth.get("type") == "oauth2":
        where = (*placed.with_path, "auth", "token_url")
        yield _reach(step.id, str(auth["token_url"]), names.token, where, names.received_token)


def _reach(step: str, url: str, names: frozenset[str], path: Path, received: frozenset[str]) -> Reach:
    found = _HOST.match(url)
    host = found[1] if found else url
    whole = None if has_template(host) else _whole(url, host)
    return Reach(step, host, whole, tuple(sorted(names)), path, tuple(sorted(received)))


def _whole(url: str, host: str) -> str:
    """The URL without what its values might make of the rest: the scheme and the host decide."""
    return f"{url.partition('://')[0]}://{host}/"


def _received(value: Json, held: Held) -> frozenset[str]:
    return frozenset[str]().union(*(held_names(chain, held) for chain in references(value)))


def _names(value: Json) -> frozenset[str]:
    return frozenset(chain[1] for chain in references(value) if chain[0] == "secrets" and len(chain) > 1)
