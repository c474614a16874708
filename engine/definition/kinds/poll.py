"""The kind `poll`: a call that is made until its answer is as wanted."""

from __future__ import annotations

from engine.definition.durations import MAX_STEP_MS, SECOND_MS
from engine.definition.kinds import call
from engine.definition.kinds.kind import Awaits, Effect, Kind, Treatment

KIND = Kind(
    name="poll",
    effect=Effect.CALL,
    awaits=Awaits.ANSWER,
    defaults={"method": "GET", "interval": "5s"},
    treatments={**call.TREATMENTS, "until": Treatment.CONDITION},
    secret_keys=call.SECRET_KEYS,
    timeout_ms=300 * SECOND_MS,
    whole_timeout=True,
    bounds={"interval": (SECOND_MS, MAX_STEP_MS)},
    durations=frozenset({"interval"}),
    answers=True,
    gives=call.GIVES,
    shown=(*call.SHOWN, "until"),
    summary=("kind", "method", "url"),
    caution=call.readable_on_the_way,
)
