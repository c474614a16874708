"""Whether what somebody wants to run with is among the choices that its parameters' systems offer.

A value that is not offered is refused. Where a system cannot be asked, what came last decides; where nothing ever came,
the value is taken and the run says that nobody checked it, but for a high-risk runbook, which is refused. Nothing here
is asked inside a transaction, nor of a child: its values are what the run that starts it says.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from engine.access import secret_use
from engine.catalog import approved_targets, catalog
from engine.definition import parameter_options
from engine.definition.model import Runbook
from engine.definition.parameter_options import DEADLINE_MS, Reading
from engine.definition.parameter_schema import resolved
from engine.errors import InvalidParameters
from engine.option_cache import Offered, Option, Source
from engine.runtime import Runtime
from engine.steps import options_call
from engine.text.json_identity import identity
from engine.text.storable import clean_text
from engine.text.words import LONGEST_WORD, listed, shortened
from storage import database
from storage.catalog_records import VersionRecord
from storage.records import Json

MAX_SEARCH = 200
"""Characters of what is typed that a system is asked with."""
PATIENCE_S = 10.0
"""How long a start may take to ask for all of its values."""
_TOLD = 10
_TROUBLE = 160
"""Characters that are told of why a system could not be asked."""


def offered(
    rt: Runtime, version: VersionRecord, name: str, typed: str = "", *, patient: bool = False, fresh: bool = False,
    within_s: float | None = None,
) -> Offered:  # fmt: skip
    """The choices for a parameter with `x-options` of a version that may run, as they are or came last.

    Those that fit `typed`, where the system searches by itself; else all. `fresh` takes no kept answer for good, and
    `within_s` is how long it may be asked. Needs no open connection and no transaction.
    """
    runbook = catalog.definition(version)
    rules, reading = _rules(runbook, name)
    with database.reading():
        as_agreed = approved_targets.to_run(version.id, runbook)
        lookup = next(each for each in as_agreed.lookups if parameter_options.parameter_of(each) == name)
        known = secret_use.rules_for(rt, lookup)
    search = clean_text(typed.strip()[:MAX_SEARCH]) if reading.search else ""
    deadline_ms = DEADLINE_MS if within_s is None else round(within_s * 1000)
    return rt.options.ask(
        (_source(version, as_agreed, name), search), 0 if fresh else reading.cache_ms,
        lambda: options_call.ask(rt, lookup, reading, rules, (known, runbook.team), search, deadline_ms),
        patient=patient, within_s=within_s,
    )  # fmt: skip


def has(runbook: Runbook, name: str) -> bool:
    """Whether a system offers the choices of this parameter."""
    return parameter_options.KEY in runbook.parameters.get("properties", {}).get(name, {})


def searches_itself(runbook: Runbook, name: str) -> bool:
    """Whether the system is told what was typed, and answers with what fits."""
    return bool(_rules(runbook, name)[1].search)


def takes_unchecked(runbook: Runbook) -> bool:
    """Whether a value runs that nobody could check, since its system cannot be asked."""
    return runbook.risk != "high"


def must_be_offered(
    rt: Runtime, version: VersionRecord, values: Mapping[str, Json], names: Collection[str] | None = None
) -> tuple[str, ...]:
    """The names of those parameters whose values nobody could check. `names` are those to be looked at, all if None.

    Raises `InvalidParameters` for what is not offered, naming the nearest.
    """
    runbook = catalog.definition(version)
    wrong: dict[str, str] = {}
    unchecked: list[str] = []
    asking = _Asking(time.monotonic() + PATIENCE_S)
    for name in map(parameter_options.parameter_of, runbook.lookups):
        if values.get(name) is None or (names is not None and name not in names):
            continue
        value = values[name]
        for each in value if isinstance(value, list) else [value]:
            why = _wrong(rt, version, name, each, asking)
            if why and name not in wrong:
                wrong[name] = why
            elif why is None and name not in unchecked:
                unchecked.append(name)
    if not takes_unchecked(runbook):
        wrong |= {name: _unchecked(asking.away.get(name, "")) for name in unchecked if name not in wrong}
    if wrong:
        raise InvalidParameters(wrong)
    return tuple(unchecked)


def refused_by(
    rt: Runtime, version: VersionRecord, values: Mapping[str, Json], names: Collection[str], until: float
) -> dict[str, str]:
    """What is wrong with those of `names` whose values are surely not offered, as far as is known in time.

    Nobody is asked after `until` (monotonic seconds). It refuses nothing that `must_be_offered` takes: what cannot be
    said in time, or by a system that cannot be asked, is left to that.
    """
    runbook, wrong = catalog.definition(version), dict[str, str]()
    for name in map(parameter_options.parameter_of, runbook.lookups):
        value = values.get(name) if name in names else None
        for each in value if isinstance(value, list) else [] if value is None else [value]:
            left = until - time.monotonic()
            if left <= 0 or name in wrong:
                break
            found = offered(rt, version, name, _text(each), within_s=left)
            known = [found] if not searches_itself(runbook, name) else [found, *_kept_lists(rt, version, name, found)]
            if not found.trouble and not any(_among(each, one.options) for one in known):
                wrong[name] = _not_offered(each, found)
    return wrong


@dataclass(slots=True)
class _Asking:
    """How long a start may go on asking (monotonic seconds), and why the systems of parameters cannot be asked."""

    until: float
    away: dict[str, str] = field(default_factory=dict)


def _wrong(rt: Runtime, version: VersionRecord, name: str, value: Json, asking: _Asking) -> str | None:
    """What is wrong with one value, "" for nothing, None where nobody can say."""
    runbook = catalog.definition(version)
    _, reading = _rules(runbook, name)
    late, is_away = time.monotonic() >= asking.until, name in asking.away
    if late and reading.search and not is_away:
        return f"its values could not all be looked for within {PATIENCE_S:g} s: give fewer of them"
    found = offered(rt, version, name, _text(value), patient=not (late or is_away))
    if _among(value, found.options):
        return ""
    if found.trouble or reading.search:
        known = _kept_lists(rt, version, name, found)
        if any(_among(value, each.options) for each in known):
            return ""
        if found.trouble and (reading.search or not known):
            if reading.search and not is_away and not offered(rt, version, name, patient=True, fresh=True).trouble:
                return f"its system answers, and not when it is asked for “{shortened(_text(value))}”: {found.trouble}"
            asking.away.setdefault(name, found.trouble)
            return None
    return _not_offered(value, found)


def _unchecked(trouble: str) -> str:
    why = f" ({shortened(trouble, _TROUBLE).rstrip('.')})" if trouble else ""
    return f"its choices could not be asked for{why}, and nothing unchecked runs at high risk: try again once they can"


def _kept_lists(rt: Runtime, version: VersionRecord, name: str, found: Offered) -> list[Offered]:
    """What else is kept of a parameter's choices and counts beside what was `found`."""
    runbook = catalog.definition(version)
    with database.reading():
        source = _source(version, approved_targets.to_run(version.id, runbook), name)
    _, reading = _rules(runbook, name)
    return [each for each in rt.options.lists(source) if _is_good(each, reading, found)]


