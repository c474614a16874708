"""What waits for somebody beside runs: held requests, reviews of break-glass, the calendar, and keys of secrets."""

from __future__ import annotations

from dataclasses import dataclass

from engine.access import calendar_file, freezes
from engine.config.secret_keys import keyring_of
from engine.definition.durations import DAY_MS
from engine.runs.break_glass import REVIEW_WITHIN_MS
from engine.runs.held_requests import MOST
from engine.runtime import Runtime
from storage import break_glass, database, held_requests, secret_outputs, secrets
from storage.freeze_records import BreakGlassRecord, FreezeRecord, HeldRecord

UNUSED_MS = 90 * DAY_MS
"""A stored secret that no step has read for longer, nor since it was set, has probably been forgotten."""


@dataclass(frozen=True, slots=True)
class OpenMatters:
    """`reviews` are those still open, of which `overdue` for more than 7 days."""

    held: tuple[HeldRecord, ...]
    reviews: tuple[BreakGlassRecord, ...]
    overdue: tuple[BreakGlassRecord, ...]
    unreadable: tuple[str, ...]


def of(rt: Runtime) -> OpenMatters:
    """As it stands now; `unreadable` are stored and received secrets, with why their key does not open them."""
    keys = keyring_of(rt.settings)
    with database.reading():
        held = held_requests.waiting(rt.workspace_id, MOST)
        reviews = break_glass.unreviewed(rt.workspace_id)
        used = [*secrets.keys_in_use(rt.workspace_id).items(), *secret_outputs.keys_in_use().items()]
    due = database.now() - REVIEW_WITHIN_MS
    overdue = [each for each in reviews if each.agreed_at is not None and each.agreed_at < due]
    lost = [f"{name} is {trouble}" for key, names in used if (trouble := keys.trouble(key)) for name in names]
    return OpenMatters(tuple(held), tuple(reviews), tuple(overdue), tuple(lost))


def unused_secrets(rt: Runtime) -> list[str]:
    """The names of stored secrets that nothing has read for `UNUSED_MS`, by name."""
    since = database.now() - UNUSED_MS
    with database.reading():
        live, used = secrets.live(rt.workspace_id), secrets.last_used(rt.workspace_id)
    return [each.name for each in live if max(each.set_at, used.get(each.name, 0)) < since]


def unused_keys(rt: Runtime) -> list[str]:
    """The ids in SECRET_KEYS, but for the first, under which nothing is kept any more: they may be taken out."""
    with database.reading():
        used = {each.id for each in (*secrets.keys_in_use(rt.workspace_id), *secret_outputs.keys_in_use())}
    return [each.id for each in rt.settings.secret_keys[1:] if each.id not in used]


def calendar(rt: Runtime) -> tuple[FreezeRecord | None, str]:
    """The window that opens next within 14 days, and what is wrong with `_calendar.yaml`, "" for nothing."""
    problems = calendar_file.read(rt.settings.runbooks_dir / calendar_file.NAME)[1]
    return next(iter(freezes.upcoming(rt)), None), str(problems[0]) if problems else ""
