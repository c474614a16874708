"""Freezes as a page: what is frozen now and will be, and the requests that wait for it to end."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from bot.page.story import Moment, Names, moment
from engine.access import freezes as rules
from engine.access import people
from engine.access.policy import Actor
from engine.runs import freezing, held_requests
from engine.runs.freezing import FreezeView
from engine.runs.held_requests import HeldView
from engine.runtime import Runtime
from storage.catalog_records import RunbookRecord
from storage.freeze_records import FreezeRecord
from storage.records import ExecutionRecord

_PERSON = re.compile(r"@([UW][A-Z0-9]{2,20})\b", re.ASCII)
_IN_BANNER = 3


@dataclass(frozen=True, slots=True)
class Freeze:
    """One freeze. `by` is who set it, "" for the calendar; `lifters` who may lift it.

    `ended` is who lifted it, "" where its time was over, or None while it is in force or still to come.
    """

    id: str
    scope: str
    reason: str
    by: str
    since: Moment
    until: Moment
    holds: bool
    lifters: str
    paused: tuple[str, ...]
    ended: str | None


@dataclass(frozen=True, slots=True)
class Held:
    """A request that waits; `frozen` is the sentence of the freeze that it waits for, "" where it may be released."""

    id: str
    version: str
    who: str
    reason: str
    parameters: str
    gates: tuple[str, ...]
    since: Moment
    until: Moment
    frozen: str


@dataclass(frozen=True, slots=True)
class Found:
    """What is frozen, what was and has left runs paused, the calendar's next windows, and what waits."""

    active: tuple[Freeze, ...]
    ended: tuple[Freeze, ...]
    coming: tuple[Freeze, ...]
    held: tuple[Held, ...]


@dataclass(frozen=True, slots=True)
class Banner:
    """The freezes that a page warns of, and how many more there are."""

    freezes: tuple[Freeze, ...]
    more: int


def freezes(rt: Runtime, actor: Actor) -> Found:
    """Everything about freezes that this person may see. Raises `NotAllowed`."""
    names = Names(rt)
    found = [_freeze(rt, names, each) for each in freezing.listing(rt, actor)]
    return Found(
        active=tuple(each for each in found if each.ended is None),
        ended=tuple(each for each in found if each.ended is not None),
        coming=tuple(_freeze(rt, names, each) for each in freezing.upcoming(rt, actor)),
        held=tuple(_held(names, each) for each in held_requests.listing(rt, actor)),
    )


def banner(rt: Runtime, found: Iterable[FreezeRecord]) -> Banner:
    """These freezes, the first few in full."""
    every, names = list(found), Names(rt)
    shown = tuple(_freeze(rt, names, FreezeView(each)) for each in every[:_IN_BANNER])
    return Banner(shown, len(every) - len(shown))


def covering(rt: Runtime, thing: RunbookRecord | ExecutionRecord) -> Banner:
    """The freezes that keep this runbook or run from beginning."""
    return banner(rt, rules.covering(rt, thing))


def _freeze(rt: Runtime, names: Names, view: FreezeView) -> Freeze:
    each = view.freeze
    over = each.ended_at is not None or each.until <= people.now()
    return Freeze(
        id=each.id,
        scope=each.scope,
        reason=each.reason,
        by=names(each.created_by) if each.created_by else "",
        since=moment(each.created_at),
        until=moment(each.until),
        holds=each.hold_running,
        lifters=rules.lifters(rt, each),
        paused=view.paused,
        ended=(names(each.ended_by) if each.ended_by else "") if over else None,
    )


def _held(names: Names, view: HeldView) -> Held:
    held = view.held
    return Held(
        id=held.id,
        version=f"{held.slug}@{held.number}",
        who=names(held.requester),
        reason=held.reason,
        parameters=json.dumps(held.parameters, indent=2, ensure_ascii=False) if held.parameters else "",
        gates=view.gates,
        since=moment(held.created_at),
        until=moment(held.expires_at),
        frozen=_PERSON.sub(lambda found: names(found[1]), view.frozen.replace("`", "")),
    )