def _is_good(each: Offered, reading: Reading, found: Offered) -> bool:
    """Whether a list that is kept still counts: a fresh one, or any while its system cannot be asked."""
    return bool(found.trouble) or database.now() - (each.as_of or 0) < reading.cache_ms


def _not_offered(value: Json, found: Offered) -> str:
    texts = [_text(one.value) for one in found.options]
    labels = {one.label.casefold(): _text(one.value) for one in found.options}
    text = _text(value)
    alike = get_close_matches(text[:LONGEST_WORD], [each for each in texts if len(each) <= LONGEST_WORD], n=1)
    near = labels.get(text.casefold()) or next(iter(alike), "")
    hint = f"; did you mean `{shortened(near)}`?" if near else ""
    known = f"; there is {listed(shortened(each) for each in texts[:_TOLD])}" if texts and not hint else ""
    more = f" and {len(texts) - _TOLD} more" if known and len(texts) > _TOLD else ""
    late = " (by what was offered last: its system cannot be asked now)" if found.trouble else ""
    return f"“{shortened(text)}” is not offered{late}{hint}{known}{more}"


def _rules(runbook: Runbook, name: str) -> tuple[dict[str, Json], Reading]:
    """What one value has to be like, and how the choices are read."""
    schema = runbook.parameters
    rules = resolved(schema, schema["properties"][name])
    one = resolved(schema, rules.get("items", {})) if rules.get("type") == "array" else rules
    plain = {key: said for key, said in one.items() if key not in ("default", parameter_options.KEY)}
    return {**plain, "$defs": schema.get("$defs", {})}, parameter_options.reading(rules)


def _source(version: VersionRecord, as_agreed: Runbook, name: str) -> Source:
    """Names the call as it is now: a target that stands for something else is another source."""
    with_ = [each.with_ for each in as_agreed.lookups if parameter_options.parameter_of(each) == name]
    return version.id, hashlib.sha256(json.dumps(with_, sort_keys=True).encode()).hexdigest(), name


def _among(value: Json, options: Iterable[Option]) -> bool:
    return any(identity(value) == identity(one.value) for one in options)


def _text(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value)
