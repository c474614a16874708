"""Taking in events from outside: for which team they are, how many are kept, and which waits they end."""

from __future__ import annotations

import logging

from engine.config.setting_values import HookSender
from engine.errors import EngineError, InvalidParameters, Undecodable
from engine.failpoints import committing
from engine.orchestration import event_waits
from engine.orchestration.run_phases import change
from engine.runtime import Runtime
from engine.text.storable import TooLarge, shallow, to_storable
from storage import database, steps, waits
from storage.records import Json
from storage.states import StepStatus

log = logging.getLogger(__name__)

MAX_KEY = 256
MAX_DATA_BYTES = 64 * 1024
MAX_EARLY = 1_000
"""How many events of one sender are kept for waits that have not begun."""
MAX_EARLY_BYTES = 16 * 1024 * 1024


class TooMuchKept(EngineError):
    """A sender has sent more than is kept for it. `retry_after_s` says in how many seconds there may be room."""

    code = "too_much_kept"

    def __init__(self, message: str, retry_after_s: int) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


def team_of(sender: HookSender, asked: str | None) -> str | None:
    """The team that an event is for, None for every team. Raises `InvalidParameters` for a team it may not send for."""
    if asked is not None and not isinstance(asked, str):
        raise InvalidParameters({"team": "must be the name of a team"})
    if sender.team is not None and asked not in (None, sender.team):
        raise InvalidParameters({"team": f"{sender.name} sends for team {sender.team} only"})
    return sender.team if asked is None else asked


def deliver(
    rt: Runtime,
    key: str,
    event_id: str,
    sender: str,
    data: Json,
    *,
    team: str | None = None,
    delivery_id: str | None = None,
) -> bool:
    """Keep an event and let it end, of each team that it is for, the wait that has waited longest for it.

    `team` None is for every team. Secrets in its data are masked first. An event that comes before its wait is
    kept for an hour. False when this sender's event of this id, or this delivery, came before: then nothing changes.
    Raises `InvalidParameters`, and `TooMuchKept` for an event that nothing waits for while so much of this sender is
    kept already.
    """
    _check({"key": key, "event_id": event_id} | ({} if delivery_id is None else {"webhook-id": delivery_id}))
    try:
        kept = to_storable(rt.redactor().redact_json(shallow(data)), MAX_DATA_BYTES)
    except TooLarge as error:
        raise InvalidParameters({"data": str(error)}) from error
    with committing("deliver"):
        waits.lock_key(rt.workspace_id, key)
        event = waits.receive(rt.workspace_id, key, event_id, sender, kept, team=team, delivery_id=delivery_id)
        if event is None:
            return False
        found = waits.waiting(event)
        if not found:
            _leave_room(rt, sender)
    for execution_id, step_run_id in found:
        _offer(rt, execution_id, step_run_id, key)
    return True


def give(rt: Runtime, execution_id: str, step_run_id: int, key: str) -> bool:
    """Let a kept event end this wait; False when there is none for it or the wait is over."""
    with change(rt, execution_id, "give") as transition:
        step = steps.by_id(step_run_id)
        taken = step is not None and step.status is StepStatus.WAITING and event_waits.take_kept(transition, step, key)
    if taken:
        rt.hint([execution_id])
    return taken


def _offer(rt: Runtime, execution_id: str, step_run_id: int, key: str) -> None:
    """`give`; a run that cannot be read, which ends with that, keeps no other from getting the event."""
    try:
        give(rt, execution_id, step_run_id, key)
    except Undecodable:
        log.exception("an event could not be given to %s", execution_id)


def _leave_room(rt: Runtime, sender: str) -> None:
    waits.lock_sender(rt.workspace_id, sender)
    at = database.now()
    count, size, since = waits.early(rt.workspace_id, sender, at)
    if count > MAX_EARLY or size > MAX_EARLY_BYTES:
        raise TooMuchKept(
            f"Of {sender}, {MAX_EARLY} events or {MAX_EARLY_BYTES >> 20} MiB that no step waits for yet are kept "
            f"already, which is the most. Each is kept for {waits.KEEP_MS // 60_000} minutes or until a step takes it.",
            max(1, (since + waits.KEEP_MS - at + 999) // 1000),
        )


def _check(texts: dict[str, str]) -> None:
    wrong = {
        name: f"must be a text of 1 to {MAX_KEY} characters that can be seen"
        for name, value in texts.items()
        if not isinstance(value, str) or not 0 < len(value) <= MAX_KEY or not value.isprintable()
    }
    if wrong:
        raise InvalidParameters(wrong)
