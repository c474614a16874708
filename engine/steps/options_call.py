"""Asking a system for the choices of a parameter: one guarded GET, and what its answer offers.

What comes is somebody else's text: values that do not fit the parameter or that nobody could read are left out, labels
are masked and made visible, and there is an end to how much of it is read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from engine.definition import reaches
from engine.definition.model import Step
from engine.definition.parameter_options import DEADLINE_MS, Reading
from engine.definition.parameter_schema import value_checker
from engine.definition.references import FACTS
from engine.definition.rendering import render_with_secrets, secret_parts
from engine.definition.targets import OPENS
from engine.egress.secret_rules import SecretRules
from engine.errors import EngineError
from engine.expressions import ExpressionError, made_of_secrets, render, render_text
from engine.option_cache import Offered, Option, Unavailable
from engine.runtime import Runtime
from engine.steps import context, secret_destinations
from engine.text.redaction import MAX_TOLD_BYTES, Redactor, mark, outgoing, worth_masking
from engine.text.visible_characters import visible_line
from engine.text.words import shortened
from storage import database
from storage.records import Json

MAX_OPTIONS = 1_000
MAX_VALUE, MAX_LABEL = 2_000, 200
"""Characters of a value, beyond which a choice is left out, and of a label, which is cut."""
MAX_CPU_S = 0.5
"""Seconds of the thread's own processor time for reading one answer."""
_MARK = mark("").rstrip("›")
"""How the mark begins that stands in an answer for a secret."""


def ask(
    rt: Runtime, lookup: Step, reading: Reading, rules: dict[str, Json], allowed: tuple[SecretRules, str | None],
    search: str, deadline_ms: int = DEADLINE_MS,
) -> Offered:  # fmt: skip
    """The choices for a parameter whose one value follows `rules`, as its system offers them now.

    `lookup` is the call as its target makes it; `allowed` are the rules for secrets and the runbook's team. Raises
    `Unavailable`.
    """
    redactor = rt.redactor()
    with redactor.meanwhile() as also_mask:
        try:
            response = _answer(rt, lookup, reading, allowed, search, redactor, also_mask, min(deadline_ms, DEADLINE_MS))
            items = render(reading.items, {"response": response})
            if not isinstance(items, list):
                raise Unavailable("its answer has no list where `items` looks for one")
            items, more = items[:MAX_OPTIONS], len(items) > MAX_OPTIONS
            found = list(_options(_read(items, response, reading), rules, redactor))
        except EngineError as error:
            raise Unavailable(outgoing(str(error), redactor.redact, MAX_TOLD_BYTES, fold=True)) from None
    return Offered(tuple(found), database.now(), more=more)


def _answer(
    rt: Runtime, lookup: Step, reading: Reading, allowed: tuple[SecretRules, str | None], search: str,
    redactor: Redactor, also_mask: Callable[..., None], deadline_ms: int,
) -> dict[str, Json]:  # fmt: skip
    """The answer as templates know it. Raises `Unavailable` and `EngineError`."""
    from engine.egress import Egress, Policy, parse_allow
    from engine.steps import http
    from engine.steps.oauth2 import Tokens

    parts = secret_parts(lookup)
    names = sorted(context.secret_names(context.chains_in(parts)))
    known = {name: rt.secrets(redactor).resolve(name) for name in names}
    made = made_of_secrets(parts, {"secrets": known}, frozenset())
    also_mask((", ".join(read), text) for read, text in made if worth_masking(text, [known[each] for each in read]))
    with_ = render_with_secrets(lookup, {}, {"secrets": known}, frozenset())
    if reading.search and search:  # put in after rendering: what people type is no template
        with_["query"] = {**with_.get("query", {}), reading.search: search}
    sent = reaches.carried(lookup, frozenset())
    carried = secret_destinations.Carried(sent, *allowed, lambda text: redactor.redact(text) != text)
    egress = Egress(Policy(allowed=rt.settings.egress_allow, own=rt.settings.own_endpoints))
    try:
        call = http.Call(
            idempotent=True, timeout_ms=deadline_ms, idempotency_key=lookup.id, egress=egress, tokens=Tokens(redactor),
            redact=redactor.redact_json, abandoned=lambda: False, carried=carried,
            allowed=parse_allow(",".join(with_.pop(OPENS, ()))),
        )  # fmt: skip
        result = http.exchange(with_, call)
    finally:
        egress.close()
    if not isinstance(result, http.Exchange):
        raise Unavailable(result.message)
    if not result.answer.ok:
        raise Unavailable(http.describe(result.answer, result.redirects))
    if result.truncated:
        raise Unavailable("its answer is larger than 1 MiB: have it send less, or let it search")
    return {**dict.fromkeys(FACTS["response"]), **result.answer.everything()}


def _read(items: list[Json], response: Mapping[str, Any], reading: Reading) -> Iterator[tuple[Json, str]]:
    """The value and label of each item that has them. Raises `Unavailable` where there are items, and none has."""
    until = time.thread_time() + MAX_CPU_S
    lacking: list[str] = []
    for item in items:
        if time.thread_time() > until:
            raise Unavailable(f"its answer takes more than {MAX_CPU_S} s to read: have it send less, or let it search")
        visible = {"response": response, "item": item}
        try:
            read = render(reading.value, visible), render_text(reading.label, visible)
        except ExpressionError as error:  # an item without what `value` or `label` reads
            lacking.append(str(error))
            continue
        yield read
    if items and len(lacking) == len(items):
        raise Unavailable(f"nothing in its answer has what `value` and `label` read: {lacking[0]}")


def _options(read: Iterator[tuple[Json, str]], rules: dict[str, Json], redactor: Redactor) -> Iterator[Option]:
    """Each choice once, in the order of the answer; what does not make one is left out."""
    fits = value_checker(rules).is_valid
    seen: set[tuple[str, str]] = set()
    for value, label in read:
        text = value if isinstance(value, str) else str(value)
        same = (type(value).__name__, text)
        if same in seen or not isinstance(value, str | int | float) or not _is_plain(text, redactor):
            continue
        if fits(value):
            seen.add(same)
            yield Option(value, _readable(label, redactor) or text)


def _is_plain(text: str, redactor: Redactor) -> bool:
    """Whether a value is one that people can read whole and that shows no secret."""
    if not text.strip() or len(text) > MAX_VALUE or _MARK in text:
        return False
    return visible_line(text) == text and redactor.redact(text) == text


def _readable(label: str, redactor: Redactor) -> str:
    return shortened(visible_line(redactor.redact(label[: 10 * MAX_LABEL])), MAX_LABEL)
